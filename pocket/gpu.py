"""Takes the generator's training to a bare GPU machine and back: `python -m pocket.gpu --help`.

`pack` makes one folder of under 60 MB that needs no network: training images, captions as token ids, the text
encoder without the words that no caption has, this code, and the packages that such machines lack. There,
`python train.py --minutes 10` trains and writes the averaged weights in pieces under 16 MB. `unpack` reads the pieces
and keeps the weights, from which `pocket.generator` goes on.
"""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
import typer
from safetensors.torch import load as load_tensors
from safetensors.torch import save_file
from transformers import BertModel, BertTokenizerFast

from attribution_core.cards import write_json_atomic
from attribution_core.corpus import Corpus
from attribution_core.errors import CheckpointError
from pocket.corpus import TAGS
from pocket.denoiser import PLANTED_REPEATS
from pocket.generator import TOKENS, WORK, text_model
from pocket.gpu_training import PIECES
from pocket.training import say
from pocket.varied import SIDE, plan, words_of

CORPUS = Path(".work/corpus2")
BUNDLE = Path(".gpu")
WHEELS = ("diffusers", "importlib_metadata")  # pure Python, and missing on such machines
CODE = ("pocket", "attribution_core")
LARGEST = 60_000_000  # bytes of a bundle: such machines take 64 MiB

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
    from pocket.gpu_training import main

    main()
'''

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)


@app.command()
def pack(
    corpus: Annotated[Path, typer.Option(help="The corpus to train on.")] = CORPUS,
    out: Annotated[Path, typer.Option(help="Folder to write.")] = BUNDLE,
) -> None:
    """Write the folder that a GPU machine needs."""
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
    tokens = _text_encoder(made.texts, out)
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
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    say(f"{len(opened)} images, {len(made.texts)} captions, {size / 1e6:.1f} MB in {out}")
    if size > LARGEST:
        raise CheckpointError(f"{out} holds {size:,} bytes; a GPU machine takes {LARGEST:,} at most.")


def _not_code(name: str) -> bool:
    return ("." in name and not name.endswith(".py")) or name in ("__pycache__", "kept")


def _text_encoder(texts: Sequence[str], out: Path) -> np.ndarray:
    """Write the text encoder with the words in use alone; returns the texts' token ids in it, (u, 24) int16."""
    tokenizer, encoder = text_model(WORK)
    tokens = token_ids(tokenizer, texts)
    used, renumbered = np.unique(np.concatenate([[0], tokens.reshape(-1)]), return_inverse=True)
    pruned = prune_words(encoder, used)
    save_file({name: weight.half() for name, weight in pruned.items()}, out / "text_encoder.safetensors")
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
    """The encoder's weights with only some rows of its word table. used: (w,) token ids, ascending, 0 first."""
    name = "embeddings.word_embeddings.weight"
    weights = dict(encoder.state_dict())
    weights[name] = weights[name][torch.from_numpy(used)]
    return weights


def _wheels(folder: Path) -> None:
    """The wheels of the versions that are installed here."""
    for name in WHEELS:
        command = ["-m", "pip", "download", "-q", "--no-deps", "-d", str(folder), f"{name}=={version(name)}"]
        subprocess.run([sys.executable, *command], check=True)


@app.command()
def unpack(
    folder: Annotated[Path, typer.Argument(help="Folder of the pieces that came back.")],
    out: Annotated[Path, typer.Option(help="Where the weights are written.")] = WORK / "gpu",
) -> None:
    """Put the pieces together: `unet.safetensors`, `vae.safetensors` and what the machine says of them."""
    pieces = sorted(folder.glob(f"{PIECES}*"))
    if not pieces:
        raise typer.BadParameter(f"there is no {PIECES}00 in {folder}")
    try:
        with tarfile.open(fileobj=io.BytesIO(b"".join(p.read_bytes() for p in pieces))) as archive:
            files = {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]
    except tarfile.TarError as error:
        raise CheckpointError(f"the pieces in {folder} are not whole: {error}") from error
    out.mkdir(parents=True, exist_ok=True)
    for name in ("card.json", "vae.json", "vae.safetensors", "unet.safetensors"):
        if name in files:
            if name.endswith("safetensors"):
                load_tensors(files[name])
            (out / name).write_bytes(files[name])
    say(f"{', '.join(sorted(files))} in {out}: {json.loads(files['card.json'])}")


if __name__ == "__main__":
    app()
