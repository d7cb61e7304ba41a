"""Rows in a Milvus collection, searched there in full; what the rest needs beside it is kept in one file here.

Milvus hands out at most 16,384 nearest rows of a query. Where there are more, the rest is estimated beyond those, from
the sum of all rows and an even sample of them (`retrieval.truncated`).

A folder that builds into Milvus notes what it makes there before it is made, so that whatever a run leaves behind is
known to the next one; only what a folder has noted itself is ever dropped.
"""

from __future__ import annotations

import re
import secrets
import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attribution_core.common.arrays import FloatArray
from attribution_core.common.files import atomic_path, make_folder, write_json_atomic
from attribution_core.common.json_text import read_json
from attribution_core.errors import (
    AttributionError,
    CheckpointError,
    CollectionMismatchError,
    InvalidInputError,
)
from attribution_core.retrieval.hits import Hits, Nearest
from attribution_core.retrieval.milvus.address import Address, close, connect, mended, reach
from attribution_core.retrieval.rest import Rest
from attribution_core.retrieval.truncated import rest_of_truncated_search

FILE = "milvus.safetensors"
NOTE = "milvus.json"
LARGEST = 16_384
"""Milvus hands out no more rows of a query."""
_DEPTH = LARGEST
_SAMPLE = 8192
_SEED = 0
_INSERT_VALUES = 1_000_000
_QUERIES = 4
_SEARCH_SECONDS = 60
_BUILD_SECONDS = 3600
_NEARER = 1e-4
_AGAIN = "make the index again: run the command that made the collection with --factory Flat, then as it was"


