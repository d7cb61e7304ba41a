"""Files of the server, of other visitors and of nobody: no handler reads, tells of or deletes one."""

from __future__ import annotations

import io
import os
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.support.callers import META, Caller
from tests.support.fakes import shape_image
from tests.support.images import bomb, encoded, of_frames, of_scans
from ui.server.receive import MOST_FILES
from ui.services.folder import private_folder

PIECE = encoded(shape_image(3), "PNG")
REFUSED = "no uploaded file"


def handlers(caller: Caller) -> list[tuple[int, str, list[bool]]]:
    """Number, name and, for each input, whether a visitor fills it, of every handler of the page and the API."""
    told = caller.config()
    states = {one["id"] for one in told["components"] if one["type"] == "state"}
    found = [
        (one["id"], one["api_name"] or str(one["id"]), [place not in states for place in one["inputs"]])
        for one in told["dependencies"]
        if one["backend_fn"]
    ]
    assert len(found) > 60 and {"read_upload", "drop_artwork", "attribute_painted"} < {
        name for _, name, _ in found
    }
    return found


def bad_files(tmp_path: Path, theirs: dict[str, Any]) -> dict[str, Any]:
    """What somebody might send for a file, by a name for it."""
    secret = tmp_path / "secret.png"
    Image.new("RGB", (64, 64), (1, 2, 3)).save(secret)
    inside = Path(private_folder()) / "link.png"
    if not inside.exists():
        inside.symlink_to(secret)
    os.mkfifo(tmp_path / "pipe.png")
    picture = next(private_folder().glob("pictures-*/*"), secret)
    return {
        "a private image": {"path": str(secret), "meta": META},
        "the same without meta": {"path": str(secret)},
        "another meta": {"path": str(secret), "meta": {"_type": "other"}},
        "a link from inside": {"path": str(inside), "meta": META},
        "a way around": {"path": f"{private_folder()}/../../{secret}", "meta": META},
        "no such file": {"path": str(tmp_path / "none.png"), "meta": META},
        "a device": {"path": "/dev/zero", "meta": META},
        "a terminal": {"path": "/dev/ptmx", "meta": META},
        "a pipe": {"path": str(tmp_path / "pipe.png"), "meta": META},
        "a folder": {"path": str(private_folder()), "meta": META},
        "a picture of everyone's page": {"path": str(picture), "meta": META},
        "an address": {"path": "http://127.0.0.1:9/a.png", "url": "http://127.0.0.1:9/a.png", "meta": META},
        "an image in the address": {"url": "data:image/png;base64,iVBORw0KGgo=", "meta": META},
        "no name": {"path": None, "meta": META},
        "a null character": {"path": "a\0b", "meta": META},
        "another visitor's": theirs,
    }


def test_no_handler_takes_a_file_that_this_visit_did_not_upload(
    visitor: Caller, other: Caller, tmp_path: Path
) -> None:
    theirs = other.upload(PIECE)
    number = {name: k for k, name, _ in handlers(other)}["check_copy"]
    other.ask(number, [theirs])  # from its first use on, the file is theirs
    bad = bad_files(tmp_path, theirs)
    began, wrong = time.monotonic(), []
    for k, name, filled in handlers(visitor):
        if not any(filled):
            continue
        for what, file in bad.items():
            for wrapped in (file, [file], {"layers": [file]}):
                if wrapped is not file and what not in ("a private image", "another visitor's"):
                    continue
                answer = visitor.ask(k, [wrapped if mine else None for mine in filled])
                if REFUSED not in answer.error.lower() or answer.data is not None or answer.size > 20_000:
                    wrong.append((name, what, answer.status, answer.error, answer.size))
    assert wrong == []
    assert time.monotonic() - began < 300
    assert (tmp_path / "secret.png").exists()
    assert "no artwork" not in other.ask(number, [theirs]).error
    assert other.ask(number, [theirs]).error == other.ask(number, [other.upload(PIECE)]).error


def test_every_handler_goes_through_the_gate_and_is_checked(url: str) -> None:
    """A handler without the decorator is one whose errors and types nobody looks at."""
    from attribution_core.settings import Settings
    from ui.page import build
    from ui.services.app import Services

    page = build(Services.open(Settings()))
    plain = [
        fn.api_name or fn.name
        for fn in page.fns.values()
        if fn.fn is not None and not hasattr(fn.fn, "__wrapped__") and fn.inputs
    ]
    assert plain == []
    assert page.process_api.__module__ == page.preprocess_data.__module__ == "ui.gradio_compat"


