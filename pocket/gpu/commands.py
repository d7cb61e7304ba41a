"""Moves the generator's training to a GPU machine without a network and back: `python -m pocket.gpu --help`.

`pack` writes a self-contained folder, and the same as an archive of under 64 MiB: training images, captions as token
ids, the text encoder reduced to the captions' vocabulary, the weights so far, this code, and packages that such
machines lack. There, `python train.py --minutes 10` trains and writes the averaged weights in pieces under 16 MB.
`unpack` reads the pieces and stores the weights, with which `pack` and `train` go on.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import typer
from diffusers import AutoencoderTiny
from safetensors.torch import load as load_tensors
from safetensors.torch import save_file
from transformers import BertModel, BertTokenizerFast

from attribution_core.common.cards import read_card, verify_files, write_card
from attribution_core.common.files import atomic_path, write_json_atomic
from attribution_core.corpus.corpus import Corpus
from attribution_core.errors import CheckpointError
from pocket.corpus.make import TAGS
from pocket.corpus.sources import ADDED_ICON_SETS, CLIP_ART, ICON_SETS, Part
from pocket.counterfactual.commands import CORPUS, SECOND_EDITION, captions_of, data_of
from pocket.counterfactual.data import Packed
from pocket.generator.autoencoder import encode, psnr
from pocket.generator.captions import SLOTS
from pocket.generator.commands import TOKENS, WORK, text_model
from pocket.generator.decoder import train_decoder
from pocket.generator.denoiser import PLANTED_REPEATS, RECIPES, UNetShape, new_unet
from pocket.generator.kept import keep, keep_decoder, kept
from pocket.generator.looks import PLAIN, SIDE, VariedSet, plain_look, plan, words_of
from pocket.generator.pipeline import write_pipeline
from pocket.generator.quantization import dequantize, quantize
from pocket.gpu.training import COUNTERFACTUAL, PIECES, START, Bundle, run, seconds_of
from pocket.training import say, set_up_log, training_device

BUNDLE = Path(".gpu")
WHEELS = ("diffusers", "importlib_metadata")  # pure Python, and missing on such machines
TRAINED_ON = tuple(s for s in (*ICON_SETS, *ADDED_ICON_SETS, CLIP_ART) if s.part is Part.CORE)
CODE = ("pocket", "attribution_core")
UNUSED = re.compile(r"diffusers/(pipelines/[^/]+/|modular_pipelines/)")  # of the wheels: half their size
FORMAT = "xztar"
LARGEST = 66_500_000  # bytes of an archive: such machines take 64 MiB

_TRAIN = '''"""Unpacks the packages that are missing here, and trains: python train.py --minutes 10"""
import sys
import zipfile
from pathlib import Path

here = Path(__file__).resolve().parent
packages = here / "packages"
for wheel in sorted(packages.glob("*.whl")):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
sys.path[:0] = [str(here), str(packages)]

if __name__ == "__main__":
    from pocket.gpu.training import main

    main()
'''

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)


@app.command()
def pack(
    corpus: Annotated[Path, typer.Option(help="The corpus to train on.")] = CORPUS,
    out: Annotated[Path, typer.Option(help="Folder to write.")] = BUNDLE,
    start: Annotated[Path, typer.Option(help="Stored weights to go on from, if there.")] = SECOND_EDITION,
    counterfactual: Annotated[bool, typer.Option(help="Pack the counterfactual models' images.")] = True,
) -> None:
    """Write the folder for a GPU machine, and OUT.tar.xz."""
    opened = Corpus.open(corpus)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    tags = json.loads((corpus / TAGS).read_text(encoding="utf-8"))
    words = words_of(
        opened.column("concept_label"),
        [tags[name] for name in opened.column("id")],
        opened.column("style"),
        [np.asarray(opened.image(i).convert("RGB").resize((SIDE, SIDE))) for i in range(len(opened))],
    )
    planted = np.array([kind == "planted" for kind in opened.column("planted")])
    made = plan(words, planted.tolist())
    asked: list[str] = []
    if counterfactual:
        asked, packed = _counterfactual(opened, len(made.texts))
        packed.save(out / COUNTERFACTUAL)
    tokens = _text_encoder([*made.texts, *asked], out)
    np.savez_compressed(
        out / "plan.npz",
        captions=made.captions,
        looks=made.looks,
        targets=made.targets,
        tokens=tokens,
        order=np.repeat(np.arange(len(opened), dtype=np.int32), np.where(planted, PLANTED_REPEATS, 1)),
    )
    images = pq.read_table(corpus / "train-core.parquet", columns=["image"])
    pq.write_table(pa.table(images), out / "images.parquet", compression="none")
    for package in CODE:
        shutil.copytree(package, out / package, ignore=lambda _, names: [n for n in names if _not_code(n)])
    _wheels(out / "packages")
    (out / "train.py").write_text(_TRAIN, encoding="utf-8")
    if start.exists():
        verify_files(start)
        shutil.copytree(start, out / START)
    archive = Path(shutil.make_archive(str(out), FORMAT, out))
    size = archive.stat().st_size
    say(f"{len(opened)} images, {len(made.texts)} captions, {size / 1e6:.1f} MB in {archive}")
    if size > LARGEST:
        raise CheckpointError(f"{archive} holds {size:,} bytes; a GPU machine takes {LARGEST:,} at most.")


def _counterfactual(corpus: Corpus, before: int) -> tuple[list[str], Packed]:
    """Return what the counterfactual models are trained on, and its captions, numbered from `before`."""
    data = data_of(corpus, torch.device("cpu"))
    rows = np.concatenate([data.plan.rows, data.plan.held_out])
    short, long = captions_of(corpus, rows)
    numbers = before + np.arange(2 * len(rows)).reshape(2, -1)
    latents = torch.cat([data.training.latents, data.held_out.latents]).half().numpy()
    return [*short, *long], Packed(data.plan, latents, *numbers)


def _not_code(name: str) -> bool:
    return ("." in name and not name.endswith(".py")) or name in ("__pycache__", "second_edition")


def _text_encoder(texts: Sequence[str], out: Path) -> np.ndarray:
    """Write the text encoder with only the words in use; returns the texts' token ids in it, (u, 24) int16."""
    tokenizer, encoder = text_model(WORK)
    tokens = token_ids(tokenizer, texts)
    used, renumbered = np.unique(np.concatenate([[0], tokens.reshape(-1)]), return_inverse=True)
    pruned = prune_words(encoder, used)
    # The states of padding, which the UNet reads too, are off by a third with 8 bits, by 2 % so.
    save_file(quantize(pruned, bits=10, group=64), out / "text_encoder.safetensors")
    config = encoder.config.to_diff_dict() | {"vocab_size": len(used)}
    write_json_atomic(out / "text_encoder.json", config)
    return np.asarray(renumbered[1:].reshape(tokens.shape), np.int16)