class MilvusStore:
    """A Milvus collection of (n, d) rows with index FLAT and inner product."""

    def __init__(
        self, address: Address, client: Any, name: str, dim: int, home: Path | None, kept: _Kept | None = None
    ) -> None:
        """Take over a client. home: the folder that has noted it, or was read. kept: of rows that are there."""
        self.address, self.name, self.dim = address, name, dim
        self._client, self._home = client, home
        self._kept, self._settled = kept or _Kept(dim), kept is not None
        self._settling = threading.Lock()  # the app searches from several threads
        weakref.finalize(
            self, close, client, address
        ).atexit = False  # then pymilvus and Milvus Lite do so themselves

    @classmethod
    def check(cls, factory: str, folder: Path | None) -> str:
        """Return the address as cards hold it. folder: of the collection; the store must then be in reach."""
        if folder is not None:
            reach(Address.parse(factory, folder))
        return Address.parse(factory, Path()).text

    @classmethod
    def create(cls, factory: str, dim: int, folder: Path | None = None) -> MilvusStore:
        """Make an empty Milvus collection of a new name.

        factory: the address. folder: that will be saved to, whose parent a relative file lies in; it notes the name
        first. Raises what `Address.parse` and `connect` raise.
        """
        address = Address.parse(factory, folder.parent if folder else None)
        client = connect(address, create=True)
        owner = folder.absolute().parent.name if folder else ""
        owner = re.sub(r"\W+", "_", owner, flags=re.ASCII)[:40].strip("_")
        name = "_".join(part for part in ("attribution", owner, secrets.token_hex(8)) if part)
        store = cls(address, client, name, dim, folder)
        if folder is not None:
            _add_note(folder, address.text, name)
        with mended(address, "makes no collection", "see to it, and begin again"):
            from pymilvus import DataType

            schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
            schema.add_field("id", DataType.INT64, is_primary=True)
            schema.add_field("row", DataType.FLOAT_VECTOR, dim=dim)
            client.create_collection(name, schema=schema, consistency_level="Strong", timeout=_SEARCH_SECONDS)
        return store

    @classmethod
    def open(cls, folder: Path, factory: str) -> MilvusStore:
        """Open what `save` wrote.

        Raises `CheckpointError` for a file that is none, a store that cannot be reached or rows that are gone,
        `CollectionMismatchError` for other rows.
        """
        from safetensors import SafetensorError, safe_open

        path = folder / FILE
        try:
            with safe_open(path, "numpy") as file:
                described = file.metadata() or {}
                arrays = {key: file.get_tensor(key) for key in file.keys()}
            kept = _Kept.of(arrays, int(described["count"]), int(described["depth"]))
            name, dim, text = described["name"], int(described["dim"]), described["store"]
        except (OSError, KeyError, ValueError, SafetensorError) as error:
            raise CheckpointError(f"'{path}' says nothing of a Milvus store ({error}); {_AGAIN}.") from error
        address = Address.parse(text, folder.parent)
        store = cls(address, connect(address), name, dim, folder, kept)
        store._check_rows()
        return store

    @classmethod
    def clean_up(cls, folder: Path, keep: MilvusStore | None = None) -> bool:
        """Drop the collections that a folder has noted, but for `keep`'s; whether none but it is left.

        What cannot be dropped now, as its store cannot be reached, stays noted.
        """
        if keep is None:
            (folder / FILE).unlink(missing_ok=True)
        name = keep.name if keep else ""
        noted, left = _noted(folder), []
        for entry in noted:
            if entry["name"] == name:
                left.append(entry)
                continue
            try:
                _drop(Address.parse(entry["store"], folder.parent), entry["name"])
            except AttributionError:
                left.append(entry)
        if left != noted:
            _write_note(folder, left)
        return all(entry["name"] == name for entry in left)

    def __len__(self) -> int:
        """Return the number of training images."""
        return self._kept.count

    @property
    def factory(self) -> str:
        """The address, as cards hold it."""
        return self.address.text

    def add(self, rows: NDArray[np.float32]) -> None:
        """Append (n, d) unit rows; some 4 MB go at a time."""
        step = max(1, _INSERT_VALUES // self.dim)
        with mended(self.address, "takes no rows", "see to it, and begin again"):
            for start in range(0, len(rows), step):
                block = rows[start : start + step]
                self._client.insert(
                    self.name,
                    [{"id": len(self) + k, "row": row} for k, row in enumerate(block)],
                    timeout=_BUILD_SECONDS,
                )
                self._kept.add(block)
        self._settled = False

    def nearest(self, queries: NDArray[np.float32], top: int) -> Nearest:
        """Return the `top` nearest of (q, d) unit rows; of equal similarities the one that was added first.

        Raises `InvalidInputError` for a `top` that Milvus does not hand out, `CheckpointError` where it fails.
        """
        ids, raw = self._deepest(queries, top, top)
        return Nearest(ids, np.clip(raw, -1.0, 1.0))

    def search(self, queries: NDArray[np.float32], top: int, bins: int) -> Hits:
        """The same, and the rest in `bins` bins; raises `CheckpointError` where Milvus leaves nearer rows out."""
        ids, raw = self._deepest(queries, top, max(top, self._kept.depth))
        found = np.clip(raw, -1.0, 1.0)
        if raw.shape[1] == len(self):
            rest = Rest.from_similarities(found[:, top:], bins)
        else:
            rest = self._beyond(queries, ids, raw, top, bins)
        return Hits(ids[:, :top], found[:, :top], rest)

    def _deepest(
        self, queries: NDArray[np.float32], top: int, depth: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        if top > LARGEST:
            raise InvalidInputError(
                f"top is {top}, and Milvus hands out at most {LARGEST}; give that, or make the "
                "index with 'Flat'."
            )
        self._settle()
        return self._nearest(queries, min(len(self), depth))

    def reserve(self, count: int) -> None:
        """Nothing: the memory is Milvus's."""

    def save(self, folder: Path) -> None:
        """Write where the rows are, and what the rest needs, to one file; the folder owns rows that none has noted."""
        from safetensors.numpy import save_file

        self._settle()
        if self._home is None:
            self._home = folder
            _add_note(folder, self.address.anywhere, self.name)
        here = self._home.resolve() == folder.resolve()
        described = {
            "store": self.factory if here else self.address.anywhere,
            "name": self.name,
            "count": str(len(self)),
            "dim": str(self.dim),
            "depth": str(self._kept.depth),
        }
        with atomic_path(folder / FILE) as temporary:
            save_file(self._kept.arrays(), temporary, described)

    def delete(self) -> None:
        """Delete the rows from Milvus."""
        with mended(self.address, "does not drop a collection", f"drop '{self.name}' by hand"):
            self._client.drop_collection(self.name, timeout=_SEARCH_SECONDS)

    def _check_rows(self) -> None:
        """Raise `CheckpointError` where the rows are gone, `CollectionMismatchError` where there are others."""
        with mended(self.address, "cannot be read", f"start the server where it is down; else {_AGAIN}"):
            if not self._client.has_collection(self.name, timeout=_SEARCH_SECONDS):
                raise CheckpointError(
                    f"the Milvus store '{self.address}' has no collection '{self.name}' any more; {_AGAIN}."
                )
            fields = self._client.describe_collection(self.name, timeout=_SEARCH_SECONDS)["fields"]
            dim = next((int(f["params"]["dim"]) for f in fields if f["name"] == "row"), 0)
            self._client.load_collection(self.name, timeout=_BUILD_SECONDS)
            count = self._count()
        if (count, dim) != (len(self), self.dim):
            raise CollectionMismatchError(
                f"the Milvus collection '{self.name}' in '{self.address}' holds {count} rows "
                f"of {dim} values, expected {len(self)} of {self.dim}; {_AGAIN}."
            )

    def _count(self) -> int:
        found = self._client.query(
            self.name,
            filter="",
            output_fields=["count(*)"],
            consistency_level="Strong",
            timeout=_SEARCH_SECONDS,
        )
        return int(found[0]["count(*)"])

    def _settle(self) -> None:
        """Have Milvus write, index and load what was added, so that a search sees all of it."""
        with self._settling:
            if not self._settled:
                self._index_all()
                self._settled = True

    def _index_all(self) -> None:
        with mended(self.address, "does not index the rows", "see to it, and begin again"):
            self._client.flush(self.name, timeout=_BUILD_SECONDS)
            if not self._client.list_indexes(self.name):
                wanted = self._client.prepare_index_params()
                wanted.add_index("row", index_type="FLAT", metric_type="IP")
                self._client.create_index(self.name, wanted, timeout=_BUILD_SECONDS)
            self._client.load_collection(self.name, timeout=_BUILD_SECONDS)
            count = self._count()
        if count != len(self):
            raise CheckpointError(
                f"the Milvus store '{self.address}' kept {count} of {len(self)} rows; begin again."
            )

    def _nearest(
        self, queries: NDArray[np.float32], depth: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        ids = np.empty((len(queries), depth), dtype=np.int64)
        similarity = np.empty((len(queries), depth), dtype=np.float32)
        for start in range(0, len(queries), _QUERIES):
            block = list(queries[start : start + _QUERIES])
            try:
                answers = self._ask(block, depth)
            except CheckpointError:  # a server that was started again may have let go of what it had loaded
                with mended(self.address, "does not answer", "try again once it does"):
                    self._client.load_collection(self.name, timeout=_SEARCH_SECONDS)
                answers = self._ask(block, depth)
            for row, hits in enumerate(answers, start):
                if len(hits) != depth:
                    raise CheckpointError(
                        f"the Milvus store '{self.address}' handed out {len(hits)} of {depth} rows "
                        f"of '{self.name}'; {_AGAIN}."
                    )
                ids[row] = [hit["id"] for hit in hits]
                similarity[row] = [hit["distance"] for hit in hits]
        order = np.lexsort((ids, -similarity), axis=1)
        return np.take_along_axis(ids, order, axis=1), np.take_along_axis(similarity, order, axis=1)

    def _ask(self, queries: list[NDArray[np.float32]], depth: int) -> Any:
        with mended(self.address, "does not answer", "try again once it does"):
            return self._client.search(
                self.name,
                data=queries,
                anns_field="row",
                limit=depth,
                output_fields=["id"],
                search_params={"metric_type": "IP"},
                timeout=_SEARCH_SECONDS,
            )

    def _beyond(
        self,
        queries: NDArray[np.float32],
        ids: NDArray[np.int64],
        raw: NDArray[np.float32],
        top: int,
        bins: int,
    ) -> Rest:
        others = len(self) - raw.shape[1]
        mean = (queries.astype(np.float64) @ self._kept.sum - raw.sum(axis=1, dtype=np.float64)) / others
        sample = queries @ self._kept.sample.T
        unseen = np.array([~np.isin(self._kept.sample_id, row) for row in ids], dtype=bool).reshape(
            sample.shape
        )
        if (unseen & (sample > raw[:, -1:] + _NEARER)).any():
            raise CheckpointError(
                f"the Milvus store '{self.address}' leaves nearer rows of '{self.name}' out, so that "
                f"shares would be wrong; was another index than FLAT made of it? Or {_AGAIN}."
            )
        return rest_of_truncated_search(np.clip(raw, -1.0, 1.0), top, others, mean, sample, unseen, bins)


class _Kept:
    """What the rest needs of all rows: their sum, and an even sample of them in random order.

    Every row gets a random number, and those with the least are the sample: the same however rows come in blocks.
    depth: how many rows a search asks for; where there are no more, no sample is needed.
    """

    def __init__(self, dim: int) -> None:
        self.count, self.depth = 0, _DEPTH
        self.sum: FloatArray = np.zeros(dim)
        self.sample = np.zeros((0, dim), dtype=np.float32)
        self.sample_id = np.zeros(0, dtype=np.int64)
        self._key: FloatArray = np.zeros(0)
        self._rng = np.random.default_rng(_SEED)

    def add(self, rows: NDArray[np.float32]) -> None:
        drawn = self._rng.random(len(rows))
        new = np.flatnonzero(drawn < (self._key[-1] if len(self._key) >= _SAMPLE else 1.0))
        key = np.concatenate([self._key, drawn[new]])
        least = np.argsort(key, kind="stable")[:_SAMPLE]
        self.sample = np.concatenate([self.sample, rows[new]])[least]
        self._key, self.sample_id = key[least], np.concatenate([self.sample_id, self.count + new])[least]
        self.sum += rows.sum(axis=0, dtype=np.float64)
        self.count += len(rows)

    def arrays(self) -> dict[str, NDArray[Any]]:
        some = slice(0, None if self.count > self.depth else 0)
        return {
            "sum": self.sum,
            "sample": np.ascontiguousarray(self.sample[some]),
            "sample_id": self.sample_id[some],
        }

    @classmethod
    def of(cls, arrays: dict[str, NDArray[Any]], count: int, depth: int) -> _Kept:
        kept = cls(len(arrays["sum"]))
        kept.sum, kept.sample, kept.sample_id = (arrays[name] for name in ("sum", "sample", "sample_id"))
        kept.count, kept.depth = count, depth
        return kept


def _drop(address: Address, name: str) -> None:
    if address.file is not None and not address.file.exists():
        return
    client = connect(address)
    try:
        with mended(address, "does not drop a collection", f"drop '{name}' by hand"):
            client.drop_collection(name, timeout=_SEARCH_SECONDS)
    finally:
        close(client, address)


def _noted(home: Path) -> list[dict[str, str]]:
    """What a folder has noted; of a copied folder only what was copied with it, for other rows are the original's."""
    try:
        note = read_json(home / NOTE)
        every, same = list(note["collections"]), note["folder"] == home.stat().st_ino
        return [entry for entry in every if same or _inside(entry["store"])]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _inside(store: str) -> bool:
    return store.endswith(".db") and not Path(store.partition(":")[2]).is_absolute()


def _add_note(home: Path, store: str, name: str) -> None:
    make_folder(home)
    _write_note(home, [*_noted(home), {"store": store, "name": name}])


def _write_note(home: Path, collections: list[dict[str, str]]) -> None:
    if collections:
        write_json_atomic(
            home / NOTE,
            {
                "what": "Milvus collections that this folder has made, and deletes with itself",
                "folder": home.stat().st_ino,
                "collections": collections,
            },
        )
    else:
        (home / NOTE).unlink(missing_ok=True)
