"""Images that come to a collection and go: parts that fit, kills at any point, and nothing lost or doubled."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from attribution_core.analyses.memorization.verdict import Memorization
from attribution_core.attribution.attributor import Attributor
from attribution_core.attribution.groups import group
from attribution_core.collection import shards
from attribution_core.collection.build import IndexOptions, SourceOptions, build_collection
from attribution_core.collection.collection import Collection
from attribution_core.collection.editions import remove_images
from attribution_core.collection.layout import CollectionLayout, exclusive
from attribution_core.collection.options import COPY_ENCODER
from attribution_core.corpus.corpus import Corpus
from attribution_core.errors import CheckpointError, InvalidInputError, UnknownNameError
from attribution_core.retrieval import backends
from tests.support.fakes import fake_collection, shape_image

ENCODER = "rgb-thumbnail"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD", 4)


def folder_of(path: Path, seeds: range) -> Path:
    path.mkdir()
    for i in seeds:
        shape_image(i).save(path / f"{i:03d}.png")
    return path


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    build_collection(folder_of(tmp_path / "first", range(10)), tmp_path / "mine", encoder=ENCODER)
    return tmp_path / "mine"


def contents(folder: Path) -> dict[str, bytes]:
    """All files of the parts that hold, under the names that they have in a first edition."""
    parts = CollectionLayout.read(folder).parts
    return {f"{part}/{p.name}": p.read_bytes() for part, place in parts.items() for p in place.iterdir()}


def names(folder: Path) -> set[str]:
    return {p.name for p in folder.iterdir()}


def test_added_images_are_found_and_old_ones_are_not_encoded_again(mine: Path, tmp_path: Path) -> None:
    before = contents(mine)
    more = folder_of(tmp_path / "second", range(10, 17))
    (more / "bad.png").write_bytes(b"")
    report = build_collection(more, mine, add=True)
    assert (report.added, report.known, [s.file for s in report.skipped]) == (7, 0, ["bad.png"])
    after = contents(mine)
    assert all(
        after[name] == data
        for name, data in before.items()
        if not name.startswith("index") and "duplicates" not in name and "card.json" not in name
    )
    collection = Collection.open(mine)
    assert collection.corpus.column("id") == [f"{i:03d}.png" for i in range(17)]
    assert (len(collection.index), collection.card["n_training"], collection.encoder_name) == (
        17,
        17,
        ENCODER,
    )
    for seed in (3, 12):
        found = Attributor(collection).attribute(shape_image(seed), top=1, temperature=0.05)
        assert found.credits[0].id == f"{seed:03d}.png"
    assert names(mine) == {
        "card.json",
        "corpus-2",
        "features-2",
        "index-2",
        "mappers",
        "skipped.json",
        ".lock",
    }


def test_adding_a_folder_again_adds_what_is_new_in_it(mine: Path, tmp_path: Path) -> None:
    again = build_collection(tmp_path / "first", mine, add=True)
    assert (again.added, again.known, len(again.collection.index)) == (0, 10, 10)
    shape_image(40).save(tmp_path / "first/040.png")
    grown = build_collection(tmp_path / "first", mine, add=True)
    assert (grown.added, grown.known, len(grown.collection.index)) == (1, 10, 11)
    other = build_collection(tmp_path / "first", mine, add=True, source=SourceOptions(prefix="other/"))
    assert other.added == 11 and "other/040.png" in other.collection.corpus.column("id")


def test_the_same_as_if_all_had_been_there_at_once(mine: Path, tmp_path: Path) -> None:
    build_collection(folder_of(tmp_path / "second", range(10, 20)), mine, add=True)
    whole = build_collection(
        folder_of(tmp_path / "all", range(20)), tmp_path / "whole", encoder=ENCODER
    ).collection
    grown = Collection.open(mine)
    assert grown.corpus.column("id") == whole.corpus.column("id")
    ours, twin = (Attributor(c).attribute(shape_image(14), temperature=0.05) for c in (grown, whole))
    assert np.array_equal(ours.ids, twin.ids) and np.array_equal(ours.influence, twin.influence)


def test_what_cannot_be_added_to_is_refused(mine: Path, tmp_path: Path) -> None:
    more = folder_of(tmp_path / "second", range(10, 12))
    with pytest.raises(CheckpointError, match="does not exist"):
        build_collection(more, tmp_path / "nowhere", add=True)
    fake_collection(tmp_path / "other", 5)
    with pytest.raises(CheckpointError, match="not made by 'index'"):
        build_collection(more, tmp_path / "other", add=True)
    with pytest.raises(CheckpointError, match=f"was made with encoder '{ENCODER}'; add to it"):
        build_collection(more, mine, encoder="pocket-clip")
    with pytest.raises(CheckpointError, match="holds a collection already.*--add"):
        build_collection(more, mine, encoder=ENCODER)
    with pytest.raises(InvalidInputError, match="expected 0 to 0.5"):
        build_collection(more, mine, encoder=ENCODER, index=IndexOptions(near_duplicates=0.7))
    with pytest.raises(UnknownNameError, match="Flat"):
        build_collection(more, tmp_path / "new", encoder=ENCODER, index=IndexOptions(factory="Flt"))
    collection = Collection.open(mine)
    collection.add_method("twin", encoder=ENCODER, features=np.ones((10, 768), np.float32))
    with pytest.raises(CheckpointError, match=r"more methods \(twin\)"):
        build_collection(more, mine, add=True)
    # Its own images stay, so that what is made of them anew concerns no other method.
    again = build_collection(
        tmp_path / "first", mine, encoder=ENCODER, index=IndexOptions(factory="SQfp16")
    ).collection
    assert (again.index.factory, len(Collection.open(mine, "twin").index)) == ("SQfp16", 10)


def test_the_kind_of_index_follows_from_the_number_of_images(
    mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backends, "EXACT_UP_TO", 12)
    found = [Collection.open(mine).index.factory]
    found.append(
        build_collection(folder_of(tmp_path / "more", range(20, 26)), mine, add=True).collection.index.factory
    )
    remove_images(mine, [f"{i:03d}.png" for i in range(20, 26)])
    found.append(Collection.open(mine).index.factory)
    assert found == ["SQ8x2", "IVF", "SQ8x2"]


def test_removed_images_are_gone_from_every_file(mine: Path) -> None:
    gone = ["001.png", "004.png", "005.png", "006.png", "007.png"]
    done = remove_images(mine, gone)
    kept = [f"{i:03d}.png" for i in range(10) if f"{i:03d}.png" not in gone]
    collection = done.collection
    assert (done.images, collection.corpus.column("id")) == (5, kept)
    assert len(collection.index) == collection.card["n_training"] == 5
    found = Attributor(collection).attribute(shape_image(8), top=5, temperature=0.05)
    assert found.credits[0].id == "008.png"
    assert not [p for p in mine.rglob("*") if p.is_file() and any(g.encode() in p.read_bytes() for g in gone)]
    # The command that made the collection brings nothing back; adding the folder again does.
    assert len(build_collection(mine.parent / "first", mine, encoder=ENCODER).collection.index) == 5
    assert build_collection(mine.parent / "first", mine, add=True).added == 5
    assert sorted(Collection.open(mine).corpus.column("id")) == [f"{i:03d}.png" for i in range(10)]


def test_a_removal_that_cannot_be_done_changes_nothing(mine: Path, tmp_path: Path) -> None:
    before = contents(mine)
    for ids, words in (
        (["000.png", "x", "y"], "no image 'x' and 1 more"),
        ([], "no ids"),
        ([f"{i:03d}.png" for i in range(10)], "all 10 images"),
    ):
        with pytest.raises(InvalidInputError, match=words):
            remove_images(mine, ids)
    with pytest.raises(CheckpointError, match="does not exist"):
        remove_images(tmp_path / "nowhere", ["a"])
    assert contents(mine) == before


def test_images_may_go_while_others_are_half_added(
    mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more, real = folder_of(tmp_path / "second", range(5, 20)), shards.write
    with monkeypatch.context() as patch:

        def write(items: list, *rest: object) -> None:
            if items[0][0] == "014.png":
                raise KeyboardInterrupt
            real(items, *rest)  # type: ignore[arg-type]

        patch.setattr(shards, "write", write)
        with pytest.raises(KeyboardInterrupt):
            build_collection(more, mine, add=True)
    assert len(Collection.open(mine).index) == 10
    # One that comes again with the rest of them, and one that does not.
    remove_images(mine, ["007.png", "002.png"])
    with pytest.raises(CheckpointError, match="begun with other images"):
        build_collection(tmp_path / "first", mine, add=True)
    assert build_collection(more, mine, add=True).added == 11
    left = Collection.open(mine).corpus.column("id")
    assert sorted(left) == [f"{i:03d}.png" for i in range(20) if i != 2]


def test_two_runs_do_not_work_on_one_folder(mine: Path) -> None:
    with exclusive(mine), pytest.raises(CheckpointError, match="another run is at work"):
        remove_images(mine, ["000.png"])
    assert remove_images(mine, ["000.png"]).images == 1


def test_near_duplicates_are_one_work_in_what_is_attributed(tmp_path: Path) -> None:
    images = folder_of(tmp_path / "images", range(8))
    shape_image(5).resize((96, 96)).save(images / "again.png")
    report = build_collection(images, tmp_path / "mine", encoder=ENCODER)
    assert report.repeated == 1
    told = json.loads((tmp_path / "mine/corpus/duplicates.json").read_text())
    assert (told["sets"], told["threshold"]) == ([["005.png", "again.png"]], 0.1)
    assert report.collection.card["near_duplicates"]["works"] == 1
    found = Attributor(report.collection).attribute(shape_image(5), top=5, temperature=0.05)
    work = found.works[0]
    assert {found.credits[p].id for p in work.places} == {"005.png", "again.png"}
    assert work.influence == pytest.approx(float(found.influence[:2].sum()))
    # What counts as one work is decided anew without reading an image.
    (images / "000.png").chmod(0)
    for threshold, sets in ((None, 0), (0.1, 1)):
        again = build_collection(
            images, tmp_path / "mine", encoder=ENCODER, index=IndexOptions(near_duplicates=threshold)
        )
        assert len(set(again.collection.corpus.works.values())) == sets
    removed = remove_images(tmp_path / "mine", ["005.png"]).collection
    assert removed.corpus.works == {}


def test_what_tells_copies_is_named_later_without_reading_an_image_and_stays(
    mine: Path, tmp_path: Path
) -> None:
    first = tmp_path / "first"
    assert not Memorization(Collection.open(mine), "cpu").is_possible
    for options in (IndexOptions(copy_encoder=ENCODER), IndexOptions()):
        collection = build_collection(first, mine, encoder=ENCODER, index=options).collection
        assert collection.card[COPY_ENCODER] == ENCODER
    added = build_collection(folder_of(tmp_path / "more", range(20, 23)), mine, add=True).collection
    assert Memorization(added, "cpu").is_possible
    verdict = Memorization(added, "cpu").check(shape_image(20))
    assert added.corpus.credit(int(verdict.ids[0])).id == "020.png"


def test_a_damaged_list_of_near_duplicates_is_said(mine: Path) -> None:
    (mine / "corpus/duplicates.json").write_text('{"sets": 3}')
    with pytest.raises(CheckpointError, match=r"duplicates\.json' differs from its card"):
        Corpus.open(mine / "corpus")
    (mine / "corpus/card.json").unlink()
    with pytest.raises(CheckpointError, match="near-duplicates"):
        Corpus.open(mine / "corpus").credit(0)


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


def steps(monkeypatch: pytest.MonkeyPatch, stop: int) -> list[int]:
    """Count what is done to files; the step `stop` is the last before which all ends, where it is not negative."""
    count = [0]

    def counted(real: object) -> object:
        def wrapped(*args: object, **options: object) -> object:
            if count[0] == stop:
                raise Killed
            count[0] += 1
            return real(*args, **options)  # type: ignore[operator]

        return wrapped

    for owner, name in (
        (os, "link"),
        (Path, "replace"),
        (Path, "mkdir"),
        (Path, "unlink"),
        (os, "unlink"),
        (os, "rmdir"),
    ):
        monkeypatch.setattr(owner, name, counted(getattr(owner, name)))
    return count


def change(mine: Path, which: str) -> None:
    if which == "add":
        build_collection(mine.parent / "second", mine, add=True)
    else:
        remove_images(mine, ["001.png", "009.png"])


@pytest.mark.parametrize("which", ["add", "remove"])
def test_cut_off_before_any_step_the_collection_is_whole_and_the_same_call_ends_it(
    which: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = folder_of(tmp_path / "first", range(10)), folder_of(tmp_path / "second", range(10, 16))
    build_collection(first, tmp_path / "twin", encoder=ENCODER)
    before = Collection.open(tmp_path / "twin").corpus.column("id")
    with monkeypatch.context() as patch:
        count = steps(patch, -1)
        change(tmp_path / "twin", which)
    after, total = Collection.open(tmp_path / "twin").corpus.column("id"), count[0]
    assert total > 20
    for stop in range(0, total, 5):
        mine = tmp_path / f"mine-{stop}"
        build_collection(first, mine, encoder=ENCODER)
        with monkeypatch.context() as patch:
            steps(patch, stop)
            with pytest.raises(Killed):
                change(mine, which)
        left = Collection.open(mine)
        assert left.corpus.column("id") in (before, after)
        features = np.concatenate([np.load(p) for p in sorted(left.layout.features.glob("[0-9]*[0-9].npy"))])
        assert len(left.index) == len(features) == len(left.corpus)
        if which == "add" or left.corpus.column("id") == before:
            change(mine, which)
        assert Collection.open(mine).corpus.column("id") == after
        if which == "add":
            assert contents(mine) == contents(tmp_path / "twin")
            assert names(mine) == names(tmp_path / "twin")


CHILD = """
import sys
from attribution_core.collection import shards
from attribution_core.collection.build import IndexOptions, SourceOptions, build_collection
shards.SHARD = 4
print("begun", flush=True)
build_collection(sys.argv[1], sys.argv[2], encoder="rgb-thumbnail", add=sys.argv[3] == "add")
"""


def child(source: Path, out: Path, mode: str, wait: float) -> bool:
    """Whether it came to its end before it was killed, `wait` seconds after it began."""
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(source), str(out), mode],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stdout.readline() == b"begun\n"
    started = time.monotonic()
    while process.poll() is None and time.monotonic() - started < wait:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return process.returncode == 0


def killed_until_done(source: Path, out: Path, mode: str, waits: Iterator[float]) -> int:
    kills = 0
    while not child(source, out, mode, next(waits)):
        kills += 1
    return kills


@pytest.mark.slow
def test_killed_at_random_it_ends_byte_for_byte_as_if_it_had_not_been(tmp_path: Path) -> None:
    rng = random.Random(11)
    first, more = folder_of(tmp_path / "first", range(120)), folder_of(tmp_path / "second", range(120, 240))
    (first / "bad.png").write_bytes(b"x")
    # Longer from kill to kill: on a busy machine even the last step takes longer than any wait of the first.
    waits = (rng.uniform(0.1, 0.8) * 1.05**k for k in count())
    assert killed_until_done(first, tmp_path / "mine", "new", waits) >= 1
    build_collection(first, tmp_path / "twin", encoder=ENCODER)
    assert contents(tmp_path / "mine") == contents(tmp_path / "twin")
    killed_until_done(more, tmp_path / "mine", "add", waits)
    build_collection(more, tmp_path / "twin", add=True)
    assert contents(tmp_path / "mine") == contents(tmp_path / "twin")
    assert (tmp_path / "mine/card.json").read_bytes() == (tmp_path / "twin/card.json").read_bytes()
    assert Collection.open(tmp_path / "mine").corpus.column("id") == [f"{i:03d}.png" for i in range(240)]


def test_a_work_is_credited_once_and_says_where_its_copies_differ(tmp_path: Path) -> None:
    images = folder_of(tmp_path / "images", range(6))
    for name in ("a-repost", "z-copy"):
        shape_image(5).resize((96, 96)).save(images / f"{name}.png")
    (tmp_path / "who.csv").write_text(
        "file,creator\n000.png,Ada\n005.png,\na-repost.png,Shop\nz-copy.png,Ben\n"
    )
    collection = build_collection(
        images, tmp_path / "mine", encoder=ENCODER, source=SourceOptions(metadata=tmp_path / "who.csv")
    ).collection
    found = Attributor(collection).attribute(shape_image(5), temperature=0.05)
    sums = {g.name: g for g in group(found, collection.corpus, "creator").groups}
    assert set(sums) == {"Ada", "Ben or Shop", "not stated"}
    assert sums["Ben or Shop"].influence == pytest.approx(found.work_of(0).influence)
    assert (sums["Ben or Shop"].listed, sums["Ben or Shop"].works, sums["Ben or Shop"].images) == (3, 1, 3)
    assert (sums["not stated"].works, sums["not stated"].images) == (4, 4)
