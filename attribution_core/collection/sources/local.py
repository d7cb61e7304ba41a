"""Images in a folder of this machine, or in Parquet files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attribution_core.collection.sources.item import Columns, SourceItem, Wanted, take
from attribution_core.common.images import SUFFIXES
from attribution_core.errors import InvalidInputError

_ROWS = 64  # of a Parquet file that are in memory at a time


class FolderSource:
    """Image files of a folder and its sub-folders, in the order of their paths, which are their ids."""

    def __init__(self, folder: Path) -> None:
        """Lists the files, and reads none."""
        self.folder, self.title = folder, folder.resolve().name
        self.files = sorted(
            p.relative_to(folder).as_posix()
            for p in folder.rglob("*")
            if p.suffix.lower() in SUFFIXES and p.is_file()
        )
        listed = "\n".join(f"{name} {(folder / name).stat().st_size}" for name in self.files)
        self.mark: Mapping[str, Any] = {
            "folder": str(folder.resolve()),
            "images": len(self.files),
            "files": hashlib.sha256(listed.encode(errors="surrogateescape")).hexdigest(),
        }

    def check(self) -> None:
        """Raise `InvalidInputError` where there are none."""
        if not self.files:
            raise InvalidInputError(
                f"'{self.folder}' holds no images; expected files ending in {', '.join(sorted(SUFFIXES))}."
            )

    def items(self, wanted: Wanted) -> Iterator[SourceItem]:
        """One a file; its caption is the file's name, its link the file."""
        for name in self.files:
            if wanted(name):
                stem = Path(name).stem.replace("_", " ").replace("-", " ")
                text = {
                    "caption": stem,
                    "source": self.title,
                    "link": (self.folder / name).resolve().as_uri(),
                }
                yield SourceItem(name, self.folder / name, text, (str(Path(name).with_suffix("")),))

    def total(self, done: int) -> int | None:
        """How many files."""
        return len(self.files)


class ParquetSource:
    """Rows of Parquet files with encoded images, read a few at a time."""

    def __init__(
        self, files: Sequence[Path], title: str, columns: Columns, image_column: str | None = None
    ) -> None:
        """Reads the files' footers. Raises `InvalidInputError` where one is none or lacks a column."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.files, self.title, self._image = list(files), title, image_column or "image"
        self._rows = 0
        self._wanted: list[Mapping[str, str]] = []
        for file in files:
            try:
                names, rows = pq.read_schema(file).names, pq.read_metadata(file).num_rows
            except (pa.ArrowInvalid, OSError) as error:
                raise InvalidInputError(
                    f"'{file}' cannot be read as Parquet ({error}); check the file."
                ) from error
            if self._image not in names:
                raise InvalidInputError(
                    f"'{file}' has no column '{self._image}' of encoded images, but "
                    f"{', '.join(names)}; name the right one with --image-column."
                )
            self._wanted.append(columns.of(names, f"'{file}'") | ({"id": "id"} if "id" in names else {}))
            self._rows += rows
        if not self._rows:
            raise InvalidInputError(f"'{files[0]}' holds no images: it has no rows.")
        listed = "\n".join(f"{f.name} {f.stat().st_size}" for f in files)
        self.mark: Mapping[str, Any] = {
            "parquet": str(files[0].resolve().parent),
            "images": self._rows,
            "image_column": self._image,
            "columns": columns.chosen,
            "files": hashlib.sha256(listed.encode()).hexdigest(),
        }

    def items(self, wanted: Wanted) -> Iterator[SourceItem]:
        """One a row; its id is that of the column "id", else its number, behind the file's name if there are more."""
        import pyarrow.parquet as pq

        for file, columns in zip(self.files, self._wanted, strict=True):
            prefix = "" if len(self.files) == 1 else f"{file.stem}/"
            number = 0
            with pq.ParquetFile(file) as opened:
                for batch in opened.iter_batches(batch_size=_ROWS, columns=[self._image, *columns.values()]):
                    for row in batch.to_pylist():
                        name = str(row["id"]) if row.get("id") is not None else f"{prefix}{number}"
                        number += 1
                        if wanted(name):
                            yield _row(name, row[self._image], take(row, columns))

    def total(self, done: int) -> int | None:
        """How many rows."""
        return self._rows


def _row(name: str, image: Any, text: dict[str, str]) -> SourceItem:
    data = image.get("bytes") if isinstance(image, dict) else image
    path = image.get("path") if isinstance(image, dict) else None
    text.pop("id", None)
    names = (Path(path).name,) if path else ()
    if not isinstance(data, bytes) or not data:
        return SourceItem(name, None, text, names, "its row holds no encoded image")
    return SourceItem(name, data, text, names)
