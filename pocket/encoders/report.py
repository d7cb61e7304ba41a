"""Evaluates the bundled encoders: `python -m pocket.encoders.report`.

Uses images that no encoder was trained on. Copies: is the nearest reference to a modified copy its original,
and does one threshold separate copies from other images? Concepts: do the nearest training images show the same
thing in other styles? Captions: is the caption of an image the nearest of all?
"""

from __future__ import annotations

import io
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from attribution_core.common.arrays import normalized
from attribution_core.common.cards import read_card, write_card
from attribution_core.common.files import write_json_atomic
from attribution_core.corpus.corpus import Corpus
from attribution_core.encoding.encoders import ENCODERS, Encoder, load_encoder
from pocket.encoders import clip
from pocket.encoders.tower import CORPUS, OUT, pictures

REPORT = OUT / "report.json"
ORIGINALS = 400  # held-out images that are copied; as many others stand for images without an original
PRECISION = 0.9
NEAREST = 5
CURVE_POINTS = 60
SEED = 0
Rows = NDArray[np.float32]


def _pasted(image: Image.Image, other: Image.Image) -> Image.Image:
    canvas, side = other.resize((128, 128)), 64
    canvas.paste(image.resize((side, side)), (16, 48))
    return canvas


def _jpeg(image: Image.Image, other: Image.Image) -> Image.Image:
    packed = io.BytesIO()
    image.save(packed, "JPEG", quality=5)
    return Image.open(packed).convert("RGB")


def _hue(image: Image.Image, other: Image.Image) -> Image.Image:
    h, s, v = image.convert("HSV").split()
    return Image.merge("HSV", (h.point(lambda value: (value + 80) % 256), s, v)).convert("RGB")


# Each takes the image and another one, which it may use.
CHANGES: dict[str, Callable[[Image.Image, Image.Image], Image.Image]] = {
    "none": lambda image, other: image,
    "mirrored": lambda image, other: ImageOps.mirror(image),
    "cropped to a half": lambda image, other: image.crop((8, 24, 98, 114)),
    "turned by 20 degrees": lambda image, other: image.rotate(
        20, Image.Resampling.BICUBIC, fillcolor="white"
    ),
    "blurred": lambda image, other: image.filter(ImageFilter.GaussianBlur(4)),
    "grey": lambda image, other: image.convert("L").convert("RGB"),
    "other hue": _hue,
    "little contrast": lambda image, other: ImageEnhance.Contrast(image).enhance(0.4),
    "JPEG, quality 5": _jpeg,
    "pasted into another image": _pasted,
}


@dataclass(frozen=True)
class Copies:
    """Copy detection. average_precision: micro average over all queries (Douze et al. 2021), in [0, 1].

    recall: of copies at `PRECISION`, and threshold, the similarity that reaches it. by_change: the share of copies
    whose nearest reference is their original. curve: precision against recall, (p, 2).
    """

    average_precision: float
    recall: float
    threshold: float
    by_change: dict[str, float]
    curve: list[list[float]] = field(repr=False)


def tell_copies(similarity: Rows, nearest: NDArray[np.int64], original: NDArray[np.int64]) -> Copies:
    """Score queries by their nearest reference.

    similarity, nearest: (q,) of each query's nearest reference. original: (q,) its original, or -1 where it has none.
    Equal similarities count against us.
    """
    right = (nearest == original) & (original >= 0)
    order = np.lexsort((right, -similarity))
    hits, total = right[order], int((original >= 0).sum())
    precision, recall = hits.cumsum() / np.arange(1, len(hits) + 1), hits.cumsum() / total
    good = np.flatnonzero(precision >= PRECISION)
    last = int(good[-1]) if len(good) else 0
    places = np.unique(np.linspace(0, len(hits) - 1, CURVE_POINTS).round().astype(int))
    return Copies(
        round(float((precision * hits).sum() / total), 4),
        round(float(recall[last]) if len(good) else 0.0, 4),
        round(float(similarity[order][last]), 4),
        {},
        [[round(float(recall[i]), 4), round(float(precision[i]), 4)] for i in places],
    )


