"""What was damaged on the disk is named when it is opened; what was cut off is ended by the same call."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from attribution_core.attribution.attributor import Attributor
from attribution_core.collection import editions
from attribution_core.collection.build import build_collection
from attribution_core.collection.collection import Collection
from attribution_core.collection.layout import CollectionLayout
from attribution_core.common.cards import read_card, verify_files, write_card
from attribution_core.common.files import is_partial
from attribution_core.errors import (
    AttributionError,
    CheckpointError,
    CollectionMismatchError,
    InvalidInputError,
)
from attribution_core.generation.loading import load_pipeline
from attribution_core.reports.report import make_report
from tests.support.fakes import shape_image

ENCODER = "rgb-thumbnail"
GENERATOR = Path(__file__).resolve().parents[2] / "checkpoints/pocket/generator"


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    (tmp_path / "p").mkdir()
    for k in range(6):
        shape_image(k).save(tmp_path / f"p/{k}.png")
    build_collection(tmp_path / "p", tmp_path / "mine", encoder=ENCODER)
    return tmp_path / "mine"


def _flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place % len(data)] ^= 1 << place % 8
    path.write_bytes(data)


@pytest.mark.parametrize("part", ["corpus", "index", "mappers"])
def test_a_flipped_bit_in_any_part_is_named_when_it_is_opened(mine: Path, part: str) -> None:
    draw = random.Random(part)
    files = [p for p in (mine / part).iterdir() if p.name != "card.json"]
    for file in files:
        for _ in range(5):
            whole = file.read_bytes()
            _flip(file, draw.randrange(len(whole)))
            with pytest.raises(CheckpointError, match=file.name):
                Collection.open(mine)
            file.write_bytes(whole)
    assert len(Collection.open(mine).index) == 6


def test_of_damaged_features_no_other_edition_is_made(mine: Path) -> None:
    _flip(mine / "features/00000.npy", 300)
    with pytest.raises(CheckpointError, match=r"00000\.npy' differs"):
        editions.remove_images(mine, ["0.png"])
    assert len(Collection.open(mine).index) == 6


def test_a_file_is_read_again_when_it_has_changed_and_only_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"x" * 100)
    (tmp_path / "b").write_bytes(b"y")
    write_card(tmp_path, {"files": ["a", "b"]})
    verify_files(tmp_path)
    read: list[object] = []
    monkeypatch.setattr("attribution_core.common.cards.sha256_file", lambda p: read.append(p) or "other")
    verify_files(tmp_path)
    assert read == []
    (tmp_path / "b").write_bytes(b"zz")
    verify_files(tmp_path, lambda name: name == "a")
    with pytest.raises(CheckpointError, match="b' differs"):
        verify_files(tmp_path)


@pytest.mark.parametrize(
    "name", ["tokenizer/tokenizer.json", "scheduler/scheduler_config.json", "unet/config.json"]
)
def test_a_generator_that_lacks_or_changes_a_file_is_not_loaded(tmp_path: Path, name: str) -> None:
    assert name in read_card(GENERATOR)["files"]
    shutil.copytree(GENERATOR, tmp_path / "g")
    _flip(tmp_path / "g" / name, 120)
    with pytest.raises(AttributionError, match=f"{name}' differs"):
        load_pipeline(tmp_path / "g", "mine", "cpu", None)  # type: ignore[arg-type]
    (tmp_path / "g" / name).unlink()
    with pytest.raises(AttributionError, match=f"{name}' is named in card.json but missing"):
        load_pipeline(tmp_path / "g", "mine", "cpu", None)  # type: ignore[arg-type]


@pytest.mark.parametrize("step", ["tidy", "_delete"])
def test_a_removal_that_was_cut_off_is_ended_by_the_same_call(
    mine: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    calls = 0

    def killed(*_: object, **__: object) -> None:
        nonlocal calls
        calls += 1
        if step == "tidy" or calls > 3:  # the first three make room for the next edition
            raise KeyboardInterrupt

    real = editions._delete
    with monkeypatch.context() as cut:
        cut.setattr(editions, step, killed if step == "tidy" else lambda *a: (killed(), real(*a))[0])
        with pytest.raises(KeyboardInterrupt):
            editions.remove_images(mine, ["0.png", "1.png"])
    assert read_card(mine)["edition"] == 2 and (mine / "corpus").exists()
    done = editions.remove_images(mine, ["0.png", "1.png"])
    assert (done.images, len(done.collection.index)) == (2, 4)
    assert not (mine / "corpus").exists() and not CollectionLayout(mine).removing.exists()
    with pytest.raises(InvalidInputError, match=r"has no image '0\.png'"):
        editions.remove_images(mine, ["0.png"])


def test_an_open_collection_notices_that_images_went(mine: Path) -> None:
    opened = Collection.open(mine)
    attributor = Attributor(opened)
    result = attributor.attribute(shape_image(2), top=3, temperature=0.1)
    editions.remove_images(mine, ["0.png"])
    for ask in (
        lambda: attributor.attribute(shape_image(2), top=3, temperature=0.1),
        lambda: make_report(shape_image(2), result, opened, title="x"),
    ):
        with pytest.raises(CollectionMismatchError, match="has changed since it was opened; reload"):
            ask()
    assert len(Attributor(Collection.open(mine)).attribute(shape_image(2), top=3, temperature=0.1)) == 3


def test_halves_of_a_file_are_known() -> None:
    assert is_partial(Path("x/.from_release.0123456789ab.part.json"), "from_release.json")
    assert not is_partial(Path("x/from_release.json"), "from_release.json")
    assert not is_partial(Path("x/.other.0123456789ab.part.json"), "from_release.json")
