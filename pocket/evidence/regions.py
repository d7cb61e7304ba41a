"""Measures whether a region finds what it shows: `python -m pocket.evidence.regions`.

Held-out drawings are pasted into a known corner of other held-out drawings and join the candidates. Then each method
looks for them through the true box, through a box that is off, and through the whole image.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from PIL import Image

from attribution_core.analyses.regions import Box, boxed
from attribution_core.collection.collection import Collection
from attribution_core.collection.layout import CollectionLayout
from attribution_core.common.estimates import proportion
from attribution_core.common.files import sha256_file, write_json_atomic
from attribution_core.corpus.corpus import Corpus
from attribution_core.encoding.encoders import load_encoder
from attribution_core.errors import InvalidInputError
from attribution_core.evidence.regions import FILE

COLLECTION = Path("checkpoints/pocket")
OUT = CollectionLayout(COLLECTION).evidence(FILE)
RECALL_AT = (1, 10)


@dataclass(frozen=True)
class RegionSettings:
    """Settings. cases: pasted drawings. side: of the corner that a drawing fills, as a fraction of the image's.

    off: how far boxes are off along both axes, as parts of that corner's side.
    """

    cases: int = 200
    side: float = 0.5
    off: tuple[float, ...] = (0.1, 0.25)
    seed: int = 0


@dataclass(frozen=True)
class Pasted:
    """One drawing in a corner of another. exemplar, ground: positions in the split. boxes: by name."""

    image: Image.Image
    exemplar: int
    ground: int
    boxes: Mapping[str, Box]

    def views(self) -> Mapping[str, Image.Image]:
        """Return the regions to attribute, by name."""
        return {name: boxed(self.image, box).image for name, box in self.boxes.items()} | {
            "whole image": self.image
        }


def paste(exemplars: Corpus, settings: RegionSettings = RegionSettings()) -> list[Pasted]:
    """Choose pairs, corners and how far boxes are off; fixed by the seed.

    Raises `InvalidInputError` where there are fewer single drawings than two for each case.
    """
    rng = np.random.default_rng(settings.seed)
    singles = [i for i, name in enumerate(exemplars.column("exemplar_set")) if not name]
    if len(singles) < 2 * settings.cases:
        raise InvalidInputError(
            f"{settings.cases} cases need {2 * settings.cases} single drawings, there are "
            f"{len(singles)}; ask for fewer."
        )
    chosen = rng.permutation(singles)
    cases = []
    for k in range(settings.cases):
        exemplar, ground = int(chosen[2 * k]), int(chosen[2 * k + 1])
        image, drawing = exemplars.image(ground), exemplars.image(exemplar)
        side = settings.side
        x, y = (float(v) * (1 - side) for v in rng.integers(0, 2, size=2))
        box = Box(x, y, x + side, y + side)
        left, top, right, bottom = box.pixels(image.size)
        image.paste(drawing.resize((right - left, bottom - top), Image.Resampling.LANCZOS), (left, top))
        boxes = {"true box": box}
        for off in settings.off:  # towards the image's centre, where there is room
            left_edge, top_edge = (v - off * side if v else off * side for v in (x, y))
            boxes[f"box off by {off:.0%}"] = Box(left_edge, top_edge, left_edge + side, top_edge + side)
        cases.append(Pasted(image, exemplar, ground, boxes))
    return cases


def measure(collection: Collection, cases: list[Pasted], exemplars: Corpus) -> dict[str, Any]:
    """Recall of each view by one method, with 95 % intervals; ties are broken against the drawing."""
    encoder, pair = load_encoder(collection.encoder_name), collection.mappers
    own = pair.map_training(encoder.encode([exemplars.image(case.exemplar) for case in cases]))
    told: dict[str, Any] = {"encoder": collection.encoder_name}
    views = [case.views() for case in cases]
    for name in views[0]:
        queries = pair.map_query(encoder.encode([view[name] for view in views]))
        similarity = (queries * own).sum(axis=1)
        hits = collection.index.search(queries, max(RECALL_AT))
        ahead = (hits.similarity >= similarity[:, None]).sum(axis=1)
        told[name] = {f"recall@{k}": asdict(proportion(ahead < k)) for k in RECALL_AT}
    return told


def main(
    collection: Annotated[Path, typer.Option(help="Collection folder with held-out drawings.")] = COLLECTION,
    out: Annotated[Path, typer.Option(help="JSON file to write.")] = OUT,
    cases: Annotated[int, typer.Option(min=1, help="Pasted drawings.")] = RegionSettings.cases,
) -> None:
    """Measure all methods of the collection and write its `evidence/regions.json`."""
    settings = RegionSettings(cases=cases)
    corpus = CollectionLayout(collection).corpus
    exemplars = Corpus.open(corpus, split="exemplars")
    pasted = paste(exemplars, settings)
    opened, methods = Collection.open(collection), {}
    for method in opened.methods:
        methods[method] = measure(Collection.open(collection, method), pasted, exemplars)
        found = {
            name: view["recall@1"]["value"] for name, view in methods[method].items() if name != "encoder"
        }
        sys.stderr.write(f"{method}: first among {len(opened.index) + 1:,}: {found}\n")
    write_json_atomic(
        out,
        {
            "what": "held-out drawings pasted into a corner of other held-out drawings, looked for among the training "
            "images and themselves",
            "date": datetime.now(UTC).date().isoformat(),
            "machine": platform.machine(),
            "corpus_sha256": {path.name: sha256_file(path) for path in sorted(corpus.glob("*.parquet"))},
            "candidates": len(opened.index) + 1,
            "settings": asdict(settings),
            "methods": methods,
        },
    )


if __name__ == "__main__":
    typer.run(main)
