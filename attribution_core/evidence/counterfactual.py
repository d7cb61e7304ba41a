"""Measurements of what leaving training images out does, beside what methods say of these images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from attribution_core.collection.layout import CollectionLayout
from attribution_core.common.estimates import Estimate
from attribution_core.common.images import read_image
from attribution_core.common.json_text import read_json
from attribution_core.errors import CheckpointError, InvalidImageError, unknown_name

FILE = "counterfactual.json"
SIDE = 128
"""Of each picture on a sheet, in pixels."""


def sheet(style: str) -> str:
    """The file, beside `FILE`, of what is drawn with and without a style."""
    return f"without/{style.replace(' ', '-')}.webp"


@dataclass(frozen=True)
class Judged:
    """What the losses of models without some training images say of a method.

    lds: the mean rank correlation of predicted and actual losses. right: how often the style that the method credits
    is the one whose absence raises the loss most. rise: of the loss without the credited style, relative to the loss
    of the model that saw everything. others: the same without another style.
    """

    method: str
    setting: str
    lds: Estimate
    right: Estimate
    rise: Estimate
    others: Estimate

    @property
    def name(self) -> str:
        """The method with its setting."""
        return f"{self.method}: {self.setting}" if self.setting else self.method


@dataclass(frozen=True)
class Asked:
    """All methods on one kind of query.

    halves: models that the score is judged on. chance: how often guessing gives the right style. ceiling: what the
    score of a perfect method would be, as losses depend on chance in training too; None if not measured.
    """

    queries: int
    halves: int
    chance: float
    ceiling: Estimate | None
    methods: tuple[Judged, ...]

    @property
    def ranked(self) -> list[Judged]:
        """The methods, those with the highest score first."""
        return sorted(self.methods, key=lambda row: -row.lds.value)

    def of(self, method: str, setting: str) -> Judged | None:
        """Return what was found for a method and setting, None if it was not measured."""
        return next((row for row in self.methods if (row.method, row.setting) == (method, setting)), None)


@dataclass(frozen=True)
class CounterfactualEvidence:
    """The measurements of one collection.

    training: images. prompts: of what `pairs` returns, by style. made, held_out: images of the model that saw all
    training images, and real drawings.
    """

    training: int
    models: int
    date: str
    prompts: Mapping[str, tuple[str, ...]]
    made: Asked
    held_out: Asked
    folder: Path = field(repr=False)

    @classmethod
    def open(cls, collection: Path) -> CounterfactualEvidence | None:
        """Read them from a collection's folder; None if it has none. Raises `CheckpointError` if they are damaged."""
        path = CollectionLayout(collection).evidence(FILE)
        if not path.exists():
            return None
        try:
            stored = read_json(path)
            prompts = {str(style): tuple(map(str, said)) for style, said in stored["prompts"].items()}
            made, held_out = (_asked(stored[name], len(prompts)) for name in ("made", "held_out"))
            training, models = int(stored["training"]), int(stored["models"])
            return cls(training, models, str(stored["date"]), prompts, made, held_out, path.parent)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError) as error:
            raise CheckpointError(
                f"'{path}' cannot be read ({error!r}); run `python -m pocket.counterfactual report` again."
            ) from error

    def pairs(self, style: str) -> list[tuple[str, Image.Image, Image.Image]]:
        """Return prompts, and what was drawn for each with and without the style's drawings in the training set.

        Raises `UnknownNameError` for another style, `CheckpointError` if the file cannot be read.
        """
        if style not in self.prompts:
            raise unknown_name("style", style, self.prompts)
        path = self.folder / sheet(style)
        try:
            whole = read_image(path)
        except InvalidImageError as error:
            raise CheckpointError(f"'{path}' cannot be read: {error}") from error
        prompts = self.prompts[style]
        if whole.size != (SIDE * len(prompts), 2 * SIDE):
            raise CheckpointError(
                f"'{path}' does not fit its {len(prompts)} prompts; run `python -m pocket.counterfactual report` again."
            )
        rows = (
            [whole.crop((x, y, x + SIDE, y + SIDE)) for x in range(0, whole.width, SIDE)] for y in (0, SIDE)
        )
        return list(zip(prompts, *rows, strict=True))


def _asked(stored: Mapping[str, Any], styles: int) -> Asked:
    return Asked(
        int(stored["queries"]),
        int(stored["halves"]),
        1 / styles,
        _estimate(stored["ceiling"]) if stored["ceiling"] else None,
        tuple(_judged(row) for row in stored["methods"]),
    )


def _judged(row: Mapping[str, Any]) -> Judged:
    style = row["style"]
    return Judged(
        str(row["method"]),
        str(row["setting"]),
        *(_estimate(e) for e in (row["lds"], style["right"], style["rise"], style["of_others"])),
    )


def _estimate(stored: Mapping[str, Any]) -> Estimate:
    return Estimate(*(float(stored[name]) for name in ("value", "low", "high")))
