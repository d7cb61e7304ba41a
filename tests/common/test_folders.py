"""Every file of a folder is listed, or named with the reason why it is not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from attribution_core.common.folders import image_files, is_image, is_litter, list_files
from attribution_core.errors import InvalidInputError
from tests.support.fakes import shape_image


def test_linked_folders_are_read_once_and_under_their_own_names(tmp_path: Path) -> None:
    root, far = tmp_path / "root", tmp_path / "far"
    (root / "real/deep").mkdir(parents=True)
    (far / "inner").mkdir(parents=True)
    for path in (root / "a", root / "real/deep/b", far / "c", far / "inner/d"):
        path.write_text("x")
    (root / "0-link").symlink_to(root / "real")
    (root / "away").symlink_to(far)
    (far / "back").symlink_to(root)
    (far / "loop").symlink_to(far)
    (root / "gone.png").symlink_to(tmp_path / "nowhere.png")
    os.mkfifo(root / "pipe.png")
    found = list_files(root)
    assert found.files == ["a", "away/c", "away/inner/d", "real/deep/b"]
    assert dict(found.problems) == {
        "0-link/": "a link to a folder that is read under another name",
        "away/back/": "a link to a folder that is read under another name",
        "away/loop/": "a link to a folder that is read under another name",
        "gone.png": "a broken link",
        "pipe.png": "not a regular file",
    }


@pytest.mark.parametrize(
    "name",
    ["._a.png", ".DS_Store", ".thumbnails/a.png", "x/@eaDir/a.png", "__MACOSX/a.png", "Thumbs.db", ".git/a"],
)
def test_litter_is_known(name: str) -> None:
    assert is_litter(name)
    assert not is_litter(f"../{name.rsplit('/', 1)[-1].strip('._@')}x")


def test_litter_is_listed_apart(tmp_path: Path) -> None:
    for name in ("a.png", "._a.png", ".ipynb_checkpoints/a-checkpoint.png", "@eaDir/a.png/THUMB.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    found = list_files(tmp_path)
    assert found.files == ["a.png"]
    assert [name for name, _ in found.litter] == ["._a.png", ".ipynb_checkpoints", "@eaDir"]


def test_a_folder_can_be_left_out(tmp_path: Path) -> None:
    (tmp_path / "out/deep").mkdir(parents=True)
    (tmp_path / "out/deep/a").write_text("x")
    (tmp_path / "b").write_text("x")
    assert list_files(tmp_path, tmp_path / "out").files == ["b"]


def test_images_are_known_without_an_ending(tmp_path: Path) -> None:
    for name, kind in (("download", "PNG"), ("photo.JPG_large", "JPEG"), ("a.bin", "WEBP"), ("b", "AVIF")):
        shape_image(1).save(tmp_path / name, kind)
        assert is_image(tmp_path / name), name
    (tmp_path / "text").write_text("RIFF of words")
    assert not is_image(tmp_path / "text") and not is_image(tmp_path / "missing")


def test_images_of_one_name_can_be_told_apart(tmp_path: Path) -> None:
    for name in ("g/seed0/1.png", "g/seed1/1.png", "h/seed0/1.png", "g/2.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shape_image(1).save(tmp_path / name)
    titles = [title for title, _ in image_files([tmp_path / "g", tmp_path / "h"])]
    assert titles == ["2.png", f"{tmp_path}/g/seed0/1.png", "seed1/1.png", f"{tmp_path}/h/seed0/1.png"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInputError, match="there is no image in"):
        list(image_files([tmp_path / "empty"]))


def test_a_link_that_leads_to_itself_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("x")
    (tmp_path / "self").symlink_to(tmp_path / "self")
    found = list_files(tmp_path)
    assert found.files == ["a.png"] and found.problems == [("self", "a broken link")]
