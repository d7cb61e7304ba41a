"""Collections of a person's own images: bad files listed, odd ones read right, kills survived."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from attribution_core.attribution.attributor import Attributor
from attribution_core.collection import borrowed_calibrator, shards
from attribution_core.collection.build import ENCODING, SourceOptions, build_collection
from attribution_core.collection.collection import Collection
from attribution_core.common.cards import read_card, write_card
from attribution_core.common.progress import Progress
from attribution_core.errors import CheckpointError, InvalidInputError, NotFittedError
from attribution_core.mapping.heads import Head, MapperKind
from attribution_core.mapping.pair import MapperPair
from attribution_core.scoring.calibrator import USUAL_TEMPERATURE, Calibrator
from tests.support.fakes import shape_image, webp
from tests.support.images import bomb

ENCODER = "rgb-thumbnail"


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD", 4)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "my photos"
    (folder / "deep").mkdir(parents=True)
    for i in range(9):
        shape_image(i).save(folder / ("deep" if i % 2 else ".") / f"shape_{i}.png")
    return folder


def test_a_folder_becomes_a_collection_that_finds_its_images(photos: Path, tmp_path: Path) -> None:
    seen: list[Progress] = []
    report = build_collection(photos, tmp_path / "out", encoder=ENCODER, on_progress=seen.append)
    assert report.skipped == ()
    assert [(p.done, p.total) for p in seen if p.stage == ENCODING] == [(4, 9), (8, 9), (9, 9)]
    assert (seen[-1].stage, seen[-1].done, seen[-1].total) == ("indexing", 9, 9)
    collection = Collection.open(tmp_path / "out")
    assert collection.name == "my photos"
    result = Attributor(collection).attribute(shape_image(5), top=1, temperature=0.05)
    credit = result.credits[0]
    assert credit.id == "deep/shape_5.png"
    assert (credit.caption, credit.width, credit.height) == ("shape 5", 64, 64)
    assert credit.link == "", "a path of this machine is nobody's address"


def test_bad_files_are_skipped_and_listed(photos: Path, tmp_path: Path) -> None:
    (photos / "empty.png").write_bytes(b"")
    (photos / "text.jpg").write_text("not a picture")
    (photos / "cut.png").write_bytes(webp(Image.effect_noise((64, 64), 50).convert("RGB"))[:200])
    (photos / "bomb.png").write_bytes(bomb(12_000))
    (photos / "notes.txt").write_text("no image suffix: not an image at all, not listed")
    report = build_collection(photos, tmp_path / "out", encoder=ENCODER)
    assert sorted(s.file for s in report.skipped) == ["bomb.png", "cut.png", "empty.png", "text.jpg"]
    reasons = {s.file: s.reason for s in report.skipped}
    assert "megapixels" in reasons["bomb.png"]
    assert "empty file" in reasons["empty.png"]
    assert json.loads((tmp_path / "out/skipped.json").read_text()) == [vars(s) for s in report.skipped]
    assert len(report.collection.index) == 9


def test_odd_but_good_files_are_read_as_they_look(tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    red = Image.new("RGB", (40, 20), (220, 20, 20))
    red.convert("CMYK").save(folder / "cmyk.jpg")
    red.convert("P", palette=Image.Palette.ADAPTIVE).save(folder / "palette.gif")
    exif = Image.Exif()
    exif[0x0112] = 6
    red.save(folder / "turned.jpg", exif=exif)
    Image.fromarray(np.full((20, 40), 40_000, np.uint16)).save(folder / "deep.png")
    red.save(folder / "moving.webp", save_all=True, append_images=[Image.new("RGB", (40, 20), "blue")])
    report = build_collection(folder, tmp_path / "out", encoder=ENCODER)
    corpus = report.collection.corpus
    by_name = {corpus.credit(i).id: i for i in range(len(corpus))}
    assert report.skipped == ()
    for name in ("cmyk.jpg", "palette.gif", "turned.jpg", "moving.webp"):
        pixel = np.asarray(corpus.image(by_name[name]), int).mean((0, 1))
        assert np.abs(pixel - [220, 20, 20]).max() < 12, name
    assert corpus.credit(by_name["turned.jpg"]).height == 40
    assert np.asarray(corpus.image(by_name["deep.png"]), int).mean() == pytest.approx(40_000 / 257, abs=3)


def test_metadata_is_joined_by_file(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "who.csv").write_text(
        "file,creator,licence,caption,mood\nshape_0.png,Ada,CC0,a circle,glad\n"
    )
    report = build_collection(
        photos, tmp_path / "out", encoder=ENCODER, source=SourceOptions(metadata=tmp_path / "who.csv")
    )
    corpus = report.collection.corpus
    known = corpus.credit(corpus.column("id").index("shape_0.png"))
    other = corpus.credit(corpus.column("id").index("shape_2.png"))
    assert (known.creator, known.licence, known.caption) == ("Ada", "CC0", "a circle")
    assert (other.creator, other.caption) == ("", "shape 2")
    (tmp_path / "bad.csv").write_text("name,creator\nx,y\n")
    with pytest.raises(InvalidInputError, match="no column 'file'"):
        build_collection(
            photos, tmp_path / "out2", encoder=ENCODER, source=SourceOptions(metadata=tmp_path / "bad.csv")
        )


def test_a_parquet_file_of_images_works_too(tmp_path: Path) -> None:
    rows = {
        "id": ["a", "b", "c"],
        "caption": ["one", "two", None],
        "image": [
            {"bytes": webp(shape_image(0)), "path": ""},
            {"bytes": b"junk", "path": ""},
            {"bytes": webp(shape_image(2)), "path": ""},
        ],
    }
    pq.write_table(pa.table(rows), tmp_path / "set.parquet")
    report = build_collection(tmp_path / "set.parquet", tmp_path / "out", encoder=ENCODER)
    assert [s.file for s in report.skipped] == ["b"]
    assert report.collection.corpus.column("caption") == ["one", ""]


def test_sources_that_are_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    with pytest.raises(InvalidInputError, match="holds no images"):
        build_collection(tmp_path / "nothing", tmp_path / "out", encoder=ENCODER)
    with pytest.raises(InvalidInputError, match="neither a folder nor a ZIP file"):
        build_collection(tmp_path / "missing", tmp_path / "out", encoder=ENCODER)
    (tmp_path / "nothing/a.png").write_bytes(b"")
    with pytest.raises(InvalidInputError, match="none of the 1 files"):
        build_collection(tmp_path / "nothing", tmp_path / "out", encoder=ENCODER)


def test_a_folder_begun_for_something_else_is_left_alone(photos: Path, tmp_path: Path) -> None:
    build_collection(photos, tmp_path / "out", encoder=ENCODER)
    shape_image(50).save(photos / "new.png")
    with pytest.raises(CheckpointError, match="begun with other images"):
        build_collection(photos, tmp_path / "out", encoder=ENCODER)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years of work")
    with pytest.raises(CheckpointError, match="not empty"):
        build_collection(photos, tmp_path / "mine", encoder=ENCODER)
    assert (tmp_path / "mine/thesis.txt").read_text() == "years of work"


def test_a_borrowed_calibrator_says_so(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Of the shipped collection's methods, the one without mappers, for it was fitted for plain features.
    Calibrator.from_temperature(0.05, "other").save(tmp_path / "shipped/calibrator")
    MapperPair.identity(3, "other").save(tmp_path / "shipped/mappers")
    head = Head(np.ones(768, np.float32), np.zeros(768, np.float32))
    for name, temperature, pair in (
        ("a", 0.06, MapperPair(head, head, ENCODER, MapperKind.CHANNEL)),
        ("b", 0.07, MapperPair.identity(768, ENCODER)),
    ):
        Calibrator.from_temperature(temperature, ENCODER).save(
            tmp_path / f"shipped/methods/{name}/calibrator"
        )
        pair.save(tmp_path / f"shipped/methods/{name}/mappers")
        write_card(tmp_path / f"shipped/methods/{name}", {"encoder": ENCODER})
    monkeypatch.setattr(borrowed_calibrator, "SHIPPED", tmp_path / "shipped")
    report = build_collection(photos, tmp_path / "out", encoder=ENCODER)
    assert report.collection.calibrator.temperature_ == 0.07
    assert "fitted on another collection" in report.notice
    assert "pocket" in read_card(tmp_path / "out/calibrator")["note"]


def test_without_a_fitting_calibrator_the_notice_says_what_to_do(photos: Path, tmp_path: Path) -> None:
    report = build_collection(photos, tmp_path / "out", encoder=ENCODER)
    assert f"--temperature {USUAL_TEMPERATURE} is near those" in report.notice
    with pytest.raises(NotFittedError, match=f"--temperature {USUAL_TEMPERATURE}, say"):
        Attributor(report.collection).attribute(shape_image(1))


SLOW = """
import sys, time
from attribution_core.collection import build
from attribution_core.encoding.encoders import load_encoder
build.SHARD = 4
encoder = load_encoder("rgb-thumbnail")
real = encoder.encode
def slow(images, **options):
    time.sleep(0.25)
    return real(images, **options)
