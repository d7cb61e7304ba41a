"""Addresses of Milvus stores and clients for them; a Milvus Lite file is released with its last client."""

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
    "milvus:FILE.db for a Milvus Lite file"
)
_CONNECT_SECONDS = 5
_PORTS = {"http": 19530, "https": 443}
# pymilvus pings every ten seconds; servers with gRPC's default limits, such as Milvus Lite's, treat that as abuse.
_CHANNEL = {"grpc.keepalive_time_ms": 300_000, "grpc.keepalive_permit_without_calls": 0}
_NOISY = ("pymilvus", "pymilvus.milvus_client", "milvus_lite")

# Number of clients per Milvus Lite file. The lock is reentrant: the garbage collector may close a client at any point.
_users: dict[Path, int] = {}
_lock = threading.RLock()


@dataclass(frozen=True)
class Address:
    """The address of a Milvus server or a Milvus Lite file.

    Attributes:
        text: As cards store it, without secrets. A relative file is relative to the collection's folder.
        uri: As pymilvus expects it.
        database: Database on a server; "" is the default one.
        file: The Milvus Lite file; None for a server.
    """

    text: str
    uri: str
    database: str = ""
    file: Path | None = None

    @property
    def anywhere(self) -> str:
        """The text with an absolute path, valid from any folder."""
        return self.text if self.file is None else f"milvus:{self.file}"

    @classmethod
    def parse(cls, text: str, folder: Path | None = None) -> Address:
        """Parse an address.

        folder: base of a relative file; None makes the path absolute from the current folder. Raises
        `InvalidInputError` for an invalid address, one with a password, or one that leads out of the folder.
        """
        scheme, _, rest = text.partition(":")
        if text.endswith(".db") and scheme == "milvus":
            return cls._of_file(text, Path(rest.removeprefix("//")).expanduser(), folder)
        if "@" in text:
            raise InvalidInputError(
                "the address of a Milvus store must not contain a user or password, which would be saved in "
                "cards; set ATTRIBUTION_MILVUS_TOKEN instead."
            )
        invalid = InvalidInputError(f"'{text}' is not a valid address of a Milvus store; {_EXPECTED}.")
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            raise invalid from None
        database = parts.path.strip("/")
        if (
            scheme not in SCHEMES
            or not parts.hostname
            or parts.query
            or parts.fragment
            or not re.fullmatch(r"|[A-Za-z_]\w*", database)
        ):
            raise invalid
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        endpoint = f"{host}:{port or _PORTS[SCHEMES[scheme]]}"
        return cls(
            f"{scheme}://{endpoint}" + (f"/{database}" if database else ""),
            f"{SCHEMES[scheme]}://{endpoint}",
            database,
        )

    @classmethod
    def _of_file(cls, text: str, path: Path, folder: Path | None) -> Address:
        if ".." in path.parts:
            raise InvalidInputError(
                f"'{text}' leads out of its folder; give an absolute path such as milvus:/data/FILE.db."
            )
        if folder is None:
            path = path.absolute()
        file = ((folder or Path()) / path).absolute()
        return cls(f"milvus:{path.as_posix()}", str(file), file=file)

    def __str__(self) -> str:
        """Return the text."""
        return self.text


def connect(address: Address, create: bool = False) -> Any:
    """Return a new client, to be released with `close`. create: whether to create a missing file.

    Raises `MissingDependencyError` without pymilvus, `CheckpointError` within seconds if nothing answers.
    """
    pymilvus = _libraries(address)
    if address.file is None:
        with plain_errors(
            address,
            "cannot be reached",
            "start the server, or correct the address or the token in ATTRIBUTION_MILVUS_TOKEN",
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
            f"the Milvus Lite file '{address.file}' of '{address}' is missing; put it back, or build the "
            "collection again with another --store or --factory."
        )
    with _lock:
        try:
            client = _open_file(pymilvus, address)
        except CheckpointError:
            # Tracebacks that pymilvus keeps of retried calls may hold the last client of a file that was moved.
            gc.collect()
            client = _open_file(pymilvus, address)
        _users[address.file] = _users.get(address.file, 0) + 1
    return client


def _open_file(pymilvus: Any, address: Address) -> Any:
    with plain_errors(
        address,
        "cannot be opened",
        "close any other program that has it open (only one may), or build the collection again if the file "
        "is damaged",
    ):
        return pymilvus.MilvusClient(address.uri, timeout=_CONNECT_SECONDS, grpc_options=_CHANNEL)


def reach(address: Address) -> None:
    """Check that a store can be reached. Raises what `connect` raises."""
    if address.file is None or address.file.exists():
        close(connect(address), address)
    else:
        _libraries(address)


def close(client: Any, address: Address) -> None:
    """Close a client, and release a Milvus Lite file with its last client."""
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
def plain_errors(address: Address, problem: str, remedy: str) -> Iterator[None]:
    """Turn pymilvus's errors into a `CheckpointError` of one sentence, without the token."""
    import grpc
    from pymilvus.exceptions import MilvusException

    try:
        yield
    except (MilvusException, grpc.RpcError) as error:
        detail = " ".join(str(getattr(error, "message", "") or error).split())
        token = milvus_token()
        detail = detail.replace(token, "...") if token else detail
        raise CheckpointError(
            f"the Milvus store '{address}' {problem} ({detail[:200].rstrip('. ')}); {remedy}."
        ) from None


def _libraries(address: Address) -> Any:
    pymilvus = import_optional("pymilvus", "keeping features in Milvus")
    if address.file is not None and importlib.util.find_spec("milvus_lite") is None:
        raise MissingDependencyError(
            f"'{address}' is a Milvus Lite file, which needs milvus-lite; run `{how_to_install('milvus_lite')}`."
        )
    for name in _NOISY:  # errors are raised; logging them as well would print them twice
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    return pymilvus
