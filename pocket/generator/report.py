"""Evaluates the pocket generator: correct concepts and styles, reproduced planted images, and a contact sheet."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from attribution_core.common.arrays import normalized
from attribution_core.common.cards import read_card, write_card
from attribution_core.common.files import atomic_path
from attribution_core.corpus.corpus import Corpus
from attribution_core.encoding.encoders import load_encoder
from attribution_core.generation.generator import Generator
from pocket.generator.style import StyleClassifier, texture
from pocket.prompts import COLOURED, SHEET
from pocket.training import LOG

SEED = 7
# EfficientNet has seen no drawings of 64 px; beside it judge the encoders that learned on the same training images.
ENCODER, CONCEPTS, COPIES = "efficientnet-lite0", "pocket-clip", "pocket-sscd"
NEAREST = 5
PROMPTS, SEEDS = 20, 8  # of the measurement of how much seeds differ
# A made image reproduces its source if the source is its nearest training image and the pixels agree to this
# root mean square difference (8-bit steps, 64 x 64 px). Looked at: above, it is another drawing of the thing.
SAME_RMS = 40.0
SHEET_PATH, COLOURED_PATH = Path("assets/pocket_sheet.png"), Path("assets/pocket_coloured.png")
HISTORY = "history.json"  # next to the card: results of all measured generators


@dataclass(frozen=True)
class _Asked:
    """Captions for the generator, with the concept and style of each."""

    prompts: list[str]
    concepts: list[str]
    styles: list[str]


def write_report(generator_dir: Path, corpus_dir: Path, limit: int, sheets: Path) -> None:
    """Measure, write the results into the generator's card and history, and draw the contact sheets.

    limit: captions per measurement, 400 for the bundled card (200 for unseen pairs). sheets: folder for these.
    """
    generator, corpus = Generator.open(generator_dir), Corpus.open(corpus_dir)
    held_out = Corpus.open(corpus_dir, split="exemplars")
    judge = _Judge.of(corpus, read_card(generator_dir)["image_size"])
    rng = np.random.default_rng(SEED)
    known = [i for i, c in enumerate(corpus.column("concept")) if c]
    unseen = [i for i, why in enumerate(held_out.column("held_out")) if why == "style"]
    figures: dict[str, object] = {}
    for name, source, rows, count in (
        ("seen captions", corpus, known, limit),
        ("pairs never seen together", held_out, unseen, limit // 2),
    ):
        chosen = [rows[i] for i in rng.permutation(len(rows))[:count]]
        asked = _ask(source, chosen)
        figures[name] = judge.score(_make(generator, asked.prompts), asked)
        figures[f"{name}, the real images"] = judge.score(judge.real(source, chosen), asked)
        LOG.info("%s: %s; the real images: %s", name, figures[name], figures[f"{name}, the real images"])
    for kind in ("planted", "control"):
        rows = [i for i, k in enumerate(corpus.column("planted")) if k == kind]
        figures[f"{kind} images"] = judge.reproduced(generator, rows, Path(f".work/generator/{kind}.png"))
        LOG.info("%s: %s", kind, figures[f"{kind} images"])
    figures["seeds"] = judge.spread(generator, rng)
    LOG.info("seeds: %s", figures["seeds"])
    contact_sheet(generator, SHEET, sheets / SHEET_PATH.name)
    contact_sheet(generator, COLOURED, sheets / COLOURED_PATH.name)
    _remember(generator_dir, figures)
    figures["how"] = (
        f"cosine, {ENCODER}'s where no other is named, against all {len(corpus)} training images at {judge.size} px; "
        f"concept: among the {NEAREST} nearest; style: by a classifier of textures fitted on the training images, and "
        f"of at least 3 of the {NEAREST} nearest; reproduced: the source is the nearest and pixels agree to {SAME_RMS} "
        f"RMS; seed {SEED}, {generator.defaults.steps} steps, guidance {generator.defaults.guidance}"
    )
    write_card(generator_dir, read_card(generator_dir) | {"report": figures})


@dataclass(frozen=True)
class _Judge:
    """Compares generated images with features and styles of all training images."""

    corpus: Corpus
    size: int
    encoders: dict[str, Any]
    train: dict[str, np.ndarray]  # (n, d) unit rows of each encoder
    styles: StyleClassifier

    @classmethod
    def of(cls, corpus: Corpus, size: int) -> _Judge:
        images = _small(corpus, range(len(corpus)), size)
        encoders = {name: load_encoder(name) for name in (ENCODER, CONCEPTS, COPIES)}
        return cls(
            corpus,
            size,
            encoders,
            {name: normalized(e.encode(images)) for name, e in encoders.items()},
            StyleClassifier.fit(texture(images), corpus.column("style")),
        )

    def similarity(self, encoder: str, images: list[Image.Image]) -> np.ndarray:
        """Return (q, n) similarities to all training images."""
        return normalized(self.encoders[encoder].encode(images)) @ self.train[encoder].T

    def real(self, corpus: Corpus, rows: list[int]) -> list[Image.Image]:
        """Return the real images, which give the ceiling of every metric."""
        return _small(corpus, rows, self.size)

    def score(self, images: list[Image.Image], asked: _Asked) -> dict[str, float | int]:
        predicted = np.array(self.styles.predict(texture(images)))
        by_texture = round(float((predicted == np.array(asked.styles)).mean()), 3)
        told = _score(self.similarity(ENCODER, images), asked, self.corpus) | {
            "right style by texture": by_texture
        }
        for name in (CONCEPTS, COPIES):
            similarity = self.similarity(name, images)
            told[f"right concept by {name}"] = _score(similarity, asked, self.corpus)["right concept"]
        return told

    def spread(self, generator: Generator, rng: np.random.Generator) -> dict[str, float | int]:
        """Measure how much images of one prompt without a style differ, and as many training images of the thing."""
        concepts = np.array(self.corpus.column("concept"))
        often = [
            c
            for c, count in zip(*np.unique(concepts, return_counts=True), strict=True)
            if c and count >= SEEDS
        ]
        made, real = [], []
        for concept in rng.permutation(often)[:PROMPTS]:
            rows = rng.permutation(np.flatnonzero(concepts == concept))[:SEEDS]
            label = self.corpus.column("concept_label")[rows[0]]
            made.append(self._apart(_make(generator, [label] * SEEDS)))
            real.append(self._apart(self.real(self.corpus, rows.tolist())))
        return {
            "prompts": len(made),
            "seeds": SEEDS,
            f"apart by {COPIES}": round(float(np.mean(made)), 3),
            "apart, training images": round(float(np.mean(real)), 3),
        }

    def _apart(self, images: list[Image.Image]) -> float:
        """Mean of 1 - cosine over all pairs."""
        rows = normalized(self.encoders[COPIES].encode(images))
        return float(1 - (rows @ rows.T)[np.triu_indices(len(rows), 1)].mean())

    def reproduced(self, generator: Generator, rows: list[int], sheet: Path) -> dict[str, float | int]:
        """Measure the share of training images that their own caption reproduces."""
        made = _make(generator, [self.corpus.column("short_caption")[i] for i in rows])
        sources = _small(self.corpus, rows, self.size)
        is_source = {
            name: self.similarity(name, made).argmax(axis=1) == np.array(rows) for name in (ENCODER, COPIES)
        }
        rms = np.array(
            [
                np.sqrt(np.square(np.asarray(a, float) - np.asarray(b, float)).mean())
                for a, b in zip(made, sources, strict=True)
            ]
        )
        _save(_tiles([t for pair in zip(sources, made, strict=True) for t in pair], 16), sheet)
        reproduced = {
            name: round(float((nearest & (rms < SAME_RMS)).mean()), 3) for name, nearest in is_source.items()
        }
        return {
            "images": len(rows),
            "source is nearest": round(float(is_source[ENCODER].mean()), 3),
            "median rms": round(float(np.median(rms)), 1),
            "reproduced": reproduced[ENCODER],
            f"reproduced by {COPIES}": reproduced[COPIES],
        }


def _small(corpus: Corpus, rows: Iterable[int], size: int) -> list[Image.Image]:
    return [corpus.image(i).resize((size, size), Image.Resampling.LANCZOS) for i in rows]


def _remember(generator_dir: Path, figures: dict[str, object]) -> None:
    """Append to the history, which shows the gain from more samples."""
    training, path = read_card(generator_dir)["training"], generator_dir / HISTORY
    earlier = json.loads(path.read_text()) if path.exists() else []
    row = {name: training[name] for name in ("samples", "hours", "date", "recipe")} | figures
    rows = [r for r in earlier if (r["samples"], r["recipe"]) != (row["samples"], row["recipe"])] + [row]
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(rows, indent=1) + "\n")


def _make(generator: Generator, prompts: list[str]) -> list[Image.Image]:
    images: list[Image.Image] = []
    for k in range(0, len(prompts), 16):
        chunk = prompts[k : k + 16]
        images += [
            g.image for g in generator.generate_batch(chunk, [SEED + k + i for i in range(len(chunk))])
        ]
    return images


def _ask(corpus: Corpus, rows: list[int]) -> _Asked:
    return _Asked(*([corpus.column(name)[i] for i in rows] for name in ("short_caption", "concept", "style")))


def _score(similarity: np.ndarray, asked: _Asked, corpus: Corpus) -> dict[str, float | int]:
    """Compute the shares of (q, n) queries whose nearest images match the caption, and those expected by chance."""
    concepts, styles = np.array(corpus.column("concept")), np.array(corpus.column("style"))
    nearest = np.argsort(-similarity, axis=1)[:, :NEAREST]
    right_concept = (concepts[nearest] == np.array(asked.concepts)[:, None]).any(axis=1)
    right_style = (styles[nearest] == np.array(asked.styles)[:, None]).sum(axis=1) >= 3
    share = np.array([(concepts == c).mean() for c in asked.concepts])
    p = np.array([(styles == s).mean() for s in asked.styles])
    by_chance = 10 * p**3 * (1 - p) ** 2 + 5 * p**4 * (1 - p) + p**5
    return {
        "captions": len(asked.prompts),
        "right concept": round(float(right_concept.mean()), 3),
        "right concept by chance": round(float((1 - (1 - share) ** NEAREST).mean()), 3),
        "right style": round(float(right_style.mean()), 3),
        "right style by chance": round(float(by_chance.mean()), 3),
    }


def contact_sheet(generator: Generator, prompts: tuple[str, ...], path: Path, scale: int = 2) -> None:
    """Draw images of fixed prompts, eight per row, each with its prompt below."""
    tiles = []
    for prompt, image in zip(prompts, _make(generator, list(prompts)), strict=True):
        width = image.width * scale
        tile = Image.new("RGB", (width + 12, width + 34), "white")
        tile.paste(image.resize((width, width), Image.Resampling.LANCZOS), (6, 4))
        thing, style = prompt.rsplit(", ", 1)
        draw, font = ImageDraw.Draw(tile), ImageFont.load_default(11)
        draw.text((8, width + 6), thing, "black", font)
        draw.text((8, width + 19), style, "grey", font)
        tiles.append(tile)
    _save(_tiles(tiles, 8), path)
    LOG.info("look at %s", path)


def _tiles(images: list[Image.Image], columns: int) -> Image.Image:
    width, height = images[0].size
    sheet = Image.new("RGB", (columns * width, -(-len(images) // columns) * height), "white")
    for k, image in enumerate(images):
        sheet.paste(image, (k % columns * width, k // columns * height))
    return sheet


def _save(image: Image.Image, path: Path) -> None:
    with atomic_path(path) as temporary:
        image.save(temporary)
