"""Writes the pocket collection's figures into docs/results.md from the cards: `python -m pocket.results`.

What stands between the two marks is replaced; a test fails where it is not what the cards say.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from attribution_core.add_one_in.evaluation import RECALL_AT
from attribution_core.collection.layout import CollectionLayout
from attribution_core.common.cards import read_card
from attribution_core.common.files import atomic_path
from attribution_core.common.text import listing
from attribution_core.evidence import memorization as memorization_evidence
from attribution_core.evidence.benchmark import FILE, SCALING
from attribution_core.figures.evidence import PRETRAINED
from attribution_core.reports.wording.noise_signal import PROMPT_GROUPS
from pocket.encoders.report import NEAREST, PRECISION, REPORT
from pocket.generator.commands import OUT, TRIALS
from pocket.generator.report import COLOURED_PATH, CONCEPTS, COPIES, ENCODER, HISTORY, SHEET_PATH

PAGE = Path("docs/results.md")
POCKET = CollectionLayout(Path("checkpoints/pocket"))
CASES = {
    "test_seen_concept": "known things",
    "test_unseen_concept": "unseen things",
    "test_unseen_style": "unseen styles",
}
OBJECTS, STYLES = ("test_seen_concept", "test_unseen_concept"), ("test_unseen_style",)
JUDGED = Path("pocket/judged.json")  # what a person saw on the sheets, prompt by prompt
START, END = "<!-- written by python -m pocket.results -->", "<!-- end of what it writes -->"
MEMORIZED = POCKET.evidence(memorization_evidence.FILE)
SEEN, UNSEEN = "seen captions", "pairs never seen together"


def figures() -> str:
    """The page's part, as Markdown."""
    card, judged = read_card(OUT), json.loads(JUDGED.read_text())
    report, training = card["report"], card["training"]
    coloured = judged["coloured"]
    return "\n".join(
        [
            f"{training['samples']:,} samples in {training['hours']:.1f} hours on two processor cores "
            f"({training['date']}). 64 fixed prompts, none of them chosen:",
            "",
            f"![64 fixed prompts and what the pocket generator made of them](../{SHEET_PATH})",
            "",
            _looked_at(judged),
            "",
            *_table(("question", "reached", "real images", "by chance", "aim"), _questions(report)),
            "",
            f'Colours: of 40 prompts such as "blue apple" ([sheet](../{COLOURED_PATH})), '
            f"{sum(v['colour'] for v in coloured.values())} show the colour and "
            f"{sum(v['colour'] and v['thing'] for v in coloured.values())} the colour on the thing.",
            "",
            '"Real images" asks the same of the training images themselves, or of the held-out drawings of those '
            "pairs: no generator can be expected to do better. Three eyes judge: EfficientNet-lite0 knows "
            "photographs and is at a loss with unfinished drawings of 64 px; pocket-clip learned things, and "
            "pocket-sscd copies, on the training images, and neither ever saw a generated one. What all of them "
            "call near is mostly the same thing in another style, so the aim for styles is held against a "
            "classifier of textures (`pocket/generator/style.py`).",
            "",
            "What more samples brought, and what the trials of equal time said of the recipe "
            "(loss in v, lower is better):",
            "",
            *_table(
                (
                    "samples",
                    "hours",
                    "concept, seen",
                    "by pocket-clip",
                    "concept, unseen",
                    "by pocket-clip",
                    "style by texture, seen",
                    "planted reproduced",
                    "planted median RMS",
                ),
                _history(json.loads((OUT / HISTORY).read_text())),
            ),
            "",
            *_table(
                ("trial", "minutes", "samples", "steps", "loss", "noisier half"),
                (
                    (
                        r["trial"],
                        f"{r['minutes']:g}",
                        f"{r['samples']:,}",
                        r["steps"],
                        f"{r['loss']:.4f}",
                        f"{r['loss, noisier half']:.4f}",
                    )
                    for r in json.loads(TRIALS.read_text())["trials"]
                ),
            ),
            "",
            *_known(
                json.loads(POCKET.evidence(FILE).read_text()),
                read_card(POCKET.benchmark),
                json.loads(POCKET.evidence(SCALING).read_text()),
            ),
            "",
            *_memorized(json.loads(MEMORIZED.read_text())),
            "",
            *_encoders(json.loads(REPORT.read_text())),
        ]
    )


