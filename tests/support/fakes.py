"""Small deterministic stand-ins that go through the real code: drawings of shapes, and a collection of them.

The collection's encoder is the real `rgb-thumbnail` row, which needs no weights and no torch.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from attribution_core.add_one_in.cases import encode_case, read_manifest
from attribution_core.add_one_in.evaluation import evaluate
from attribution_core.add_one_in.image_store import ImageStore
from attribution_core.add_one_in.reliability import reliability
from attribution_core.attribution.attributor import Added, Attributor
from attribution_core.collection.collection import Collection
from attribution_core.collection.options import COPY_ENCODER
from attribution_core.common.cards import write_card
from attribution_core.common.estimates import over_models
from attribution_core.common.files import write_json_atomic
from attribution_core.corpus.corpus import Corpus
from attribution_core.encoding.encoders import load_encoder
from attribution_core.evidence.benchmark import Calibrated
from attribution_core.scoring.calibrator import Calibrator
from pocket.evidence.learn import as_json

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
        rows.append(
            {
                "id": f"shape/{i:04d}",
                "image": {"bytes": webp(shape_image(i)), "path": f"{i}.webp"},
                "caption": f"{label}, flat style",
                "short_caption": label,
                "concept": label,
                "style": "flat",
                "creator": ("Ada", "Ben", "Cleo")[i % 3],
                "source": "tests",
                "licence": "CC0-1.0",
                "link": f"https://example.org/{i}",
                "width": 64,
                "height": 64,
            }
        )
    return rows


def fake_collection(folder: Path, n: int = 200, temperature: float | None = 0.02) -> Collection:
    """A complete collection folder of n shapes; without a calibrator where temperature is None."""
    Corpus.write(folder / "corpus/train-core.parquet", shape_rows(n))
    features = load_encoder(ENCODER).encode([shape_image(i) for i in range(n)])
    calibrator = None if temperature is None else Calibrator.from_temperature(temperature, ENCODER)
    return Collection.create(
        folder, name="Shapes", encoder=ENCODER, features=features, calibrator=calibrator, factory="Flat"
    )


def copying_collection(folder: Path, n: int = 60) -> Collection:
    """The same with a copy encoder."""
    collection = fake_collection(folder, n)
    write_card(folder, {**collection.card, COPY_ENCODER: ENCODER})
    return Collection.open(folder)


def fake_benchmark(folder: Path, models: int = 6) -> Path:
    """A test case of models that draw their exemplar with a bar across it; returns its manifest."""
    rows = []
    for k in range(models):
        shape_image(1000 + k).save(folder / f"{k}-exemplar.png")
        for i in range(4):
            made = shape_image(1000 + k)
            ImageDraw.Draw(made).rectangle([0, 12 * i, 63, 12 * i + 9], fill=COLOURS[(k + i) % len(COLOURS)])
            made.save(folder / f"{k}-{i}.png")
        rows.append(
            {
                "exemplar": [f"{k}-exemplar.png"],
                "class_id": str(k),
                "category": f"shape {k}",
                "synth": {
                    "written": [f"{k}-0.png", f"{k}-1.png"],
                    "procedural": [f"{k}-2.png", f"{k}-3.png"],
                },
                "prompts": {"written": ["<v*> in a bar", "<v*> & a bar"], "procedural": ["<b>", "bars"]},
            }
        )
    write_json_atomic(folder / "test_seen_concept.json", rows)
    return folder / "test_seen_concept.json"


def fake_evidence(collection: Collection) -> None:
    """Benchmark and evidence of all methods of a collection, measured for real on what `fake_benchmark` draws."""
    folder = collection.path / "benchmark"
    folder.mkdir()
    entries = read_manifest(fake_benchmark(folder))
    case = encode_case(load_encoder(ENCODER), "test_seen_concept", entries, ImageStore.open(folder))
    rows = [collection.corpus.image(i) for i in range(len(collection.corpus))]
    features, scores, methods = load_encoder(ENCODER).encode(rows), [], []
    for name in collection.methods:
        opened = Collection.open(collection.path, name)
        mapper = "pretrained" if name == collection.methods[0] else name
        scores += evaluate(lambda: iter([features]), [case], opened.mappers, mapper)
        results, attributor = [], Attributor(opened)
        for k, entry in enumerate(entries):
            for path in (p for paths in entry.made.values() for p in paths):
                own = [Added(Image.open(folder / f"{k}-exemplar.png").convert("RGB"))]
                shares = [
                    attributor.attribute(folder / path, len(rows), t, own)
                    for t in (1.0, opened.calibrator.temperature_)
                ]
                results.append([np.stack([s.influence, s.ids == len(rows)]) for s in shares])
        table = np.array(results)  # query, temperature, (influence, is exemplar), candidate
        model = np.repeat(np.arange(len(entries)), 4)
        nll = -np.log((table[:, :, 0] * table[:, :, 1]).sum(-1))
        told = [reliability(table[:, t, 0], table[:, t, 1].astype(bool)) for t in (0, 1)]
        methods.append(
            {
                "name": name,
                "encoder": ENCODER,
                "mapper": mapper,
                "temperature": opened.calibrator.temperature_,
                "calibrated": [
                    Calibrated(
                        case.name,
                        float(np.log(len(rows) + 1)),
                        *(over_models(v, model) for v in (nll[:, 0], nll[:, 1], nll[:, 0] - nll[:, 1])),
                        *told,
                    )
                ],
            }
        )
    write_json_atomic(
        collection.path / "evidence/evidence.json",
        as_json({"own": collection.methods[0], "methods": methods, "scores": scores}),
    )
