"""Downloads a file over HTTP: resumes broken connections, never joins two versions, and verifies the result.

A partial download lies next to the target under a temporary name, with a note of its URL and version.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from attribution_core.common.files import sha256_file, write_json_atomic
from attribution_core.common.json_text import read_json
from attribution_core.errors import DownloadError

BLOCK = 1 << 20
TRIES = 5
"""Failures in a row, without a byte received in between, before giving up ..."""
TRIES_AT_FIRST = 2
"""... and before the first byte."""
PATIENCE_S = 60
KEEP_FREE = 64 << 20
"""Bytes to leave free on the disk."""
_AGENT = "attribution-explorer"


@dataclass(frozen=True)
class Fetched:
    """A complete file. resumed: how many of its bytes an earlier call had downloaded."""

    path: Path
    size: int
    sha256: str
    url: str
    resumed: int = 0


@dataclass(frozen=True)
class _Version:
    """The version of a file, as the server reports it. size: in bytes or None; sha256: "" if unknown."""

    url: str
    etag: str = ""
    modified: str = ""
    size: int | None = None
    sha256: str = ""

    @property
    def validator(self) -> str:
        """The value for If-Range that identifies this version; "" if the server sends none."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.modified

    def matches(self, other: _Version) -> bool:
        """Whether both are the same version, as far as the headers show."""
        return (self.etag, self.modified, self.size) == (other.etag, other.modified, other.size)


class _Broken(Exception):
    """The connection ended early; a retry may help."""


class _Changed(_Broken):
    """The file changed on the server; the next try starts over."""


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, except from https to http, and records the checksum that model hubs send."""

    sha256 = ""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        """Return the next request."""
        if urlsplit(newurl).scheme not in {urlsplit(req.full_url).scheme, "https"}:
            raise DownloadError(f"'{req.full_url}' redirects to an unencrypted URL, which is not allowed.")
        etag = str(headers.get("X-Linked-Etag", "")).strip('"')
        if re.fullmatch("[0-9a-f]{64}", etag):
            self.sha256 = etag
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def fetch(
    url: str,
    target: Path,
    *,
    size: int | None = None,
    sha256: str = "",
    times: int = 1,
    on_progress: Callable[[int, int | None], None] | None = None,
    wait: Callable[[float], None] = time.sleep,
) -> Fetched:
    """Download a file to `target`, resuming an interrupted download.

    url: http or https. size, sha256: expected values, if known; otherwise those that the server reports. times: how
    many copies the disk must have room for, 2 if the file is unpacked next to itself. on_progress: called with (bytes
    so far, total bytes or None). An existing file with the right size, and checksum if known, is kept. Raises
    `DownloadError`; a partial download stays for the next call, unless it was wrong.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise DownloadError(f"'{url}' is not an http or https address.")
    if target.is_file() and (existing := _existing(url, target, size, sha256)):
        return existing
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part, note = target.with_name(f".{target.name}.part"), target.with_name(f".{target.name}.part.json")
        version, resumed = _retry(url, part, note, size, sha256, times, on_progress, wait)
        return _finish(part, note, target, version, size, sha256, resumed)
    except OSError as error:
        raise DownloadError(
            f"'{target.parent}' cannot be written ({error.strerror or error}); make room or name "
            "another folder, and run the same command again to resume."
        ) from error


def _existing(url: str, target: Path, size: int | None, sha256: str) -> Fetched | None:
    """Return the existing file if it is right; without an expected size or checksum, ask the server."""
    if size is None and not sha256:
        redirects = _Redirects()
        try:
            with _open(_request(url), redirects) as reply:
                version = _version_of(url, reply, redirects.sha256)[0]
        except _Broken as error:
            raise DownloadError(
                f"'{target}' exists, but '{url}' cannot be reached to check it ({error}); check the network."
            ) from error
        size, sha256 = version.size if version.size is not None else -1, version.sha256
    have = target.stat().st_size
    if size not in (None, have):
        return None
    actual = sha256_file(target)
    return Fetched(target, have, actual, url) if sha256 in ("", actual) else None


