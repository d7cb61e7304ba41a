"""Where a Milvus store is, in one text, and clients of it; a file of Milvus Lite is let go with its last client."""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import logging
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from attribution_core.common.optional import how_to_install, import_optional
from attribution_core.errors import CheckpointError, InvalidInputError, MissingDependencyError
from attribution_core.settings import milvus_token

SCHEMES = {"milvus": "http", "milvus+https": "https"}
_EXPECTED = (
    "expected milvus://HOST:PORT or milvus://HOST:PORT/DATABASE for a server (milvus+https:// with TLS), or "
    "milvus:FILE.db for a file of Milvus Lite"
)
_CONNECT_SECONDS = 5
_PORTS = {"http": 19530, "https": 443}
# pymilvus pings every ten seconds, which servers with gRPC's own limits, Milvus Lite's among them, take for an attack.
_CHANNEL = {"grpc.keepalive_time_ms": 300_000, "grpc.keepalive_permit_without_calls": 0}
_NOISY = ("pymilvus", "pymilvus.milvus_client", "milvus_lite")

# How many clients each file of Milvus Lite has. Reentrant: the garbage collector lets clients go at any point.
_users: dict[Path, int] = {}
_lock = threading.RLock()


@dataclass(frozen=True)
class Address:
    """A Milvus server, or a file of Milvus Lite.

    Attributes:
        text: As cards hold it; nothing secret. A relative file is meant from the collection's folder.
        uri: As pymilvus takes it.
        database: On a server; "" is its default.
        file: Of Milvus Lite; None is a server.
    """

    text: str
    uri: str
    database: str = ""
    file: Path | None = None

    @property
    def anywhere(self) -> str:
        """The text that means the same from any folder."""
        return self.text if self.file is None else f"milvus:{self.file}"

    @classmethod
    def parse(cls, text: str, folder: Path | None = None) -> Address:
        """Read a text.

        folder: a relative file lies in it; None is the current one, which the text then names. Raises
        `InvalidInputError` for what is no address, has a password in it, or leads out of the folder.
        """
        scheme, _, rest = text.partition(":")
        if text.endswith(".db") and scheme == "milvus":
            return cls._of_file(text, Path(rest.removeprefix("//")).expanduser(), folder)
        if "@" in text:
            raise InvalidInputError(
                "the address of a Milvus store holds a user or a password, which would be written "
                "into cards; give it without, and the token by ATTRIBUTION_MILVUS_TOKEN."
            )
        wrong = InvalidInputError(f"'{text}' is no address of a Milvus store; {_EXPECTED}.")
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            raise wrong from None
        database = parts.path.strip("/")
        if (
            scheme not in SCHEMES
            or not parts.hostname
            or parts.query
            or parts.fragment
            or not re.fullmatch(r"|[A-Za-z_]\w*", database)
        ):
            raise wrong
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        place = f"{host}:{port or _PORTS[SCHEMES[scheme]]}"
        return cls(
            f"{scheme}://{place}" + (f"/{database}" if database else ""),
            f"{SCHEMES[scheme]}://{place}",
            database,
        )

    @classmethod
    def _of_file(cls, text: str, path: Path, folder: Path | None) -> Address:
        if ".." in path.parts:
            raise InvalidInputError(
                f"'{text}' leads out of its folder; give the whole path, as milvus:/data/FILE.db."
            )
        if folder is None:
            path = path.absolute()
        whole = ((folder or Path()) / path).absolute()
        return cls(f"milvus:{path.as_posix()}", str(whole), file=whole)

    def __str__(self) -> str:
        """The text."""
        return self.text


def connect(address: Address, create: bool = False) -> Any:
    """A client, which `close` lets go. create: make a file that is missing.

    Raises `MissingDependencyError` without pymilvus, `CheckpointError` within seconds where nothing answers.
    """
    pymilvus = _libraries(address)
    if address.file is None:
        with mended(
            address,
            "cannot be reached",
            "start the server, or mend the address, or the token in ATTRIBUTION_MILVUS_TOKEN",
        ):
            return pymilvus.MilvusClient(
                address.uri,
                token=milvus_token(),
                db_name=address.database,
                timeout=_CONNECT_SECONDS,
                grpc_options=_CHANNEL,
            )
    if create:
        address.file.parent.mkdir(parents=True, exist_ok=True)
    elif not address.file.exists():
        raise CheckpointError(
            f"'{address.file}' is missing, the file of Milvus Lite that '{address}' names; put it "
            "back, or make the collection again with another --store or --factory."
        )
    with _lock:
        try:
            client = _opened(pymilvus, address)
        except (
            CheckpointError
        ):  # what pymilvus keeps of calls that it mended may hold the last client of a moved file
            gc.collect()
            client = _opened(pymilvus, address)
        _users[address.file] = _users.get(address.file, 0) + 1
    return client


def _opened(pymilvus: Any, address: Address) -> Any:
    with mended(
        address,
        "cannot be opened",
        "close the other program that has it open (one at a time can), or make "
        "the collection again where the file is damaged",
    ):
        return pymilvus.MilvusClient(address.uri, timeout=_CONNECT_SECONDS, grpc_options=_CHANNEL)


def reach(address: Address) -> None:
    """Raise what `connect` raises, and leave nothing behind."""
    if address.file is None or address.file.exists():
        close(connect(address), address)
    else:
        _libraries(address)


def close(client: Any, address: Address) -> None:
    """Let a client go, and with the last one of a file the file."""
    with _lock:
        client.close()
        if address.file is None:
            return
        _users[address.file] -= 1
        if not _users[address.file]:
            from milvus_lite.server_manager import server_manager_instance

            del _users[address.file]
            server_manager_instance.release_server(address.uri)


@contextlib.contextmanager
def mended(address: Address, what: str, how: str) -> Iterator[None]:
    """Turn what pymilvus raises into one sentence, without the token. Raises `CheckpointError`."""
    import grpc
    from pymilvus.exceptions import MilvusException

    try:
        yield
    except (MilvusException, grpc.RpcError) as error:
        said = " ".join(str(getattr(error, "message", "") or error).split())
        token = milvus_token()
        said = said.replace(token, "...") if token else said
        raise CheckpointError(
            f"the Milvus store '{address}' {what} ({said[:200].rstrip('. ')}); {how}."
        ) from None


def _libraries(address: Address) -> Any:
    pymilvus = import_optional("pymilvus", "keeping features in Milvus")
    if address.file is not None and importlib.util.find_spec("milvus_lite") is None:
        raise MissingDependencyError(
            f"'{address}' is a file of Milvus Lite, which needs milvus-lite; run `{how_to_install('milvus_lite')}`."
        )
    for name in _NOISY:  # what goes wrong is raised, and said once
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    return pymilvus
