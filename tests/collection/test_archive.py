"""ZIP files as a source: images are read one by one, and bombs and tricks are refused in one sentence."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from pathlib import Path

import pytest

from attribution_core.attribution.attributor import Attributor
from attribution_core.collection import shards
from attribution_core.collection.build import ENCODING, SourceOptions, build_collection
from attribution_core.collection.build_report import IndexReport
from attribution_core.collection.sources.archive import ZipLimits, ZipSource
from attribution_core.common.progress import Progress
from attribution_core.errors import CheckpointError, InvalidInputError
from tests.support.fakes import shape_image
from tests.support.killed_build import killed_at_shard


def png(seed: int) -> bytes:
    buffer = io.BytesIO()
    shape_image(seed).save(buffer, "PNG")
    return buffer.getvalue()


def packed(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def encrypted(path: Path) -> Path:
    """Set the flag that says so for every entry; Python writes no encrypted files itself."""
    data = bytearray(packed(path, {"a.png": png(1), "b.png": png(2)}).read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(signature)
        while at >= 0:
            flags = struct.unpack_from("<H", data, at + offset)[0]
            struct.pack_into("<H", data, at + offset, flags | 1)
            at = data.find(signature, at + 4)
    path.write_bytes(data)
    return path


def everything(source: ZipSource) -> dict[str, str]:
    return {item.id: item.problem for item in source.items(lambda _: True)}


def test_images_are_read_by_their_paths(tmp_path: Path) -> None:
    files = {"b/one.png": png(1), "a/one.png": png(2), "notes.txt": b"x", "__MACOSX/._one.png": b"x"}
    source = ZipSource(packed(tmp_path / "some.zip", files))
    items = list(source.items(lambda name: name != "b/one.png"))
    assert [item.id for item in items] == ["a/one.png"] and items[0].data == png(2)
    assert source.total(0) == 2 and source.unread == [("notes.txt", "no image")]
    assert list(source.names())[1] == ("b/one.png", ("b/one", "one.png", "one"))


def test_what_leads_elsewhere_or_is_damaged_is_refused_and_the_rest_goes_on(tmp_path: Path) -> None:
    path = packed(
        tmp_path / "some.zip",
        {
            "../out.png": png(1),
            "/root.png": png(1),
            "C:/x.png": png(1),
            "good.png": png(2),
            "bad.png": png(3),
        },
    )
    with zipfile.ZipFile(path, "a") as archive:
        link = zipfile.ZipInfo("link.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        at = archive.getinfo("bad.png").header_offset + 60
    data = bytearray(path.read_bytes())
    data[at : at + 40] = bytes(40)
    path.write_bytes(data)
    problems = everything(ZipSource(path))
    assert problems["good.png"] == "" and problems["link.png"] == "it is a link"
    assert "damaged" in problems["bad.png"]
    for name in ("../out.png", "/root.png", "C:/x.png"):
        assert problems[name] == "its path leads out of the archive"
    assert not (tmp_path.parent / "out.png").exists()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda p: packed(p, {"a.txt": b"x"}), "holds no images."),
        (lambda p: packed(p, {}), "holds no images."),
        (lambda p: packed(p, {"more.zip": b"PK"}), "another archive"),
        (lambda p: packed(p, {f"{i}.png": b"" for i in range(50)}), "more than the allowed 20 files"),
        (lambda p: packed(p, {"a.png": bytes(3_000_000)}), "3 MB unpacked, more than the allowed 2 MB"),
        (encrypted, "is encrypted"),
        (lambda p: (p.write_bytes(b"no zip at all"), p)[1], "cannot be read as a ZIP file"),
        (lambda p: p, "cannot be opened"),
    ],
)
def test_a_bomb_or_a_broken_file_is_one_sentence(tmp_path: Path, make: object, words: str) -> None:
    path = make(tmp_path / "some.zip")  # type: ignore[operator]
    with pytest.raises(InvalidInputError, match=words) as raised:
        ZipSource(path, ZipLimits(files=20, size=2_000_000))
    assert str(tmp_path) not in str(raised.value)


def test_one_image_too_large_is_left_out(tmp_path: Path) -> None:
    path = packed(tmp_path / "some.zip", {"large.png": bytes(2000), "good.png": png(1)})
    problems = everything(ZipSource(path, ZipLimits(file=1500)))
    assert "larger than" in problems["large.png"] and problems["good.png"] == ""


def test_entries_are_counted_before_they_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = packed(tmp_path / "some.zip", {f"{i}.png": b"" for i in range(50)})
    monkeypatch.setattr(zipfile, "ZipFile", lambda *_: pytest.fail("the table of contents was read"))
    with pytest.raises(InvalidInputError, match="more than the allowed 20 files"):
        ZipSource(path, ZipLimits(files=20))


def test_a_collection_is_built_from_a_zip_file_and_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {f"deep/down/red_cat-{i}.png": png(i) for i in range(7)}
    odd = {"../out.png": png(8), "broken.png": b"no image", "more.zip": b"PK", "notes.txt": b"x"}
    path = packed(tmp_path / "photos.zip", {**files, **odd})
    (tmp_path / "who.csv").write_text("file,creator\nred_cat-3,Ada\n")
    monkeypatch.setattr(shards, "SHARD", 2)
    steps: list[Progress] = []

    def build(**more: object) -> IndexReport:
        options = SourceOptions(metadata=tmp_path / "who.csv")
        return build_collection(
            path, tmp_path / "out", encoder="rgb-thumbnail", source=options, on_progress=steps.append, **more
        )

    with killed_at_shard(1, monkeypatch):
        build()
    report = build()
    corpus = report.collection.corpus
    assert corpus.column("id") == sorted(files)
    assert (corpus.column("caption")[3], corpus.column("creator")[3]) == ("red cat 3", "Ada")
    assert set(corpus.column("source")) == {"photos"} and not any(corpus.column("link"))
    assert {entry.file: entry.reason for entry in report.skipped}["../out.png"].endswith("out of the archive")
    assert {entry.file for entry in report.skipped} == {"../out.png", "broken.png"}
    assert {entry.file for entry in report.unread} == {"more.zip", "notes.txt"}
    counted = [step for step in steps if step.stage == ENCODING]
    assert counted[-1].done == counted[-1].total == 9 and any(step.resumed for step in counted)
    result = Attributor(report.collection).attribute(shape_image(5), top=1, temperature=0.05)
    assert result.credits[0].id == "deep/down/red_cat-5.png"
    # Another content under the same name is another source.
    packed(path, {**files, "new.png": png(9)})
    with pytest.raises(CheckpointError, match="begun with other images"):
        build()
    assert build_collection(path, tmp_path / "out", add=True).added == 1


@pytest.mark.parametrize("name", ["photos.zip", "PHOTOS.ZIP"])
def test_a_zip_file_that_is_none_makes_no_collection(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"no zip at all")
    with pytest.raises(InvalidInputError, match="cannot be read as a ZIP file"):
        build_collection(tmp_path / name, tmp_path / "out", encoder="rgb-thumbnail")
    assert not (tmp_path / "out").exists()
