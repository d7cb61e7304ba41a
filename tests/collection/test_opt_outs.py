"""Opt-outs from the source to the card: lists of every kind, both policies, kills, adding again, and removing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from attribution_core.attribution.attributor import Attributor
from attribution_core.collection import shards
from attribution_core.collection.build import OptOutOptions, SourceOptions, build_collection
from attribution_core.collection.build_report import IndexReport
from attribution_core.collection.collection import Collection
from attribution_core.collection.editions import remove_images
from attribution_core.collection.opt_out_lists import OptOutList
from attribution_core.common.cards import read_card
from attribution_core.common.images import png_bytes
from attribution_core.common.xmp import packet
from attribution_core.corpus.perceptual_hash import perceptual_hash
from attribution_core.errors import AttributionError, CheckpointError, InvalidInputError, UnknownNameError
from attribution_core.reports.ledger import LedgerEntry
from tests.support.fakes import shape_image, webp
from tests.support.killed_build import killed_at_shard
from tests.support.sources import sample, shard

ENCODER = "rgb-thumbnail"
PROHIBITED = packet({"plus:DataMining": "http://ns.useplus.org/ldf/vocab/DMI-PROHIBITED"})


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD", 4)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Nine pictures; 2.png and 7.png say that they must not be trained on, and 4.json says it of 4.png."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(9):
        (folder / f"{i}.png").write_bytes(png_bytes(shape_image(i), xmp=PROHIBITED if i in (2, 7) else b""))
        told: dict[str, Any] = {
            "artist": "Ada" if i == 1 else "Ben",
            "url": f"https://www.site{i}.example/a/{i}",
        }
        (folder / f"{i}.json").write_text(json.dumps({**told, **({"noai": True} if i == 4 else {})}))
    return folder


def build(photos: Path, out: Path, *lists: str, **options: Any) -> IndexReport:
    files = []
    for number, text in enumerate(lists):
        files.append(out.parent / f"list-{number}.txt")
        files[-1].write_text(text)
    kept = {name: options.pop(name) for name in ("policy", "even_if_opted_out") if name in options}
    encoder = None if options.get("add") else ENCODER
    return build_collection(photos, out, encoder=encoder, opt_outs=OptOutOptions(files, **kept), **options)


def ids(folder: Path) -> list[str]:
    return [name.removesuffix(".png") for name in Collection.open(folder).corpus.column("id")]


def left(report: IndexReport) -> dict[str, str]:
    return {entry.file.removesuffix(".png"): entry.reason for entry in report.opted_out}


def test_what_opted_out_is_left_out_counted_and_named(photos: Path, tmp_path: Path) -> None:
    report = build(photos, tmp_path / "out")
    assert left(report) == {
        "2": "data-mining: DMI-PROHIBITED",
        "4": "row: true",
        "7": "data-mining: DMI-PROHIBITED",
    }
    assert ids(tmp_path / "out") == ["0", "1", "3", "5", "6", "8"]
    assert (report.added, report.skipped, report.marked) == (6, (), 0)
    listed = json.loads((tmp_path / "out/opted_out.json").read_text())
    assert listed == [vars(entry) for entry in report.opted_out]
    assert read_card(tmp_path / "out")["opted_out"] == {
        "left_out": 3,
        "marked": 0,
        "reasons": {"data-mining": 2, "row": 1},
    }
    # Each picture in the index is the one of its row.
    for name, position in zip(ids(tmp_path / "out"), range(6), strict=True):
        result = Attributor(report.collection).attribute(shape_image(int(name)), top=1, temperature=0.05)
        assert result.ids[0] == position
    assert left(build(photos, tmp_path / "out")) == left(report), "an equal call tells the same"


def test_without_opt_outs_nothing_is_said(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    shape_image(1).save(tmp_path / "plain/1.png")
    report = build(tmp_path / "plain", tmp_path / "out")
    assert report.opted_out == () and "opted_out" not in read_card(tmp_path / "out")
    assert not (tmp_path / "out/opted_out.json").exists()


def test_the_other_policy_marks(photos: Path, tmp_path: Path) -> None:
    report = build(photos, tmp_path / "out", "maker: ada", policy="mark")
    assert len(ids(tmp_path / "out")) == 9 and (report.opted_out, report.marked) == ((), 4)
    corpus = report.collection.corpus
    marks = dict(zip(ids(tmp_path / "out"), corpus.column("opted_out"), strict=True))
    assert {k: v for k, v in marks.items() if v} == {
        "1": "maker: Ada",
        "2": "data-mining: DMI-PROHIBITED",
        "4": "row: true",
        "7": "data-mining: DMI-PROHIBITED",
    }
    assert read_card(tmp_path / "out")["opted_out"] == {"left_out": 0, "marked": 4, "reasons": {}}
    result = Attributor(report.collection).attribute(shape_image(2), top=3, temperature=0.05)
    row = LedgerEntry("two", "own", result).to_dict()
    assert row["top_1_id"] == "2.png" and row["top_1_opted_out"] == "data-mining: DMI-PROHIBITED"
    assert row["top_2_opted_out"] in ("", "maker: Ada", "row: true", "data-mining: DMI-PROHIBITED")
    # What is removed is no longer counted.
    remove_images(tmp_path / "out", ["2.png"])
    assert read_card(tmp_path / "out")["opted_out"]["marked"] == 3


@pytest.mark.parametrize(
    ("line", "gone", "reason"),
    [
        ("3.png", "3", "id: 3.png"),
        ("./3.png", "3", "id: 3.png"),
        ("id: 3.png", "3", "id: 3.png"),
        ("https://site3.example/a/3/#top", "3", "link: https://www.site3.example/a/3"),
        ("http://WWW.site3.example/a/3", "3", "link: https://www.site3.example/a/3"),
        ("domain: Site3.example", "3", "domain: site3.example"),
        ("domain:*.site3.example.", "3", "domain: site3.example"),
        ("maker:  ADA ", "1", "maker: Ada"),
        ("artist: Ada", "1", "maker: Ada"),
        (f"phash: {perceptual_hash(shape_image(3)):016X}", "3", "phash: "),
    ],
)
def test_each_kind_of_entry(line: str, gone: str, reason: str, photos: Path, tmp_path: Path) -> None:
    report = build(photos, tmp_path / "out", f"# a comment\n\n{line}\n")
    found = left(report)
    assert found[gone].startswith(reason), found
    alike = {"2", "4", "7", gone} if not line.startswith("phash") else set(found)
    assert set(found) == alike and gone not in ids(tmp_path / "out")


@pytest.mark.parametrize(
    ("line", "link"),
    [
        ("ada.example/x.png", "https://www.ada.example/x.png"),
        ("ada.example/a%20b.png", "http://ada.example/a b.png"),
        ("https://ada.example/a b.png", "https://ada.example/a%20b.png"),
        ("https://ada.example/ü?q=ö", "https://ada.example/%C3%BC?q=%c3%b6"),
    ],
)
def test_links_match_in_every_way_they_are_written(line: str, link: str, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(line)
    read = OptOutList.read([tmp_path / "list.txt"])
    (found,) = read.matches(("x",), "", link, lambda: None)
    assert found == (next(iter(read.written)), f"link: {link}")
    for other in ("https://other.example/x.png", "https://ada.example/a%2520b.png", ""):
        assert not list(read.matches(("x",), "", other, lambda: None))
    # An id that looks like a link is an id first.
    assert list(OptOutList(ids=frozenset({"a.b/x.png"})).matches(("a.b/x.png",), "", "", lambda: None))


@pytest.mark.parametrize(
    ("line", "entry"),
    [
        ("i11.png # note", "id: i11.png"),
        ("i11.png\t#", "id: i11.png"),
        ("photo #3.jpg", "id: photo #3.jpg"),
        ("https://a.example/b#top", "link: a.example/b"),
        ('"i11.png"', "id: i11.png"),
        ("'maker: Ada'  # wrote to us", "maker: ada"),
        ('"a # b.png"', "id: a # b.png"),
        ("'tis.png", "id: 'tis.png"),
    ],
)
def test_comments_and_quotes_are_no_part_of_an_entry(line: str, entry: str, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(line)
    assert list(OptOutList.read([tmp_path / "list.txt"]).written) == [entry]


def test_entries_that_name_no_image_are_listed(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two entries name 1.png, and the one of its hash cannot be looked at: the picture is never opened.
    known = f"maker: Ada\n1.png\nphash: {perceptual_hash(shape_image(1)):016x}\n"
    lists = known + "Ben \nNobody\nmaker: No One\ndomain: none.example\nADA"
    expected = {
        "Ben": "maker: Ben",
        "Nobody": "",
        "maker: No One": "",
        "domain: none.example": "",
        "ADA": "maker: ADA",
    }
    out = tmp_path / "out"
    with killed_at_shard(1, monkeypatch):
        build(photos, out, lists)
    report = build(photos, out, lists)
    assert (report.unmatched_entries, report.entries) == (expected, 8)
    listed = json.loads((out / "unmatched_opt_outs.json").read_text())
    assert {row["entry"]: row["hint"] for row in listed} == expected
    again = build(photos, out, lists, add=True)
    # Of an image that was left out before, only its id and one reason are known.
    unknown = {"maker: Ada", f"phash: {perceptual_hash(shape_image(1)):016x}"}
    assert again.unmatched_entries == {**expected, "ADA": "", **dict.fromkeys(unknown, "")}
    assert again.refused == 4
    assert build(photos, out, "1.png\nmaker: Ben", add=True).unmatched_entries == {}
    assert not (out / "unmatched_opt_outs.json").exists()


def test_a_hash_that_names_no_image_is_listed_if_all_were_opened(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    shape_image(1).save(tmp_path / "plain/1.png")
    far = f"{perceptual_hash(shape_image(1)) ^ 0xFFFFFFFF:016x}"
    report = build(tmp_path / "plain", tmp_path / "out", f"phash: {far}")
    assert report.unmatched_entries == {f"phash: {far}": ""}


def test_an_addition_says_which_listed_images_are_in(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(photos, out)
    report = build(photos, out, "maker: Ada\n3.png\nnone.png", add=True)
    assert (report.listed, report.unmatched_entries) == (2, {"none.png": ""})
    remove_images(out, opt_outs=[tmp_path / "list-0.txt"])
    assert build(photos, out, "maker: Ada\n3.png", add=True).listed == 0
    marked = build(photos, out, "maker: Ada\n3.png", add=True, even_if_opted_out=True)
    assert build(photos, out, "maker: Ada\n3.png", add=True).listed == 0 and marked.marked == 5


def test_removing_lists_entries_that_name_no_image(photos: Path, tmp_path: Path) -> None:
    out, file = tmp_path / "out", tmp_path / "gone.txt"
    build(photos, out)
    file.write_text("maker: Ada\ndomain: site3.example\nhttps://site5.example/a/5\nBen\nnone.png")
    done = remove_images(out, opt_outs=[file])
    assert (done.images, done.entries) == (3, 5)
    assert done.unmatched_entries == {"Ben": "maker: Ben", "none.png": ""}
    again = remove_images(out, opt_outs=[file])
    assert (again.images, again.unmatched_entries) == (0, done.unmatched_entries)
    file.write_text(f"phash: {perceptual_hash(shape_image(6)):016x}")
    assert (
        remove_images(out, opt_outs=[file]).images
        and not remove_images(out, opt_outs=[file]).unmatched_entries
    )
    assert not (out / "unmatched_opt_outs.json").exists()


@pytest.mark.parametrize(
    "line",
    [
        "3",
        "site3.example",
        "https://site3.example/a",
        "domain: ite3.example",
        "domain: example.org",
        "maker: Ad",
    ],
)
def test_what_only_looks_alike_stays(line: str, photos: Path, tmp_path: Path) -> None:
    build(photos, tmp_path / "out", line)
    assert {"1", "3"} <= set(ids(tmp_path / "out"))


def test_lists_are_tables_too_and_several_count_together(tmp_path: Path) -> None:
    rows = {"maker": ["Ada", "", None], "domain": ["", "b.example", ""], "note": ["x", "y", "z"]}
    pq.write_table(pa.table(rows), tmp_path / "a.parquet")
    (tmp_path / "b.csv").write_text("Kind;Value\nphash;00ff00ff00ff00ff\nid;s/1\nurl;http://c.example/\n")
    (tmp_path / "c.jsonl").write_text('{"artist": ["Ben", "Cleo"]}\n{"file": "d.png", "kind": null}\n')
    (tmp_path / "d.txt").write_bytes("\ufeffmaker: Zoë\nmäker.png\n".encode())
    read = OptOutList.read([tmp_path / f"{n}" for n in ("a.parquet", "b.csv", "c.jsonl", "d.txt")])
    assert read.makers == {"ada", "ben", "cleo", "zoë"} and read.domains == {"b.example"}
    assert read.ids == {"s/1", "d.png", "mäker.png"} and read.links == {"c.example"}
    assert read.hashes == (0x00FF00FF00FF00FF,)
    other = OptOutList.read([tmp_path / "a.parquet"])
    assert len({read.digest, other.digest, ""}) == 3


def test_one_of_several_makers_is_enough() -> None:
    for credit in (
        "Ada",
        "Ben and Ada",
        "Ben, Ada; Cleo",
        "ADA & Ben",
        "Ada / Ben",
        "Ben/Ada",
        "Ada with Ben",
        "Ben or Ada",
    ):
        assert list(OptOutList(makers=frozenset({"ada"})).matches((), credit, "", lambda: None)), credit
    assert not list(
        OptOutList(makers=frozenset({"ada"})).matches((), "Adam, Canada, Ada Orwith", "", lambda: None)
    )
    assert list(
        OptOutList(makers=frozenset({"simon and garfunkel"})).matches(
            (), "Simon and Garfunkel", "", lambda: None
        )
    )


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("none.txt", None, "No such file"),
        ("empty.txt", b"", "is empty"),
        ("comments.txt", b"# nobody\n\n", "is empty"),
        ("utf16.txt", "maker: Ada".encode("utf-16"), "UTF-16"),
        ("latin.txt", "maker: Zo\u00eb".encode("latin-1"), "not UTF-8"),
        ("latin.csv", "maker\nZo\u00eb\n".encode("latin-1"), "UTF-8"),
        ("kind.txt", b"ip: 10.0.0.1", "unknown kind 'ip'"),
        ("kind.csv", b"kind,value\ncolour,red\n", "unknown kind 'colour'"),
        ("value.txt", b"maker: ", "without a value"),
        ("columns.csv", b"who,what\nAda,red\n", "has no column id, link"),
        ("rows.csv", b"maker\n", "is empty"),
        ("hash.txt", b"phash: xyz", "16 hexadecimal digits"),
        ("domain.txt", b"domain: a/b", "no domain"),
        ("link.csv", b"link\nftp://a.example/b\n", "no link to the web"),
        ("list.json", b'{"maker": "Ada"}', "not a list of JSON objects"),
        ("binary.txt", bytes(range(256)), "cannot be read"),
    ],
)
def test_a_bad_list_is_one_sentence_and_nothing_is_written(
    name: str, data: bytes | None, words: str, photos: Path, tmp_path: Path
) -> None:
    file = tmp_path / name
    if data is not None:
        file.write_bytes(data)
    with pytest.raises(AttributionError) as error:
        build_collection(photos, tmp_path / "out", encoder=ENCODER, opt_outs=OptOutOptions([file]))
    assert words in str(error.value) and name in str(error.value)
    assert "\n" not in str(error.value) and not (tmp_path / "out").exists()


def test_a_policy_that_is_not_there_and_a_new_collection_with_what_was_left_out(
    photos: Path, tmp_path: Path
) -> None:
    with pytest.raises(UnknownNameError, match="skip, mark"):
        OptOutOptions(policy="drop")
    with pytest.raises(InvalidInputError, match="policy 'mark'"):
        build(photos, tmp_path / "out", even_if_opted_out=True)
    assert not (tmp_path / "out").exists()


def test_a_collection_of_nothing_but_opt_outs_is_refused_and_may_be_tried_again(
    photos: Path, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInputError, match="9 opted out of training, 0 cannot be read"):
        build(photos, tmp_path / "out", "maker: Ada\nmaker: Ben\n")
    assert build(photos, tmp_path / "out").added == 6


@pytest.mark.parametrize("policy", ["skip", "mark"])
def test_a_killed_build_keeps_to_its_policy(
    policy: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with killed_at_shard(1, monkeypatch):
        build(photos, tmp_path / "out", "maker: Ada", policy=policy)
    other = "mark" if policy == "skip" else "skip"
    for lists, chosen in ((["maker: Ada"], other), (["maker: Cleo"], policy), ([], policy)):
        with pytest.raises(CheckpointError, match="begun with other images, metadata, encoder or opt-outs"):
            build(photos, tmp_path / "out", *lists, policy=chosen)
    resumed = build(photos, tmp_path / "out", "maker: Ada", policy=policy)
    whole = build(photos, tmp_path / "whole", "maker: Ada", policy=policy)
    assert left(resumed) == left(whole) and len(left(whole)) == (4 if policy == "skip" else 0)
    assert ids(tmp_path / "out") == ids(tmp_path / "whole")
    assert read_card(tmp_path / "out")["opted_out"] == read_card(tmp_path / "whole")["opted_out"]


def test_what_was_left_out_is_added_only_when_asked_for(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(photos, out, "maker: Ada")
    for i in (2, 7):
        shape_image(i).save(photos / f"{i}.png")  # they say nothing any more
    shape_image(20).save(photos / "new.png")
    for policy in ("skip", "mark"):
        again = build(photos, out, add=True, policy=policy)
        assert left(again) == {
            "1": "maker: Ada",
            "2": "data-mining: DMI-PROHIBITED",
            "4": "row: true",
            "7": "data-mining: DMI-PROHIBITED",
        }
    assert "new" in ids(out) and read_card(out)["opted_out"]["left_out"] == 4
    added = build(photos, out, add=True, even_if_opted_out=True)
    assert (added.added, added.opted_out, added.marked) == (4, (), 4)
    marks = dict(zip(ids(out), added.collection.corpus.column("opted_out"), strict=True))
    assert (marks["1"], marks["7"], marks["new"]) == ("maker: Ada", "data-mining: DMI-PROHIBITED", "")
    assert read_card(out)["opted_out"] == {"left_out": 0, "marked": 4, "reasons": {}}
    assert json.loads((out / "opted_out.json").read_text()) == []


def test_an_addition_applies_the_lists_of_earlier_builds(photos: Path, tmp_path: Path) -> None:
    out, more = tmp_path / "out", tmp_path / "more"
    assert build(photos, out, "domain: x.example", "id: late.png").earlier_lists == {}
    first, second = (str(tmp_path / f"list-{k}.txt") for k in (0, 1))
    more.mkdir()
    for name in ("late.png", "new.png"):
        shape_image(20).save(more / name)
    added = build(more, out, add=True)
    assert left(added) == {"late": "id: late.png"} and added.added == 1
    assert added.earlier_lists == {first: False, second: False}
    # One that has changed counts as it is now, and one that is given again is not an earlier one.
    Path(second).write_text("id: later.png")
    shape_image(21).save(more / "later.png")
    changed = build(more, out, "domain: x.example", add=True)
    assert left(changed)["later"] == "id: later.png" and changed.earlier_lists == {second: True}
    Path(second).rename(tmp_path / "moved.txt")
    with pytest.raises(CheckpointError, match=rf"'{second}', which was given before, is gone"):
        build(more, out, add=True)
    moved = OptOutOptions([tmp_path / "moved.txt"])
    assert build_collection(more, out, add=True, opt_outs=moved).earlier_lists == {first: False}
    recorded = {entry["path"] for entry in json.loads((out / "opt_out_lists.json").read_text())}
    assert recorded == {first, str(tmp_path / "moved.txt")}
    (out / "opt_out_lists.json").write_text("[]")
    Path(first).unlink()
    assert build(more, out, add=True).earlier_lists == {}


def test_a_build_that_is_refused_remembers_no_list(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="opted out of training"):
        build(photos, tmp_path / "out", "maker: Ada\nmaker: Ben\n")
    assert not (tmp_path / "out/opt_out_lists.json").exists()


def test_an_addition_of_opt_outs_alone_changes_the_count(photos: Path, tmp_path: Path) -> None:
    build(photos, tmp_path / "out")
    shape_image(30).save(photos / "more.png")
    report = build(photos, tmp_path / "out", "more.png", add=True)
    assert (report.added, len(report.opted_out)) == (0, 4)
    assert read_card(tmp_path / "out")["opted_out"]["left_out"] == 4
    assert read_card(tmp_path / "out")["edition"] == 1


def test_remove_takes_the_same_lists_and_they_stay_out(photos: Path, tmp_path: Path) -> None:
    out, file = tmp_path / "out", tmp_path / "gone.txt"
    build(photos, out)
    file.write_text(
        f"maker: Ada\ndomain: site8.example\nmaker: Nobody\nphash: {perceptual_hash(shape_image(5)):016x}"
    )
    done = remove_images(out, ["0.png"], opt_outs=[file])
    assert set(done.opted_out) >= {"1.png", "5.png", "8.png"} and "0.png" not in done.opted_out
    assert done.images == 1 + len(done.opted_out)
    gone = {name.removesuffix(".png") for name in done.opted_out}
    assert not {"0", *gone} & set(ids(out))
    assert read_card(out)["opted_out"]["left_out"] == 3 + len(gone)
    again = build(photos, out, add=True)
    assert again.added == 1 and "0" in ids(out) and gone <= set(left(again))
    nobody = tmp_path / "nobody.txt"
    nobody.write_text("maker: Nobody")
    edition = read_card(out)["edition"]
    assert remove_images(out, opt_outs=[nobody]).images == 0 and read_card(out)["edition"] == edition
    nobody.write_text("maker: Ben")
    with pytest.raises(InvalidInputError, match="delete the folder"):
        remove_images(out, opt_outs=[nobody])
    assert read_card(out)["edition"] == edition


def test_opt_outs_of_other_sources(tmp_path: Path) -> None:
    members: Sequence[tuple[str, bytes]] = [
        *sample(1),
        *sample(2, **{"X-Robots-Tag": "noai, noimageai"}),
        ("00003.png", png_bytes(shape_image(3), xmp=PROHIBITED)),
    ]
    shard(tmp_path / "s.tar", members)
    tar = build_collection(tmp_path / "s.tar", tmp_path / "tar", encoder=ENCODER)
    assert left(tar) == {"s/00002": "row: noai, noimageai", "s/00003": "data-mining: DMI-PROHIBITED"}
    images = [{"bytes": webp(shape_image(i)), "path": f"{i}.webp"} for i in range(3)]
    pq.write_table(pa.table({"image": images, "opted_out": [None, False, True]}), tmp_path / "t.parquet")
    assert left(build_collection(tmp_path / "t.parquet", tmp_path / "table", encoder=ENCODER)) == {
        "t/2": "row: true"
    }
    (tmp_path / "who.csv").write_text("file,creator,noai\nt/1,Ada,no\nt/0,Ben,yes\n")
    options = SourceOptions(metadata=tmp_path / "who.csv")
    joined = build_collection(tmp_path / "t.parquet", tmp_path / "joined", encoder=ENCODER, source=options)
    assert set(left(joined)) == {"t/0", "t/2"}


def test_a_picture_that_a_row_leaves_out_is_never_opened(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    real = shards.read_image

    def watched(data: Any) -> Image.Image:
        opened.append(Path(data).stem)
        return real(data)

    monkeypatch.setattr(shards, "read_image", watched)
    build(photos, tmp_path / "out", "maker: Ada\ndomain: site3.example")
    assert not {"1", "3", "4"} & set(opened) and {"2", "7"} <= set(opened)
    assert np.load(next((tmp_path / "out/features").glob("*.npy"))).shape[0] <= 4


def test_a_damaged_list_of_what_was_left_out_is_not_forgotten(photos: Path, tmp_path: Path) -> None:
    build(photos, tmp_path / "out")
    (tmp_path / "out/opted_out.json").write_text('[{"file": "2.png"}]')
    with pytest.raises(CheckpointError, match=r"opted_out\.json"):
        build(photos, tmp_path / "out", add=True)
