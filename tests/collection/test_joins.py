"""Whose row is whose: a credit goes to the image that it names, and to no other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from attribution_core.collection.build import SourceOptions, build_collection
from attribution_core.collection.sources.item import Columns, SourceItem
from attribution_core.collection.sources.metadata import Join, Metadata
from attribution_core.collection.sources.open import open_source
from attribution_core.errors import AttributionError, InvalidInputError
from tests.support.archives import tar
from tests.support.fakes import shape_image
from tests.support.images import encoded
from tests.support.sources import parquet, sample, shard

ENCODER = "rgb-thumbnail"
_IDS = st.lists(
    st.tuples(st.sampled_from(["", "s0/", "s1/", "s0/x/"]), st.sampled_from(["1", "2", "3"])).map("".join),
    unique=True,
    min_size=1,
    max_size=8,
)


def _images(folder: Path, *names: str) -> Path:
    for k, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shape_image(k).save(folder / name)
    return folder


def _creators(
    source: object, tmp_path: Path, text: str, add: bool = False, prefix: str = ""
) -> dict[str, str]:
    (tmp_path / "who.csv").write_text(text)
    made = build_collection(
        str(source),
        tmp_path / "out",
        encoder=ENCODER,
        add=add,
        source=SourceOptions(metadata=tmp_path / "who.csv", prefix=prefix),
    )
    corpus = made.collection.corpus
    return dict(zip(corpus.column("id"), corpus.column("creator"), strict=True))


def _table(*rows: str) -> Metadata:
    return Metadata({row: {"creator": row} for row in rows}, "who.csv")


@given(ids=_IDS, rows=st.lists(st.sampled_from(["1", "2", "s0/1", "s1/2", "x/1", "s0/x/3"]), unique=True))
def test_no_row_is_given_to_two_images_and_a_whole_id_has_its_own(ids: list[str], rows: list[str]) -> None:
    images = [(i, i, (i.rsplit("/", 1)[-1],)) for i in ids]
    join = Join(_table(*rows))
    try:
        join.plan(images)
    except InvalidInputError as error:
        bare = [i.rsplit("/", 1)[-1] for i in ids if i not in rows]
        ambiguous = any(bare.count(b) > 1 and b in rows and b not in ids for b in bare)
        assert ambiguous or "none of the" in str(error)
        return
    given_rows = [row for image in images if (row := join.row(*image)) is not None]
    assert len(given_rows) == len(set(given_rows))
    for name, image, others in images:
        row = join.row(name, image, others)
        if image in rows:
            assert row == image
        assert row in (None, image, *others)


def test_a_short_name_that_two_images_go_by_is_refused_before_anything_is_encoded(tmp_path: Path) -> None:
    for name in ("s0", "s1"):
        shard(tmp_path / f"{name}.tar", sample(1))
    with pytest.raises(
        InvalidInputError, match=r"the row '00001' of .* names two images, 's0/00001' and 's1/00001'"
    ):
        _creators(tmp_path / "s*.tar", tmp_path, "key,creator\n00001,Ada\n")
    assert not (tmp_path / "out/building").exists()
    whole = "key,creator\ns0/00001,Ada\ns1/00001,Ben\n"
    assert _creators(tmp_path / "s*.tar", tmp_path, whole) == {"s0/00001": "Ada", "s1/00001": "Ben"}


def test_a_whole_id_decides_beside_short_names(tmp_path: Path) -> None:
    folder = _images(tmp_path / "p", "1.png", "0/1.png")
    assert _creators(folder, tmp_path, "file,creator\n1.png,Ada\n") == {"0/1.png": "", "1.png": "Ada"}


@pytest.mark.parametrize("kind", ["folder", "endings", "parquet"])
def test_one_row_is_never_joined_to_several_images(tmp_path: Path, kind: str) -> None:
    text = "file,creator\n1,Ada\n"
    if kind == "folder":
        source = _images(tmp_path / "p", "seed0/1.png", "seed1/1.png")
    elif kind == "endings":
        source = _images(tmp_path / "p", "1.png", "1.jpg")
    else:
        source = tmp_path / "p"
        source.mkdir()
        for part in ("a", "b"):
            parquet(source / f"{part}.parquet", [1])
        text = "file,creator\n1.webp,Ada\n"
    with pytest.raises(InvalidInputError, match="names two images"):
        _creators(source, tmp_path, text)


def test_an_image_that_comes_later_does_not_take_the_row_of_one_that_is_there(tmp_path: Path) -> None:
    for name in ("s0", "s1"):
        shard(tmp_path / f"{name}.tar", sample(1))
    text = "key,creator\n00001,Ada\n"
    assert _creators(tmp_path / "s0.tar", tmp_path, text) == {"s0/00001": "Ada"}
    with pytest.raises(InvalidInputError, match="names two images, 's0/00001' and 's1/00001'"):
        _creators(tmp_path / "s1.tar", tmp_path, text, add=True)


def test_a_whole_id_that_two_images_go_by_is_refused(tmp_path: Path) -> None:
    """An added folder with a prefix begins its ids anew; slashes of both kinds are one in a table."""
    first, second = _images(tmp_path / "p", "1.png"), _images(tmp_path / "q", "1.png")
    text = "file,creator\n1.png,Ada\n"
    assert _creators(first, tmp_path, text) == {"1.png": "Ada"}
    with pytest.raises(InvalidInputError, match=r"names two images, '1.png' and 'more/1.png'"):
        _creators(second, tmp_path, text, add=True, prefix="more/")
    table = Metadata({"x/1.png": {"creator": "Ada"}}, "who.csv")
    with pytest.raises(InvalidInputError, match="names two images"):
        Join(table).plan([("x/1.png", "x/1.png", ()), ("x\\1.png", "x\\1.png", ())])


def test_the_text_of_another_numbered_image_is_left_aside(tmp_path: Path) -> None:
    """Its own image lies in another shard; up to the first dot, both have one name."""
    png = encoded(Image.new("RGB", (64, 64)), "PNG")
    ada = json.dumps({"creator": "Ada"}).encode()
    tar(
        tmp_path / "s.tar",
        {"shot.10.15.png": png, "shot.10.45.json": ada, "1.image.png": png, "1.meta.json": ada},
    )
    items = {item.id: item for item in open_source(tmp_path / "s.tar").items(lambda name: True)}
    assert {name: item.text.get("creator") for name, item in items.items()} == {"s/shot": None, "s/1": "Ada"}
    assert "'shot.10.45.json' was left aside" in items["s/shot"].note


@pytest.mark.parametrize("name", ["creator", "file"])
def test_columns_that_are_read_as_one_are_refused_in_json_too(tmp_path: Path, name: str) -> None:
    rows = [{"file": "1.png", "creator": "Ada"}, {"file": "2.png", "creator": "Ben"}]
    rows[1][name.title()] = rows[1].pop(name)
    path = tmp_path / "who.json"
    path.write_text(json.dumps(rows))
    with pytest.raises(InvalidInputError, match="which are read as one"):
        Metadata.read(path)


def test_two_rows_that_say_different_things_of_one_image_are_refused() -> None:
    join = Join(Metadata({"a": {"creator": "Ada"}, "a.png": {"creator": "Ben"}}, "who.csv"))
    with pytest.raises(
        InvalidInputError, match=r"rows 'x/a.png' and|rows 'a.png' and 'a'|rows 'a' and 'a.png'"
    ):
        join.row("x/a.png", "x/a.png", ("x/a", "a.png", "a"))
    assert join.row("a.png", "a.png", ("a",)) == "a.png"
    same = Join(Metadata({"a": {"creator": "Ada"}, "a.png": {"creator": "Ada"}}))
    assert same.row("x/a.png", "x/a.png", ("a.png", "a")) == "a.png"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("file,caption,creator\n0.png,a cat, asleep,Ada\n", "line 2: 4 cells, but the header has 3"),
        ("file,mood\n0.png,glad\n", "no column that says anything of an image, but file, mood"),
        ("file,creator\nnone.png,Ada\n", "none of the 1 rows .* names an image"),
    ],
)
def test_a_table_that_does_not_fit_is_an_error_and_leaves_nothing(
    tmp_path: Path, text: str, words: str
) -> None:
    folder = _images(tmp_path / "p", "0.png")
    with pytest.raises(AttributionError, match=words):
        _creators(folder, tmp_path, text)
    assert _creators(folder, tmp_path, "file,creator\n0.png,Ada\n") == {"0.png": "Ada"}


@pytest.mark.parametrize(
    "header", ["file, creator", "FILE,Artist", "\ufeffFile Name,CREATOR", '"file", "creator"']
)
def test_headers_are_known_however_they_are_written(tmp_path: Path, header: str) -> None:
    (tmp_path / "m.csv").write_text(f"{header}\na.png,Ada\n", encoding="utf-8")
    assert Metadata.read(tmp_path / "m.csv").rows == {"a.png": {"creator": "Ada"}}


def test_names_are_compared_without_regard_to_slashes_and_composition(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("file,creator\nsub\\cafe\u0301.png,Ada\n./b.png,Ben\n", encoding="utf-8")
    table = Metadata.read(tmp_path / "m.csv")
    assert table.of(SourceItem("sub/caf\u00e9.png", None)) == "sub/caf\u00e9.png"
    assert table.of(SourceItem("b.png", None)) == "b.png"


def test_rows_without_a_name_and_columns_without_a_use_are_counted(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_text('{"file":"0.png","made by":"Ada","mood":1}\n{"caption":"x"}\n')
    table = Metadata.read(tmp_path / "m.jsonl", Columns.parse("creator=Made By"))
    assert (table.rows, table.unnamed, table.unused) == ({"0.png": {"creator": "Ada"}}, 1, ("mood",))


@pytest.mark.parametrize(
    ("number", "certain"), [("9007199254740991.0", True), ("10000000000000001.0", False)]
)
def test_a_number_that_may_stand_for_its_neighbours_names_no_image(
    tmp_path: Path, number: str, certain: bool
) -> None:
    path = tmp_path / "who.json"
    path.write_text(f'[{{"id": {number}, "creator": "Ada"}}]')
    if certain:
        assert list(Metadata.read(path).rows) == ["9007199254740991"]
        return
    with pytest.raises(InvalidInputError, match="too few digits to tell which image"):
        Metadata.read(path)
