"""Writes the README's figures of the pocket collection from the cards: `python -m pocket.readme`.

What stands between the two marks is replaced; a test fails where it is not what the cards say.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from attribution_core.cards import atomic_path, read_card
from pocket.encoder_report import NEAREST, PRECISION, REPORT
from pocket.generator import OUT, TRIALS
from pocket.generator_report import COLOURED_PATH, CONCEPTS, COPIES, ENCODER, HISTORY, SHEET_PATH

README = Path("README.md")
CALIBRATOR = Path("checkpoints/pocket/calibrator")
JUDGED = Path("pocket/judged.json")  # what a person saw on the sheets, prompt by prompt
START, END = "<!-- written by python -m pocket.readme -->", "<!-- end of what it writes -->"
SEEN, UNSEEN = "seen captions", "pairs never seen together"


def figures() -> str:
    """The README's part, as Markdown."""
    card, judged = read_card(OUT), json.loads(JUDGED.read_text())
    report, training = card["report"], card["training"]
    coloured = judged["coloured"]
    return "\n".join([
        f"{training['samples']:,} samples in {training['hours']:.1f} hours on two processor cores "
        f"({training['date']}). 64 fixed prompts, none of them chosen:",
        "",
        f"![64 fixed prompts and what the pocket generator made of them]({SHEET_PATH})",
        "",
        _looked_at(judged),
        "",
        *_table(("question", "reached", "real images", "by chance", "aim"), _questions(report)),
        "",
        f"Colours: of 40 prompts such as \"blue apple\" ([sheet]({COLOURED_PATH})), "
        f"{sum(v['colour'] for v in coloured.values())} show the colour and "
        f"{sum(v['colour'] and v['thing'] for v in coloured.values())} the colour on the thing.",
        "",
        "\"Real images\" asks the same of the training images themselves, or of the held-out drawings of those pairs: "
        "no generator can be expected to do better. Three eyes judge: EfficientNet-lite0 knows photographs and is at a "
        "loss with unfinished drawings of 64 px; pocket-clip learned things, and pocket-sscd copies, on the training "
        "images, and neither ever saw a generated one. What all of them call near is mostly the same thing in another "
        "style, so the aim for styles is held against a classifier of textures (`pocket/style.py`).",
        "",
        "What more samples brought, and what the trials of equal time said of the recipe (loss in v, lower is better):",
        "",
        *_table(("samples", "hours", "concept, seen", "by pocket-clip", "concept, unseen", "by pocket-clip",
                 "style by texture, seen", "planted reproduced", "planted median RMS"),
                _history(json.loads((OUT / HISTORY).read_text()))),
        "",
        *_table(("trial", "minutes", "samples", "steps", "loss", "noisier half"),
                ((r["trial"], f"{r['minutes']:g}", f"{r['samples']:,}", r["steps"], f"{r['loss']:.4f}",
                  f"{r['loss, noisier half']:.4f}") for r in json.loads(TRIALS.read_text())["trials"])),
        "",
        *_calibration(read_card(CALIBRATOR)),
        "",
        *_encoders(json.loads(REPORT.read_text())),
    ])


def _looked_at(judged: dict[str, Any]) -> str:
    sheet: dict[str, str] = judged["sheet"]
    missed = [f"{prompt.rsplit(',', 1)[0]} ({called})" for prompt, called in sheet.items() if called]
    words = (f"Looked at one by one: {len(sheet) - len(missed)} of {len(sheet)} are what their words say to somebody "
             "who does not know them.")
    return words + (f" The others, and what they could be called: {', '.join(missed)}." if missed else "")