def _memorized(told: dict[str, Any]) -> Iterable[str]:
    """What is known of copies and of the noise signal."""
    copies, signal, seconds = told["copies"], told["signal"], told["seconds"]
    made, edited, real = (copies[name] for name in ("made", "made and changed", "training images, changed"))
    yield (
        f"Memorization (`python -m pocket.evidence.memorization`, {told['took']:.0f} s on one core; "
        f"{len(told['seeds'])} seeds of each prompt). By {told['copy_encoder']}, at the threshold "
        f"{told['threshold']:g} that its report gives, with 95 % intervals over prompts or images:"
    )
    yield ""
    yield from _table(
        ("what is asked", "copies", "others", "precision", "recall"),
        (
            (words, f"{t['copies']:,}", f"{t['no copies']:,}", _part(t["precision"]), _part(t["recall"]))
            for words, t in (
                ("images of planted prompts, among those of matched controls", made),
                (f"the same after {len(edited['by_change'])} changes", edited),
                ("training images after these changes, among changed images that were held out", real),
            )
        ),
    )
    yield ""
    yield from _table(
        (
            "images of",
            "number",
            "called copies",
            "similarity of the nearest, median",
            "drop-off, median",
            "noise signal, median",
            "AUC of the signal, planted against these",
        ),
        (
            (
                PROMPT_GROUPS[name],
                f"{group['images']:,}",
                _percent(group["called"]),
                f"{group['similarity']:.3f}",
                f"{group['drop']:.3f}",
                f"{statistics.median(signal['means'][name]):.2f}",
                _part(signal["auc"].get(name), digits=3),
            )
            for name, group in copies["groups"].items()
        ),
    )
    yield ""
    yield (
        f"An image of {told['steps']} steps takes {seconds['make one image, signal recorded']:.2f} s with its "
        f"signal, a verdict {seconds['is it a copy']:.3f} s, aligning {seconds['align']:.2f} s and the maps of "
        f"where both agree {seconds['where both agree']:.2f} s."
    )


