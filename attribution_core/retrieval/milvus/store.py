"""Rows in a Milvus collection that Milvus scans in full for every search.

Milvus returns at most 16,384 nearest rows per query. Of a larger index, the tail mass beyond those is estimated from
the sum of all rows and an even sample of them (`RowSummary`, `retrieval.truncated`), saved in one local file.
"""

from __future__ import annotations

import re
import secrets
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attribution_core.common.files import atomic_path
from attribution_core.common.progress import OnProgress
from attribution_core.errors import (
    AttributionError,
    CheckpointError,
    CollectionMismatchError,
    InvalidInputError,
)
from attribution_core.retrieval.hits import Hits, Nearest
from attribution_core.retrieval.milvus.address import Address, close, connect, plain_errors, reach
from attribution_core.retrieval.milvus.note import add_to_note, read_note, write_note
from attribution_core.retrieval.milvus.row_summary import DEPTH, RowSummary
from attribution_core.retrieval.rest import Rest
from attribution_core.retrieval.truncated import rest_of_truncated_search

FILE = "milvus.safetensors"
LARGEST = DEPTH
"""The most rows that Milvus returns for a query."""
_INSERT_VALUES = 1_000_000
_QUERIES = 4
_SEARCH_SECONDS = 60
_BUILD_SECONDS = 3600
_NEARER = 1e-4
_REBUILD = "rebuild the index: run the command that built the collection with --factory Flat, then as before"