encoder.encode = slow
build.build_collection(sys.argv[1], sys.argv[2], loaded=encoder)
"""


def test_a_build_that_is_killed_again_and_again_ends_complete(photos: Path, tmp_path: Path) -> None:
    for i in range(9, 40):
        shape_image(i).save(photos / f"shape_{i}.png")
    out = tmp_path / "out"
    root = Path(__file__).resolve().parents[2]
    kills = 0
    for wait in (0.3, 0.5, 0.8, 60.0):
        process = subprocess.Popen(
            [sys.executable, "-c", SLOW, str(photos), str(out)],
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(root)},
        )
        started = time.monotonic()
        while (
            process.poll() is None
            and not list(out.glob("features/*.npy"))
            and time.monotonic() - started < 60
        ):
            time.sleep(0.05)
        try:
            process.wait(wait)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
    assert kills >= 1
    assert process.returncode == 0
    broken = Collection.open(out)
    whole = build_collection(photos, tmp_path / "whole", encoder=ENCODER).collection
    assert broken.corpus.column("id") == whole.corpus.column("id")
    assert len(set(broken.corpus.column("id"))) == len(broken.index) == 40
    for i in (3, 21, 39):
        ours = Attributor(broken).attribute(shape_image(i), temperature=0.05)
        twin = Attributor(whole).attribute(shape_image(i), temperature=0.05)
        assert np.array_equal(ours.ids, twin.ids)
        assert np.array_equal(ours.influence, twin.influence)