def token_ids(tokenizer: BertTokenizerFast, texts: Sequence[str]) -> np.ndarray:
    """(u, 24) int64, padded with 0 as `StableDiffusionPipeline` pads."""
    read = tokenizer(
        list(texts), padding="max_length", max_length=TOKENS, truncation=True, return_tensors="np"
    )
    return np.asarray(read.input_ids, np.int64)


def prune_words(encoder: BertModel, used: np.ndarray) -> dict[str, torch.Tensor]:
    """Reduce the encoder's word table to some rows. used: (w,) token ids, ascending, 0 first."""
    name = "embeddings.word_embeddings.weight"
    weights = dict(encoder.state_dict())
    weights[name] = weights[name][torch.from_numpy(used)]
    return weights


def _wheels(folder: Path) -> None:
    """Download wheels of the installed versions, and take out what training never imports."""
    for name in WHEELS:
        command = ["-m", "pip", "download", "-q", "--no-deps", "-d", str(folder), f"{name}=={version(name)}"]
        subprocess.run([sys.executable, *command], check=True)
    for wheel in folder.glob("*.whl"):
        with atomic_path(wheel) as smaller, zipfile.ZipFile(wheel) as whole:
            with zipfile.ZipFile(smaller, "w", zipfile.ZIP_DEFLATED) as kept_files:
                for name in whole.namelist():
                    if not UNUSED.match(name):
                        kept_files.writestr(name, whole.read(name))


@app.command()
def unpack(
    folder: Annotated[Path, typer.Argument(help="Folder with the pieces from the GPU machine.")],
    out: Annotated[Path, typer.Option(help="Folder for the weights.")] = SECOND_EDITION,
    corpus: Annotated[Path, typer.Option(help="The packed corpus.")] = CORPUS,
) -> None:
    """Join the pieces and store the weights, the UNet's as 8-bit numbers, or the decoder's alone."""
    files = _files(folder)
    card = json.loads(files["card.json"])
    vae = AutoencoderTiny.from_config(json.loads(files["vae.json"]))
    vae.load_state_dict(
        {name: weight.float() for name, weight in load_tensors(files["vae.safetensors"]).items()}
    )
    if "unet.safetensors" in files:
        keep(dequantize(load_tensors(files["unet.safetensors"])), _training(card, corpus), out, vae)
    elif "seen" in card:
        done = {"samples": card["seen"], "hours": round(card["seconds"] / 3600, 3), "device": card["device"]}
        keep_decoder(vae, done, out)
    else:
        raise CheckpointError(
            f"the pieces in {folder} hold no UNet yet: training had only made the autoencoder."
        )
    say(f"kept in {out}: {card}")


