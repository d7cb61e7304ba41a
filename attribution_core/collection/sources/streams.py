"""Images that are streamed, never all at hand: WebDataset tar shards and Hugging Face data sets."""

from __future__ import annotations

import json
import tarfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from attribution_core.collection.sources.item import Columns, SourceItem, Wanted, take
from attribution_core.common.images import SUFFIXES
from attribution_core.errors import InvalidInputError, MissingDependencyError

_LARGEST = 500_000_000  # bytes of a member that are read; no image that is let in is as large
_DAMAGED = (tarfile.TarError, OSError, EOFError, zlib.error)


class TarSource:
    """WebDataset shards: members of one name up to its first dot are one sample, an image with .txt and .json."""

    def __init__(self, files: Sequence[Path], title: str, names: Sequence[str], columns: Columns) -> None:
        """names: of the files, for ids. Raises `InvalidInputError` for a file that is no tar archive."""
        self.files, self.title, self._columns = list(files), title, columns
        self.names = list(names) if len(set(names)) == len(names) else [f.as_posix() for f in files]
        for file in files:
            try:
                with tarfile.open(file):
                    pass
            except _DAMAGED as error:
                raise InvalidInputError(
                    f"'{file}' cannot be read as a tar archive; check the file."
                ) from error
        self._sizes = [f.stat().st_size for f in files]
        self._read, self._at = 0, ""  # bytes of the archives, nearly; sample
        self.mark: Mapping[str, Any] = {
            "tar": [f"{f.resolve()} {s}" for f, s in zip(files, self._sizes, strict=True)],
            "columns": columns.chosen,
        }

    def items(self, wanted: Wanted) -> Iterator[SourceItem]:
        """One a sample; its id is the shard's name and the sample's. What is cut off is told at its end."""
        for number, (file, name) in enumerate(zip(self.files, self.names, strict=True)):
            before = sum(self._sizes[:number])
            try:
                with tarfile.open(file) as archive:
                    yield from self._samples(archive, name, wanted, before, number)
            except _DAMAGED as error:
                if wanted(f"{name}/..."):
                    yield SourceItem(
                        f"{name}/...",
                        None,
                        problem=f"'{file}' is damaged or cut off in or behind its sample "
                        f"'{self._at}' ({error}); what follows is not read",
                    )
            self._read = before + self._sizes[number]

    def _samples(
        self, archive: tarfile.TarFile, shard: str, wanted: Wanted, before: int, number: int
    ) -> Iterator[SourceItem]:
        key: str | None = None
        members: dict[str, bytes | None] = {}
        take_it = False
        while (member := archive.next()) is not None:
            archive.members = []  # type: ignore[attr-defined]  # else it keeps one for every file that it passes
            if not member.isfile():
                continue
            path = PurePosixPath(member.name)
            stem, _, suffix = path.name.partition(".")
            if not stem:
                continue  # a hidden file is no sample
            if (name := (path.parent / stem).as_posix()) != key:
                if key is not None and take_it:
                    yield self._sample(shard, key, members)
                key, members, take_it = name, {}, wanted(f"{shard}/{name}")
                self._at = name
            if take_it:
                opened = archive.extractfile(member) if member.size <= _LARGEST else None
                data = None if opened is None else opened.read()
                if data is not None and len(data) != member.size:
                    raise tarfile.ReadError("unexpected end of data")
                members[suffix.lower()] = data
            # Of a compressed archive the place is that in what it unpacks to: at most all of it counts as read.
            self._read = before + min(member.offset, self._sizes[number])
        if key is not None and take_it:
            yield self._sample(shard, key, members)

    def _sample(self, shard: str, key: str, members: Mapping[str, bytes | None]) -> SourceItem:
        image = next((s for s in members if "." + s.rpartition(".")[2] in SUFFIXES), None)
        text: dict[str, str] = {"source": shard}
        note = ""
        if members.get("json"):
            try:
                told = json.loads(members["json"] or b"")
                text |= self._columns.pick(told) if isinstance(told, dict) else {}
            except ValueError:  # also what is not UTF-8
                note = "its .json cannot be read and was left aside"
        if members.get("txt"):
            text["caption"] = " ".join((members["txt"] or b"").decode("utf-8", "replace").split())
        names = (key, PurePosixPath(key).name, f"{key}.{image}", f"{PurePosixPath(key).name}.{image}")
        if image is None:
            return SourceItem(
                f"{shard}/{key}",
                None,
                text,
                names,
                f"no image among its files ({', '.join('.' + s for s in members) or 'none'})",
            )
        problem = "" if members[image] is not None else "the file is too large to be an image"
        return SourceItem(f"{shard}/{key}", members[image], text, names, problem, note)

    def total(self, done: int) -> int | None:
        """Estimated from how much of the archives is read."""
        return None if not self._read else max(done, round(done * sum(self._sizes) / self._read))


