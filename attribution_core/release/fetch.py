"""Fetches one file over HTTP: goes on after a broken connection, never glues two versions together, checks at the end.

What has arrived lies beside the target under a temporary name, with a note of which version of which address it is.
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
"""How often a connection may fail one after the other without a byte between ..."""
TRIES_AT_FIRST = 2
"""... and before the first byte."""
PATIENCE_S = 60
KEEP_FREE = 64 << 20
"""Bytes of the disk that are left alone."""
_AGENT = "attribution-explorer"


@dataclass(frozen=True)
class Fetched:
    """A file that is there whole. resumed: bytes of it that an earlier try had brought."""

    path: Path
    size: int
    sha256: str
    url: str
    resumed: int = 0


@dataclass(frozen=True)
class _Version:
    """What a server says of a file. size: in bytes, None where it does not say; sha256: "" likewise."""

    url: str
    etag: str = ""
    modified: str = ""
    size: int | None = None
    sha256: str = ""

    @property
    def validator(self) -> str:
        """What names this version and no other in If-Range; "" where the server gives nothing of the kind."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.modified

    def is_as(self, other: _Version) -> bool:
        """Whether both are one version, as far as can be told."""
        return (self.etag, self.modified, self.size) == (other.etag, other.modified, other.size)


class _Broken(Exception):
    """The connection ended early; another try may help."""


class _Changed(_Broken):
    """What is here and what the server has now are two versions; the next try begins anew."""


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, never from https to http, and keeps the checksum that model hubs send along."""

    sha256 = ""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        """The request that follows."""
        if urlsplit(newurl).scheme not in {urlsplit(req.full_url).scheme, "https"}:
            raise DownloadError(
                f"'{req.full_url}' leads to an address without encryption; it is not followed."
            )
        told = str(headers.get("X-Linked-Etag", "")).strip('"')
        if re.fullmatch("[0-9a-f]{64}", told):
            self.sha256 = told
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
    """Bring a file from an address to `target`; a call after an interrupted one goes on where that stopped.

    url: http or https. size, sha256: what the file must have, where that is known; otherwise the size, and the
    checksum if any, that the server names. times: how often the disk must have room for it, 2 where it is
    unpacked beside itself. on_progress: called with (bytes here, bytes of all or None). A file that is there and has
    the right size, and checksum where one is known, is left as it is. Raises `DownloadError`; what had arrived stays
    for the next call, unless it was wrong.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise DownloadError(f"'{url}' is no http or https address.")
    if target.is_file() and (there := _as_it_is(url, target, size, sha256)):
        return there
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part, note = target.with_name(f".{target.name}.part"), target.with_name(f".{target.name}.part.json")
        version, resumed = _persist(url, part, note, size, sha256, times, on_progress, wait)
        return _finish(part, note, target, version, size, sha256, resumed)
    except OSError as error:
        raise DownloadError(
            f"'{target.parent}' cannot be written ({error.strerror or error}); make room or name "
            "another folder, and run the same command again: it goes on where it stopped."
        ) from error


def _as_it_is(url: str, target: Path, size: int | None, sha256: str) -> Fetched | None:
    """The file that is there, where it is what it should be; where nothing is known of it, the server is asked."""
    if size is None and not sha256:
        redirects = _Redirects()
        try:
            with _opened(_request(url), redirects) as reply:
                version = _told(url, reply, redirects.sha256)[0]
        except _Broken as error:
            raise DownloadError(
                f"'{target}' is there, but '{url}' cannot be asked whether it is whole ({error}); "
                "check the network."
            ) from error
        size, sha256 = version.size if version.size is not None else -1, version.sha256
    have = target.stat().st_size
    if size not in (None, have):
        return None
    given = sha256_file(target)
    return Fetched(target, have, given, url) if sha256 in ("", given) else None


def _request(url: str) -> urllib.request.Request:
    return urllib.request.Request(url, headers={"User-Agent": _AGENT, "Accept-Encoding": "identity"})