def copies(encoder: Encoder, training: Rows, images: list[Image.Image]) -> Copies:
    """Changed copies of the first half of the images, and of the second, whose originals are no reference.

    training: (n, d) unit rows, references as well.
    """
    half = len(images) // 2
    references = np.concatenate([normalized(encoder.encode(images[:half])), training])
    similarity, nearest = [], []
    for change in CHANGES.values():
        # The other image is none of the originals, or it would be as good an answer.
        changed = [change(image, images[half + (i + 1) % half]) for i, image in enumerate(images)]
        found = normalized(encoder.encode(changed)) @ references.T
        nearest.append(found.argmax(1))
        similarity.append(found.max(1))
    original = np.where(np.arange(len(images)) < half, np.arange(len(images)), -1)
    told = tell_copies(np.concatenate(similarity), np.concatenate(nearest), np.tile(original, len(CHANGES)))
    by_change = {
        name: round(float((near[:half] == original[:half]).mean()), 3)
        for name, near in zip(CHANGES, nearest, strict=True)
    }
    return replace(told, by_change=by_change)


def concepts(encoder: Encoder, training: Rows, train: Corpus, held_out: Corpus) -> float:
    """Return how often one of the `NEAREST` training images of a held-out image shows the same concept."""
    known, names = np.array(train.column("concept")), held_out.column("concept")
    rows = [
        i for i, why in enumerate(held_out.column("held_out")) if why == "style" and names[i] in set(known)
    ]
    found = normalized(encoder.encode([held_out.image(i) for i in rows])) @ training.T
    nearest = known[np.argpartition(-found, NEAREST, axis=1)[:, :NEAREST]]
    return round(float((nearest == np.array([names[i] for i in rows])[:, None]).any(axis=1).mean()), 4)


def captions(encoder: Encoder, held_out: Corpus) -> dict[str, float]:
    """Return recall at 1 and 10 of each image's caption among all distinct captions of the held-out images."""
    texts = held_out.column("short_caption")
    known = sorted(set(texts))
    found = normalized(encoder.encode(pictures(held_out))) @ normalized(clip.text_features(known).numpy()).T
    own = found[np.arange(len(texts)), [known.index(text) for text in texts]]
    rank = (found >= own[:, None]).sum(axis=1)
    return {f"recall@{k}": round(float((rank <= k).mean()), 4) for k in (1, 10)} | {"captions": len(known)}


def measure(name: str, originals: int = ORIGINALS) -> dict[str, Any]:
    """Return all measurements of one encoder."""
    train, held_out = Corpus.open(CORPUS), Corpus.open(CORPUS, split="exemplars")
    encoder = load_encoder(name, "cpu")
    training = normalized(encoder.encode(pictures(train)))
    chosen = np.random.default_rng(SEED).permutation(len(held_out))[: 2 * originals]
    figures = {
        "copies": asdict(copies(encoder, training, [held_out.image(int(i)) for i in chosen])),
        f"concept among the {NEAREST} nearest": concepts(encoder, training, train, held_out),
    }
    return figures | ({"captions": captions(encoder, held_out)} if name == clip.NAME else {})


def main(originals: Annotated[int, typer.Option(min=2, help="Held-out images to copy.")] = ORIGINALS) -> None:
    """Measure all bundled encoders; writes the report and their cards."""
    told: dict[str, Any] = {
        "what": f"{originals} held-out images, changed in {len(CHANGES)} ways, among {originals} images without an "
        "original; references: the originals and the training set",
        "date": datetime.now(UTC).date().isoformat(),
        "machine": platform.machine(),
        "encoders": {},
    }
    for name in (spec.name for spec in ENCODERS.values() if spec.offline):
        figures = told["encoders"][name] = measure(name, originals)
        typer.echo(f"{name}: {figures}", err=True)
        if (OUT / name).exists():
            card = read_card(OUT / name)
            write_card(OUT / name, {**card, "figures": figures, "files": list(card["files"])})
    write_json_atomic(REPORT, told)


if __name__ == "__main__":
    typer.run(main)
