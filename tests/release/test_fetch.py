"""Fetching over HTTP from a server that breaks: what arrives is the file, whole and of one version, or an error."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import socket
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attribution_core.errors import DownloadError
from attribution_core.release import fetch as fetching
from attribution_core.release.fetch import fetch
from tests.support.web import Web, serving

DATA = np.random.default_rng(0).bytes(5000)
OTHER = np.random.default_rng(1).bytes(5000)


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as served:
        served.files["/a.bin"] = DATA
        yield served


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "BLOCK", 512)


def bring(web: Web, folder: Path, **options: object) -> fetching.Fetched:
    return fetch(f"{web.url}/a.bin", folder / "a.bin", wait=lambda s: None, **options)  # type: ignore[arg-type]


def stop_at(count: int):  # type: ignore[no-untyped-def]
    """A kill in the middle of a fetch: raises once so many bytes are here."""

    def show(done: int, total: int | None) -> None:
        if done >= count:
            raise KeyboardInterrupt

    return show


def left(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_a_file_arrives_as_it_is_and_nothing_else_stays(web: Web, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    got = bring(web, tmp_path, on_progress=lambda done, total: seen.append((done, total)))
    assert (tmp_path / "a.bin").read_bytes() == DATA
    assert (got.size, got.sha256, got.resumed) == (5000, hashlib.sha256(DATA).hexdigest(), 0)
    assert seen[-1] == (5000, 5000) and [d for d, _ in seen] == sorted(d for d, _ in seen)
    assert left(tmp_path) == ["a.bin"]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cuts=st.lists(st.integers(0, 5000), max_size=4),
    size=st.integers(0, 5000),
    etags=st.booleans(),
    ranges=st.booleans(),
)
def test_however_often_the_connection_ends_the_bytes_are_equal(
    web: Web, tmp_path: Path, cuts: list[int], size: int, etags: bool, ranges: bool
) -> None:
    web.files["/a.bin"], web.cuts, web.etags, web.ranges = DATA[:size], list(cuts), etags, ranges
    (tmp_path / "a.bin").unlink(missing_ok=True)
    for _ in range(6):
        with contextlib.suppress(DownloadError):
            bring(web, tmp_path)
            break
    assert (tmp_path / "a.bin").read_bytes() == DATA[:size]
    assert left(tmp_path) == ["a.bin"]


def test_a_later_call_asks_only_for_what_is_missing(web: Web, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        bring(web, tmp_path, on_progress=stop_at(2000))
    assert left(tmp_path) == [".a.bin.part", ".a.bin.part.json"]
    got = bring(web, tmp_path)
    assert web.asked[-1][1] == f"bytes={got.resumed}-" and got.resumed >= 2000
    assert (tmp_path / "a.bin").read_bytes() == DATA


@pytest.mark.parametrize(("etags", "modified"), [(True, True), (True, False), (False, True), (False, False)])
def test_a_file_that_changed_in_between_is_not_glued_together(
    web: Web, tmp_path: Path, etags: bool, modified: bool
) -> None:
    web.etags, web.modified = etags, modified
    with pytest.raises(KeyboardInterrupt):
        bring(web, tmp_path, on_progress=stop_at(2000))
    web.files["/a.bin"] = OTHER  # of the same length
    assert bring(web, tmp_path).resumed == 0
    assert (tmp_path / "a.bin").read_bytes() == OTHER


def test_a_server_that_ignores_if_range_is_found_out(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyboardInterrupt):
        bring(web, tmp_path, on_progress=stop_at(2000))
    web.files["/a.bin"] = OTHER
    request = fetching.urllib.request.Request
    monkeypatch.setattr(
        request,
        "add_header",
        lambda self, name, value, add=request.add_header: (
            None if name == "If-Range" else add(self, name, value)
        ),
    )
    bring(web, tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == OTHER
    assert [r for _, r in web.asked][-2:] == ["bytes=2048-", ""]


def test_without_a_name_for_the_version_a_known_checksum_lets_it_go_on(web: Web, tmp_path: Path) -> None:
    web.etags = web.modified = False
    right = hashlib.sha256(DATA).hexdigest()
    with pytest.raises(KeyboardInterrupt):
        bring(web, tmp_path, sha256=right, on_progress=stop_at(2000))
    assert bring(web, tmp_path, sha256=right).resumed >= 2000
    (tmp_path / "a.bin").unlink()
    with pytest.raises(KeyboardInterrupt):
        bring(web, tmp_path, sha256=right, on_progress=stop_at(2000))
    web.files["/a.bin"] = OTHER
    with pytest.raises(DownloadError, match="not the expected file"):
        bring(web, tmp_path, sha256=right)
    assert left(tmp_path) == []


def test_a_file_that_shrank_begins_anew(web: Web, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        bring(web, tmp_path, on_progress=stop_at(4000))
    web.files["/a.bin"] = OTHER[:100]
    bring(web, tmp_path)
    assert (tmp_path / "a.bin").read_bytes() == OTHER[:100]


def test_all_bytes_were_here_but_the_name(web: Web, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        bring(web, tmp_path, on_progress=stop_at(5000))
    web.asked.clear()
    assert bring(web, tmp_path).resumed == 5000
    assert (tmp_path / "a.bin").read_bytes() == DATA and web.asked == []


def test_wrong_size_or_checksum_is_an_error_and_keeps_nothing(web: Web, tmp_path: Path) -> None:
    for wrong, words in (({"sha256": "0" * 64}, "sha256"), ({"size": 4999}, "expected 4,999")):
        with pytest.raises(DownloadError, match=words):
            bring(web, tmp_path, **wrong)
        assert left(tmp_path) == []


def test_what_is_there_and_right_is_not_fetched_again(web: Web, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(DATA)
    bring(web, tmp_path, size=5000)
    bring(web, tmp_path, sha256=hashlib.sha256(DATA).hexdigest())
    assert web.asked == []
    bring(web, tmp_path)  # of unknown size: the server is asked, nothing is taken
    assert len(web.asked) == 1
    (tmp_path / "a.bin").write_bytes(DATA[:-1])
    for known in ({}, {"size": 5000}, {"sha256": hashlib.sha256(DATA).hexdigest()}):
        (tmp_path / "a.bin").write_bytes(DATA[:-1])
        bring(web, tmp_path, **known)
        assert (tmp_path / "a.bin").read_bytes() == DATA


def test_no_room_is_said_before_anything_is_fetched(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1e9, 1e9, fetching.KEEP_FREE + 4999))
    with pytest.raises(DownloadError, match=r"0\.07 GB free.*make room"):
        bring(web, tmp_path)
    assert left(tmp_path) == []
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1e9, 1e9, fetching.KEEP_FREE + 5000))
    bring(web, tmp_path)
    (tmp_path / "a.bin").unlink()
    with pytest.raises(DownloadError, match="make room"):
        bring(web, tmp_path, times=2)


def test_a_disk_that_fills_up_says_so_and_goes_on_later(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(done: int, total: int | None) -> None:
        if done > 1000:
            raise OSError(28, "No space left on device")

    with pytest.raises(DownloadError, match="No space left on device"):
        bring(web, tmp_path, on_progress=full)
    assert bring(web, tmp_path).resumed > 0
    assert (tmp_path / "a.bin").read_bytes() == DATA


def test_what_is_not_there_or_not_given_is_one_clear_sentence(web: Web, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"does not exist \(404\)"):
        fetch(f"{web.url}/b.bin", tmp_path / "b.bin")
    web.broken = [403]
    with pytest.raises(DownloadError, match=r"is forbidden \(403\)"):
        bring(web, tmp_path)
    web.kind = "text/html; charset=utf-8"
    with pytest.raises(DownloadError, match="a web page instead of the file"):
        bring(web, tmp_path)
    with pytest.raises(DownloadError, match="not an http"):
        fetch("file:///etc/hosts", tmp_path / "b.bin")
    assert left(tmp_path) == []


def test_without_a_network_it_says_so(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    waits: list[float] = []
    with pytest.raises(DownloadError, match="no connection: Connection refused.*check the network"):
        fetch(f"http://127.0.0.1:{port}/a", tmp_path / "a", wait=waits.append)
    assert len(waits) == fetching.TRIES_AT_FIRST - 1


def test_a_busy_server_is_asked_again(web: Web, tmp_path: Path) -> None:
    web.broken = [503]
    assert bring(web, tmp_path).size == 5000


def test_a_server_that_gives_nothing_more_is_given_up_on(web: Web, tmp_path: Path) -> None:
    web.cuts = [1000] + [0] * 20
    with pytest.raises(DownloadError, match="again to resume"):
        bring(web, tmp_path)
    assert len(web.asked) == fetching.TRIES
    web.cuts = []
    assert bring(web, tmp_path).resumed == 1000


def test_a_hub_names_the_checksum_in_its_redirect(web: Web, tmp_path: Path) -> None:
    right = hashlib.sha256(DATA).hexdigest()
    web.redirects["/hub"] = (f"{web.url}/a.bin", {"X-Linked-Etag": f'"{right}"'})
    assert fetch(f"{web.url}/hub", tmp_path / "w").sha256 == right
    web.redirects["/hub"] = (f"{web.url}/a.bin", {"X-Linked-Etag": f'"{"1" * 64}"'})
    with pytest.raises(DownloadError, match="not the expected file"):
        fetch(f"{web.url}/hub", tmp_path / "v", wait=lambda s: None)
    web.redirects["/hub"] = ("ftp://example.org/a", {})
    with pytest.raises(DownloadError, match="unencrypted|cannot be fetched|302"):
        fetch(f"{web.url}/hub", tmp_path / "v", wait=lambda s: None)


def test_a_damaged_note_begins_anew(web: Web, tmp_path: Path) -> None:
    (tmp_path / ".a.bin.part").write_bytes(b"x" * 100)
    for note in ("{", json.dumps([1]), json.dumps({"url": "https://elsewhere.org/a"})):
        (tmp_path / ".a.bin.part").write_bytes(b"x" * 100)
        (tmp_path / ".a.bin.part.json").write_text(note)
        bring(web, tmp_path)
        assert (tmp_path / "a.bin").read_bytes() == DATA
        (tmp_path / "a.bin").unlink()