def _persist(
    url: str,
    part: Path,
    note: Path,
    size: int | None,
    sha256: str,
    times: int,
    on_progress: Callable[[int, int | None], None] | None,
    wait: Callable[[float], None],
) -> tuple[_Version, int]:
    """Try until all is here; returns the version, and how much of it earlier calls had brought."""
    begun = part.stat().st_size if part.is_file() else 0
    failures, changes, arrived = 0, 0, False
    while True:
        before = part.stat().st_size if part.is_file() else 0
        try:
            version, start = _receive(url, part, note, size, sha256, times, on_progress)
            return version, min(begun, start)
        except _Broken as error:
            grown = part.is_file() and part.stat().st_size > before
            arrived = arrived or grown
            failures = 1 if grown else failures + 1
            changes += isinstance(error, _Changed)
            begun = 0 if isinstance(error, _Changed) else begun
            if failures >= (TRIES if arrived else TRIES_AT_FIRST) or changes >= TRIES:
                raise DownloadError(
                    f"'{url}' cannot be fetched ({error}); check the network and run the same command "
                    "again: it goes on where it stopped."
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
    """Append what is missing to `part`; returns the version and where this try began. Raises `_Broken`."""
    have, known = _begun(part, note, url, sha256)
    if have and known and known.size == have:  # ended between the last byte and the new name
        return known, have
    request = _request(url)
    if have and known:
        request.add_header("Range", f"bytes={have}-")
        if known.validator:
            request.add_header("If-Range", known.validator)
    redirects = _Redirects()
    with _opened(request, redirects) as reply:
        if reply is None:
            _forget(part, note)
            raise _Changed("the file changed on the server")
        version, start = _told(url, reply, redirects.sha256)
        if start and (start != have or known is None or not _same(known, version)):
            _forget(part, note)
            raise _Changed("the file changed on the server")
        total = version.size
        if size is not None and total is not None and total != size:
            _forget(part, note)
            raise DownloadError(
                f"'{url}' is {total:,} bytes now, expected {size:,}: it was replaced by another file."
            )
        _check_room(part, times * (total or size or 0) - start)
        write_json_atomic(note, asdict(version))
        _copy(reply, part, start, total, on_progress)
    return version, start


def _same(known: _Version, version: _Version) -> bool:
    """Whether what follows belongs to what is here; a mirror's redirect may lead elsewhere without its names."""
    return version.is_as(known) or (bool(version.sha256) and version.sha256 == known.sha256)


def _begun(part: Path, note: Path, url: str, sha256: str) -> tuple[int, _Version | None]:
    """How much is here of which version; (0, None) where that cannot be gone on with."""
    try:
        known = _Version(**read_json(note))
        have = part.stat().st_size
    except (OSError, ValueError, TypeError):
        _forget(part, note)
        return 0, None
    # Without a name for the version, only a checksum at the end could tell that it is still the same.
    if known.url != url or not (known.validator or known.sha256 or sha256) or (known.size or have) < have:
        _forget(part, note)
        return 0, None
    return have, known


def _forget(part: Path, note: Path) -> None:
    part.unlink(missing_ok=True)
    note.unlink(missing_ok=True)


@contextlib.contextmanager
def _opened(request: urllib.request.Request, redirects: _Redirects) -> Iterator[Any]:
    """The server's reply; None for 416, "range not satisfiable"."""
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
                404: "is not there (404)",
                410: "is gone (410)",
                401: "asks for a login (401)",
                403: "is not handed out (403)",
            }.get(error.code, f"was answered with {error.code} {error.reason}")
            raise DownloadError(
                f"'{url}' {why}; it may have moved: look for it on its authors' page."
            ) from error
    except urllib.error.URLError as error:
        raise _Broken(f"no connection: {getattr(error.reason, 'strerror', None) or error.reason}") from error
    except (http.client.HTTPException, OSError) as error:
        raise _Broken(f"no connection: {str(error) or type(error).__name__}") from error
    with reply:
        yield reply


def _told(url: str, reply: Any, sha256: str) -> tuple[_Version, int]:
    """The version that a reply is of, and from which byte on."""
    headers, start, size = reply.headers, 0, None
    if reply.status == 206:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", str(headers.get("Content-Range", "")).strip())
        if found is None:
            raise DownloadError(f"'{url}' was answered with a part that does not say which; try again later.")
        start, size = int(found[1]), None if found[2] == "*" else int(found[2])
    elif str(headers.get("Content-Length", "")).isdigit():
        size = int(headers["Content-Length"])
    if headers.get_content_type() == "text/html" and not urlsplit(url).path.endswith((".html", "/")):
        raise DownloadError(
            f"'{url}' was answered with a web page in place of the file: open it in a browser to see "
            "what is asked or wrong there (a login, a limit of downloads, a moved file)."
        )
    return _Version(url, headers.get("ETag", ""), headers.get("Last-Modified", ""), size, sha256), start


def _check_room(part: Path, needed: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if needed + KEEP_FREE > free:
        raise DownloadError(
            f"'{part.parent}' has {free / 1e9:.2f} GB free, {(needed + KEEP_FREE) / 1e9:.2f} GB are "
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
    except http.client.IncompleteRead as error:  # what came before the end is not lost
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
            f"'{target.name}' has {have:,} bytes, expected {expected:,}; what was fetched is thrown "
            "away. Run the same command again."
        )
    given, right = sha256_file(part), sha256 or version.sha256
    if right and given != right:
        _forget(part, note)
        raise DownloadError(
            f"'{target.name}' is not the file that was expected (sha256 {given[:12]}..., expected "
            f"{right[:12]}...); what was fetched is thrown away. Run the same command again, or look "
            "for a newer version of this program."
        )
    part.replace(target)
    note.unlink(missing_ok=True)
    return Fetched(target, have, given, version.url, resumed)
