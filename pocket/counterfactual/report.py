"""What the losses of models say of each method's scores, and what models draw that lack a style."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderTiny
from numpy.typing import NDArray
from PIL import Image

from attribution_core.evidence.counterfactual import SIDE
from pocket.counterfactual.groups import group_test
from pocket.counterfactual.lds import Floats, estimate, lds, predicted
from pocket.counterfactual.made import pixels, prompted
from pocket.counterfactual.models import RECIPE
from pocket.counterfactual.plan import STYLES, Plan

ASKED = ("made", "held_out")
"""Queries: images that the full model makes, and drawings of concepts that no model sees."""
CHOSEN_ON = 4
"""One of so many halves serves to choose settings; the others judge them."""
OWN = "the prompt's own drawing, alone"
"""What a model that repeats a drawing owes to it, as a method; of images that were made alone."""
Arrays = Mapping[str, NDArray[Any]]


def table(
    plan: Plan, captions: Sequence[str], measured: Mapping[str, Arrays], scored: Mapping[str, Arrays]
) -> dict[str, Any]:
    """Return all comparisons.

    captions: of all images of the corpus. measured: losses, by model. scored: tables by query and setting, by method.
    """
    asked_for = plan.rows[prompted(plan)]
    found: dict[str, Any] = {
        "training": len(plan.rows),
        "prompts": {
            style: [captions[row] for row in rows]
            for style, rows in zip(STYLES, np.split(asked_for, len(STYLES)), strict=True)
        },
        "models": len(measured),
        "samples": RECIPE.samples,
        "date": datetime.now(UTC).date().isoformat(),
    }
    own = np.zeros((len(asked_for), len(plan.rows)))
    own[np.arange(len(own)), prompted(plan)] = 1.0
    scored = {**scored, OWN: {"made ": own}}
    for asked in ASKED:
        losses = Losses(plan, {name: one[asked].mean(axis=1) for name, one in measured.items()})
        rows = []
        for method, tables in scored.items():
            settings = {
                key.removeprefix(asked).strip(): tables[key].astype(np.float64)
                for key in tables
                if key.startswith(asked)
            }
            # A name such as "damping 0.1" is a value of a free setting.
            tuned = {name: scores for name, scores in settings.items() if " " in name}
            others = [{name: scores} for name, scores in settings.items() if name not in tuned]
            for alike in [tuned] * bool(tuned) + others:
                rows.append({"method": method, **losses.judged(alike)})
        found[asked] = {
            "queries": len(measured["full"][asked]),
            "halves": len(losses.judges),
            "ceiling": losses.ceiling(),
            "methods": rows,
        }
    return found


class Losses:
    """The losses of queries under all models that are there."""

    def __init__(self, plan: Plan, loss: Mapping[str, Floats]) -> None:
        """loss: (q,) of each query, by the model's name."""
        self._loss = loss
        self._kept = {run.name: run.kept for run in plan.runs()}
        self._styles = [f"without-{style.replace(' ', '-')}" for style in STYLES]
        halves = [name for name in loss if name.startswith("half") and not name.endswith("again")]
        self.judges = [name for k, name in enumerate(halves) if k % CHOSEN_ON]
        self._choosers = halves[::CHOSEN_ON]

    def ceiling(self) -> dict[str, float] | None:
        """Return what two seeds of the same halves agree in, None with fewer than three such pairs."""
        twice = [name for name in self._loss if f"{name}-again" in self._loss and name.startswith("half")]
        if len(twice) < 3:
            return None
        return asdict(estimate(self._of(twice), self._of([f"{name}-again" for name in twice])))

    def judged(self, settings: Mapping[str, Floats]) -> dict[str, Any]:
        """Choose the setting that is best on some halves, and compare its scores with all other models.

        settings: scores (q, n) by setting.
        """
        kept = self._seen(self._choosers)
        chosen = max(settings, key=lambda name: lds(settings[name], kept, self._of(self._choosers)).mean())
        scores = settings[chosen]
        without = np.stack([~self._kept[name] for name in self._styles])
        return {
            "setting": chosen,
            "lds": asdict(estimate(predicted(scores, self._seen(self.judges)), self._of(self.judges))),
            "style": asdict(group_test(scores, without, self._loss["full"], self._of(self._styles))),
        }

    def _of(self, names: list[str]) -> Floats:
        return np.stack([self._loss[name] for name in names], axis=1)

    def _seen(self, names: list[str]) -> NDArray[np.bool_]:
        return np.stack([self._kept[name] for name in names])


def sheets(
    plan: Plan, measured: Mapping[str, Arrays], vae: AutoencoderTiny
) -> Iterator[tuple[str, Image.Image]]:
    """Yield for each style what the full model draws of it, and below it what the model without that style draws."""
    style_of = plan.styles[prompted(plan)]
    for style in STYLES:
        rows = np.flatnonzero(style_of == style)
        names = ("full", f"without-{style.replace(' ', '-')}")
        sheet = Image.new("RGB", (SIDE * len(rows), SIDE * len(names)), "white")
        for y, name in enumerate(names):
            drawn = torch.from_numpy(measured[name]["drawn"][rows]).float()
            for x, picture in enumerate(pixels(vae, drawn)):
                sheet.paste(picture.resize((SIDE, SIDE)), (SIDE * x, SIDE * y))
        yield style, sheet
