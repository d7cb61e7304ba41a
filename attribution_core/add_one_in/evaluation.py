"""Evaluation of features by how well they retrieve exemplars: recall and mAP with intervals over models, as tables."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from attribution_core.add_one_in.cases import TestCase
from attribution_core.add_one_in.metrics import (
    exemplar_places,
    precision_of_places,
    recall_ceiling,
    recall_of_places,
)
from attribution_core.common.estimates import Estimate, over_models
from attribution_core.errors import CollectionMismatchError, InvalidInputError
from attribution_core.mapping.pair import MapperPair

RECALL_AT = (1, 5, 10, 100)
Blocks = Callable[[], Iterable[NDArray[np.float32]]]


@dataclass(frozen=True)
class Score:
    """Metrics of one encoder and mapper on one test case and kind of prompt.

    recall, ceiling: at each k of `RECALL_AT`; the ceiling is below 1 if models have more than k exemplars.
    mean_ap: mean average precision over the whole ranking.
    """

    encoder: str
    mapper: str
    case: str
    kind: str
    models: int
    queries: int
    recall: tuple[Estimate, ...]
    ceiling: tuple[float, ...]
    mean_ap: Estimate


def evaluate(
    blocks: Blocks, cases: Sequence[TestCase], mappers: MapperPair, mapper: str = "", seed: int = 0
) -> tuple[Score, ...]:
    """Rank the training images together with each query's exemplars, and score the exemplars' ranks.

    A query's candidates are the training set and the exemplars of its own model, as in the paper's `eval.py`. The
    training set is read once for all cases; at most 256 MB of similarities are held at a time.

    Args:
        blocks: Called once; yields the training set's raw features in (n, d) float32 blocks.
        cases: Test cases with features of the same encoder.
        mappers: Both heads; their `encoder` is the name in the table.
        mapper: Name of the mappers in the table; by default the kind of their heads.
        seed: Random seed for the bootstrap.

    Raises:
        CollectionMismatchError: Dimensions differ.
        InvalidInputError: There is no case, or a case has no queries.
    """
    parts = [(case, kind) for case in cases for kind in case.made]
    if not parts or any(len(case.made[kind].features) == 0 for case, kind in parts):
        raise InvalidInputError(
            "there is nothing to evaluate; give at least one test case with generated images."
        )
    wrong = [case for case in cases if case.dim != mappers.dim]
    if wrong:
        raise CollectionMismatchError(
            f"case '{wrong[0].name}' has features of {wrong[0].dim} columns, but the mappers of encoder "
            f"'{mappers.encoder}' take {mappers.dim}; use features and mappers of the same encoder."
        )
    generated = [case.made[kind] for case, kind in parts]
    first = np.cumsum([0, *(len(case.exemplars) for case in cases)])
    first_model = np.cumsum([0, *(len(case.chunks) for case in cases)])
    place = {id(case): i for i, case in enumerate(cases)}
    places = exemplar_places(
        (mappers.map_training(block) for block in blocks() if len(block)),
        mappers.map_query(np.concatenate([m.features for m in generated])),
        mappers.map_training(np.concatenate([case.exemplars for case in cases])),
        np.concatenate([case.chunks + start for case, start in zip(cases, first, strict=False)]),
        np.concatenate(
            [m.model + first_model[place[id(c)]] for (c, _), m in zip(parts, generated, strict=True)]
        ),
    )
    ends = np.cumsum([len(m.features) for m in generated])
    return tuple(
        _score(
            mappers.encoder,
            mapper or str(mappers.kind),
            case.name,
            kind,
            m.model,
            places[end - len(m.model) : end],
            seed,
        )
        for (case, kind), m, end in zip(parts, generated, ends, strict=True)
    )


def _score(
    encoder: str,
    mapper: str,
    case: str,
    kind: str,
    model: NDArray[np.int64],
    places: list[NDArray[np.int64]],
    seed: int,
) -> Score:
    recall = [np.array([recall_of_places(p, k) for p in places]) for k in RECALL_AT]
    ceiling = [float(np.mean([recall_ceiling(len(p), k) for p in places])) for k in RECALL_AT]
    precision = np.array([precision_of_places(p) for p in places])
    return Score(
        encoder,
        mapper,
        case,
        kind,
        len(np.unique(model)),
        len(places),
        tuple(over_models(values, model, seed) for values in recall),
        tuple(ceiling),
        over_models(precision, model, seed),
    )


def rank_agreement(scores: Sequence[Score]) -> dict[str, dict[str, float]]:
    """Compute Spearman's correlation between metrics over all rows, that is, how far they agree on the order.

    Returns {metric: {metric: correlation}}; NaN for a metric that is constant. Raises `InvalidInputError` for fewer
    than three rows.
    """
    from scipy.stats import spearmanr

    names = _metric_names()
    columns = np.array([[*(r.value for r in s.recall), s.mean_ap.value] for s in scores])
    if len(columns) < 3:
        raise InvalidInputError(f"a rank correlation needs three or more rows, given {len(columns)}.")
    table: dict[str, dict[str, float]] = {}
    for i, one in enumerate(names):
        table[one] = {}
        for k, other in enumerate(names):
            constant = np.ptp(columns[:, i]) == 0 or np.ptp(columns[:, k]) == 0
            value = np.nan if constant else spearmanr(columns[:, i], columns[:, k]).statistic
            table[one][other] = float(value)
    return table


def to_json(scores: Sequence[Score]) -> str:
    """Return all metrics with intervals and ceilings as JSON."""
    return json.dumps([asdict(score) | {"recall_at": RECALL_AT} for score in scores], indent=1) + "\n"


def to_csv(scores: Sequence[Score]) -> str:
    """Return CSV with one line per score and three columns per metric: value, low, high."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    ends = ("", "_low", "_high")
    writer.writerow(
        [
            "encoder",
            "mapper",
            "case",
            "kind",
            "models",
            "queries",
            *(f"{name}{end}" for name in _metric_names() for end in ends),
            *(f"ceiling@{k}" for k in RECALL_AT),
        ]
    )
    for s in scores:
        figures = [f"{v:.6f}" for e in (*s.recall, s.mean_ap) for v in (e.value, e.low, e.high)]
        writer.writerow(
            [
                s.encoder,
                s.mapper,
                s.case,
                s.kind,
                s.models,
                s.queries,
                *figures,
                *(f"{c:.6f}" for c in s.ceiling),
            ]
        )
    return out.getvalue()


