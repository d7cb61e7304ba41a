"""The stored drawing that was learned from: read as written, and refused where it is damaged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from attribution_core.collection.layout import CollectionLayout
from attribution_core.common.cards import write_card
from attribution_core.errors import CheckpointError
from attribution_core.evidence.learned import DRAWING, FOLDER, LearnedDrawing, picture_names
from tests.support.fakes import shape_image


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = CollectionLayout(tmp_path).evidence(FOLDER)
    folder.mkdir(parents=True)
    names = [DRAWING, *picture_names(1), *picture_names(2)]
    for seed, name in enumerate(names):
        shape_image(seed).save(folder / name)
    pairs = [{"prompt": f"p{k}", "rank_without": 300 + k, "rank_learned": k} for k in (1, 2)]
    card = {"title": "whale", "creator": "Ada", "licence": "MIT", "link": "", "steps": 125, "candidates": 400}
    write_card(folder, {**card, "pairs": pairs, "files": names})
    return folder


def test_it_is_read_as_it_was_written(folder: Path, tmp_path: Path) -> None:
    known = LearnedDrawing.open(tmp_path)
    assert known is not None and (known.title, known.steps, known.candidates) == ("whale", 125, 400)
    assert [(p.prompt, p.rank_without, p.rank_learned) for p in known.pairs] == [
        ("p1", 301, 1),
        ("p2", 302, 2),
    ]
    assert known.image.tobytes() == shape_image(0).tobytes()
    assert known.pairs[1].without.tobytes() == shape_image(3).tobytes()
    assert known.pairs[1].learned.tobytes() == shape_image(4).tobytes()
    assert LearnedDrawing.open(tmp_path / "none") is None


@pytest.mark.parametrize(
    ("key", "value", "match"),
    [
        ("pairs", [], "pairs"),
        ("steps", "many", "steps"),
        ("files", {}, "does not list"),
        ("title", None, "title"),
    ],
)
def test_a_damaged_card_is_one_sentence(
    folder: Path, tmp_path: Path, key: str, value: object, match: str
) -> None:
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps({**card, key: value}))
    with pytest.raises(CheckpointError, match=match):
        LearnedDrawing.open(tmp_path)


def test_another_picture_is_refused(folder: Path, tmp_path: Path) -> None:
    shape_image(99).save(folder / "1-learned.png")
    with pytest.raises(CheckpointError, match="1-learned"):
        LearnedDrawing.open(tmp_path)
