"""What the pocket generator reaches: right concept, right style, planted images reproduced; and its sheet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from attribution_core.cards import atomic_path, read_card, write_card
from attribution_core.corpus import Corpus
from attribution_core.encoders import load_encoder
from attribution_core.generation import Generator
from pocket.prompts import SHEET
from pocket.training import LOG

SEED = 7
ENCODER = "efficientnet-lite0"
NEAREST = 5
# A made image reproduces its source if the source is its nearest training image and the pixels agree to this
# root mean square difference (8-bit steps, 64 x 64 px). Looked at: above, it is another drawing of the thing.
SAME_RMS = 40.0
SHEET_PATH = Path("assets/pocket_sheet.png")


@dataclass(frozen=True)
class _Asked:
    """Captions asked of the generator, with the concept and style that each names."""

    prompts: list[str]
    concepts: list[str]
    styles: list[str]


def write_report(generator_dir: Path, corpus_dir: Path, limit: int) -> None:
    """Measure and write the figures into the generator's card; draw the contact sheets.

    limit: captions per question, 400 for the shipped card (200 for unseen pairs).
    """
    generator, corpus = Generator.open(generator_dir), Corpus.open(corpus_dir)
    held_out = Corpus.open(corpus_dir, split="exemplars")
    encoder = load_encoder(ENCODER)
    size = read_card(generator_dir)["image_size"]
    train = _unit(encoder.encode([corpus.image(i).resize((size, size)) for i in range(len(corpus))]))
    rng = np.random.default_rng(SEED)
    known = [i for i, c in enumerate(corpus.column("concept")) if c]
    unseen = [i for i, why in enumerate(held_out.column("held_out")) if why == "style"]
    figures: dict[str, object] = {}
    for name, source, rows, count in (("seen captions", corpus, known, limit),
                                      ("pairs never seen together", held_out, unseen, limit // 2)):
        asked = _ask(source, [rows[i] for i in rng.permutation(len(rows))[:count]])
        images = _make(generator, asked.prompts)
        figures[name] = _score(_unit(encoder.encode(images)) @ train.T, asked, corpus)
        LOG.info("%s: %s", name, figures[name])
    for kind in ("planted", "control"):
        rows = [i for i, k in enumerate(corpus.column("planted")) if k == kind]
        figures[f"{kind} images"] = _reproduced(generator, encoder, train, corpus, rows, size,
                                                Path(f".work/generator/{kind}.png"))
        LOG.info("%s: %s", kind, figures[f"{kind} images"])
    contact_sheet(generator, SHEET_PATH)
    figures["how"] = (f"{ENCODER} cosine against all {len(corpus)} training images at {size} px; concept: among "
                      f"the {NEAREST} nearest; style: of at least 3 of the {NEAREST} nearest; reproduced: the "
                      f"source is the nearest and pixels agree to {SAME_RMS} RMS; seed {SEED}, 25 steps, "
                      "guidance 3.5")
    write_card(generator_dir, read_card(generator_dir) | {"report": figures})


def _unit(features: np.ndarray) -> np.ndarray:
    return features / np.linalg.norm(features, axis=1, keepdims=True)


def _make(generator: Generator, prompts: list[str]) -> list[Image.Image]:
    images: list[Image.Image] = []
    for k in range(0, len(prompts), 16):
        chunk = prompts[k:k + 16]
        images += [g.image for g in generator.generate_batch(chunk, [SEED + k + i for i in range(len(chunk))])]
    return images


def _ask(corpus: Corpus, rows: list[int]) -> _Asked:
    return _Asked(*([corpus.column(name)[i] for i in rows] for name in ("short_caption", "concept", "style")))


def _score(similarity: np.ndarray, asked: _Asked, corpus: Corpus) -> dict[str, float | int]:
    """Shares of (q, n) queries whose nearest hold what was asked, beside what chance would give."""
    concepts, styles = np.array(corpus.column("concept")), np.array(corpus.column("style"))
    nearest = np.argsort(-similarity, axis=1)[:, :NEAREST]
    right_concept = (concepts[nearest] == np.array(asked.concepts)[:, None]).any(axis=1)
    right_style = (styles[nearest] == np.array(asked.styles)[:, None]).sum(axis=1) >= 3
    share = np.array([(concepts == c).mean() for c in asked.concepts])
    p = np.array([(styles == s).mean() for s in asked.styles])
    by_chance = 10 * p**3 * (1 - p) ** 2 + 5 * p**4 * (1 - p) + p**5
    return {"captions": len(asked.prompts), "right concept": round(float(right_concept.mean()), 3),
            "right concept by chance": round(float((1 - (1 - share) ** NEAREST).mean()), 3),
            "right style": round(float(right_style.mean()), 3),
            "right style by chance": round(float(by_chance.mean()), 3)}


def _reproduced(generator: Generator, encoder: object, train: np.ndarray, corpus: Corpus, rows: list[int],
                size: int, sheet: Path) -> dict[str, float | int]:
    made = _make(generator, [corpus.column("short_caption")[i] for i in rows])
    sources = [corpus.image(i).resize((size, size), Image.Resampling.LANCZOS) for i in rows]
    nearest = (_unit(encoder.encode(made)) @ train.T).argmax(axis=1)  # type: ignore[attr-defined]
    rms = np.array([np.sqrt(np.square(np.asarray(a, float) - np.asarray(b, float)).mean())
                    for a, b in zip(made, sources, strict=True)])
    is_source = nearest == np.array(rows)
    _save(_tiles([t for pair in zip(sources, made, strict=True) for t in pair], 16), sheet)
    return {"images": len(rows), "source is nearest": round(float(is_source.mean()), 3),
            "median rms": round(float(np.median(rms)), 1),
            "reproduced": round(float((is_source & (rms < SAME_RMS)).mean()), 3)}


def contact_sheet(generator: Generator, path: Path, scale: int = 2) -> None:
    """Draw the 64 fixed prompts, eight to a row, each with its words under it."""
    tiles = []
    for prompt, image in zip(SHEET, _make(generator, list(SHEET)), strict=True):
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
