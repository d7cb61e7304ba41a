"""No image is lost or doubled without a word: archives, growing sources, folders of several kinds."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attribution_core.collection.build import SourceOptions, build_collection
from attribution_core.collection.build_report import IndexReport
from attribution_core.collection.sources.item import SourceItem
from attribution_core.collection.sources.open import open_source
from attribution_core.errors import InvalidInputError, UnknownNameError
from tests.support.fakes import shape_image, webp
from tests.support.sources import parquet, sample, shard

ENCODER = "rgb-thumbnail"


def _build(source: object, tmp_path: Path, **options: Any) -> IndexReport:
    return build_collection(str(source), tmp_path / "out", encoder=ENCODER, source=SourceOptions(**options))


def _captions(report: IndexReport) -> dict[str, str]:
    corpus = report.collection.corpus
    return dict(zip(corpus.column("id"), corpus.column("caption"), strict=True))


def _items(source: object, **options: Any) -> list[SourceItem]:
    return list(open_source(str(source), SourceOptions(**options)).items(lambda _: True))


# --- archives


def test_names_with_dots_lose_neither_image_nor_caption(tmp_path: Path) -> None:
    members = []
    for k, name in enumerate(("Shot at 10.30.15", "Shot at 10.30.59", "v2.0 (clean)", "a/b.c.d")):
        members += [(f"{name}.webp", webp(shape_image(k))), (f"{name}.txt", f"text {k}".encode())]
    members += [("s0.input.webp", webp(shape_image(8))), ("s0.outputs.txt", b"text 4")]
    report = _build(shard(tmp_path / "s.tar", members), tmp_path)
    assert _captions(report) == {
        "s/Shot at 10.30.15": "text 0",
        "s/Shot at 10.30.59": "text 1",
        "s/v2": "text 2",
        "s/a/b": "text 3",
        "s/s0": "text 4",
    }
    assert {note.file for note in report.notes} == {"s/Shot at 10.30.15", "s/Shot at 10.30.59"}


def test_several_images_and_texts_of_one_key_are_all_told(tmp_path: Path) -> None:
    members = [
        ("0.input.webp", webp(shape_image(0))),
        ("0.target.webp", webp(shape_image(1))),
        ("0.txt", b"both"),
        ("0.target.txt", b"target"),
        ("0.other.txt", b"other"),
        ("1.webp", webp(shape_image(2))),
        ("1.jpg", webp(shape_image(3))),
        ("2.webp", webp(shape_image(4))),
        ("2.txt", b"two"),
        ("2.alt.txt", b"alt"),
    ]
    report = _build(shard(tmp_path / "s.tar", members), tmp_path)
    assert _captions(report) == {
        "s/0.input": "both",
        "s/0.target": "target",
        "s/1.webp": "",
        "s/1.jpg": "",
        "s/2": "two",
    }
    notes = {note.file: note.reason for note in report.notes}
    assert (
        "2 images have the key '0'" in notes["s/0.input"]
        and "'0.other.txt' was left aside" in notes["s/0.input"]
    )
    assert "'2.alt.txt' was left aside" in notes["s/2"]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6), suffix=st.sampled_from([".tar", ".tar.gz"]))
def test_the_order_of_members_changes_no_sample(tmp_path: Path, seed: int, suffix: str) -> None:
    members = [m for i in range(4) for m in sample(i, artist=f"maker {i}")]
    members += [("9.a.webp", b"x"), ("9.b.webp", b"y"), ("9.a.txt", b"a")]
    shard(tmp_path / f"s{suffix}", members)
    kept = {i.id: (i.data, i.text) for i in _items(tmp_path / f"s{suffix}")}
    random.Random(seed).shuffle(members)
    shard(tmp_path / f"s{suffix}", members)
    assert {i.id: (i.data, i.text) for i in _items(tmp_path / f"s{suffix}")} == kept
    assert len(kept) == 6 and kept["s/00002"][1]["creator"] == "maker 2"


# --- sources that grow


@pytest.mark.parametrize("kind", ["parquet", "tar"])
@pytest.mark.parametrize("names", [("part-0", "part-1"), ("a/0", "b/0")])
def test_ids_do_not_depend_on_how_many_files_there_are(
    tmp_path: Path, kind: str, names: tuple[str, str]
) -> None:
    folder = tmp_path / "parts"

    def write(k: int) -> None:
        path = folder / f"{names[k]}.{kind}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == "tar":
            shard(path, [(f"{i}.webp", webp(shape_image(i + 3 * k))) for i in range(2)])
        else:
            parquet(path, [3 * k, 3 * k + 1])

    write(0)
    first = [item.id for item in _items(folder)]
    assert first == [f"{names[0]}/0", f"{names[0]}/1"]
    assert [i.id for i in _items(f"{folder}/**/*.{kind}")] == first
    _build(folder, tmp_path)
    write(1)
    report = build_collection(folder, tmp_path / "out", add=True)
    assert (report.added, report.known) == (2, 2)
    assert report.collection.corpus.column("id") == [*first, f"{names[1]}/0", f"{names[1]}/1"]


def test_ids_that_restart_in_every_file_have_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    for k in range(2):
        parquet(tmp_path / f"parts/{k}.parquet", [2 * k, 2 * k + 1], id=["0", "1"])
    told = _build(tmp_path / "parts", tmp_path / "one")
    assert len(told.skipped) == 2 and "--id-from-file" in told.skipped[0].reason
    ids = [i.id for i in _items(tmp_path / "parts", id_from_file=True)]
    assert ids == ["0/0", "0/1", "1/0", "1/1"]
    with pytest.raises(InvalidInputError, match="leave out --id-from-file"):
        open_source("datasets:x", SourceOptions(id_from_file=True))


def test_the_collection_is_no_source_of_itself(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    parquet(data / "a.parquet", [0, 1])
    for _ in range(2):
        report = build_collection(data, data / "mine", encoder=ENCODER)
    assert len(report.collection.index) == 2
    other = build_collection(data, tmp_path / "other", encoder=ENCODER)
    assert len(other.collection.index) == 2
    assert ("mine/", "a collection, and no source of one") in [(u.file, u.reason) for u in other.unread]


def test_what_was_mended_is_no_longer_listed_as_skipped(tmp_path: Path) -> None:
    folder = tmp_path / "p"
    folder.mkdir()
    for k in range(2):
        shape_image(k).save(folder / f"{k}.png")
    (folder / "bad.png").write_bytes(b"x")
    (folder / "worse.png").write_bytes(b"x")
    assert len(_build(folder, tmp_path).skipped) == 2
    shape_image(5).save(folder / "bad.png")
    build_collection(folder, tmp_path / "out", add=True)
    told = json.loads((tmp_path / "out/skipped.json").read_text())
    assert [entry["file"] for entry in told] == ["worse.png"]


# --- folders


def test_a_snapshot_of_a_data_set_is_read_and_its_preview_told(tmp_path: Path) -> None:
    folder = tmp_path / "repo"
    (folder / "data").mkdir(parents=True)
    shape_image(9).save(folder / "preview.png")
    (folder / "README.md").write_text("words")
    parquet(folder / "data/train.parquet", [1, 2, 3, 4, 5])
    pq.write_table(pa.table({"key": ["x"]}), folder / "stats.parquet")
    report = _build(folder, tmp_path)
    assert len(report.collection.index) == 5
    assert {u.file for u in report.unread} == {"preview.png", "README.md", "stats.parquet"}
    assert any("--as folder" in u.reason for u in report.unread)
    assert json.loads((tmp_path / "out/unread.json").read_text()) == [vars(u) for u in report.unread]
    assert [i.id for i in _items(folder, read_as="folder")] == ["preview.png"]
    with pytest.raises(InvalidInputError, match="holds no tar shards, but 1 images and 1 Parquet files"):
        open_source(folder, SourceOptions(read_as="tar"))
    with pytest.raises(UnknownNameError, match="kind of source"):
        open_source(folder, SourceOptions(read_as="zip"))


def test_img2dataset_folders_of_each_kind(tmp_path: Path) -> None:
    keys = ["000000000", "000000001"]
    table = {"key": keys, "caption": ["a red boat", "a dog"], "url": ["http://x/0", "http://x/1"]}
    files, wds, rows = tmp_path / "files", tmp_path / "wds", tmp_path / "rows"
    (files / "00000").mkdir(parents=True)
    for k, key in enumerate(keys):
        (files / f"00000/{key}.jpg").write_bytes(webp(shape_image(k)))
        (files / f"00000/{key}.txt").write_text(table["caption"][k])
        (files / f"00000/{key}.json").write_text(json.dumps({"caption": "x", "url": table["url"][k]}))
    wds.mkdir()
    shard(wds / "00000.tar", [(f"{k}.jpg", webp(shape_image(i))) for i, k in enumerate(keys)])
    rows.mkdir()
    images = [webp(shape_image(i)) for i in range(2)]
    pq.write_table(pa.table({**table, "jpg": images}), rows / "00000.parquet")
    for place in (files, wds):
        pq.write_table(pa.table(table), place / "00000.parquet")
        (place / "00000_stats.json").write_text("{}")
    wanted = dict(zip(("00000/000000000", "00000/000000001"), table["caption"], strict=True))
    assert _captions(_build(files, tmp_path / "1")) == {f"{k}.jpg": v for k, v in wanted.items()}
    joined = _build(files, tmp_path / "2", metadata=files / "00000.parquet")
    assert joined.collection.corpus.column("link") == table["url"]
    assert [u.file for u in joined.unread] == ["00000_stats.json"]
    assert _captions(_build(wds, tmp_path / "3", metadata=wds / "00000.parquet")) == wanted
    assert _captions(_build(rows, tmp_path / "4")) == dict(zip(keys, table["caption"], strict=True))


def test_a_sidecar_that_two_images_share_credits_neither(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg", "b.png"):
        shape_image(1).save(tmp_path / name)
    (tmp_path / "a.json").write_text('{"artist": "Ada"}')
    (tmp_path / "a.png.json").write_bytes(b'\xef\xbb\xbf{"artist": ["Ben", "Cleo"]}')
    (tmp_path / "b.json").write_text("{")
    items = {i.id: i for i in _items(tmp_path)}
    assert items["a.png"].text["creator"] == "Ben and Cleo"
    assert "creator" not in items["a.jpg"].text and "2 images go by its name" in items["a.jpg"].note
    assert "'b.json' cannot be read" in items["b.png"].note


def test_every_file_is_read_or_named(tmp_path: Path) -> None:
    folder = tmp_path / "p"
    folder.mkdir()
    for k, (name, kind) in enumerate(
        {
            "a.jpg": "JPEG",
            "b.jfif": "JPEG",
            "c.avif": "AVIF",
            "d.mpo": "MPO",
            "e": "PNG",
            "f.jpe": "JPEG",
        }.items()
    ):
        shape_image(k).save(folder / name, kind)
    (folder / "g.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + b"\0" * 99)
    (folder / "h.png").symlink_to(tmp_path / "nowhere")
    (folder / "paper.pdf").write_bytes(b"%PDF")
    report = _build(folder, tmp_path)
    assert report.collection.corpus.column("id") == ["a.jpg", "b.jfif", "c.avif", "d.mpo", "e", "f.jpe"]
    assert {s.file for s in report.skipped} == {"g.HEIC", "h.png"}
    assert [u.file for u in report.unread] == ["paper.pdf"]


def test_a_name_that_is_no_utf8_is_kept_and_told(tmp_path: Path) -> None:
    folder = tmp_path / "p"
    folder.mkdir()
    for k, name in enumerate((b"caf\xe9.png", b"caf\xe8.png")):
        (folder / name.decode("utf-8", "surrogateescape")).write_bytes(webp(shape_image(k)))
    shard(tmp_path / "s.tar", [(b"caf\xe9.webp".decode("utf-8", "surrogateescape"), webp(shape_image(3)))])
    report = _build(folder, tmp_path)
    assert sorted(report.collection.corpus.column("id")) == ["caf%E8.png", "caf%E9.png"]
    assert len(report.notes) == 2
    assert build_collection(tmp_path / "s.tar", tmp_path / "out", add=True).added == 1


def test_text_that_is_no_text_is_replaced_and_counted(tmp_path: Path) -> None:
    members = [*sample(0), ("1.webp", webp(shape_image(1))), ("1.json", b'{"caption": "a \\ud83d cat"}')]
    report = _build(shard(tmp_path / "s.tar", members), tmp_path)
    assert _captions(report)["s/1"] == "a \ufffd cat"
    assert [note.file for note in report.notes] == ["s/1"]


# --- files by name


def test_patterns_may_be_long_have_brackets_and_a_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "set [2024]"
    folder.mkdir()
    names = [f"shard-{k:05d}" for k in range(40)]
    for name in names:
        shard(folder / f"{name}.tar", sample(0))
    long = f"{folder}/{{{','.join(names)}}}.tar"
    assert len(_items(long)) == len(_items(folder / "*.tar")) == 40
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(_items("~/set [2024]/shard-0000{0..9}.tar")) == 10
    for nonsense in ("x" * 5000, "a\0b", "[", "~/nothing/*.tar"):
        with pytest.raises(InvalidInputError, match="neither a folder"):
            open_source(nonsense)


def test_rows_that_name_files_are_read_from_there(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    shape_image(0).save(tmp_path / "images/a.png")
    paths = ["images/a.png", str(tmp_path / "images/a.png"), "gone.png", "https://x.example/1.png"]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    rows = pa.array([{"bytes": None, "path": path} for path in paths], kind)
    pq.write_table(pa.table({"image": rows}), tmp_path / "t.parquet")
    report = _build(tmp_path / "t.parquet", tmp_path)
    assert report.collection.corpus.column("id") == ["t/0", "t/1"]
    assert [s.file for s in report.skipped] == ["t/2", "t/3"]
    assert "only the link" in report.skipped[1].reason


def test_a_damaged_parquet_file_is_one_sentence(tmp_path: Path) -> None:
    parquet(tmp_path / "t.parquet", range(8))
    data = bytearray((tmp_path / "t.parquet").read_bytes())
    for place in range(60, len(data) - 400, 40):
        data[place] ^= 0xFF
    (tmp_path / "t.parquet").write_bytes(data)
    try:
        report = _build(tmp_path / "t.parquet", tmp_path)
    except InvalidInputError as error:
        assert "t.parquet" in str(error) or "can be read" in str(error)
    else:
        assert report.skipped