def to_markdown(scores: Sequence[Score]) -> str:
    """Return a Markdown table laid out like the supplement's Tables 2 and 3.

    One row per method, one group of columns per test case and kind of prompt.
    """
    groups = list(dict.fromkeys((s.case, s.kind) for s in scores))
    methods = list(dict.fromkeys((s.encoder, s.mapper) for s in scores))
    by_cell = {(s.encoder, s.mapper, s.case, s.kind): s for s in scores}
    names = [*(f"R@{k}" for k in RECALL_AT), "mAP"]
    header = ["encoder", "mapper", *(f"{case}, {kind}: {n}" for case, kind in groups for n in names)]
    lines = [_line(header), _line(["---"] * len(header))]
    for encoder, mapper in methods:
        cells = [encoder, mapper]
        for case, kind in groups:
            score = by_cell.get((encoder, mapper, case, kind))
            cells += [""] * len(names) if score is None else _cells(score)
        lines.append(_line(cells))
    ceilings = {(s.case, s.kind): s.ceiling for s in scores}
    if any(c < 1 for row in ceilings.values() for c in row):
        cells = ["ceiling", ""]
        for group in groups:
            cells += [*(f"{c:.3f}" for c in ceilings[group]), "1.000"]
        lines.append(_line(cells))
    return "\n".join(lines) + "\n"


def _cells(score: Score) -> list[str]:
    return [f"{e.value:.3f}" for e in (*score.recall, score.mean_ap)]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _metric_names() -> list[str]:
    return [*(f"recall@{k}" for k in RECALL_AT), "mean_ap"]
