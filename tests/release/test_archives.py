"""Archives of strangers: what is a plain file comes out, what would lie elsewhere never does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from attribution_core.errors import DownloadError
from attribution_core.release.archives import BadArchiveError, unpack
from tests.support.archives import tar

BYTES = np.random.default_rng(0).bytes(20_000)


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_files_come_out_and_others_stay(tmp_path: Path, mode: str) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "mine").write_bytes(b"mine")
    (folder / "old").write_bytes(b"old")
    archive = tar(tmp_path / "a.tar", {"./mapper/clip.pth": BYTES, "old": b"new"}, mode)
    (folder / ".unpacking-a.tar").mkdir()
    (folder / ".unpacking-a.tar/left").write_bytes(b"of a call that was killed")
    seen: list[int] = []
    assert unpack(archive, folder, seen.append) == (Path("mapper/clip.pth"), Path("old"))
    assert (folder / "mapper/clip.pth").read_bytes() == BYTES
    assert [(folder / name).read_bytes() for name in ("mine", "old")] == [b"mine", b"new"]
    assert seen == [20_000, 20_003]
    assert sorted(p.name for p in folder.iterdir()) == ["mapper", "mine", "old"]


@pytest.mark.parametrize(
    "members",
    [
        {"../evil": b"x"},
        {"a/../../evil": b"x"},
        {"/evil": b"x"},
        {"C:/evil": b"x"},
        {"..\\evil": b"x"},
        {"link": "/etc", "link/evil": b"x"},
        {"link": "../evil"},
    ],
)
def test_nothing_lies_outside_and_no_link_is_made(tmp_path: Path, members: dict[str, bytes | str]) -> None:
    folder = tmp_path / "out"
    with pytest.raises(DownloadError, match="nothing was unpacked"):
        unpack(tar(tmp_path / "a.tar", {"good": b"x", **members}), folder)
    assert list(folder.iterdir()) == [] and not (tmp_path / "evil").exists()


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("cut", [0.005, 0.25, 0.5, "between two files"])
def test_a_cut_archive_changes_nothing(tmp_path: Path, mode: str, cut: float | str) -> None:
    archive, folder = tar(tmp_path / "a.tar", {"a": BYTES, "b": BYTES[::-1]}, mode), tmp_path / "out"
    data = archive.read_bytes()
    archive.write_bytes(data[: 512 + 20_480 if isinstance(cut, str) else int(cut * len(data))])
    with pytest.raises(DownloadError, match="not a complete archive"):
        unpack(archive, folder)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("place", [9_000, -6])
def test_a_compressed_archive_with_a_wrong_byte_changes_nothing(tmp_path: Path, place: int) -> None:
    archive = tar(tmp_path / "a.tar", {"a": BYTES}, "w:gz")
    data = bytearray(archive.read_bytes())
    data[place] ^= 1
    archive.write_bytes(data)
    with pytest.raises(BadArchiveError, match="not a complete archive"):
        unpack(archive, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_what_is_no_archive_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"<html>")
    with pytest.raises(DownloadError, match="not a complete archive"):
        unpack(tmp_path / "a.tar", tmp_path / "out")


def test_a_full_disk_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("attribution_core.release.archives.shutil.copyfileobj", full)
    with pytest.raises(DownloadError, match=r"No space left on device.*make room"):
        unpack(tar(tmp_path / "a.tar", {"a": BYTES}), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
