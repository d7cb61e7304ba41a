"""Small deterministic stand-ins that go through the real code: drawings of shapes, and a collection of them.

The collection's encoder is the real `rgb-thumbnail` row, which needs no weights and no torch.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from attribution_core.attribution import Collection
from attribution_core.calibration import Calibrator
from attribution_core.corpus import Corpus
from attribution_core.encoders import load_encoder

ENCODER = "rgb-thumbnail"
COLOURS = ("red", "green", "blue", "orange", "purple", "teal", "brown", "black")
SHAPES = ("circle", "square", "triangle", "bar")


def shape_image(seed: int, size: int = 64) -> Image.Image:
    """A coloured shape at a place that depends on the seed; equal seeds give equal pixels."""
    rng = np.random.default_rng(seed)
    image = Image.new("RGB", (size, size), "white")
    draw = ImageDraw.Draw(image)
    colour, shape = COLOURS[seed % len(COLOURS)], SHAPES[seed // len(COLOURS) % len(SHAPES)]
    x, y = rng.integers(2, size // 3, 2)
    side = int(rng.integers(size // 3, size // 2))
    box = [int(x), int(y), int(x) + side, int(y) + side]
    if shape == "circle":
        draw.ellipse(box, fill=colour)
    elif shape == "square":
        draw.rectangle(box, fill=colour)
    elif shape == "triangle":
        draw.polygon([(box[0], box[3]), (box[2], box[3]), ((box[0] + box[2]) // 2, box[1])], fill=colour)
    else:
        draw.rectangle([box[0], box[1], box[2], box[1] + side // 4], fill=colour)
    return image


def webp(image: Image.Image) -> bytes:
    """Lossless WebP bytes."""
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", lossless=True)
    return buffer.getvalue()


def shape_rows(n: int) -> list[dict[str, object]]:
    """Rows of a corpus of n shapes by three creators."""
    rows: list[dict[str, object]] = []
    for i in range(n):
        label = f"{COLOURS[i % len(COLOURS)]} {SHAPES[i // len(COLOURS) % len(SHAPES)]}"
        rows.append({"id": f"shape/{i:04d}", "image": {"bytes": webp(shape_image(i)), "path": f"{i}.webp"},
                     "caption": f"{label}, flat style", "short_caption": label, "concept": label,
                     "style": "flat", "creator": ("Ada", "Ben", "Cleo")[i % 3], "source": "tests",
                     "licence": "CC0-1.0", "link": f"https://example.org/{i}", "width": 64, "height": 64})
    return rows


def fake_collection(folder: Path, n: int = 200, temperature: float | None = 0.02) -> Collection:
    """A complete collection folder of n shapes; without a calibrator where temperature is None."""
    Corpus.write(folder / "corpus/train-core.parquet", shape_rows(n))
    features = load_encoder(ENCODER).encode([shape_image(i) for i in range(n)])
    calibrator = None if temperature is None else Calibrator.from_temperature(temperature, ENCODER)
    return Collection.create(folder, name="Shapes", encoder=ENCODER, features=features, calibrator=calibrator,
                             factory="Flat")