def _request(url: str) -> urllib.request.Request:
    return urllib.request.Request(url, headers={"User-Agent": _AGENT, "Accept-Encoding": "identity"})


def _retry(
    url: str,
    part: Path,
    note: Path,
    size: int | None,
    sha256: str,
    times: int,
    on_progress: Callable[[int, int | None], None] | None,
    wait: Callable[[float], None],
) -> tuple[_Version, int]:
    """Retry until the download is complete; returns the version and how many bytes earlier calls had downloaded."""
    earlier = part.stat().st_size if part.is_file() else 0
    failures, changes, any_bytes = 0, 0, False
    while True:
        before = part.stat().st_size if part.is_file() else 0
        try:
            version, start = _receive(url, part, note, size, sha256, times, on_progress)
            return version, min(earlier, start)
        except _Broken as error:
            progress = part.is_file() and part.stat().st_size > before
            any_bytes = any_bytes or progress
            failures = 1 if progress else failures + 1
            changes += isinstance(error, _Changed)
            earlier = 0 if isinstance(error, _Changed) else earlier
            if failures >= (TRIES if any_bytes else TRIES_AT_FIRST) or changes >= TRIES:
                raise DownloadError(
                    f"'{url}' cannot be fetched ({error}); check the network and run the same command again to resume."
                ) from error
            wait(0 if isinstance(error, _Changed) else min(2.0**failures, 30))


def _receive(
    url: str,
    part: Path,
    note: Path,
    size: int | None,
    sha256: str,
    times: int,
    on_progress: Callable[[int, int | None], None] | None,
) -> tuple[_Version, int]:
    """Append the missing bytes to `part`; returns the version and the first byte received. Raises `_Broken`."""
    have, known = _partial(part, note, url, sha256)
    if have and known and known.size == have:  # interrupted between the last byte and the renaming
        return known, have
    request = _request(url)
    if have and known:
        request.add_header("Range", f"bytes={have}-")
        if known.validator:
            request.add_header("If-Range", known.validator)
    redirects = _Redirects()
    with _open(request, redirects) as reply:
        if reply is None:
            _forget(part, note)
            raise _Changed("the file changed on the server")
        version, start = _version_of(url, reply, redirects.sha256)
        if start and (start != have or known is None or not _same(known, version)):
            _forget(part, note)
            raise _Changed("the file changed on the server")
        total = version.size
        if size is not None and total is not None and total != size:
            _forget(part, note)
            raise DownloadError(
                f"'{url}' has {total:,} bytes, expected {size:,}; it was replaced by another file."
            )
        _check_room(part, times * (total or size or 0) - start)
        write_json_atomic(note, asdict(version))
        _copy(reply, part, start, total, on_progress)
    return version, start


def _same(known: _Version, version: _Version) -> bool:
    """Whether new bytes continue the partial file; mirrors may send other headers but the same checksum."""
    return version.matches(known) or (bool(version.sha256) and version.sha256 == known.sha256)


def _partial(part: Path, note: Path, url: str, sha256: str) -> tuple[int, _Version | None]:
    """Return the size and version of a partial download; (0, None) if it cannot be resumed."""
    try:
        known = _Version(**read_json(note))
        have = part.stat().st_size
    except (OSError, ValueError, TypeError):
        _forget(part, note)
        return 0, None
    # Without a validator, only a final checksum can show that the version has not changed.
    if known.url != url or not (known.validator or known.sha256 or sha256) or (known.size or have) < have:
        _forget(part, note)
        return 0, None
    return have, known


def _forget(part: Path, note: Path) -> None:
    part.unlink(missing_ok=True)
    note.unlink(missing_ok=True)


