"""Many images at once without a browser: limits, ZIP files, a stop that keeps what is done, and downloads."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from attribution_core.collection.collection import Collection
from attribution_core.common.text import share_words
from attribution_core.errors import InvalidInputError
from attribution_core.reports.batch.attribute import attribute_batch
from attribution_core.reports.batch.row import BatchRow, BatchWork, MakerShare
from attribution_core.settings import Settings
from tests.support.callers import Caller
from tests.support.fakes import copying_collection, shape_image
from ui.services import batch as module
from ui.services.app import Services
from ui.services.batch import Batch, BatchServices
from ui.services.uploads import Kept
from ui.tabs.batch import FILES, _drawn, _image, _stopped


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    return copying_collection(tmp_path_factory.mktemp("batch") / "shapes")


def opened(collection: Collection, **settings: int) -> Services:
    return Services.open(Settings(collection=collection.path, top=20, max_upload_mb=1, **settings))


@pytest.fixture
def asked(collection: Collection) -> BatchServices:
    services = opened(collection, batch_images=20, batch_mb=1)
    return BatchServices(services, services.uploads.folder)


def png(seed: int) -> bytes:
    buffer = io.BytesIO()
    shape_image(seed).save(buffer, "PNG")
    return buffer.getvalue()


def put(own: BatchServices, name: str, data: bytes) -> str:
    return str(own._services.uploads.keep(Kept(data, name)))


def packed(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def last(batches: Iterator[Batch]) -> Batch:
    *_, final = batches
    return final


def test_files_and_zip_files_become_rows(asked: BatchServices) -> None:
    paths = [
        put(asked, "copy.png", png(11)),
        put(asked, "bad.png", b"no image"),
        put(asked, "more.zip", packed({"a/copy.png": png(300), "b/copy.png": png(301), "x.txt": b"x"})),
    ]
    batch = last(asked.ask(paths, None, True))
    assert [row.name for row in batch.summary.rows] == ["copy.png", "bad.png", "a/copy.png", "b/copy.png"]
    assert batch.is_complete and batch.total == 4
    assert "cannot be read" in batch.summary.rows[1].problem
    assert [row.name for row in batch.summary.copies] == ["copy.png"]
    assert sum(maker.influence for maker in batch.summary.makers) == pytest.approx(3)
    status, _, words, images, _, makers = _drawn(batch)
    assert "Done: 4 images." in status and "x.txt: no image" in words
    assert [row[2] for row in images] == ["copy", "", "no", "no"] and images[1][4].startswith(
        "Not attributed"
    )
    assert len(makers) == len(batch.summary.makers)
    for *_, text in FILES:
        assert "copy.png" in text(batch.summary) or text.__name__ == "makers_csv"


def test_a_share_is_said_once_and_a_file_that_came_before_is_named() -> None:
    assert (
        share_words(0.292, 0.2919, 0.2921) == "29%" and share_words(0.13, 0.12, 0.141) == "13% (12% to 14%)"
    )
    work = BatchWork("id", "cat", "Ada", "@ada/cats", "MIT", "", 0.292, 0.2919, 0.2921, 0.9, 1)
    maker = MakerShare("Ada", 0.292, 0.2919, 0.2921)
    shown = _image(BatchRow("b", headline="Found", works=(work,), makers=(maker,), same_as="a"))
    assert shown == ["b", "29%", "", "cat, Ada", "The same file as a, counted once. Found"]
    assert not any(str(cell).startswith("@") for cell in BatchRow("b", works=(work,)).to_table().values())


def test_a_stop_keeps_what_is_done_and_the_next_start_goes_on(
    asked: BatchServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [put(asked, f"{k}.png", png(300 + k)) for k in range(20)]
    with closing(asked.ask(paths, None, False)) as batches:
        first = next(batches)
    assert len(first.summary.rows) < 20 and not first.is_complete
    assert _stopped(first).startswith(f"Stopped after {len(first.summary.rows)} of 20 images")
    taken: list[int] = []

    def noted(items: object, attributor: object, copies: object, options: object, known: dict) -> object:
        taken.append(len(known))
        return attribute_batch(items, attributor, copies, options, known)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "attribute_batch", noted)
    assert last(asked.ask(paths, None, False, first)).is_complete
    assert last(asked.ask(paths, None, True, first)).summary.with_shares == 20  # other settings: begun anew
    assert taken == [len(first.summary.rows), 0]


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("some.zip", packed({f"{k}.png": b"x" for k in range(21)}), "at most 20 are taken"),
        ("some.zip", packed({f"{k}.txt": b"" for k in range(201)}), "more than the allowed 200 files"),
        ("some.zip", packed({"a.png": bytes(1_000_001)}), "1 MB unpacked, more than the allowed 1 MB"),
        ("some.zip", b"PK no", "cannot be read as a ZIP"),
        ("some.ZIP", packed({}), "holds no images"),
    ],
)
def test_bombs_are_refused_in_one_sentence(asked: BatchServices, name: str, data: bytes, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        next(asked.ask([put(asked, name, data)], None, False))


def test_several_files_together_are_bounded(asked: BatchServices) -> None:
    two = [put(asked, f"{k}.zip", packed({"a.png": bytes(600_000)})) for k in range(2)]
    with pytest.raises(InvalidInputError, match="1 MB together, at most 1 MB"):
        next(asked.ask(two, None, False))
    many = [put(asked, f"{k}.png", png(k)) for k in range(21)]
    with pytest.raises(InvalidInputError, match="21 images, at most 20"):
        next(asked.ask(many, None, False))
    with pytest.raises(InvalidInputError, match="no images yet"):
        next(asked.ask([], None, False))
    with pytest.raises(InvalidInputError, match="no uploaded file"):
        next(asked.ask(["/etc/passwd"], None, False))


def test_the_page_runs_a_batch(shapes_app: str) -> None:
    caller = Caller.of(shapes_app)
    numbers = {one["api_name"]: one["id"] for one in caller.config()["dependencies"]}
    files = [caller.upload(packed({"one.png": png(1), "bad.png": b"x"}), "some.zip")]
    answer = caller.ask(numbers["attribute_many"], [files, True, None, None])
    assert answer.error == ""
    assert "1 image attributed, 1 could not be read" in str(answer.data)
    saved = caller.ask(numbers["batch_images_csv"], [None])
    assert saved.error == "" and saved.data[0]["orig_name"] == "images.csv"
    other = Caller.of(shapes_app)
    assert "nothing to save yet" in other.ask(numbers["batch_page"], [None]).error
    assert "no uploaded file" in other.ask(numbers["attribute_many"], [files, True, None, None]).error.lower()
    wrong = other.ask(numbers["attribute_many"], [None, "yes", None, None])
    assert "'said_so' is 'yes', expected true or false" in wrong.error


def test_uploads_hold_a_whole_batch(collection: Collection, tmp_path: Path) -> None:
    services = opened(collection, batch_mb=30)
    paths = [services.uploads.keep(Kept(bytes(1_000_000), f"{k}.png")) for k in range(29)]
    for path in paths:
        services.uploads.file({"path": str(path), "meta": {"_type": "gradio.FileData"}}, "visit")
    assert all(path.exists() for path in paths)
