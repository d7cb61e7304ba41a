"""The section on attribution: what the add-one-in benchmark says of methods, shares and numbers of candidates."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from attribution_core.add_one_in.evaluation import RECALL_AT
from attribution_core.common.cards import read_card
from attribution_core.common.text import listing
from attribution_core.evidence.benchmark import FILE, SCALING
from attribution_core.figures.evidence import PRETRAINED
from pocket.generator.commands import POCKET
from pocket.results.tables import interval, percent, table

CASES = {
    "test_seen_concept": "seen concepts",
    "test_unseen_concept": "unseen concepts",
    "test_unseen_style": "unseen styles",
}
OBJECTS, STYLES = ("test_seen_concept", "test_unseen_concept"), ("test_unseen_style",)


def section() -> Iterator[str]:
    """The section's lines."""
    evidence = json.loads(POCKET.evidence(FILE).read_text(encoding="utf-8"))
    yield from _benchmark(evidence, read_card(POCKET.benchmark))
    yield from _retrieval(evidence)
    yield from _calibration(evidence["methods"])
    yield from _candidates(json.loads(POCKET.evidence(SCALING).read_text(encoding="utf-8")))


def _benchmark(evidence: dict[str, Any], card: dict[str, Any]) -> Iterator[str]:
    """What was generated, and how it is split."""
    models = card["models"]
    counts = {kind: sum(split[kind] for split in models.values()) for kind in ("object", "style")}
    yield (
        "The add-one-in benchmark (`python -m pocket.benchmark`, evaluated by `python -m pocket.evidence`) has "
        f"{counts['object']} models tuned on one drawing each and {counts['style']} tuned on sets that share a style "
        "or maker; the generator was trained on none of these drawings. They generated "
        f"{card['images']:,} images for prompts that were not used in tuning, at {card['seconds_per_model']:.1f} s a "
        f"model on one core. The mappers are trained on {models['train']['object']} + "
        f"{models['train']['style']} of the models, settings and temperatures are chosen on "
        f"{models['validation']['object']} + {models['validation']['style']}, and the rest are for "
        "testing. Compared with the untuned generator's image for the same prompt and noise, the tuned one is closer "
        "to its exemplars, by "
        f"{evidence['own'].split(',')[0]}, in "
        + listing(
            f"{percent(share['images'])} of {kind} images ({CASES[case]})"
            for case, kinds in evidence["tuning_took"].items()
            for kind, share in kinds.items()
        )
        + "."
    )
    yield ""


def _retrieval(evidence: dict[str, Any]) -> Iterator[str]:
    """How well each method finds the exemplars, laid out as in the paper's supplement."""
    scores = evidence["scores"]
    kinds = list(dict.fromkeys(s["kind"] for s in scores))
    for title, cases in (
        ("Objects, laid out as the supplement's Table 2", OBJECTS),
        ("Styles, laid out as its Table 3", STYLES),
    ):
        yield (
            f"{title}: recall@10 / mAP among the {evidence['candidates']:,} training images and the exemplars of "
            "the query's own model ([all metrics with intervals](../checkpoints/pocket/evidence/tables.csv))."
        )
        yield ""
        yield from table(
            ("encoder", "mappers", *(f"{CASES[case]}, {kind}" for case in cases for kind in kinds)),
            _scores(scores, [(case, kind) for case in cases for kind in kinds]),
        )
        yield ""
    yield (
        f"**Bold** marks the best value of a column. The collection uses *{evidence['own']}*, the best method on the "
        "validation models. Change in mAP from each encoder's best mappers on validation, relative to no mappers:"
    )
    yield ""
    yield from table(
        ("encoder", "mappers", *(CASES[case] for case in (*OBJECTS, *STYLES))),
        _gains(scores, evidence["validation"]),
    )
    yield ""


