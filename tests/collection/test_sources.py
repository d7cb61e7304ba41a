"""Where images come from: each source with small made-up images, what is joined to them, and what is refused."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from attribution_core.attribution.attributor import Attributor
from attribution_core.collection.build import SourceOptions, build_collection
from attribution_core.collection.sources.item import Columns, SourceItem
from attribution_core.collection.sources.metadata import Metadata
from attribution_core.collection.sources.open import expand_braces, open_source
from attribution_core.common.progress import Progress
from attribution_core.errors import (
    AttributionError,
    InvalidInputError,
    MissingDependencyError,
    UnknownNameError,
)
from tests.support.fakes import shape_image, webp
from tests.support.sources import parquet, sample, shard

ENCODER = "rgb-thumbnail"


def all_items(source: object) -> list[SourceItem]:
    return list(source.items(lambda _: True))  # type: ignore[attr-defined]


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
def test_tar_shards_bring_captions_and_credits(tmp_path: Path, suffix: str) -> None:
    for k in range(3):
        shard(
            tmp_path / f"s-{k:02d}{suffix}",
            [m for i in range(3 * k, 3 * k + 3) for m in sample(i, artist="Ada")],
        )
    seen: list[Progress] = []
    report = build_collection(
        str(tmp_path / f"s-{{00..02}}{suffix}"), tmp_path / "out", encoder=ENCODER, on_progress=seen.append
    )
    corpus = report.collection.corpus
    assert corpus.column("id") == [f"s-{i // 3:02d}/{i:05d}" for i in range(9)]
    credit = corpus.credit(7)
    assert (credit.caption, credit.creator, credit.link, credit.source) == (
        "shape 7",
        "Ada",
        "https://example.org/7",
        "s-02",
    )
    found = Attributor(report.collection).attribute(shape_image(4), top=1, temperature=0.05)
    assert found.credits[0].id == "s-01/00004"
    assert seen[-1].done == 9 and seen[-1].total is not None
    globbed = open_source(str(tmp_path / f"s-*{suffix}"))
    assert [i.id for i in all_items(globbed)] == corpus.column("id")


def test_what_is_wrong_inside_of_a_tar_is_told_and_not_fatal(tmp_path: Path) -> None:
    whole = [
        *sample(1),
        ("00002.txt", b"no image"),
        ("00003.png", b"junk"),
        ("00004.webp", webp(shape_image(4))),
        ("00004.json", b"{broken"),
        ("._00005.png", b"of another system"),
        *sample(1),
    ]
    shard(tmp_path / "a.tar", whole)
    report = build_collection(tmp_path / "a.tar", tmp_path / "out", encoder=ENCODER)
    assert report.collection.corpus.column("id") == ["a/00001", "a/00004"]
    reasons = {s.file: s.reason for s in report.skipped}
    assert set(reasons) == {"a/00002", "a/00003", "a/00001"}
    assert "no image among its files (.txt)" in reasons["a/00002"]
    assert "same id" in reasons["a/00001"]
    assert [(n.file, ".json" in n.reason) for n in report.notes] == [("a/00004", True)]


def test_a_tar_that_is_cut_off_gives_what_is_before(tmp_path: Path) -> None:
    shard(tmp_path / "b.tar", [m for i in range(4) for m in sample(i)])
    data = (tmp_path / "b.tar").read_bytes()
    for where in range(600, len(data), 1711):
        (tmp_path / "b.tar").write_bytes(data[:where])
        items = all_items(open_source(tmp_path / "b.tar"))
        good = [i for i in items if i.data is not None]
        assert [i.id for i in good] == [f"b/{k:05d}" for k in range(len(good))]
        assert all(i.data == webp(shape_image(k)) for k, i in enumerate(good))


def test_tar_samples_that_are_not_wanted_are_not_read(tmp_path: Path) -> None:
    shard(tmp_path / "c.tar", [m for i in range(4) for m in sample(i)])
    asked: list[str] = []

    def wanted(name: str) -> bool:
        asked.append(name)
        return name == "c/00002"

    assert [i.id for i in open_source(tmp_path / "c.tar").items(wanted)] == ["c/00002"]
    assert asked == [f"c/{k:05d}" for k in range(4)]


def test_several_parquet_files_are_one_source(tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    parquet(folder / "p0.parquet", [0, 1], TEXT=["one", "two"], Artist=["Ada", "Ben"])
    parquet(folder / "p1.parquet", [2], TEXT=["three"], Artist=["Cleo"])
    for given in (folder, folder / "*.parquet"):
        items = all_items(open_source(given, SourceOptions(columns=Columns.parse("caption=TEXT"))))
        assert [(i.id, i.text) for i in items] == [
            ("p0/0", {"caption": "one", "creator": "Ada"}),
            ("p0/1", {"caption": "two", "creator": "Ben"}),
            ("p1/0", {"caption": "three", "creator": "Cleo"}),
        ]
    assert open_source(folder).total(0) == 3


def test_a_local_data_set_is_streamed(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    folder = tmp_path / "set"
    folder.mkdir()
    rows = []
    for i in range(5):
        shape_image(i).save(folder / f"{i}.png")
        rows.append({"file_name": f"{i}.png", "text": f"shape {i}", "license": "CC0"})
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    report = build_collection(f"datasets:{folder}", tmp_path / "out", encoder=ENCODER)
    corpus = report.collection.corpus
    assert corpus.column("caption") == [f"shape {i}" for i in range(5)]
    assert (corpus.credit(0).id, corpus.credit(0).licence, corpus.credit(0).source) == (
        "train/00000000",
        "CC0",
        "set",
    )
    with pytest.raises(InvalidInputError, match="no split 'test', but train"):
        open_source(f"datasets:{folder}", SourceOptions(split="test"))
    with pytest.raises(InvalidInputError, match="no column 'picture', but image, text, license"):
        open_source(f"datasets:{folder}", SourceOptions(image_column="picture"))
    with pytest.raises(InvalidInputError, match="no column 'who'"):
        open_source(f"datasets:{folder}", SourceOptions(columns=Columns.parse("creator=who")))


def test_a_data_set_of_json_lines_names_its_image_files(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    folder = tmp_path / "lines"
    (folder / "files").mkdir(parents=True)
    shape_image(3).save(folder / "files/3.png")
    rows = [
        {"id": "three", "photo": "files/3.png", "artist": "Ada"},
        {"id": "far", "photo": "https://x.org/1.png"},
    ]
    (folder / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    items = all_items(open_source(f"datasets:{folder}", SourceOptions(image_column="photo")))
    assert [(i.id, i.text.get("creator")) for i in items] == [("three", "Ada"), ("far", None)]
    assert items[0].data == folder / "files/3.png"
    assert items[1].data is None and "only the link" in items[1].problem


def test_a_data_set_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    with pytest.raises(InvalidInputError, match="neither a path nor a data set that can be loaded") as caught:
        open_source(f"datasets:{tmp_path / 'nothing'}")
    assert "\n" not in str(caught.value)


def test_without_the_package_a_data_set_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "attribution-explorer\[datasets\]"'):
        open_source("datasets:anything")


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("a", ["a"]),
        ("a{b}", ["a{b}"]),
        ("x{08..11}y", ["x08y", "x09y", "x10y", "x11y"]),
        ("{a,b}/{0..1}", ["a/0", "a/1", "b/0", "b/1"]),
        ("{3..1}", []),
    ],
)
def test_braces_are_expanded_as_webdataset_does(pattern: str, names: list[str]) -> None:
    assert expand_braces(pattern) == names


def test_bad_sources_are_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "no.tar").write_text("not a tar")
    shard(tmp_path / "t-0.tar", sample(0))
    shard(tmp_path / "empty.tar", [])
    shard(tmp_path / "text.tar", [("1.txt", b"a"), ("2.txt", b"b")])
    pq.write_table(pa.table({"picture": [b"x"]}), tmp_path / "no-image.parquet")
    pq.write_table(pa.table({"image": pa.array([], pa.binary())}), tmp_path / "no-rows.parquet")
    (tmp_path / "no.parquet").write_text("not parquet")
    (tmp_path / "one.png").write_bytes(webp(shape_image(0)))
    for given, words in (
        ("no.tar", "cannot be read as a tar archive"),
        ("t-{0..1}.tar", "t-1.tar' is not there"),
        ("empty.tar", "holds no images"),
        ("text.tar", "none of the 2"),
        ("no-image.parquet", "no column 'image' of encoded images, but picture"),
        ("no-rows.parquet", "has no rows"),
        ("no.parquet", "cannot be read as Parquet"),
        ("one.png", "neither a folder"),
        ("*.nothing", "neither a folder"),
    ):
        with pytest.raises(InvalidInputError, match=words) as caught:
            build_collection(str(tmp_path / given), tmp_path / "out", encoder=ENCODER)
        assert "\n" not in str(caught.value)
    # A refused source leaves nothing behind that would refuse the next one.
    assert (
        len(build_collection(tmp_path / "t-0.tar", tmp_path / "out", encoder=ENCODER).collection.index) == 1
    )


def test_columns_are_found_by_name_alias_and_choice() -> None:
    columns = Columns.parse("creator=made by, link=page")
    assert columns.of(["URL", "page", "made by", "License", "Title", "text", "style"]) == {
        "creator": "made by",
        "link": "page",
        "licence": "License",
        "caption": "text",
        "style": "style",
    }
    assert Columns().pick({"artist": "Ada", "url": None, "caption": " "}) == {"creator": "Ada"}
    with pytest.raises(InvalidInputError, match="names no column"):
        Columns.parse("creator")
    with pytest.raises(UnknownNameError, match="did you mean 'creator'"):
        Columns.parse("creatr=x")


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])
def test_metadata_is_read_from_each_kind_of_file(tmp_path: Path, kind: str) -> None:
    rows = [{"id": "a", "artist": "Ada", "license": "CC0"}, {"id": "b", "artist": "", "license": "MIT"}]
    path = tmp_path / f"m.{kind}"
    if kind == "csv":
        path.write_text("id,artist,license\na,Ada,CC0\nb,,MIT\n", encoding="utf-8-sig")
    elif kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    table = Metadata.read(path)
    assert table.rows == {"a": {"creator": "Ada", "licence": "CC0"}, "b": {"licence": "MIT"}}
    assert table.of(SourceItem("x", None, names=("b", "a"))) == "b"
    assert table.of(SourceItem("y", None)) is None


@pytest.mark.parametrize(
    ("name", "text", "key", "words"),
    [
        ("m.csv", "name,creator\nx,y\n", None, "no column 'file' that names the images, but name, creator"),
        ("m.csv", "file,creator\nx,y\n", "who", "no column 'who'"),
        ("m.csv", "file,creator\nx,y\nx,z\n", None, "two rows"),
        ("m.csv", "", None, "has no rows"),
        ("m.csv", "\xff\xfe", None, "cannot be read"),
        ("m.jsonl", "{", None, "cannot be read"),
        ("m.jsonl", "[1]", None, "no JSON object in line 1"),
        ("m.parquet", "no", None, "cannot be read"),
        ("missing.csv", None, None, "cannot be read"),
    ],
)
def test_bad_metadata_is_refused(
    tmp_path: Path, name: str, text: str | None, key: str | None, words: str
) -> None:
    if text is not None:
        (tmp_path / name).write_bytes(text.encode("latin-1"))
    with pytest.raises(AttributionError, match=words) as caught:
        Metadata.read(tmp_path / name, key=key)
    assert "\n" not in str(caught.value)


def test_rows_and_images_without_the_other_are_reported(tmp_path: Path) -> None:
    shard(tmp_path / "d.tar", [m for i in range(3) for m in sample(i)])
    (tmp_path / "who.csv").write_text("key,artist\n00001,Ada\n00009,Ben\nd/00002,Cleo\n")
    report = build_collection(
        tmp_path / "d.tar",
        tmp_path / "out",
        encoder=ENCODER,
        source=SourceOptions(metadata=tmp_path / "who.csv", key="key"),
    )
    assert report.collection.corpus.column("creator") == ["", "Ada", "Cleo"]
    assert (report.unmatched_rows, report.unmatched_images) == (("00009",), ("d/00000",))
    told = json.loads((tmp_path / "out/unmatched.json").read_text())
    assert told == {"rows": ["00009"], "images": ["d/00000"]}