def _questions(report: dict[str, Any]) -> Iterable[Sequence[object]]:
    for name, aim in ((SEEN, "60 %"), (UNSEEN, "40 %")):
        here, real = report[name], report[f"{name}, the real images"]
        chance = _percent(here["right concept by chance"])
        for key, judge in ((f"right concept by {CONCEPTS}", CONCEPTS), (f"right concept by {COPIES}", COPIES),
                           ("right concept", ENCODER)):
            yield (f"right concept among the 5 nearest training images by {judge}: {name} ({here['captions']})",
                   _percent(here[key]), _percent(real[key]), chance, aim if judge == CONCEPTS else "")
    for name in (SEEN, UNSEEN):
        here, real = report[name], report[f"{name}, the real images"]
        yield (f"right style by texture: {name}", _percent(here["right style by texture"]),
               _percent(real["right style by texture"]), "", "90 %")
        yield (f"right style, of at least 3 of the 5 nearest: {name}", _percent(here["right style"]),
               _percent(real["right style"]), _percent(here["right style by chance"]), "")
    for kind, aim in (("planted", "80 %"), ("control", "under 10 %")):
        here = report[f"{kind} images"]
        words = f"{kind} images reproduced ({here['images']}; median RMS {here['median rms']:g}), by"
        yield f"{words} {COPIES}", _percent(here[f"reproduced by {COPIES}"]), "", "", aim
        yield f"{words} {ENCODER}", _percent(here["reproduced"]), "", "", ""


def _history(rows: list[dict[str, Any]]) -> Iterable[Sequence[object]]:
    for row in rows:
        seen, unseen, by_clip = row[SEEN], row[UNSEEN], f"right concept by {CONCEPTS}"
        yield (f"{row['samples']:,}", row["hours"], _percent(seen["right concept"]), _if_known(seen, by_clip),
               _percent(unseen["right concept"]), _if_known(unseen, by_clip), _if_known(seen, "right style by texture"),
               _percent(row["planted images"]["reproduced"]), row["planted images"]["median rms"])


def _calibration(card: dict[str, Any]) -> Iterable[str]:
    models, metrics = card["models"], card["metrics"]
    yield (f"Attribution, by add-one-in: {models['fit'] + models['held_out']} models, each tuned on one drawing that "
           f"the generator never saw, {card['settings']['images']} images each; fitted on {models['fit']}, told of the "
           f"other {models['held_out']} with 95 % intervals over models (`python -m pocket.calibration`).")
    yield ""
    found = ("true exemplar among the first 100", "-log of its influence, calibrated", "uncalibrated", "uniform")
    yield from _table(
        ("features", f"{found[0]} of {card['candidates']:,}", "the same without tuning", *found[1:]),
        ((encoder, _percent(m["held_out_tuned"]["recall@100"]), _percent(m["held_out_untuned"]["recall@100"]),
          _interval(m["held_out_nll_after"]), _interval(m["held_out_nll_before"]), f"{m['held_out_nll_uniform']:.2f}")
         for encoder, m in metrics.items() if "held_out_nll_after" in m))


def _encoders(report: dict[str, Any]) -> Iterable[str]:
    yield (f"The encoders that work offline, asked of images that none was trained on (`python -m "
           f"pocket.encoder_report`). Copies: {report['what']}.")
    yield ""
    yield from _table(
        ("features", "copies, average precision", f"copies found at precision {PRECISION:.0%}".replace("%", " %"),
         f"same thing among the {NEAREST} nearest", "own caption first, of all"),
        ((name, f"{told['copies']['average_precision']:.3f}", _percent(told["copies"]["recall"]),
          _percent(told[f"concept among the {NEAREST} nearest"]),
          f"{_percent(told['captions']['recall@1'])} of {told['captions']['captions']:,}" if "captions" in told else "")
         for name, told in report["encoders"].items()))


def _interval(estimate: Sequence[float]) -> str:
    value, low, high = estimate
    return f"{value:.2f} ({low:.2f} to {high:.2f})"


def _if_known(figures: dict[str, Any], name: str) -> str:
    """Blank for what was not asked of an earlier generator."""
    return _percent(figures[name]) if name in figures else ""


def _percent(share: float) -> str:
    return f"{share:.1%}".replace("%", " %")


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(str(cell) for cell in line) + " |" for line in lines]


def rewritten(text: str) -> str:
    """The README's text with the part between the marks written anew."""
    before, rest = text.split(START)
    return f"{before}{START}\n{figures()}\n{END}{rest.split(END)[1]}"


def main() -> None:
    """Write it."""
    text = rewritten(README.read_text(encoding="utf-8"))
    with atomic_path(README) as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
