"""The recipe that measures what a generator memorized: its pieces by hand, and all of it on a tiny collection."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from attribution_core.collection.layout import CollectionLayout
from attribution_core.corpus.corpus import Corpus
from attribution_core.evidence.memorization import FILE, MemorizationEvidence
from pocket.evidence import memorization
from pocket.evidence.memorization import Settings, curve_area, found, judged, right_copies
from tests.support.fakes import copying_collection, shape_rows
from tests.support.tiny_pipeline import make_pocket_like
from tests.support.verdicts import verdict


def test_a_right_copy_is_called_one_and_names_its_source() -> None:
    verdicts = [verdict(0.9, first=5), verdict(0.9, first=5), verdict(0.7, first=5)]
    assert right_copies(verdicts, np.array([5, 6, 5])).tolist() == [True, False, False]


def test_precision_and_recall_by_hand() -> None:
    right, wrong = np.array([True, True, False, False]), np.array([True, False])
    told = found(right, wrong, np.array([0, 0, 1, 1]), np.array([0, 1]))
    assert (told["copies"], told["no copies"]) == (4, 2)
    assert told["recall"]["value"] == 0.5 and told["precision"]["value"] == pytest.approx(2 / 3, abs=1e-4)
    # One image gave both right answers and the other none: drawn again, all or nothing.
    assert (told["recall"]["low"], told["recall"]["high"]) == (0, 1)
    nothing = found(np.array([False]), np.array([False]), np.array([0]), np.array([0]))
    assert nothing["precision"] is None and nothing["recall"]["value"] == 0


def test_each_change_is_told_apart() -> None:
    copies = {"a": [verdict(0.9, first=5)], "b": [verdict(0.7, first=5)]}
    rest = {"a": [verdict(0.9, first=1)], "b": [verdict(0.2, first=1)]}
    told = judged(copies, rest, np.array([5]), np.array([0]), np.array([0]))
    assert told["by_change"] == {
        "a": {"recall": 1.0, "false alarms": 1.0},
        "b": {"recall": 0.0, "false alarms": 0.0},
    }
    assert told["recall"]["value"] == told["precision"]["value"] == 0.5


def test_the_area_is_drawn_over_prompts() -> None:
    told = curve_area(np.array([[3.0, 3.0], [1.0, 1.0]]), np.array([[2.0, 2.0], [2.0, 2.0]]), draws=500)
    assert told.value == 0.5 and (told.low, told.high) == (0, 1)
    sure = curve_area(np.array([[5.0]]), np.array([[1.0]]), draws=10)
    assert (sure.value, sure.low, sure.high) == (1, 1, 1)


def test_the_whole_recipe_on_a_tiny_collection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = shape_rows(24)
    for k, row in enumerate(rows):
        row["planted"] = "planted" if k < 3 else "control" if k < 6 else ""
        row["short_caption"] = f"red cat {k}"
    collection = copying_collection(tmp_path, 24)
    Corpus.write(tmp_path / "corpus/train-core.parquet", rows)
    fresh = [
        row | {"short_caption": f"blue dog {k}" if k else "red cat 1"} for k, row in enumerate(shape_rows(6))
    ]
    Corpus.write(tmp_path / "corpus/exemplars-core.parquet", fresh)
    make_pocket_like(tmp_path / "generator")
    monkeypatch.setattr(memorization, "DRAWS", 20)
    said: list[str] = []
    monkeypatch.setattr(memorization, "say", said.append)
    settings = Settings(others=4, seeds=(1, 2), changed=4, batch=4)
    prompts = {
        name: (asked, sources)
        for name, asked, sources in memorization.asked(
            Corpus.open(tmp_path / "corpus"), Corpus.open(tmp_path / "corpus", split="exemplars"), settings
        )
    }
    assert prompts["planted"] == ([f"red cat {k}" for k in range(3)], [0, 1, 2])
    assert set(prompts["training"][1]) <= set(range(6, 24)) and "red cat 1" not in prompts["fresh"][0]

    monkeypatch.setattr(memorization, "Settings", lambda: settings)
    memorization.main(tmp_path)
    told = json.loads(CollectionLayout(tmp_path).evidence(FILE).read_text())
    read = MemorizationEvidence.open(collection.path)
    assert (
        read is not None and len(read.signals.means["planted"]) == 6 and len(read.signals.means["fresh"]) == 8
    )
    assert (
        told["copies"]["made"]["copies"] == 6 and told["copies"]["training images, changed"]["copies"] == 40
    )
    assert told["copies"]["training images, changed"]["by_change"]["none"]["recall"] == 1
    assert told["copy_encoder"] == "rgb-thumbnail" and len(told["generator_sha256"]) == 64
    assert read.copies.recall == told["copies"]["made"]["recall"]["value"]
    assert set(read.copies.groups) == set(told["copies"]["groups"])
