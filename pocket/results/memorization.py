"""The section on memorization: copies and the noise signal."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator

from attribution_core.evidence import memorization
from pocket.generator.commands import POCKET
from pocket.results.tables import interval, percent, table

_PROMPTS = {
    "planted": "prompts of images that were repeated in training on purpose",
    "control": "prompts of matched training images that were not",
    "training": "other training prompts",
    "fresh": "prompts that the generator never saw",
}


def section() -> Iterator[str]:
    """The section's lines."""
    evidence = json.loads(POCKET.evidence(memorization.FILE).read_text(encoding="utf-8"))
    copies, signal, seconds = evidence["copies"], evidence["signal"], evidence["seconds"]
    made, edited, real = (copies[name] for name in ("made", "made and changed", "training images, changed"))
    yield (
        f"Copy detection by {evidence['copy_encoder']} at the threshold {evidence['threshold']:g} from its report "
        f"(`python -m pocket.evidence.memorization`, {evidence['took']:.0f} s on one core; {len(evidence['seeds'])} "
        "seeds a prompt), with 95 % intervals over prompts or images:"
    )
    yield ""
    yield from table(
        ("images", "copies", "others", "precision", "recall"),
        (
            (
                name,
                f"{one['copies']:,}",
                f"{one['no copies']:,}",
                interval(one["precision"]),
                interval(one["recall"]),
            )
            for name, one in (
                ("planted prompts, among matched controls", made),
                (f"the same images after each of {len(edited['by_change'])} changes", edited),
                ("training images after these changes, among held-out images after them", real),
            )
        ),
    )
    yield ""
    yield from table(
        (
            "images of",
            "number",
            "flagged as copies",
            "similarity of the nearest, median",
            "drop-off, median",
            "noise signal, median",
            "AUC of the noise signal, planted against these",
        ),
        (
            (
                _PROMPTS[name],
                f"{group['images']:,}",
                percent(group["called"]),
                f"{group['similarity']:.3f}",
                f"{group['drop']:.3f}",
                f"{statistics.median(signal['means'][name]):.2f}",
                interval(signal["auc"].get(name), digits=3),
            )
            for name, group in copies["groups"].items()
        ),
    )
    yield ""
    yield (
        f"Generating an image in {evidence['steps']} steps with its noise signal takes "
        f"{seconds['make one image, signal recorded']:.2f} s, a verdict {seconds['is it a copy']:.3f} s, alignment "
        f"{seconds['align']:.2f} s and the maps of where two images agree {seconds['where both agree']:.2f} s."
    )