class MilvusStore:
    """A Milvus collection of (n, d) rows with index FLAT and inner product."""

    def __init__(
        self,
        address: Address,
        client: Any,
        name: str,
        dim: int,
        home: Path | None,
        summary: RowSummary | None = None,
    ) -> None:
        """Take ownership of a client. home: folder whose note lists the collection. summary: of rows already there."""
        self.address, self.name, self.dim = address, name, dim
        self._client, self._home = client, home
        self._summary, self._searchable = summary or RowSummary(dim), summary is not None
        self._indexing = threading.Lock()  # the app searches from several threads
        # At exit pymilvus and Milvus Lite close by themselves.
        weakref.finalize(self, close, client, address).atexit = False

    @classmethod
    def check(cls, factory: str, folder: Path | None) -> str:
        """Return the address as cards store it. folder: of the collection; if given, the store must be reachable."""
        if folder is not None:
            reach(Address.parse(factory, folder))
        return Address.parse(factory, Path()).text

    @classmethod
    def create(cls, factory: str, dim: int, folder: Path | None = None) -> MilvusStore:
        """Create an empty Milvus collection with a new name.

        factory: the address. folder: where the index will be saved; its note lists the name first, and a relative
        Milvus Lite file lies in its parent. Raises what `Address.parse` and `connect` raise.
        """
        address = Address.parse(factory, folder.parent if folder else None)
        client = connect(address, create=True)
        owner = folder.absolute().parent.name if folder else ""
        owner = re.sub(r"\W+", "_", owner, flags=re.ASCII)[:40].strip("_")
        name = "_".join(part for part in ("attribution", owner, secrets.token_hex(8)) if part)
        store = cls(address, client, name, dim, folder)
        if folder is not None:
            add_to_note(folder, address.text, name)
        with plain_errors(address, "cannot create a collection", "fix the store and run the build again"):
            from pymilvus import DataType

            schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
            schema.add_field("id", DataType.INT64, is_primary=True)
            schema.add_field("row", DataType.FLOAT_VECTOR, dim=dim)
            client.create_collection(name, schema=schema, consistency_level="Strong", timeout=_SEARCH_SECONDS)
        return store

    @classmethod
    def open(cls, folder: Path, factory: str) -> MilvusStore:
        """Open what `save` wrote.

        Raises `CheckpointError` for an invalid file, an unreachable store or missing rows, and
        `CollectionMismatchError` if Milvus holds other rows.
        """
        from safetensors import SafetensorError, safe_open

        path = folder / FILE
        try:
            with safe_open(path, "numpy") as file:
                metadata = file.metadata() or {}
                arrays = {key: file.get_tensor(key) for key in file.keys()}
            summary = RowSummary.from_arrays(arrays, int(metadata["count"]), int(metadata["depth"]))
            name, dim, text = metadata["name"], int(metadata["dim"]), metadata["store"]
        except (OSError, KeyError, ValueError, SafetensorError) as error:
            raise CheckpointError(
                f"'{path}' does not describe a Milvus store ({error}); {_REBUILD}."
            ) from error
        address = Address.parse(text, folder.parent)
        store = cls(address, connect(address), name, dim, folder, summary)
        store._check_rows()
        return store

    @classmethod
    def clean_up(cls, folder: Path, keep: MilvusStore | None = None) -> bool:
        """Drop the collections in a folder's note except `keep`'s; return whether no other is left.

        A collection whose store cannot be reached now stays in the note.
        """
        if keep is None:
            (folder / FILE).unlink(missing_ok=True)
        name = keep.name if keep else ""
        entries, left = read_note(folder), []
        for entry in entries:
            if entry["name"] == name:
                left.append(entry)
                continue
            try:
                _drop(Address.parse(entry["store"], folder.parent), entry["name"])
            except AttributionError:
                left.append(entry)
        if left != entries:
            write_note(folder, left)
        return all(entry["name"] == name for entry in left)

    def __len__(self) -> int:
        """Return the number of training images."""
        return self._summary.count

    @property
    def factory(self) -> str:
        """The address, as cards store it."""
        return self.address.text

    def add(self, rows: NDArray[np.float32]) -> None:
        """Append (n, d) unit rows, sent about 4 MB at a time."""
        step = max(1, _INSERT_VALUES // self.dim)
        with plain_errors(self.address, "rejects rows", "fix the store and run the build again"):
            for start in range(0, len(rows), step):
                block = rows[start : start + step]
                self._client.insert(
                    self.name,
                    [{"id": len(self) + k, "row": row} for k, row in enumerate(block)],
                    timeout=_BUILD_SECONDS,
                )
                self._summary.add(block)
        self._searchable = False

    def rows(self) -> Iterator[NDArray[np.float32]]:
        """Yield all rows in their order, (b, d) at a time. Raises `CheckpointError` if Milvus fails."""
        self._make_searchable()
        step = min(LARGEST, max(1, _INSERT_VALUES // self.dim))
        for start in range(0, len(self), step):
            with plain_errors(self.address, "does not answer", "try again once it does"):
                found = self._client.query(
                    self.name,
                    filter=f"id >= {start} and id < {start + step}",
                    output_fields=["id", "row"],
                    timeout=_SEARCH_SECONDS,
                )
            yield np.array([one["row"] for one in sorted(found, key=lambda one: one["id"])], np.float32)

    def nearest(self, queries: NDArray[np.float32], top: int) -> Nearest:
        """Return the `top` nearest of (q, d) unit rows; of equal similarities the one that was added first.

        Raises `InvalidInputError` for a `top` above Milvus's limit, `CheckpointError` if Milvus fails.
        """
        ids, raw = self._fetch(queries, top, top)
        return Nearest(ids, np.clip(raw, -1.0, 1.0))

    def search(self, queries: NDArray[np.float32], top: int, bins: int) -> Hits:
        """Like `nearest`, plus the rest in `bins` bins; raises `CheckpointError` if Milvus omits nearer rows."""
        ids, raw = self._fetch(queries, top, max(top, self._summary.depth))
        similarity = np.clip(raw, -1.0, 1.0)
        if raw.shape[1] == len(self):
            rest = Rest.from_similarities(similarity[:, top:], bins)
        else:
            rest = self._rest_beyond(queries, ids, raw, top, bins)
        return Hits(ids[:, :top], similarity[:, :top], rest)

    def _fetch(
        self, queries: NDArray[np.float32], top: int, depth: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        if top > LARGEST:
            raise InvalidInputError(
                f"top is {top}, but Milvus returns at most {LARGEST}; ask for fewer, or build the index with 'Flat'."
            )
        self._make_searchable()
        return self._nearest(queries, min(len(self), depth))

    def reserve(self, count: int) -> None:
        """Do nothing: Milvus manages its memory."""

    def finish(self, on_progress: OnProgress | None) -> None:
        """Do nothing: Milvus indexes rows as they come."""

    def save(self, folder: Path) -> None:
        """Write the store's address and the row summary to one file; the folder then owns rows that no note lists."""
        from safetensors.numpy import save_file

        self._make_searchable()
        if self._home is None:
            self._home = folder
            add_to_note(folder, self.address.anywhere, self.name)
        at_home = self._home.resolve() == folder.resolve()
        metadata = {
            "store": self.factory if at_home else self.address.anywhere,
            "name": self.name,
            "count": str(len(self)),
            "dim": str(self.dim),
            "depth": str(self._summary.depth),
        }
        with atomic_path(folder / FILE) as temporary:
            save_file(self._summary.arrays(), temporary, metadata)

    def delete(self) -> None:
        """Delete the rows from Milvus."""
        with plain_errors(self.address, "cannot drop a collection", f"drop '{self.name}' by hand"):
            self._client.drop_collection(self.name, timeout=_SEARCH_SECONDS)

    def _check_rows(self) -> None:
        """Raise `CheckpointError` if the rows are gone, `CollectionMismatchError` if Milvus holds others."""
        with plain_errors(self.address, "cannot be read", f"start the server if it is down, or {_REBUILD}"):
            if not self._client.has_collection(self.name, timeout=_SEARCH_SECONDS):
                raise CheckpointError(
                    f"the Milvus store '{self.address}' no longer has the collection '{self.name}'; {_REBUILD}."
                )
            fields = self._client.describe_collection(self.name, timeout=_SEARCH_SECONDS)["fields"]
            dim = next((int(f["params"]["dim"]) for f in fields if f["name"] == "row"), 0)
            self._client.load_collection(self.name, timeout=_BUILD_SECONDS)
            count = self._count()
        if (count, dim) != (len(self), self.dim):
            raise CollectionMismatchError(
                f"the Milvus collection '{self.name}' in '{self.address}' holds {count} rows "
                f"of {dim} values, expected {len(self)} of {self.dim}; {_REBUILD}."
            )

    def _count(self) -> int:
        answer = self._client.query(
            self.name,
            filter="",
            output_fields=["count(*)"],
            consistency_level="Strong",
            timeout=_SEARCH_SECONDS,
        )
        return int(answer[0]["count(*)"])

    def _make_searchable(self) -> None:
        """Have Milvus write, index and load all added rows, so that a search sees them."""
        with self._indexing:
            if not self._searchable:
                self._index_all()
                self._searchable = True

    def _index_all(self) -> None:
        with plain_errors(self.address, "cannot index the rows", "fix the store and run the build again"):
            self._client.flush(self.name, timeout=_BUILD_SECONDS)
            if not self._client.list_indexes(self.name):
                params = self._client.prepare_index_params()
                params.add_index("row", index_type="FLAT", metric_type="IP")
                self._client.create_index(self.name, params, timeout=_BUILD_SECONDS)
            self._client.load_collection(self.name, timeout=_BUILD_SECONDS)
            count = self._count()
        if count != len(self):
            raise CheckpointError(
                f"the Milvus store '{self.address}' kept {count} of {len(self)} rows; run the build again."
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
            except CheckpointError:  # a restarted server may have unloaded the collection
                with plain_errors(self.address, "does not answer", "try again once it does"):
                    self._client.load_collection(self.name, timeout=_SEARCH_SECONDS)
                answers = self._ask(block, depth)
            for row, hits in enumerate(answers, start):
                if len(hits) != depth:
                    raise CheckpointError(
                        f"the Milvus store '{self.address}' returned {len(hits)} of {depth} rows "
                        f"of '{self.name}'; {_REBUILD}."
                    )
                ids[row] = [hit["id"] for hit in hits]
                similarity[row] = [hit["distance"] for hit in hits]
        order = np.lexsort((ids, -similarity), axis=1)
        return np.take_along_axis(ids, order, axis=1), np.take_along_axis(similarity, order, axis=1)

    def _ask(self, queries: list[NDArray[np.float32]], depth: int) -> Any:
        with plain_errors(self.address, "does not answer", "try again once it does"):
            return self._client.search(
                self.name,
                data=queries,
                anns_field="row",
                limit=depth,
                output_fields=["id"],
                search_params={"metric_type": "IP"},
                timeout=_SEARCH_SECONDS,
            )

    def _rest_beyond(
        self,
        queries: NDArray[np.float32],
        ids: NDArray[np.int64],
        raw: NDArray[np.float32],
        top: int,
        bins: int,
    ) -> Rest:
        others = len(self) - raw.shape[1]
        mean = (queries.astype(np.float64) @ self._summary.sum - raw.sum(axis=1, dtype=np.float64)) / others
        sample = queries @ self._summary.sample.T
        unseen = np.array([~np.isin(self._summary.sample_id, row) for row in ids], dtype=bool).reshape(
            sample.shape
        )
        if (unseen & (sample > raw[:, -1:] + _NEARER)).any():
            raise CheckpointError(
                f"the Milvus store '{self.address}' omits nearer rows of '{self.name}', so shares would be "
                f"wrong; check that its index is FLAT, or {_REBUILD}."
            )
        return rest_of_truncated_search(np.clip(raw, -1.0, 1.0), top, others, mean, sample, unseen, bins)


def _drop(address: Address, name: str) -> None:
    if address.file is not None and not address.file.exists():
        return
    client = connect(address)
    try:
        with plain_errors(address, "cannot drop a collection", f"drop '{name}' by hand"):
            client.drop_collection(name, timeout=_SEARCH_SECONDS)
    finally:
        close(client, address)