def test_pictures_of_everyones_page_cannot_be_deleted(visitor: Caller) -> None:
    names = {name: k for k, name, _ in handlers(visitor)}
    pictures = [
        path
        for path in private_folder().rglob("*.*")
        if path.is_file() and path.suffix in (".webp", ".png") and "/uploads-" not in str(path)
    ]
    assert pictures
    for path in pictures[:20]:
        file = {"path": str(path), "meta": META}
        assert REFUSED in visitor.call("would_be_credited", [[file], "Ada", file, ""]).error.lower()
        assert REFUSED in visitor.ask(names["drop_artwork"], [None, [file], None]).error.lower()
        assert REFUSED in visitor.ask(names["forget_artwork"], [None, None, [file]]).error.lower()
    assert all(path.exists() for path in pictures)


def test_files_are_deleted_for_whom_they_belong_to_alone(visitor: Caller, other: Caller) -> None:
    mine, same = visitor.upload(PIECE), other.upload(PIECE)
    assert mine["path"] != same["path"], "equal files of two visitors are two files"
    told = visitor.call("would_be_credited", [[mine], "Ada", visitor.upload(PIECE), ""])
    assert told.error == "" and REFUSED in visitor.call("attribute_image", [mine, 3, ""]).error.lower()
    assert other.call("attribute_image", [same, 3, ""]).error == ""


@pytest.mark.parametrize(
    ("data", "name", "words"),
    [
        (b"", "empty.png", "empty file"),
        (b"no image", "words.png", "cannot be read"),
        (bomb(12_000), "bomb.png", "megapixels"),
        (of_scans(101, 64), "scans.jpg", "101 scans"),
        (encoded(Image.new("L", (1, 70_000)), "PNG"), "thin.png", "a side may have"),
        (encoded(shape_image(3), "ICO"), "icon.png", "unknown format"),
        (encoded(shape_image(3), "EPS"), "print.png", "unknown format"),
        (PIECE[:200], "cut.png", "cannot be read"),
    ],
    ids=["empty", "words", "bomb", "scans", "thin", "ico", "eps", "cut"],
)
def test_bad_images_are_one_sentence_at_every_call_that_takes_one(
    visitor: Caller, data: bytes, name: str, words: str
) -> None:
    began = time.monotonic()
    for call, more in (("attribute_image", [3, ""]), ("check_copy", [])):
        answer = visitor.call(call, [visitor.upload(data, name), *more])
        assert words in answer.error and answer.size < 1000 and "/" not in answer.error.replace("kind; ", "")
    answer = visitor.call(
        "would_be_credited", [[visitor.upload(data, name)], "Ada", visitor.upload(PIECE), ""]
    )
    assert words in answer.error
    assert time.monotonic() - began < 20


def test_long_thin_and_animated_images_are_answered_quickly(visitor: Caller) -> None:
    for data in (encoded(Image.new("RGB", (1, 60_000)), "PNG"), of_frames(3000), of_scans(60, 64)):
        began = time.monotonic()
        assert visitor.call("attribute_image", [visitor.upload(data), 3, ""]).error == ""
        assert time.monotonic() - began < 10


def test_a_large_photograph_is_never_stored_at_full_size(visitor: Caller) -> None:
    photograph = encoded(Image.effect_noise((4000, 3000), 20).convert("RGB"), "JPEG", quality=40)
    file = visitor.upload(photograph, "holiday.jpg")
    shown = visitor.web.get(f"/gradio_api/file={file['path']}").content
    assert Image.open(io.BytesIO(shown)).size == (2048, 1536)
    assert visitor.call("attribute_image", [file, 3, ""]).error == ""


def test_an_upload_has_an_end(visitor: Caller) -> None:
    answer = visitor.web.post("/gradio_api/upload", files={"files": ("a.png", b"\0" * 2_000_001)})
    assert answer.status_code == 413 and "2 MB" in answer.text
    many = [("files", (f"{k}.png", PIECE)) for k in range(MOST_FILES + 1)]
    assert visitor.web.post("/gradio_api/upload", files=many).status_code == 400
    assert visitor.web.post("/gradio_api/upload", content=b"x").status_code == 400
    assert (
        visitor.web.post("/gradio_api/upload", files={"files": ("../../etc/x.png", PIECE)}).status_code == 200
    )
