"""Trains the generator on a GPU machine, from a folder written by `pocket.gpu pack`: `python train.py --help`.

Needs Python, torch, transformers, SciPy, pyarrow and Pillow; other imports are in the folder. Goes on from the
weights in the folder; without any it trains first the autoencoder, for a fifth of the time, then the UNet.
`--only decoder` trains the autoencoder's decoder with the UNet that is there. A killed run resumes when started again.
Every three minutes and at the end, the averaged weights are written to the output folder in pieces that
`pocket.gpu unpack` reads.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import tarfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from diffusers import AutoencoderTiny
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertModel

from attribution_core.common.files import atomic_path
from pocket.counterfactual.data import Data, Packed
from pocket.counterfactual.models import train_and_measure
from pocket.generator.autoencoder import LARGE, AutoencoderRecipe, encode, psnr, train_autoencoder
from pocket.generator.decoder import train_decoder
from pocket.generator.denoiser import RECIPES, Recipe, new_unet, train_unet, write_checkpoint
from pocket.generator.looks import PLAIN, VariedSet, looks_of
from pocket.generator.quantization import dequantize, quantize
from pocket.training import LOG, set_up_log, training_device

AUTOENCODER_SHARE = 0.2  # of the time there is
PIECE = 15_000_000  # bytes of a piece of the weights
PIECES = "weights.tar."
START = "start"  # folder of weights in a bundle
COUNTERFACTUAL = "counterfactual.npz"
DECODER_BATCH = 256


@dataclass(frozen=True)
class Bundle:
    """The folder written by `pocket.gpu pack`."""

    folder: Path

    def images(self) -> list[bytes]:
        """Return the n encoded training images."""
        images = pq.read_table(self.folder / "images.parquet", columns=["image"])["image"].combine_chunks()
        encoded: list[bytes] = images.field("bytes").to_pylist()
        return encoded

    def looks(self) -> torch.Tensor:
        """All looks of all images: (n, LOOKS, 3, 128, 128) uint8."""
        encoded, targets = self.images(), self.plan["targets"].tolist()
        with ProcessPoolExecutor() as pool:
            made = list(pool.map(looks_of, encoded, targets, range(len(encoded)), chunksize=32))
        return torch.from_numpy(np.stack(made))

    @cached_property
    def plan(self) -> dict[str, np.ndarray]:
        """captions, looks, targets, order, tokens: see `varied.Plan`; tokens (u, 24) of the texts."""
        with np.load(self.folder / "plan.npz") as arrays:
            return {name: arrays[name] for name in arrays}

    @torch.inference_mode()
    def states(self, device: torch.device, captions: np.ndarray | None = None) -> torch.Tensor:
        """Text states of some captions, by default of all: (u, 24, 384) float16. captions: (u,) their numbers."""
        config = BertConfig(**json.loads((self.folder / "text_encoder.json").read_text()))
        encoder = BertModel(config, add_pooling_layer=False).eval()
        encoder.load_state_dict(dequantize(load_file(self.folder / "text_encoder.safetensors")))
        encoder.to(device)
        tokens = torch.from_numpy(self.plan["tokens"].astype(np.int64))
        if captions is not None:
            tokens = tokens[torch.from_numpy(captions)]
        states = []
        for batch in tokens.split(2048 if device.type == "cuda" else 256):
            ids = batch.to(device)
            states.append(encoder(ids, attention_mask=(ids != 0).long())[0].half())
        return torch.cat(states)

    def counterfactual(self, device: torch.device) -> Data:
        """Return what the counterfactual models are trained on and asked about."""
        packed = Packed.load(self.folder / COUNTERFACTUAL)
        return packed.unpacked(self.states(device, np.concatenate([[0], packed.short, packed.long])).cpu())

    def start(self, work: Path) -> None:
        """Put the weights that training goes on from into `work`, unless it holds later ones."""
        start = self.folder / START
        if not start.exists() or (work / "unet.pt").exists():
            return
        done = json.loads((start / "card.json").read_text())["training"]
        write_checkpoint(work / "unet.pt", dequantize(load_file(start / "unet.safetensors")), done)
        shutil.copytree(start / "vae", work / "vae", dirs_exist_ok=True)


def run(
    bundle: Bundle,
    work: Path,
    out: Path,
    minutes: float,
    recipe: Recipe,
    autoencoder: AutoencoderRecipe = LARGE,
    autoencoder_minutes: float | None = None,
    only: str | None = None,
    compiled: bool = True,
    critic: float = 0.0,
) -> None:
    """Train both networks within `minutes`, resuming from `work`; writes weights and a card to `out`.

    minutes: for this whole call, not counting earlier calls. only: "autoencoder", or "decoder" with a trained UNet.
    critic: see `train_decoder`.
    """
    began = time.monotonic()
    bundle.start(work)
    device = training_device()
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
    vae, latents = _latents(
        bundle, work, device, autoencoder, autoencoder_minutes or AUTOENCODER_SHARE * minutes
    )
    card = {"autoencoder": asdict(autoencoder), "device": _name(device)}
    if not (work / "unet.pt").exists():  # else `out` may hold an earlier call's UNet
        _write(out, card, None, vae)
    if only == "autoencoder":
        return
    made = bundle.plan
    data = VariedSet(
        latents,
        _once(work / "states.pt", lambda: bundle.states(device).cpu()),
        torch.from_numpy(made["captions"].astype(np.int64)),
        torch.from_numpy(made["looks"].astype(np.int64)),
        torch.from_numpy(made["order"].astype(np.int64)),
    )
    LOG.info("%d captions, after %.0f s", len(data.states), time.monotonic() - began)

    def write(state: dict[str, Any]) -> None:
        done = {name: state[name] for name in ("seen", "steps", "seconds")}
        _write(out, {**card, **done, "recipe": asdict(recipe)}, state["average"], vae)

    left = max(1.0, minutes * 60 - (time.monotonic() - began))
    if only == "decoder":
        state = torch.load(work / "unet.pt", map_location="cpu", weights_only=True)
        unet = new_unet(recipe.shape)
        unet.load_state_dict(state["average"])
        pixels = _once(work / "looks.pt", bundle.looks)
        limit = seconds_of(work / "decoder.pt") + left
        train_decoder(vae, unet, data, pixels, work, device, DECODER_BATCH, limit, compiled, critic)
        LOG.info("reconstruction: %.2f dB", psnr(vae.to(device), pixels[::8, PLAIN], device))
        done = torch.load(work / "decoder.pt", map_location="cpu", weights_only=True)
        _write(out, {**card, "seen": done["seen"], "seconds": done["seconds"]}, None, vae.cpu())
        return
    earlier = seconds_of(work / "unet.pt")
    train_unet(data, recipe, work, device, limit_s=earlier + left, compiled=compiled, on_save=write)


def counterfactual(bundle: Bundle, work: Path, minutes: float, part: str, compiled: bool = True) -> None:
    """Train and measure counterfactual models: `pocket.counterfactual.models`."""
    until, device = time.monotonic() + 60 * minutes, training_device()
    train_and_measure(bundle.counterfactual(device), work, device, part, until, compiled)


def _latents(
    bundle: Bundle, work: Path, device: torch.device, recipe: AutoencoderRecipe, minutes: float
) -> tuple[AutoencoderTiny, torch.Tensor]:
    """Return the trained autoencoder and (n, LOOKS, 4, 16, 16) float16 scaled latents, both cached in `work`."""
    kept, vae_folder = work / "latents.pt", work / "vae"
    if kept.exists():
        return AutoencoderTiny.from_pretrained(vae_folder), torch.load(kept, weights_only=True)
    began = time.monotonic()
    looks = _once(work / "looks.pt", bundle.looks)
    LOG.info("%d images in %d looks each, after %.0f s", *looks.shape[:2], time.monotonic() - began)
    pixels = looks.flatten(0, 1).to(device)
    if vae_folder.exists():
        vae = AutoencoderTiny.from_pretrained(vae_folder).to(device)
    else:
        vae = train_autoencoder(pixels, 1, work, device, recipe, limit_s=minutes * 60)
        vae.save_pretrained(vae_folder)
    LOG.info("reconstruction: %.2f dB", psnr(vae, looks[::8, PLAIN], device))
    scaled = encode(vae, pixels, device) * vae.config.scaling_factor
    return vae.cpu(), _once(kept, lambda: scaled.half().unflatten(0, looks.shape[:2]))


def _once(path: Path, make: Callable[[], torch.Tensor]) -> torch.Tensor:
    """Return the content of `path`, creating it if missing."""
    if not path.exists():
        with atomic_path(path) as temporary:
            torch.save(make(), temporary)
    loaded: torch.Tensor = torch.load(path, weights_only=True, mmap=True)
    return loaded


def _write(
    out: Path, card: dict[str, Any], unet: dict[str, torch.Tensor] | None, vae: AutoencoderTiny
) -> None:
    """Write weights, the UNet's as 8-bit numbers, and their card as one archive in pieces."""
    out.mkdir(parents=True, exist_ok=True)
    files: dict[str, bytes] = {"card.json": json.dumps(card).encode()}
    config = {name: value for name, value in vae.config.items() if not name.startswith("_")}
    files["vae.json"] = json.dumps(config).encode()
    written = {"vae": {name: w.detach().half().cpu().contiguous() for name, w in vae.state_dict().items()}}
    if unet is not None:
        written["unet"] = quantize({name: w.detach().cpu() for name, w in unet.items()})
    for name, weights in written.items():
        path = out / f".{name}.safetensors"
        save_file(weights, path)
        files[f"{name}.safetensors"] = path.read_bytes()
        path.unlink()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    whole = buffer.getvalue()
    for old in out.glob(f"{PIECES}*"):
        old.unlink()
    for k in range(0, len(whole), PIECE):
        (out / f"{PIECES}{k // PIECE:02d}").write_bytes(whole[k : k + PIECE])


