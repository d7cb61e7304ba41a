"""Verdicts, drop-offs and seeds, by hand and over a small collection."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from attribution_core.analyses.memorization.known_prompts import STABLE_DIFFUSION_1, known_prompts
from attribution_core.analyses.memorization.overlays import difference, heat
from attribution_core.analyses.memorization.verdict import Memorization, returned
from attribution_core.errors import InvalidImageError, InvalidInputError
from tests.support.fakes import copying_collection, fake_collection, shape_image
from tests.support.verdicts import CREDIT, verdict


def test_a_verdict_counts_the_images_that_reach_the_threshold() -> None:
    assert (verdict(0.95, 0.4, 0.3).is_copy, verdict(0.95, 0.4, 0.3).copies) == (True, 1)
    assert (verdict(0.79, 0.4).is_copy, verdict(0.79, 0.4).copies) == (False, 0)
    assert verdict(0.9, 0.85, 0.8, 0.2).copies == 3, "the threshold itself counts"


def test_without_a_threshold_there_is_no_verdict() -> None:
    bare = verdict(0.99, 0.4, threshold=None)
    assert bare.is_copy is None and bare.copies == 0


@pytest.mark.parametrize(
    ("similarity", "size", "after"),
    [
        ((0.9, 0.4, 0.3), 0.5, 1),
        ((0.9, 0.85, 0.3, 0.2), 0.55, 2),
        ((0.7,), 0.0, 1),
        ((0.5, 0.5, 0.5), 0.0, 1),
        ((*np.linspace(0.9, 0.88, 21), 0.1), 0.001, None),  # the fall to the 22nd is not looked at
    ],
)
def test_the_drop_off_by_hand(similarity: tuple[float, ...], size: float, after: int | None) -> None:
    drop = verdict(*similarity).drop
    assert drop.size == pytest.approx(size, abs=1e-5)
    assert after is None or drop.after == after


def test_what_comes_back_most_often() -> None:
    told = returned(
        [verdict(0.9, first=5), verdict(0.7, first=5), verdict(0.9, first=5), verdict(0.95, first=8)]
    )
    assert (told.images, told.position, told.nearest, told.copies) == (4, 5, 3, 2)
    assert told.credit == CREDIT
    # One copy counts more than two that are only near.
    assert returned([verdict(0.7, first=1), verdict(0.7, first=1), verdict(0.9, first=2)]).position == 2
    none = returned([verdict(0.7, first=1)])
    assert none.copies == 0 and none.nearest == 1
    with pytest.raises(InvalidInputError, match="no images"):
        returned([])


def test_a_training_image_is_a_copy_of_itself(tmp_path: Path) -> None:
    checker = Memorization(copying_collection(tmp_path))
    assert checker.is_possible and checker.is_quick
    found = checker.check(shape_image(17))
    assert found.is_copy and found.ids[0] == 17 and found.credit.id == "shape/0017"
    assert found.similarity[0] == pytest.approx(1, abs=1e-3)
    look = checker.look(shape_image(17), 17)
    assert look.alignment.rms == 0 and look.occlusion.similarity == pytest.approx(1, abs=1e-6)
    for wrong in (tmp_path / "none.png", b""):
        with pytest.raises(InvalidImageError):
            checker.check(wrong)  # type: ignore[arg-type]


def test_a_collection_without_a_copy_encoder_says_so(tmp_path: Path) -> None:
    checker = Memorization(fake_collection(tmp_path, 24))
    assert not checker.is_possible and not checker.is_quick
    with pytest.raises(InvalidInputError, match="no encoder that tells copies"):
        checker.check(shape_image(1))


def test_overlays_are_dark_and_red_where_they_should_be() -> None:
    falls = np.zeros((8, 8))
    falls[0, 0] = 0.4
    made = np.asarray(heat(Image.new("RGB", (50, 30), "white"), falls, 0.4), dtype=int)
    assert made.shape == (320, 320, 3)
    assert made[10, 10, 0] - made[10, 10, 1] > 80 and np.ptp(made[300, 300]) == 0
    faint = np.asarray(heat(Image.new("RGB", (50, 30), "white"), falls / 100, 0.004), dtype=int)
    assert np.ptp(faint[10, 10]) < 20, "noise stays pale"
    apart = np.zeros((64, 64))
    apart[32:, :] = 200
    grey = np.asarray(difference(apart))
    assert grey[10, 10].tolist() == [255] * 3 and grey[310, 10].tolist() == [0] * 3


@pytest.mark.parametrize(
    ("folder", "origin", "known"),
    [
        ("stable-diffusion-v1-4/generator", "", True),
        ("mine/generator", "runwayml/stable-diffusion-v1-5", True),
        ("mine/generator", "stabilityai/stable-diffusion-2-1", False),
        ("pocket/generator", "", False),
    ],
)
def test_documented_prompts_are_those_of_stable_diffusion_1(
    tmp_path: Path, folder: str, origin: str, known: bool
) -> None:
    path = tmp_path / folder
    path.mkdir(parents=True)
    (path / "model_index.json").write_text(json.dumps({"_name_or_path": origin}))
    assert known_prompts(path) == (STABLE_DIFFUSION_1 if known else ())
    assert known_prompts(None) == ()
    assert {p.kind for p in STABLE_DIFFUSION_1} == {"memorized", "control"}
    assert all(p.source and p.prompt for p in STABLE_DIFFUSION_1)