@contextlib.contextmanager
def _open(request: urllib.request.Request, redirects: _Redirects) -> Iterator[Any]:
    """Yield the server's reply; None for 416, "range not satisfiable"."""
    url = request.full_url
    try:
        reply = urllib.request.build_opener(redirects).open(request, timeout=PATIENCE_S)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416:
                yield None
                return
            if error.code in (429, 500, 502, 503, 504):
                raise _Broken(f"the server answers {error.code} {error.reason}") from error
            why = {
                404: "does not exist (404)",
                410: "is gone (410)",
                401: "requires a login (401)",
                403: "is forbidden (403)",
            }.get(error.code, f"was answered with {error.code} {error.reason}")
            raise DownloadError(f"'{url}' {why}; it may have moved, so see its authors' page.") from error
    except urllib.error.URLError as error:
        raise _Broken(f"no connection: {getattr(error.reason, 'strerror', None) or error.reason}") from error
    except (http.client.HTTPException, OSError) as error:
        raise _Broken(f"no connection: {str(error) or type(error).__name__}") from error
    with reply:
        yield reply


def _version_of(url: str, reply: Any, sha256: str) -> tuple[_Version, int]:
    """Return the version in a reply and the position of its first byte."""
    headers, start, size = reply.headers, 0, None
    if reply.status == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", str(headers.get("Content-Range", "")).strip())
        if match is None:
            raise DownloadError(
                f"'{url}' was answered with an unspecified part of the file; try again later."
            )
        start, size = int(match[1]), None if match[2] == "*" else int(match[2])
    elif str(headers.get("Content-Length", "")).isdigit():
        size = int(headers["Content-Length"])
    if headers.get_content_type() == "text/html" and not urlsplit(url).path.endswith((".html", "/")):
        raise DownloadError(
            f"'{url}' was answered with a web page instead of the file; open it in a browser to see why (a login, a "
            "download limit, a moved file)."
        )
    return _Version(url, headers.get("ETag", ""), headers.get("Last-Modified", ""), size, sha256), start


def _check_room(part: Path, needed: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if needed + KEEP_FREE > free:
        raise DownloadError(
            f"'{part.parent}' has {free / 1e9:.2f} GB free, but {(needed + KEEP_FREE) / 1e9:.2f} GB are "
            "needed; make room or name another folder."
        )


def _copy(
    reply: IO[bytes],
    part: Path,
    start: int,
    total: int | None,
    on_progress: Callable[[int, int | None], None] | None,
) -> None:
    have = start
    with part.open("r+b" if start else "wb") as file:
        file.seek(start)
        while block := _read(reply):
            file.write(block)
            have += len(block)
            if on_progress:
                on_progress(have, total)
    if total is not None and have < total:
        raise _Broken(f"the connection ended after {have:,} of {total:,} bytes")


def _read(reply: IO[bytes]) -> bytes:
    try:
        return reply.read(BLOCK)
    except http.client.IncompleteRead as error:  # keep the bytes received so far
        if error.partial:
            return error.partial
        raise _Broken("the connection ended") from error
    except (http.client.HTTPException, OSError) as error:
        raise _Broken(f"the connection ended: {str(error) or type(error).__name__}") from error


def _finish(
    part: Path, note: Path, target: Path, version: _Version, size: int | None, sha256: str, resumed: int
) -> Fetched:
    have, expected = part.stat().st_size, size if size is not None else version.size
    if expected is not None and have != expected:
        _forget(part, note)
        raise DownloadError(
            f"'{target.name}' has {have:,} bytes, expected {expected:,}; the download was discarded, so run the same "
            "command again."
        )
    actual, checksum = sha256_file(part), sha256 or version.sha256
    if checksum and actual != checksum:
        _forget(part, note)
        raise DownloadError(
            f"'{target.name}' is not the expected file (sha256 {actual[:12]}..., expected {checksum[:12]}...); the "
            "download was discarded, so run the same command again, or look for a newer version of this program."
        )
    part.replace(target)
    note.unlink(missing_ok=True)
    return Fetched(target, have, actual, version.url, resumed)