class DatasetSource:
    """A Hugging Face data set by name or local folder, streamed by the package `datasets`."""

    def __init__(
        self,
        name: str,
        columns: Columns,
        split: str | None = None,
        config: str | None = None,
        image_column: str | None = None,
    ) -> None:
        """Asks the hub for the data set's description, and reads its first row where that does not say the columns.

        Raises `InvalidInputError` where it cannot be loaded or has no such split or column, `MissingDependencyError`.
        """
        try:
            import datasets
        except ImportError as error:
            raise MissingDependencyError(
                "reading a Hugging Face data set needs `pip install datasets`."
            ) from error
        self.name, self.split, self.title = name, split or "train", Path(name).name
        self._root = Path(name) if Path(name).is_dir() else None
        try:
            loaded = datasets.load_dataset(name, config, streaming=True)
        except Exception as error:  # its builders raise whatever they like
            raise InvalidInputError(
                f"'{name}' is neither here nor a data set that can be loaded "
                f"({type(error).__name__}: {_short(error)}); check the name, the network, and "
                "whether it needs --config or logging in (hf auth login)."
            ) from error
        if self.split not in loaded:
            raise InvalidInputError(
                f"data set '{name}' has no split '{self.split}', but "
                f"{', '.join(map(str, loaded))}; choose with --split."
            )
        stream = loaded[self.split]
        try:
            features = stream.features or stream._resolve_features().features
        except Exception as error:
            raise InvalidInputError(f"data set '{name}' cannot be read ({_short(error)}).") from error
        known = list(features or {})
        images = [n for n, kind in (features or {}).items() if isinstance(kind, datasets.Image)]
        column = image_column or next(
            iter([*images, *(n for n in ("image", "file_name") if n in known)]), None
        )
        if column is None or column not in known:
            asked = f"column '{image_column}'" if image_column else "column of images"
            raise InvalidInputError(
                f"data set '{name}' has no {asked}, but {', '.join(known)}; choose with --image-column."
            )
        self._column, self._columns = (
            column,
            columns.of([n for n in known if n != column], f"data set '{name}'"),
        )
        self._key = next((n for n in ("id", "__key__", "key") if n in known), None)
        if column in images:
            stream = stream.cast_column(column, datasets.Image(decode=False))
        self._stream = stream
        parts = getattr(stream.info, "splits", None) or {}
        self._count = getattr(parts.get(self.split), "num_examples", None) or None
        self.mark: Mapping[str, Any] = {
            "dataset": str(self._root.resolve()) if self._root else name,
            "config": config,
            "split": self.split,
            "image_column": column,
            "columns": columns.chosen,
        }

    def items(self, wanted: Wanted) -> Iterator[SourceItem]:
        """One a row; its id is that of a column "id", "__key__" or "key", else split and number."""
        number = 0
        try:
            for row in self._stream:
                name = (
                    str(row[self._key])
                    if self._key and row[self._key] is not None
                    else f"{self.split}/{number:08d}"
                )
                number += 1
                if wanted(name):
                    yield self._item(name, row)
        except Exception as error:  # likewise
            raise InvalidInputError(
                f"data set '{self.name}' broke off behind row {number} ({_short(error)}); the same "
                "command goes on there."
            ) from error

    def _item(self, name: str, row: Mapping[str, Any]) -> SourceItem:
        image = row[self._column]
        text = {"source": self.title} | take(row, self._columns)
        path = image.get("path") if isinstance(image, dict) else image if isinstance(image, str) else None
        names = (Path(path).name,) if path else ()
        data = image.get("bytes") if isinstance(image, dict) else image
        if isinstance(data, bytes) and data:
            return SourceItem(name, data, text, names)
        if path and "://" not in path:
            file = self._root / path if self._root else Path(path)
            return SourceItem(name, file, text, names)
        return SourceItem(
            name, None, text, names, "its row holds no image" + (f", only the link {path}" if path else "")
        )

    def total(self, done: int) -> int | None:
        """What the data set's description says."""
        return self._count


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
