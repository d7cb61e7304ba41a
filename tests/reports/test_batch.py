"""Many images at once: the same numbers as one by one, sums that add up, and a run that can be resumed."""

from __future__ import annotations

import csv
import json
import shutil
import zipfile
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from attribution_core.analyses.memorization.verdict import Memorization
from attribution_core.attribution.attributor import Attributor
from attribution_core.attribution.groups import group
from attribution_core.attribution.origin import MadeBy
from attribution_core.cli.main import app
from attribution_core.collection.collection import Collection
from attribution_core.collection.sources.item import SourceItem
from attribution_core.collection.sources.open import open_source
from attribution_core.errors import InvalidInputError
from attribution_core.generation.recipe import Recipe
from attribution_core.reports.batch import folder
from attribution_core.reports.batch.attribute import BatchOptions, attribute_batch
from attribution_core.reports.batch.folder import FILES, PARTS, RUN, run_batch
from attribution_core.reports.batch.row import BatchRow
from attribution_core.reports.batch.summary import REST, BatchSummary
from tests.support.fakes import copying_collection, shape_image
from tests.support.images import encoded, save_png

OPTIONS = BatchOptions(top=20, works=4, said_so=True, block=4)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    return copying_collection(tmp_path_factory.mktemp("batch") / "shapes")