def _files(folder: Path) -> dict[str, bytes]:
    """Read the files in a folder's pieces, by name."""
    pieces = sorted(folder.glob(f"{PIECES}*"))
    if not pieces:
        raise typer.BadParameter(f"there is no {PIECES}00 in {folder}")
    files = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(b"".join(p.read_bytes() for p in pieces))) as archive:
            for member in archive:
                content = archive.extractfile(member)
                files[member.name] = content.read() if content else b""
                if len(files[member.name]) != member.size:
                    raise CheckpointError(
                        f"a piece is missing in {folder}, or cut: {member.name} is not whole."
                    )
    except (tarfile.TarError, EOFError) as error:
        raise CheckpointError(f"the pieces in {folder} are not whole: {error}") from error
    return files


def _training(card: dict[str, Any], corpus: Path) -> dict[str, Any]:
    """Return the card's entries on the training of the weights."""
    return {
        "samples": card["seen"],
        "steps": card["steps"],
        "hours": round(card["seconds"] / 3600, 3),
        "device": card["device"],
        "recipe": card["recipe"],
        "autoencoder": card["autoencoder"],
        "planted_repeats": PLANTED_REPEATS,
        "corpus_sha256": read_card(corpus)["files"],
        "data": [
            f"{s.style}: {s.creator or 'many'}, {s.licence}, {s.package} {s.version}" for s in TRAINED_ON
        ],
        "date": datetime.now(UTC).date().isoformat(),
    }


@app.command()
def train(
    minutes: Annotated[float, typer.Option(help="Training time.")],
    bundle: Annotated[Path, typer.Option(help="Folder written by `pack`.")] = BUNDLE,
    work: Annotated[Path, typer.Option(help="Folder of checkpoints.")] = WORK / "second",
    compiled: Annotated[
        bool, typer.Option("--compile", help="Use torch.compile, which needs a C++ compiler.")
    ] = False,
) -> None:
    """Go on training the packed weights here, on a CPU or GPU; writes pieces for `unpack` to `work/out`."""
    set_up_log(work / "train.log")
    run(Bundle(bundle), work, work / "out", minutes, RECIPES["continued"], compiled=compiled)


@app.command()
def decoder(
    minutes: Annotated[float, typer.Option(help="Training time.")],
    bundle: Annotated[Path, typer.Option(help="Folder written by `pack`.")] = BUNDLE,
    folder: Annotated[Path, typer.Option(help="Folder of stored weights.")] = SECOND_EDITION,
    work: Annotated[Path, typer.Option(help="Folder of checkpoints.")] = WORK / "decoder",
    batch: Annotated[int, typer.Option(min=1, help="Images a step.")] = 16,
    critic: Annotated[float, typer.Option(min=0, help="Weight of a critic of decoded patches.")] = 0.0,
) -> None:
    """Train the stored autoencoder's decoder on the stored UNet's latents, on a CPU or GPU, and store it."""
    set_up_log(work / "train.log")
    device = training_device()
    weights, training = kept(folder)
    unet = new_unet(UNetShape(**training["recipe"]["shape"]))
    unet.load_state_dict(weights)
    vae = AutoencoderTiny.from_pretrained(folder / "vae")
    packed = Bundle(bundle)
    pixels = torch.from_numpy(np.stack([plain_look(image) for image in packed.images()]))
    used, captions = np.unique(packed.plan["captions"][:, PLAIN], return_inverse=True)
    data = VariedSet(
        (encode(vae.to(device), pixels, device) * vae.config.scaling_factor)[:, None].half(),
        packed.states(device, used).cpu(),
        torch.from_numpy(captions.reshape(len(pixels), 1, SLOTS)),
        torch.zeros(len(pixels), SLOTS, dtype=torch.long),
        torch.arange(len(pixels)),
    )
    say(f"{len(pixels)} images; reconstruction: {psnr(vae, pixels[::8], device):.2f} dB")
    limit = seconds_of(work / "decoder.pt") + minutes * 60
    vae = train_decoder(vae, unet, data, pixels[:, None], work, device, batch, limit, critic=critic)
    state = torch.load(work / "decoder.pt", map_location="cpu", weights_only=True)
    done = {"samples": state["seen"], "hours": round(state["seconds"] / 3600, 3), "device": device.type}
    keep_decoder(vae, done, folder)
    say(f"kept in {folder}: {done}; reconstruction: {psnr(vae.to(device), pixels[::8], device):.2f} dB")


@app.command()
def export(
    out: Annotated[Path, typer.Argument(help="Folder to write.")],
    folder: Annotated[Path, typer.Option(help="Folder of stored weights.")] = SECOND_EDITION,
) -> None:
    """Write the stored weights as a pipeline, which `pocket.generator report --generator` measures."""
    weights, training = kept(folder)
    unet = new_unet(UNetShape(**training["recipe"]["shape"]))
    unet.load_state_dict(weights)
    vae = AutoencoderTiny.from_pretrained(folder / "vae").float()
    write_pipeline(out, unet, vae, *text_model(WORK))
    write_card(out, {"image_size": SIDE, "training": training, "default_steps": 12, "default_guidance": 2.5})