def _calibration(methods: list[dict[str, Any]]) -> Iterator[str]:
    """Whether shares are right on the test models."""
    yield "Calibration on the test models, with 95 % intervals over models:"
    yield ""
    yield from table(
        (
            "method",
            "temperature",
            "test models",
            "-log share of the exemplars, calibrated",
            "uncalibrated",
            "uniform",
            "expected calibration error, calibrated",
            "uncalibrated",
            "misplaced influence, calibrated",
            "uncalibrated",
        ),
        (
            (
                m["name"],
                f"{m['temperature']:.4f}",
                CASES[c["case"]],
                interval(c["calibrated"]),
                interval(c["uncalibrated"]),
                f"{c['uniform']:.2f}",
                f"{c['after']['expected_error']:.1e}",
                f"{c['before']['expected_error']:.1e}",
                percent(c["after"]["misplaced"]),
                percent(c["before"]["misplaced"]),
            )
            for m in methods
            for c in m["calibrated"]
        ),
    )
    yield ""
    yield from _misleading(methods)


def _candidates(scaling: dict[str, Any]) -> Iterator[str]:
    """What a temperature is worth with other numbers of candidates."""
    yield (
        f"A temperature fitted with {scaling['fitted_with']:,} candidates and used with other numbers of them "
        f"(`python -m pocket.evidence.scaling`, {scaling['method']}; beyond the training images, candidates are random "
        "crops of them): the -log share of the test exemplars with that temperature, with one fitted for the number, "
        "and with one corrected by the logarithm of the number."
    )
    yield ""
    yield from table(
        ("candidates", "best temperature", "fitted once", "fitted for the number", "corrected", "uniform"),
        (
            (
                f"{r['candidates']:,}",
                f"{r['temperature']:.4f}",
                *(f"{r[f'nll_{name}']:.3f}" for name in ("fixed", "best", "corrected", "uniform")),
            )
            for r in scaling["numbers"]
        ),
    )


def _misleading(methods: list[dict[str, Any]]) -> Iterable[str]:
    """A warning for each test case in which shares do worse than equal ones."""
    worse = {
        case: [
            m["name"]
            for m in methods
            for c in m["calibrated"]
            if c["case"] == case and c["calibrated"]["low"] > c["uniform"]
        ]
        for case in CASES
    }
    for case, names in worse.items():
        if names:
            which = "all methods" if len(names) == len(methods) else listing(f"*{name}*" for name in names)
            yield (
                f"For {CASES[case]}, shares are misleading: those by {which}, averaged as logarithms, give the "
                "exemplars less than equal shares would, although their plain mean may be higher. Do not rely on a "
                "share where an image takes a style rather than an object."
            )
            yield ""


def _scores(scores: list[dict[str, Any]], columns: list[tuple[str, str]]) -> Iterable[Sequence[object]]:
    reached = {
        (s["encoder"], s["mapper"], s["case"], s["kind"]): (
            s["recall"][RECALL_AT.index(10)]["value"],
            s["mean_ap"]["value"],
        )
        for s in scores
    }
    rows = list(dict.fromkeys((s["encoder"], s["mapper"]) for s in scores))
    best = {column: [max(reached[row + column][k] for row in rows) for k in (0, 1)] for column in columns}
    for row in rows:
        yield (
            *row,
            *(
                " / ".join(
                    f"**{v:.3f}**" if v == top else f"{v:.3f}"
                    for v, top in zip(reached[row + column], best[column], strict=True)
                )
                for column in columns
            ),
        )


def _gains(
    scores: list[dict[str, Any]], validation: dict[str, dict[str, float]]
) -> Iterable[Sequence[object]]:
    def mean_ap(encoder: str, mapper: str, case: str) -> float:
        """Over all kinds of prompt; all have as many queries."""
        mine = [s for s in scores if (s["encoder"], s["mapper"], s["case"]) == (encoder, mapper, case)]
        return sum(s["mean_ap"]["value"] for s in mine) / len(mine)

    for encoder, reached in validation.items():
        best = max((name for name in reached if name != PRETRAINED), key=reached.__getitem__)
        yield (
            encoder,
            best,
            *(
                f"{mean_ap(encoder, best, case) / mean_ap(encoder, PRETRAINED, case) - 1:+.0%}".replace(
                    "%", " %"
                )
                for case in (*OBJECTS, *STYLES)
            ),
        )
