"""Measures how a temperature transfers to other numbers of candidates: `python -m pocket.evidence.scaling`.

Fewer candidates are a random part of the training set; more are the training set and random crops of its images, up to
a million. Asked for each number: which temperature fits the validation models best, and what do test models say of that
one, of the temperature fitted with the training set as it is, and of one corrected by the logarithm of the number?
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional as F

from attribution_core.add_one_in.cases import encode_case, read_manifest
from attribution_core.add_one_in.image_store import ImageStore
from attribution_core.collection.collection import Collection
from attribution_core.common.cards import read_card, write_card
from attribution_core.common.files import atomic_path, write_json_atomic
from attribution_core.encoding.encoders import Encoder, load_encoder
from attribution_core.evidence.benchmark import SCALING
from attribution_core.mapping.pair import MapperPair
from attribution_core.retrieval.rest import Rest
from attribution_core.scoring.calibrator import Calibrator
from pocket.encoders.tower import CPU, SIZE, pictures
from pocket.training import fast_arithmetic, say

COLLECTION = Path("checkpoints/pocket")
WORK = Path(".work/scaling")
NUMBERS = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
FIT, TEST = "validation", ("test_seen_concept", "test_unseen_concept")
BINS = 2048  # of a thousandth: at temperature 0.03 they move a sum by 5e-5
QUERIES = 480  # of each part, drawn at random
TOLERANCE = 0.05  # nats that a temperature may lose against the best one and still count as valid
SEED = 0
_BLOCK = 4096
Rows = NDArray[np.float32]


class Crops:
    """Unlimited random crops of images, as features of one encoder cached in the work folder."""

    def __init__(self, images: Sequence[Image.Image], encoder: Encoder, work: Path) -> None:
        """images: of one size."""
        self._pixels = torch.from_numpy(np.stack([np.asarray(image) for image in images])).permute(0, 3, 1, 2)
        self._encoder, self._folder = encoder, work / encoder.name

    def block(self, number: int) -> Rows:
        """(4096, d) raw features; the same number gives the same crops."""
        path = self._folder / f"{number:05d}.npy"
        if not path.exists():
            with fast_arithmetic(CPU):  # of 1,000,000 crops; rows differ by 3e-5 in cosine
                features = self._encoder.encode(self._draw(number), batch_size=64).astype(np.float16)
            with atomic_path(path) as temporary, temporary.open("wb") as handle:
                np.save(handle, features)
        return np.asarray(np.load(path), dtype=np.float32)

    def _draw(self, number: int) -> list[Image.Image]:
        random = torch.Generator().manual_seed(SEED + number)
        chosen = torch.randint(len(self._pixels), (_BLOCK,), generator=random)
        scale = 0.3 + 0.6 * torch.rand(_BLOCK, generator=random)
        shift = (2 * torch.rand(_BLOCK, 2, generator=random) - 1) * (1 - scale[:, None])
        flip = torch.randint(2, (_BLOCK,), generator=random) * 2 - 1
        zero = torch.zeros(_BLOCK)
        theta = torch.stack(
            [torch.stack([scale * flip, zero, shift[:, 0]], 1), torch.stack([zero, scale, shift[:, 1]], 1)], 1
        )
        grid = F.affine_grid(theta, [_BLOCK, 3, SIZE, SIZE], align_corners=False)
        made = F.grid_sample(self._pixels[chosen].float(), grid, "bilinear", "border", align_corners=False)
        pixels = made.round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
        return [Image.fromarray(p) for p in pixels]


class Bins:
    """Similarities of queries in bins over [-1, 1], added up block by block."""

    def __init__(self, queries: int) -> None:
        """queries: how many."""
        self._count = np.zeros((queries, BINS))
        self._total = np.zeros((queries, BINS))

    def add(self, similarity: Rows) -> None:
        """similarity: (q, n) of n more candidates."""
        place = np.clip(((similarity.astype(np.float64) + 1) / 2 * BINS).astype(np.int64), 0, BINS - 1)
        flat = (place + BINS * np.arange(len(place))[:, None]).ravel()
        self._count += np.bincount(flat, minlength=self._count.size).reshape(self._count.shape)
        self._total += np.bincount(flat, similarity.ravel(), self._count.size).reshape(self._count.shape)

    def rest(self) -> Rest:
        """Return all of them as unlisted candidates."""
        edges = np.linspace(-1, 1, BINS + 1)
        low, high = (
            np.broadcast_to(edges[:-1], self._count.shape),
            np.broadcast_to(edges[1:], self._count.shape),
        )
        mean = np.divide(self._total, self._count, out=(low + high) / 2, where=self._count > 0)
        return Rest(self._count.astype(np.int64), np.clip(mean, low, high), low, high)


@dataclass(frozen=True)
class Queries:
    """Mapped images of models with one exemplar. rows: (q, m) unit rows. own: (q, 1) similarity to the exemplar."""

    rows: Rows = field(repr=False)
    own: Rows = field(repr=False)

    @classmethod
    def read(
        cls, manifests: Sequence[Path], images: ImageStore, encoder: Encoder, pair: MapperPair
    ) -> Queries:
        """All models of some manifests that were tuned on one image."""
        entries = [e for path in manifests for e in read_manifest(path) if len(e.exemplars) == 1]
        case = encode_case(encoder, "scaling", entries, images)
        rows = pair.map_query(np.concatenate([m.features for m in case.made.values()]))
        model = np.concatenate([m.model for m in case.made.values()])
        own = np.einsum("qm,qm->q", rows, pair.map_training(case.exemplars)[case.chunks[model, 0]])[:, None]
        chosen = np.sort(np.random.default_rng(SEED).permutation(len(rows))[:QUERIES])
        return cls(rows[chosen], own[chosen])


@dataclass(frozen=True)
class AtNumber:
    """Result for a number of candidates: the best temperature, and mean -log influence of test exemplars in nats."""

    candidates: int
    temperature: float
    nll_uniform: float
    nll_best: float
    nll_fixed: float
    nll_corrected: float = float("nan")


def slope(numbers: Sequence[int], temperatures: Sequence[float], fitted: int) -> float:
    """How much 1 / temperature grows with log(candidates), by least squares through the value at `fitted`."""
    x = np.log(np.asarray(numbers, dtype=np.float64) / fitted)
    y = 1 / np.asarray(temperatures) - 1 / temperatures[list(numbers).index(fitted)]
    return float((x * y).sum() / (x * x).sum())


def study(
    training: Rows, more: Iterator[Rows], fit: Queries, test: Queries, numbers: Sequence[int]
) -> tuple[list[AtNumber], float]:
    """Rows by number of candidates, and the slope of the correction.

    training: (n, m) mapped. more: blocks of mapped rows that pad it. numbers: ascending; n itself is put among them.
    """
    count = len(training)
    shuffled = training[np.random.default_rng(SEED).permutation(count)]
    wanted = sorted({*numbers, count})
    bins, seen, buffer = {"fit": Bins(len(fit.rows)), "test": Bins(len(test.rows))}, 0, shuffled
    found: list[tuple[int, Rest, Rest]] = []
    for number in wanted:
        while seen < number:
            if not len(buffer):
                buffer = next(more)
            part, buffer = buffer[: number - seen], buffer[number - seen :]
            seen += len(part)
            for name, queries in (("fit", fit), ("test", test)):
                for k in range(0, len(part), _BLOCK):
                    bins[name].add(queries.rows @ part[k : k + _BLOCK].T)
        found.append((number, bins["fit"].rest(), bins["test"].rest()))
        say(f"{number:,} candidates")
    marks = np.ones(fit.own.shape, bool), np.ones(test.own.shape, bool)
    best = [Calibrator().fit(fit.own, marks[0], rest).temperature_ for _, rest, _ in found]
    fixed = best[wanted.index(count)]
    per_log = slope(wanted, best, count)

    def nll(rest: Rest, temperature: float) -> float:
        return float(Calibrator().nll(test.own, marks[1], rest, temperature).mean())

    return [
        AtNumber(
            number,
            temperature,
            float(np.log(number + 1)),
            nll(rest, temperature),
            nll(rest, fixed),
            nll(rest, 1 / (1 / fixed + per_log * np.log(number / count))),
        )
        for (number, _, rest), temperature in zip(found, best, strict=True)
    ], per_log


def main(
    collection: Annotated[Path, typer.Option(help="Collection with benchmark/.")] = COLLECTION,
    method: Annotated[str | None, typer.Option(help="Method of the collection; default: its own.")] = None,
    most: Annotated[int, typer.Option(min=1000, help="Largest number of candidates.")] = NUMBERS[-1],
    work: Annotated[Path, typer.Option(help="Folder of cached features of crops.")] = WORK,
) -> None:
    """Run the study and write it next to the collection's evidence."""
    opened = Collection.open(collection, method)
    encoder, images = load_encoder(opened.encoder_name), pictures(opened.corpus)
    store = ImageStore.open(opened.layout.benchmark, opened.layout.corpus)
    fit, test = (
        Queries.read(
            [opened.layout.benchmark / f"{split}.json" for split in splits], store, encoder, opened.mappers
        )
        for splits in ((FIT,), TEST)
    )
    crops = Crops(images, encoder, work)
    padding = (opened.mappers.map_training(crops.block(k)) for k in range(10**9))
    rows, per_log = study(
        opened.mappers.map_training(encoder.encode(images)),
        padding,
        fit,
        test,
        [n for n in NUMBERS if n <= most],
    )
    told: dict[str, Any] = {
        "method": opened.method,
        "fitted_with": len(images),
        "slope": per_log,
        "queries": {"fit": len(fit.rows), "test": len(test.rows)},
        "numbers": [asdict(row) for row in rows],
    }
    write_json_atomic(opened.layout.evidence(SCALING), told)
    holds = [row.candidates for row in rows if row.nll_fixed - row.nll_best <= TOLERANCE]
    calibrator = opened.layout.calibrator(opened.method)
    card = read_card(calibrator)
    write_card(
        calibrator,
        {
            **card,
            "files": list(card["files"]),
            "holds_for_candidates": {
                "tried": [row.candidates for row in rows],
                "within_nats": TOLERANCE,
                "least": min(holds),
                "most": max(holds),
            },
        },
    )
    for row in rows:
        say(str(row))


if __name__ == "__main__":
    typer.run(main)