def jpeg(seed: int) -> bytes:
    return encoded(shape_image(seed), "JPEG", quality=95)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Nine images of which one is a training image and two have one name, and a broken one."""
    for k in range(8):
        (tmp_path / "images" / str(k % 2)).mkdir(parents=True, exist_ok=True)
        save_png(shape_image(300 + k), tmp_path / "images" / str(k % 2) / f"{k // 2}.png", None)
    save_png(shape_image(11), tmp_path / "images/copy.png", Recipe("a shape", seed=5).to_dict())
    (tmp_path / "images/broken.png").write_bytes(b"\x89PNG no")
    return tmp_path / "images"


def run(shapes: Collection, images: Path, out: Path, options: BatchOptions = OPTIONS) -> folder.BatchRun:
    return run_batch(open_source(images, out=out), out, Attributor(shapes), Memorization(shapes), options)


def test_rows_are_those_of_one_image_at_a_time(shapes: Collection, images: Path, tmp_path: Path) -> None:
    summary = run(shapes, images, tmp_path / "out").summary
    assert [row.name for row in summary.rows] == sorted(row.name for row in summary.rows)
    assert {"0/0.png", "1/0.png"} <= {row.name for row in summary.rows}  # files of one name
    attributor, checker = Attributor(shapes), Memorization(shapes)
    singles = []
    for row in summary.rows:
        if row.name == "broken.png":
            assert "damaged" in row.problem and not row.works
            continue
        single = attributor.attribute(images / row.name, 20, made_by=MadeBy.SAID_SO)
        singles.append(single)
        assert row.works[0].id == single.credits[0].id
        assert row.works[0].influence == pytest.approx(single.works[0].influence, rel=1e-4)
        assert row.works[0].low <= row.works[0].influence <= row.works[0].high
        assert row.rest == pytest.approx(single.rest, rel=1e-4)
        assert sum(maker.influence for maker in row.makers) + row.rest == pytest.approx(1)
        assert row.copy is not None
        assert row.copy.is_copy is checker.check(images / row.name).is_copy
    assert [row.name for row in summary.copies] == ["copy.png"]
    copy = summary.copies[0]
    assert copy.recipe is not None and copy.recipe["seed"] == 5
    assert (
        copy.copy is not None and copy.copy.id == "shape/0011" and copy.copy.picture.startswith("data:image")
    )
    groups = {g.name: g.influence * len(singles) for g in group(singles, shapes.corpus).groups}
    sums = {maker.name: maker.influence for maker in summary.makers}
    rest = sums.pop(REST)
    assert sums == pytest.approx(groups, rel=1e-4)
    assert sum(sums.values()) + rest == pytest.approx(len(singles))
    assert {m.name: m.copies for m in summary.makers if m.copies} == {"Cleo": 1}


def test_files_agree_with_each_other(shapes: Collection, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    summary = run(shapes, images, out).summary
    assert {p.name for p in out.iterdir() if not p.name.startswith(".")} == {*FILES, RUN}
    lines = [json.loads(line) for line in (out / "images.jsonl").read_text().splitlines()]
    assert [BatchRow.from_dict(line) for line in lines] == list(summary.rows)
    table = list(csv.DictReader((out / "images.csv").open()))
    assert [row["image"] for row in table] == [row.name for row in summary.rows]
    assert {row["copy"] for row in table} == {"True", "False", ""}
    numbers = ("copy_similarity", "work_1_influence", "work_1_low", "work_1_similarity", "rest")
    for cell in (row[name] for row in table for name in numbers):
        assert len(cell.lower().partition("e")[0].replace(".", "").lstrip("-0")) <= 4, cell
    assert float(table[0]["work_1_influence"]) == pytest.approx(lines[0]["works"][0]["influence"], rel=1e-3)
    makers = [json.loads(line) for line in (out / "makers.jsonl").read_text().splitlines()]
    assert [m["name"] for m in makers] == [row["name"] for row in csv.DictReader((out / "makers.csv").open())]
    page = (out / "index.html").read_text()
    assert "<script" not in page and summary.sum_means in page.replace("&#39;", "'")
    assert json.loads((out / RUN).read_text())["complete"] is True


def test_files_that_are_the_same_count_once(shapes: Collection, images: Path, tmp_path: Path) -> None:
    once = run(shapes, images, tmp_path / "once").summary
    shutil.copy(images / "copy.png", images / "twin.png")
    shutil.copy(images / "broken.png", images / "cracked.png")
    twice = run(shapes, images, tmp_path / "twice").summary
    assert {row.name: row.same_as for row in twice.rows if row.same_as} == {
        "cracked.png": "broken.png",
        "twin.png": "copy.png",
    }
    assert [(m.name, m.images, m.copies) for m in twice.makers] == [
        (m.name, m.images, m.copies) for m in once.makers
    ]
    assert sum(maker.influence for maker in twice.makers) == pytest.approx(9)
    assert [row.name for row in twice.copies] == ["copy.png"]
    assert twice.with_shares == once.with_shares and twice.sum_means == once.sum_means
    assert "10 images attributed, 1 of them the same file as another and counted once" in twice.sentence
    assert twice.to_dict()["same_files"][1] == {"image": "twin.png", "same_as": "copy.png"}
    assert "The same file as copy.png, counted once." in (tmp_path / "twice/index.html").read_text()
    (images / "copy.png").unlink()
    alone = run(shapes, images, tmp_path / "twice").summary
    assert next(row for row in alone.rows if row.name == "twin.png").same_as == "", "the first is gone"


def test_shares_of_unknown_images_are_not_summed(shapes: Collection, images: Path, tmp_path: Path) -> None:
    summary = run(shapes, images, tmp_path / "out", BatchOptions(block=3)).summary
    assert summary.makers == () and "no sum by maker" in summary.sum_means
    first = next(row for row in summary.rows if not row.problem)
    assert first.headline.startswith("The most similar training image is") and not first.has_shares


def test_a_stopped_run_goes_on_where_it_stopped(
    shapes: Collection, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    whole = run(shapes, images, tmp_path / "whole").summary
    encoded: list[int] = []
    real = Attributor.attribute_all

    def counted(self: Attributor, images: list, *rest: object) -> object:
        if len(encoded) == 1:
            encoded.append(0)
            raise KeyboardInterrupt
        encoded.append(len(images))
        return real(self, images, *rest)

    monkeypatch.setattr(Attributor, "attribute_all", counted)
    with pytest.raises(KeyboardInterrupt):
        run(shapes, images, out)
    assert json.loads((out / RUN).read_text())["complete"] is False and not (out / "images.csv").exists()
    assert len(list((out / PARTS).glob("*.jsonl"))) == 1
    done = run(shapes, images, out)
    assert done.kept == 4 and sum(encoded) == 9  # no image twice
    assert done.summary.rows == whole.rows and done.summary.makers == whole.makers
    assert not (out / PARTS).exists()


def test_what_changed_since_is_noticed(shapes: Collection, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(shapes, images, out)
    shutil.copy(images / "copy.png", images / "0/1.png")
    (images / "1/2.png").unlink()
    shutil.copy(images / "copy.png", images / "new.png")
    again = run(shapes, images, out)
    assert (again.kept, again.changed, again.gone) == (8, 1, 1)
    assert [row.name for row in again.summary.copies] == ["0/1.png"], "of files that are the same, the first"
    assert run(shapes, images, out).summary.rows == again.summary.rows


def test_a_folder_of_something_else_is_left_alone(shapes: Collection, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(shapes, images, out)
    with pytest.raises(InvalidInputError, match="another temperature"):
        run(shapes, images, out, BatchOptions(top=20, works=4, said_so=True, temperature=0.5))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("mine")
    with pytest.raises(InvalidInputError, match="holds no batch"):
        run(shapes, images, tmp_path / "mine")
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["thesis.txt"]
    with pytest.raises(InvalidInputError, match="is a file"):
        run(shapes, images, tmp_path / "mine/thesis.txt")


def test_names_that_repeat_are_told_apart(shapes: Collection, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        for seed in (1, 2):
            save_png(shape_image(seed), tmp_path / "a.png", None)
            archive.write(tmp_path / "a.png", "a.png")
    done = command(tmp_path / "two.zip", "--out", tmp_path / "out", "--collection", shapes.path, "--json")
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in (tmp_path / "out/images.jsonl").read_text().splitlines()]
    assert [row["name"] for row in rows] == ["a.png", "a.png (2)"]
    assert [row["works"][0]["id"] for row in rows] == ["shape/0001", "shape/0002"]


def test_a_name_that_looks_numbered_keeps_its_own_row(shapes: Collection, tmp_path: Path) -> None:
    items = [SourceItem(name, jpeg(seed)) for seed, name in enumerate(("x", "x (2)", "x", "x", "x (2)"))]
    rows = [row for block in attribute_batch(items, Attributor(shapes), None, OPTIONS) for row in block]
    assert [row.name for row in rows] == ["x", "x (2)", "x (3)", "x (4)", "x (2) (2)"]
    assert [row.works[0].id for row in rows] == [f"shape/{seed:04d}" for seed in range(5)]


def test_a_file_name_with_a_line_separator_can_be_resumed(shapes: Collection, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for name in ("a\u2028b.png", "c\u0085d.png"):
        save_png(shape_image(3), tmp_path / "images" / name, None)
    first, again = (run(shapes, tmp_path / "images", tmp_path / "out") for _ in range(2))
    assert (first.kept, again.kept) == (0, 2) and first.summary.rows == again.summary.rows


def test_the_command_names_files_of_an_archive_that_are_no_images(shapes: Collection, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "some.zip", "w") as archive:
        archive.writestr("inner.zip", b"PK")
        archive.writestr("ok.jpg", jpeg(1))
    done = command(tmp_path / "some.zip", "--out", tmp_path / "out", "--collection", shapes.path)
    assert done.exit_code == 0 and "not attributed: inner.zip:" in done.output


def test_images_in_a_table_are_attributed_by_their_ids(shapes: Collection, tmp_path: Path) -> None:
    table = shapes.corpus.path / "train-core.parquet"
    done = command(table, "--out", tmp_path / "out", "--collection", shapes.path, "--top", 2)
    assert done.exit_code == 0 and "60 images attributed; 60 are most likely copies" in done.stdout
    rows = [json.loads(line) for line in (tmp_path / "out/images.jsonl").read_text().splitlines()]
    assert [len(row["works"]) for row in rows] == [2] * 60
    assert rows[7]["works"][0]["id"] == "shape/0007" and rows[7]["name"].endswith("shape/0007")


def command(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["attribute", *map(str, arguments)])


def test_the_command_tells_what_it_did(shapes: Collection, images: Path, tmp_path: Path) -> None:
    given = (images, "--out", tmp_path / "out", "--collection", shapes.path, "--made-by-this-model")
    done = command(*given)
    assert done.exit_code == 0, done.output
    assert "9 images attributed, 1 could not be read" in done.stdout
    assert "not attributed: broken.png" in done.stderr
    assert "taken from it: 10" in command(*given).stderr
    told = json.loads(command(*given, "--json").stdout)
    assert told["images"] == 10 and told["copies"] == ["copy.png"]
    assert [m["name"] for m in told["makers"]][-1] == REST


@pytest.mark.parametrize("case", ["empty", "broken", "missing", "no out", "split", "zip"])
def test_bad_input_is_one_sentence(shapes: Collection, tmp_path: Path, case: str) -> None:
    source = tmp_path / "in"
    source.mkdir()
    out: tuple[object, ...] = ("--out", tmp_path / "out")
    given: object = source
    if case == "broken":
        (source / "a.png").write_bytes(b"x")
    elif case == "missing":
        given = tmp_path / "nowhere"
    elif case == "no out":
        out = ()
    elif case == "split":
        out = ("--split", "test")
    elif case == "zip":
        given = tmp_path / "a.zip"
        given.write_bytes(b"PK")
    done = command(given, *out, "--collection", shapes.path)
    assert done.exit_code == 2 and done.stderr.count("\n") == 1 and done.stderr.startswith("error: ")
    assert not (tmp_path / "out/images.csv").exists()


def test_a_summary_says_how_many_are_copies(shapes: Collection) -> None:
    rows = [BatchRow("a", problem="broken"), BatchRow("b", works=())]
    summary = BatchSummary.of(rows, shapes, copies_checked=False)
    assert summary.sentence.startswith("1 image attributed, 1 could not be read; copies were not looked for")
    checked = BatchSummary.of(rows, shapes, copies_checked=True)
    assert checked.sentence.endswith("none is called a copy of a training image.")
