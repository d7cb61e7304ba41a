"""Verdicts, drop-offs, seeds and scans, by hand and over a small collection; figures and pages drawn from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from attribution_core.add_one_in.metrics import area_under_curve
from attribution_core.analyses.memorization.copies import Threshold
from attribution_core.analyses.memorization.known_prompts import STABLE_DIFFUSION_1, known_prompts
from attribution_core.analyses.memorization.overlays import difference, heat
from attribution_core.analyses.memorization.verdict import Memorization, Verdict, returned
from attribution_core.collection.collection import Collection
from attribution_core.corpus.credit import Credit
from attribution_core.errors import CheckpointError, InvalidImageError, InvalidInputError
from attribution_core.evidence.memorization import FILE, MemorizationEvidence
from attribution_core.figures.memorization import by_step, drop_off, gauge
from attribution_core.generation.noise_signal import NoiseSignal
from attribution_core.generation.recipe import Recipe
from attribution_core.reports.scan import Item, Scan
from tests.support.fakes import copying_collection, fake_collection, shape_image

LIMIT = Threshold(0.8, 0.9, 0.6, "images by hand")
CREDIT = Credit(
    id="a/1",
    short_caption="red <b>circle</b>",
    creator="Ada",
    licence="CC0-1.0",
    link="https://example.org/1",
)


def verdict(*similarity: float, threshold: Threshold | None = LIMIT, first: int = 3) -> Verdict:
    ids = np.arange(first, first + len(similarity), dtype=np.int64)
    return Verdict(ids, np.array(similarity, dtype=np.float32), CREDIT, "pocket-sscd", threshold, 1200)


def test_a_verdict_is_a_sentence_with_threshold_and_precision() -> None:
    copy = verdict(0.95, 0.4, 0.3)
    assert copy.is_copy and copy.copies == 1 and "Most likely a copy" in copy.title
    assert "0.950" in copy.sentence and "from 0.800 on" in copy.sentence
    assert "90% of what was called a copy was one" in copy.how and "60% of all copies" in copy.how
    none = verdict(0.79, 0.4)
    assert none.is_copy is False and "closest of 1,200" in none.sentence
    several = verdict(0.9, 0.85, 0.8, 0.2)
    assert several.copies == 3 and "3 training images at once" in several.title
    assert "need not be a copy of one" in several.sentence


def test_without_a_threshold_there_is_no_verdict() -> None:
    bare = verdict(0.99, 0.4, threshold=None)
    assert bare.is_copy is None and bare.copies == 0
    assert "never measured" in bare.sentence and "No verdict" in bare.how
    assert bare.to_dict()["threshold"] is None


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
    assert told.sentence.startswith("Of 4 seeds, 2 came back as copies of “red <b>circle</b>” by Ada")
    # One copy counts more than two that are only near.
    assert returned([verdict(0.7, first=1), verdict(0.7, first=1), verdict(0.9, first=2)]).position == 2
    none = returned([verdict(0.7, first=1)])
    assert none.copies == 0 and none.sentence.startswith("Of 1 seed none")
    with pytest.raises(InvalidInputError, match="no images"):
        returned([])


def test_a_training_image_is_a_copy_of_itself(tmp_path: Path) -> None:
    checker = Memorization(copying_collection(tmp_path))
    assert checker.is_possible and checker.is_quick
    found = checker.check(shape_image(17))
    assert found.is_copy and found.ids[0] == 17 and found.credit.id == "shape/0017"
    assert found.similarity[0] == pytest.approx(1, abs=1e-3)
    look = checker.look(shape_image(17), 17)
    assert look.alignment.rms == 0 and look.where.similarity == pytest.approx(1, abs=1e-6)
    for wrong in (tmp_path / "none.png", b""):
        with pytest.raises(InvalidImageError):
            checker.check(wrong)  # type: ignore[arg-type]


def test_a_collection_without_a_copy_encoder_says_so(tmp_path: Path) -> None:
    checker = Memorization(fake_collection(tmp_path, 24))
    assert not checker.is_possible and not checker.is_quick
    with pytest.raises(InvalidInputError, match="no encoder that tells copies"):
        checker.check(shape_image(1))


def scan_of(collection: Collection) -> Scan:
    checker = Memorization(collection)
    images = [shape_image(17), Image.new("RGB", (64, 64), "black")]
    items = [
        Item(f"<i>{k}</i>", image, v, Recipe("a <b>prompt</b>", k), NoiseSignal((1.0, 2.0)))
        for k, (image, v) in enumerate(zip(images, checker.check_all(images), strict=True))
    ]
    return Scan.of(items[::-1], collection)


def test_a_scan_lists_the_closest_first_as_json_and_as_html(tmp_path: Path) -> None:
    scan = scan_of(copying_collection(tmp_path))
    told = json.loads(scan.to_json())
    assert [item["title"] for item in told["items"]] == ["<i>0</i>", "<i>1</i>"]
    assert told["copies"] == 1 and told["sentence"].startswith("1 of 2 images is most likely")
    assert told["items"][0]["noise_signal"] == {"mean": 1.5, "steps": [1.0, 2.0]}
    assert told["prompts"][0]["match"] == "shape/0017" and told["how_noise_signal"]
    page = scan.to_html()
    assert "<script" not in page and "<i>" not in page and "a <b>prompt" not in page
    assert "&lt;i&gt;0&lt;/i&gt;" in page and page.count("data:image") == 4
    with pytest.raises(InvalidInputError, match="no image"):
        Scan.of([], scan.corpus_of)


def told_evidence(**changes: Any) -> dict[str, Any]:
    rate = {"value": 0.9, "low": 0.8, "high": 1.0}
    group = {"called": 0.1, "drop": 0.3, "drop_95": 0.2}
    return {
        "generator_sha256": "f" * 64,
        "steps": 2,
        "guidance": 3.5,
        "signal": {
            "means": {"planted": [4.0, 5.0], "training": [1.0, 2.0, 3.0, 4.0], "fresh": [1.0]},
            "steps": {"planted": [1.0, 8.0], "training": [1.0, 2.0], "fresh": [0.5, 1.0]},
            "auc": {"training": rate, "fresh": rate},
        },
        "copies": {
            "made": {"recall": rate, "precision": rate},
            "made and changed": {"recall": rate},
            "groups": {name: group for name in ("planted", "training", "fresh")},
        },
        **changes,
    }


def write_evidence(folder: Path, told: Any) -> Path:
    (folder / FILE).parent.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_text(told if isinstance(told, str) else json.dumps(told))
    return folder


def test_evidence_places_a_signal(tmp_path: Path) -> None:
    assert MemorizationEvidence.open(tmp_path) is None
    found = MemorizationEvidence.open(write_evidence(tmp_path, told_evidence()))
    assert found is not None
    # 4 is above three of four, and as high as the last.
    assert found.signals.above("training", 4.0) == pytest.approx(3.5 / 4)
    assert found.signals.above("planted", 3.0) == 0 and found.signals.above("fresh", 9) == 1
    words = found.signals.sentence(NoiseSignal((3.0, 5.0)))
    assert "signal is 4.00" in words and "88% of images of other training prompts" in words
    assert "90% of cases" in found.how and "2 steps and guidance 3.5" in found.how
    assert "90% are found to be copies" in found.how_copies
    assert found.stands_apart(1, 0.21) and not found.stands_apart(1, 0.2) and not found.stands_apart(2, 0.5)


@pytest.mark.parametrize(
    "told",
    [
        "no json",
        "[]",
        {},
        told_evidence(steps="many"),
        told_evidence(copies={}),
        told_evidence(signal={"means": {}, "steps": {}, "auc": {}}),
        told_evidence(signal=told_evidence()["signal"] | {"means": {"training": []}}),
        told_evidence(signal=told_evidence()["signal"] | {"auc": {"training": 0.9}}),
    ],
)
def test_damaged_evidence_is_said(tmp_path: Path, told: Any) -> None:
    with pytest.raises(CheckpointError, match=r"memorization\.json"):
        MemorizationEvidence.open(write_evidence(tmp_path, told))


def test_figures_show_what_the_results_hold(tmp_path: Path) -> None:
    figure = drop_off(verdict(0.9, 0.85, 0.3, 0.2), ["<a>", "b"])
    copies, others = (
        next(t for t in figure.data if t.name == name) for name in ("close enough for a copy", "others")
    )
    np.testing.assert_allclose(copies.y, [0.9, 0.85], atol=1e-6)
    np.testing.assert_allclose(others.x, [3, 4])
    assert copies.customdata[0] == "&lt;a&gt;"
    texts = [a.text for a in figure.layout.annotations]
    assert "drop-off 0.550" in texts and "a copy from 0.800 on" in texts
    assert [s.y0 for s in figure.layout.shapes] == [0.8]
    assert not drop_off(verdict(0.9, threshold=None)).layout.shapes

    found = MemorizationEvidence.open(write_evidence(tmp_path, told_evidence()))
    assert found is not None
    signal = NoiseSignal((3.0, 5.0))
    rows = gauge(found.signals, signal)
    assert [s.x0 for s in rows.layout.shapes] == [4.0] and not gauge(found.signals, None).layout.shapes
    assert sorted(rows.data[0].x) == [1.0]  # the row of prompts never seen stands lowest
    lines = {t.name: list(t.y) for t in by_step(found.signals, signal).data}
    assert lines["this image"] == [3.0, 5.0] and lines["planted"] == [1.0, 8.0]
    assert [t.name for t in by_step(None, signal).data] == ["this image"]


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


def test_the_area_under_the_curve_counts_pairs() -> None:
    rng = np.random.default_rng(0)
    positive, negative = rng.integers(0, 6, 30), rng.integers(0, 5, 40)
    pairs = positive[:, None] - negative[None]
    expected = (pairs > 0).mean() + 0.5 * (pairs == 0).mean()
    assert area_under_curve(positive, negative) == pytest.approx(expected)
    assert area_under_curve([2.0, 3.0], [1.0]) == 1 and area_under_curve([1.0], [1.0]) == 0.5
    for bad in ([], [np.nan]):
        with pytest.raises(InvalidInputError):
            area_under_curve(bad, [1.0])


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