def seconds_of(checkpoint: Path) -> float:
    """Return the training time in a checkpoint, 0 without one."""
    if not checkpoint.exists():
        return 0.0
    return float(torch.load(checkpoint, map_location="cpu", weights_only=True)["seconds"])


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name() if device.type == "cuda" else "cpu"


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, required=True, help="time for this whole call")
    parser.add_argument("--autoencoder-minutes", type=float, help="default: a fifth")
    parser.add_argument(
        "--only", choices=("autoencoder", "decoder", "counterfactual"), help="train this and no more"
    )
    parser.add_argument(
        "--part", default="1/1", help="of the counterfactual models: K/N, every Nth from the Kth"
    )
    parser.add_argument("--critic", type=float, default=0.0, help="weight of the decoder's critic")
    parser.add_argument("--recipe", choices=sorted(RECIPES), default="large")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the pieces and the log")
    parser.add_argument("--work", type=Path, default=Path("work"), help="folder for checkpoints")
    asked = parser.parse_args()
    bundle = Bundle(Path(__file__).resolve().parents[2])
    if asked.only == "counterfactual":
        set_up_log(asked.work / f"{asked.part.replace('/', '-')}.log")
        counterfactual(bundle, asked.work, asked.minutes, asked.part)
        return
    set_up_log(asked.out / "train.log")
    run(
        bundle,
        asked.work,
        asked.out,
        asked.minutes,
        RECIPES[asked.recipe],
        autoencoder_minutes=asked.autoencoder_minutes,
        only=asked.only,
        critic=asked.critic,
    )


if __name__ == "__main__":
    main()
