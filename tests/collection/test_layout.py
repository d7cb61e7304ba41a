"""Paths of a collection's parts, and that no other module spells them out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from attribution_core.collection.layout import CollectionLayout, exclusive, needed_to_attribute
from attribution_core.common.cards import write_card
from attribution_core.errors import CheckpointError

ROOT = Path(__file__).resolve().parents[2]
_PARTS = "corpus features index mappers calibrator methods examples evidence benchmark generator building"
_PART = re.compile(rf"""/ f?["']({_PARTS.replace(" ", "|")})["'/]""")


def test_a_collection_without_a_card_is_a_first_edition(tmp_path: Path) -> None:
    layout = CollectionLayout(tmp_path)
    assert layout.parts == {part: tmp_path / part for part in ("corpus", "features", "index")}
    assert layout.index() == layout.index("own") == tmp_path / "index"
    assert layout.methods == ("own",)
    assert list(layout.outdated()) == []


def test_the_card_tells_the_edition_and_the_own_method(tmp_path: Path) -> None:
    write_card(tmp_path, {"edition": 3, "method": "clip, linear"})
    for name in ("b", "a"):
        write_card(tmp_path / "methods" / name, {"encoder": "x"})
    layout = CollectionLayout.read(str(tmp_path))
    assert layout.methods == ("clip, linear", "a", "b")
    assert layout.corpus == tmp_path / "corpus-3"
    assert layout.index() == layout.index("clip, linear") == tmp_path / "index-3"
    assert layout.index("a") == tmp_path / "methods/a/index", "editions are the own method's"
    assert layout.mappers() == tmp_path / "mappers"
    assert layout.calibrator("b") == tmp_path / "methods/b/calibrator"


def test_outdated_editions_are_those_that_the_card_does_not_name(tmp_path: Path) -> None:
    for name in ("corpus", "corpus-2", "corpus-3", "index-4", "index-notes"):
        (tmp_path / name).mkdir()
    write_card(tmp_path, {"edition": 3})
    assert {(part, path.name) for part, path in CollectionLayout.read(tmp_path).outdated()} == {
        ("corpus", "corpus"),
        ("corpus", "corpus-2"),
        ("features", "features"),
        ("index", "index"),
        ("index", "index-4"),
    }


def test_a_folder_without_a_card_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"has no card\.json"):
        CollectionLayout.read(tmp_path)


@pytest.mark.parametrize(
    "change",
    [{"edition": 0}, {"edition": "../x"}, {"method": 3}, {"encoder": None}, {"near_duplicates": 0.1}],
)
def test_a_card_with_wrong_values_cannot_be_read(tmp_path: Path, change: dict[str, object]) -> None:
    write_card(tmp_path, {"name": "mine", "encoder": "x", "edition": 2, **change})
    with pytest.raises(CheckpointError, match=f"has {next(iter(change))}"):
        CollectionLayout.read(tmp_path)


def test_only_one_run_holds_the_lock(tmp_path: Path) -> None:
    with exclusive(tmp_path / "new"), pytest.raises(CheckpointError, match="another run is at work"):
        with exclusive(tmp_path / "new"):
            pass
    with exclusive(tmp_path / "new"):
        pass


@pytest.mark.parametrize(
    ("path", "needed"),
    [
        ("card.json", True),
        ("index-2/index.faiss", True),
        ("features-2/00000.npy", False),
        ("building/plan.json", False),
        (".lock", False),
    ],
)
def test_what_only_helps_to_build_is_not_needed_to_attribute(path: str, needed: bool) -> None:
    assert needed_to_attribute(Path(path)) == needed


def test_no_other_module_spells_out_where_a_part_lies() -> None:
    """Except the bundled generator, which lower layers open by name, and a folder outside of a collection."""
    found = {
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for folder in ("attribution_core", "ui", "deploy", "pocket", "benchmarks", "examples", "tools")
        for path in (ROOT / folder).rglob("*.py")
        if path.name != "layout.py"
        for line in path.read_text(encoding="utf-8").splitlines()
        if _PART.search(line)
    }
    assert found == {
        'attribution_core/encoding/text.py: generator = Path(states) if states else shipped("pocket") / "generator"',
        'attribution_core/generation/generator.py: path = shipped("pocket") / "generator"',
        "examples/calibrate_on_tuned_models.py: "
        'OUT = Path(tempfile.mkdtemp(prefix="attribution-example-")) / "calibrator"',
    }