def _part(estimate: dict[str, float] | None, digits: int = 2) -> str:
    if estimate is None:
        return ""
    value, low, high = (f"{estimate[key]:.{digits}f}" for key in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def _looked_at(judged: dict[str, Any]) -> str:
    sheet: dict[str, str] = judged["sheet"]
    missed = [f"{prompt.rsplit(',', 1)[0]} ({called})" for prompt, called in sheet.items() if called]
    words = (
        f"Looked at one by one: {len(sheet) - len(missed)} of {len(sheet)} are what their words say to somebody "
        "who does not know them."
    )
    return words + (f" The others, and what they could be called: {', '.join(missed)}." if missed else "")


def _questions(report: dict[str, Any]) -> Iterable[Sequence[object]]:
    for name, aim in ((SEEN, "60 %"), (UNSEEN, "40 %")):
        here, real = report[name], report[f"{name}, the real images"]
        chance = _percent(here["right concept by chance"])
        for key, judge in (
            (f"right concept by {CONCEPTS}", CONCEPTS),
            (f"right concept by {COPIES}", COPIES),
            ("right concept", ENCODER),
        ):
            yield (
                f"right concept among the 5 nearest training images by {judge}: {name} ({here['captions']})",
                _percent(here[key]),
                _percent(real[key]),
                chance,
                aim if judge == CONCEPTS else "",
            )
    for name in (SEEN, UNSEEN):
        here, real = report[name], report[f"{name}, the real images"]
        yield (
            f"right style by texture: {name}",
            _percent(here["right style by texture"]),
            _percent(real["right style by texture"]),
            "",
            "90 %",
        )
        yield (
            f"right style, of at least 3 of the 5 nearest: {name}",
            _percent(here["right style"]),
            _percent(real["right style"]),
            _percent(here["right style by chance"]),
            "",
        )
    for kind, aim in (("planted", "80 %"), ("control", "under 10 %")):
        here = report[f"{kind} images"]
        words = f"{kind} images reproduced ({here['images']}; median RMS {here['median rms']:g}), by"
        yield f"{words} {COPIES}", _percent(here[f"reproduced by {COPIES}"]), "", "", aim
        yield f"{words} {ENCODER}", _percent(here["reproduced"]), "", "", ""


def _history(rows: list[dict[str, Any]]) -> Iterable[Sequence[object]]:
    for row in rows:
        seen, unseen, by_clip = row[SEEN], row[UNSEEN], f"right concept by {CONCEPTS}"
        yield (
            f"{row['samples']:,}",
            row["hours"],
            _percent(seen["right concept"]),
            _if_known(seen, by_clip),
            _percent(unseen["right concept"]),
            _if_known(unseen, by_clip),
            _if_known(seen, "right style by texture"),
            _percent(row["planted images"]["reproduced"]),
            row["planted images"]["median rms"],
        )


def _known(evidence: dict[str, Any], card: dict[str, Any], scaling: dict[str, Any]) -> Iterable[str]:
    """What is known by construction: how well methods find it, whether shares hold, for how many candidates."""
    models, took = card["models"], evidence["tuning_took"]
    counts = {sort: sum(split[sort] for split in models.values()) for sort in ("object", "style")}
    yield (
        "Attribution, by add-one-in (`python -m pocket.benchmark`, `python -m pocket.evidence`): "
        f"{counts['object']} models tuned on one drawing each and {counts['style']} on sets that share a style or "
        f"maker, all of them drawings that the generator never saw; {card['images']:,} images of prompts that "
        f"tuning never saw, {card['seconds_per_model']:.1f} s a model on one core. {models['train']['object']} + "
        f"{models['train']['style']} models teach mappers, {models['validation']['object']} + "
        f"{models['validation']['style']} choose settings and fit temperatures, the others test. A made image is "
        "nearer to its exemplars than the untuned generator's image of the same prompt and noise, to "
        f"{evidence['own'].split(',')[0]}, in "
        + listing(
            f"{_percent(found['images'])} of {sort} images of {CASES[case]}"
            for case, told in took.items()
            for sort, found in told.items()
        )
        + "."
    )
    scores = evidence["scores"]
    kinds = list(dict.fromkeys(s["kind"] for s in scores))
    for words, cases in (
        ("Laid out as the supplement's Table 2, objects", OBJECTS),
        ("and as its Table 3, styles", STYLES),
    ):
        yield ""
        yield (
            f"{words}: recall@10 / mAP among the {evidence['candidates']:,} training images and all exemplars of "
            "the test case ([all metrics with intervals](../checkpoints/pocket/evidence/tables.csv))."
        )
        yield ""
        yield from _table(
            ("features", "mappers", *(f"{CASES[case]}, {kind}" for case in cases for kind in kinds)),
            _scores(scores, [(case, kind) for case in cases for kind in kinds]),
        )
    yield ""
    yield (
        f"In **bold** the best of each column. The collection attributes by *{evidence['own']}*, which did best on "
        "the validation models. What the mappers that did best there change in mAP, against the encoder as it is:"
    )
    yield ""
    yield from _table(
        ("encoder", "mappers", *(CASES[case] for case in (*OBJECTS, *STYLES))),
        _gains(scores, evidence["validation"]),
    )
    yield ""
    yield "Do shares hold? Of test models, with 95 % intervals over models:"
    yield ""
    yield from _table(
        (
            "method",
            "temperature",
            "test models",
            "-log share of the exemplars, calibrated",
            "uncalibrated",
            "uniform",
            "expected calibration error",
            "before",
            "influence in the wrong place",
            "before",
        ),
        (
            (
                m["name"],
                f"{m['temperature']:.4f}",
                CASES[c["case"]],
                _interval(c["calibrated"]),
                _interval(c["uncalibrated"]),
                f"{c['uniform']:.2f}",
                f"{c['after']['expected_error']:.1e}",
                f"{c['before']['expected_error']:.1e}",
                _percent(c["after"]["misplaced"]),
                _percent(c["before"]["misplaced"]),
            )
            for m in evidence["methods"]
            for c in m["calibrated"]
        ),
    )
    yield ""
    yield from _misleading(evidence["methods"])
    yield (
        f"A temperature fitted with {scaling['fitted_with']:,} candidates, used with others (`python -m "
        f"pocket.evidence.scaling`, {scaling['method']}; more are random crops of the training images): -log share of "
        "the test exemplars by it, by the one that fits best there, and by one corrected with the number's logarithm."
    )
    yield ""
    yield from _table(
        ("candidates", "best temperature", "fitted once", "fitted there", "corrected", "uniform"),
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
    """Where shares are no better than equal ones, so that nobody relies on them there."""
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
            which = "every method" if len(names) == len(methods) else listing(f"*{name}*" for name in names)
            yield (
                f"For {CASES[case]}, shares mislead: those of {which} give the exemplars less than equal shares "
                "would. Do not rely on a share where a style, and not a thing, is what an image took."
            )
            yield ""


def _scores(scores: list[dict[str, Any]], columns: list[tuple[str, str]]) -> Iterable[Sequence[object]]:
    found = {
        (s["encoder"], s["mapper"], s["case"], s["kind"]): (
            s["recall"][RECALL_AT.index(10)]["value"],
            s["mean_ap"]["value"],
        )
        for s in scores
    }
    rows = list(dict.fromkeys((s["encoder"], s["mapper"]) for s in scores))
    best = {column: [max(found[row + column][k] for row in rows) for k in (0, 1)] for column in columns}
    for row in rows:
        yield (
            *row,
            *(
                " / ".join(
                    f"**{v:.3f}**" if v == top else f"{v:.3f}"
                    for v, top in zip(found[row + column], best[column], strict=True)
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


def _encoders(report: dict[str, Any]) -> Iterable[str]:
    yield (
        f"The encoders that work offline, asked of images that none was trained on (`python -m "
        f"pocket.encoders.report`). Copies: {report['what']}."
    )
    yield ""
    yield from _table(
        (
            "features",
            "copies, average precision",
            f"copies found at precision {PRECISION:.0%}".replace("%", " %"),
            f"same thing among the {NEAREST} nearest",
            "own caption first, of all",
        ),
        (
            (
                name,
                f"{told['copies']['average_precision']:.3f}",
                _percent(told["copies"]["recall"]),
                _percent(told[f"concept among the {NEAREST} nearest"]),
                f"{_percent(told['captions']['recall@1'])} of {told['captions']['captions']:,}"
                if "captions" in told
                else "",
            )
            for name, told in report["encoders"].items()
        ),
    )


def _interval(estimate: dict[str, float]) -> str:
    return f"{estimate['value']:.2f} ({estimate['low']:.2f} to {estimate['high']:.2f})"


def _if_known(figures: dict[str, Any], name: str) -> str:
    """Blank for what was not asked of an earlier generator."""
    return _percent(figures[name]) if name in figures else ""


def _percent(share: float) -> str:
    return f"{share:.1%}".replace("%", " %")


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(str(cell) for cell in line) + " |" for line in lines]


def rewritten(text: str) -> str:
    """The page's text with the part between the marks written anew."""
    before, rest = text.split(START)
    return f"{before}{START}\n{figures()}\n{END}{rest.split(END)[1]}"


def main() -> None:
    """Write it."""
    text = rewritten(PAGE.read_text(encoding="utf-8"))
    with atomic_path(PAGE) as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
