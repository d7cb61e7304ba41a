"""A small file server that can be told to break: connections that end early, files that change."""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Web:
    """What is served. files: by path. cuts: at how many bytes of an answer each of the next connections ends.

    etags, modified, ranges, lengths: whether answers carry them, or ranges are understood. kind: of all answers.
    redirects: path -> (address, headers). broken: status of the next answers. asked: (path, Range) of all.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    etags: bool = True
    modified: bool = True
    ranges: bool = True
    lengths: bool = True
    kind: str = "application/octet-stream"
    redirects: dict[str, tuple[str, dict[str, str]]] = field(default_factory=dict)
    broken: list[int] = field(default_factory=list)
    asked: list[tuple[str, str]] = field(default_factory=list)


@contextlib.contextmanager
def serving() -> Iterator[Web]:
    """Serve on a free port until the block ends."""
    web = Web()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            web.asked.append((self.path, self.headers.get("Range", "")))
            if web.broken:
                self.send_error(web.broken.pop(0))
                return
            if self.path in web.redirects:
                address, more = web.redirects[self.path]
                self.send_response(302)
                for name, value in {"Location": address, "Content-Length": "0", **more}.items():
                    self.send_header(name, value)
                self.end_headers()
                return
            if self.path not in web.files:
                self.send_error(404)
                return
            self.send_file(web.files[self.path])

        def send_file(self, data: bytes) -> None:
            etag = f'"{hashlib.md5(data).hexdigest()}"'
            modified = formatdate(int(hashlib.md5(data).hexdigest()[:7], 16), usegmt=True)
            found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")) if web.ranges else None
            held = self.headers.get("If-Range")
            start = int(found[1]) if found and (held is None or held in (etag, modified)) else 0
            if found and start >= len(data) > 0:
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            self.send_header("Content-Type", web.kind)
            if web.etags:
                self.send_header("ETag", etag)
            if web.modified:
                self.send_header("Last-Modified", modified)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            if web.lengths:
                self.send_header("Content-Length", str(len(data) - start))
            self.send_header("Connection", "close")
            self.end_headers()
            body = data[start:]
            with contextlib.suppress(OSError):
                self.wfile.write(body[: web.cuts.pop(0)] if web.cuts else body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    web.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
