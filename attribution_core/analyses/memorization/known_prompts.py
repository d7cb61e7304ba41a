"""Prompts for which Stable Diffusion 1.x is known to reproduce training images, and controls."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from attribution_core.common.json_text import read_json


@dataclass(frozen=True)
class KnownPrompt:
    """kind: "memorized" or "control". source: who documented it."""

    prompt: str
    kind: str
    source: str


_CARLINI = "Carlini et al., USENIX Security 2023"
_WEBSTER = "Webster, arXiv 2305.08694, 2023"
STABLE_DIFFUSION_1: tuple[KnownPrompt, ...] = (
    KnownPrompt("Living in the Light with Ann Graham Lotz", "memorized", _CARLINI),
    KnownPrompt("Mothers influence on her young hippo", "memorized", _WEBSTER),
    KnownPrompt("Rambo 5 und Rocky Spin-Off - Sylvester Stallone gibt Updates", "memorized", _WEBSTER),
    KnownPrompt("Galaxy Women's Leather Boots", "memorized", _WEBSTER),
    KnownPrompt(
        "Full body U-Zip main opening - Full body U-Zip main opening on front of bag for easy unloading when "
        "you get to camp",
        "memorized",
        _WEBSTER,
    ),
    KnownPrompt("a watercolour of a lighthouse on a green hill", "control", "written for comparison"),
    KnownPrompt("a wooden toy train on a kitchen table", "control", "written for comparison"),
    KnownPrompt("an old bicycle leaning on a yellow wall", "control", "written for comparison"),
)
_NAMES = re.compile(r"stable[-_ ]?diffusion[-_ ]?v?-?1[-_.]?[1-5]|\bsd[-_]?v?1[-_.]?[1-5]\b", re.IGNORECASE)


def known_prompts(folder: Path | None) -> tuple[KnownPrompt, ...]:
    """Documented prompts of a diffusers folder, by its path and by what its `model_index.json` says it came from.

    Empty where none are known, and without a folder.
    """
    if folder is None:
        return ()
    try:
        origin = read_json(folder / "model_index.json").get("_name_or_path", "")
    except (OSError, ValueError, AttributeError):  # the generator itself will say what is wrong with it
        origin = ""
    return STABLE_DIFFUSION_1 if _NAMES.search(f"{'/'.join(folder.parts[-2:])} {origin}") else ()
