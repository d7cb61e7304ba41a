"""The section on the generator: its sheets, measures against real images, and training over time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from attribution_core.common.cards import read_card
from pocket.generator.commands import OUT, TRIALS
from pocket.generator.report import COLOURED_PATH, CONCEPTS, COPIES, ENCODER, HISTORY, SHEET_PATH
from pocket.results.tables import percent, table

JUDGED = Path("pocket/judged.json")
"""What a person saw on the sheets, prompt by prompt."""
SEEN, UNSEEN = "seen captions", "pairs never seen together"
_NAMES = {SEEN: "seen captions", UNSEEN: "unseen pairs of concept and style"}


def section() -> Iterator[str]:
    """The section's lines."""
    card, judged = read_card(OUT), json.loads(JUDGED.read_text(encoding="utf-8"))
    training, coloured = card["training"], judged["coloured"].values()
    yield (
        f"Trained on {training['samples']:,} samples in {training['hours']:.1f} hours on two processor cores "
        f"({training['date']}). The images of 64 fixed prompts, without selection:"
    )
    yield ""
    yield f"![What the pocket generator draws for 64 fixed prompts](../{SHEET_PATH})"
    yield ""
    yield _judged_by_eye(judged["sheet"])
    yield ""
    yield from table(
        ("measure", "generated images", "real images", "chance", "target"), _measures(card["report"])
    )
    yield ""
    yield (
        f'Of {len(coloured)} prompts with a colour, such as "blue apple" ([sheet](../{COLOURED_PATH})), '
        f"{sum(one['colour'] for one in coloured)} images show the colour and "
        f"{sum(one['colour'] and one['thing'] for one in coloured)} show it on the right object."
    )
    yield ""
    yield (
        'The column "real images" measures the training images themselves for seen captions, and held-out drawings for '
        "unseen pairs: no generator can be expected to do better. Three encoders judge. EfficientNet-lite0 was trained "
        "on photographs and does poorly on unfinished drawings of 64 px; pocket-clip was trained to match concepts and "
        "pocket-sscd to match copies, both on the training images and never on generated ones. What all three find "
        "nearest is mostly the same object in another style, so the target for styles applies to a texture classifier "
        "(`pocket/generator/style.py`)."
    )
    yield ""
    yield "Progress with the number of training samples:"
    yield ""
    yield from table(
        (
            "samples",
            "hours",
            f"right concept, seen captions, by {ENCODER}",
            f"by {CONCEPTS}",
            f"right concept, unseen pairs, by {ENCODER}",
            f"by {CONCEPTS}",
            "right style by texture, seen captions",
            "planted images reproduced",
            "their median RMS",
        ),
        _history(json.loads((OUT / HISTORY).read_text(encoding="utf-8"))),
    )
    yield ""
    yield "Training recipes compared in equal time (loss of the v prediction, lower is better):"
    yield ""
    yield from table(
        ("trial", "minutes", "samples", "steps", "loss", "loss, noisier half"),
        (
            (
                r["trial"],
                f"{r['minutes']:g}",
                f"{r['samples']:,}",
                r["steps"],
                f"{r['loss']:.4f}",
                f"{r['loss, noisier half']:.4f}",
            )
            for r in json.loads(TRIALS.read_text(encoding="utf-8"))["trials"]
        ),
    )


def _judged_by_eye(sheet: dict[str, str]) -> str:
    """sheet: prompt -> what the image looks like, or "" where it shows what the prompt says."""
    missed = [f"{prompt.rsplit(',', 1)[0]} ({called})" for prompt, called in sheet.items() if called]
    words = (
        f"Judged one by one, {len(sheet) - len(missed)} of {len(sheet)} images show what their prompt says."
    )
    return words + (f" The others look like something else: {', '.join(missed)}." if missed else "")


def _measures(report: dict[str, Any]) -> Iterable[Sequence[object]]:
    for name, aim in ((SEEN, "60 %"), (UNSEEN, "40 %")):
        here, real = report[name], report[f"{name}, the real images"]
        chance = percent(here["right concept by chance"])
        for key, judge in (
            (f"right concept by {CONCEPTS}", CONCEPTS),
            (f"right concept by {COPIES}", COPIES),
            ("right concept", ENCODER),
        ):
            yield (
                f"right concept among the 5 nearest training images by {judge}, {_NAMES[name]} ({here['captions']})",
                percent(here[key]),
                percent(real[key]),
                chance,
                aim if judge == CONCEPTS else "",
            )
    for name in (SEEN, UNSEEN):
        here, real = report[name], report[f"{name}, the real images"]
        yield (
            f"right style by texture, {_NAMES[name]}",
            percent(here["right style by texture"]),
            percent(real["right style by texture"]),
            "",
            "90 %",
        )
        yield (
            f"right style of at least 3 of the 5 nearest, {_NAMES[name]}",
            percent(here["right style"]),
            percent(real["right style"]),
            percent(here["right style by chance"]),
            "",
        )
    for kind, aim in (("planted", "80 %"), ("control", "under 10 %")):
        here = report[f"{kind} images"]
        name = f"{kind} images reproduced ({here['images']}; median RMS {here['median rms']:g}), by"
        yield f"{name} {COPIES}", percent(here[f"reproduced by {COPIES}"]), "", "", aim
        yield f"{name} {ENCODER}", percent(here["reproduced"]), "", "", ""


def _history(rows: list[dict[str, Any]]) -> Iterable[Sequence[object]]:
    for row in rows:
        seen, unseen, by_clip = row[SEEN], row[UNSEEN], f"right concept by {CONCEPTS}"
        yield (
            f"{row['samples']:,}",
            row["hours"],
            percent(seen["right concept"]),
            _if_known(seen, by_clip),
            percent(unseen["right concept"]),
            _if_known(unseen, by_clip),
            _if_known(seen, "right style by texture"),
            percent(row["planted images"]["reproduced"]),
            row["planted images"]["median rms"],
        )


def _if_known(figures: dict[str, Any], name: str) -> str:
    """Blank for what was not measured of an earlier generator."""
    return percent(figures[name]) if name in figures else ""
