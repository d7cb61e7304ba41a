"""Images in Parquet files, encoded in their rows or named by path."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attribution_core.collection.sources.item import SourceItem, Wanted, path_names, take
from attribution_core.collection.sources.options import SourceOptions
from attribution_core.common.cells import as_text, file_name
from attribution_core.common.tables import class_labels, with_labels
from attribution_core.common.text import message_of
from attribution_core.errors import InvalidInputError

_ROWS = 64  # of a Parquet file that are in memory at a time
_IMAGES = ("image", "jpg", "jpeg", "png", "webp")
"""What a column of encoded images is called, img2dataset's among them."""
_IDS = ("id", "__key__", "key")


def image_column_of(file: Path, name: str | None = None) -> str | None:
    """Find the column of images in a Parquet file by name and type; None if there is none.

    name: the only one to accept, if given. Raises `InvalidInputError` if the file is not Parquet.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(file)
    except (pa.ArrowInvalid, OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(
            f"'{file}' cannot be read as Parquet ({message_of(error, 200)}); check the file."
        ) from error
    if name is not None:
        return name if name in schema.names else None

    def encoded(column: str) -> bool:
        kind = schema.field(column).type
        if pa.types.is_struct(kind):
            return any(kind.field(i).name == "bytes" for i in range(kind.num_fields))
        return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)

    return next(
        iter([n for n in _IMAGES if n in schema.names and (n == "image" or encoded(n))]),
        next((n for n in schema.names if pa.types.is_struct(schema.field(n).type) and encoded(n)), None),
    )


class ParquetSource:
    """Rows of Parquet files with images, encoded or by path, read a few at a time."""

    def __init__(
        self,
        files: Sequence[Path],
        title: str,
        names: Sequence[str],
        options: SourceOptions,
        unread: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Read the files' footers. Raises `InvalidInputError` if one cannot be read or lacks a column.

        names: of the files, for ids. unread: files next to them that are not read, with the reason.
        """
        import pyarrow.parquet as pq

        self.files, self.title, self.unread = list(files), title, unread
        self._file_names, self._id_from_file = [file_name(name) for name in names], options.id_from_file
        self._rows = 0
        self._columns: list[tuple[str, str | None, Mapping[str, str]]] = []
        for file in files:
            image = image_column_of(file, options.image_column)
            known = pq.read_schema(file).names
            if image is None:
                raise InvalidInputError(
                    f"'{file}' has no column '{options.image_column or 'image'}' of encoded images, but "
                    f"{', '.join(known)}; name the right one with --image-column."
                )
            own = next((name for name in _IDS if name in known), None)
            columns = options.columns.of([n for n in known if n != image], f"'{file}'")
            self._columns.append((image, own, columns))
            self._rows += pq.read_metadata(file).num_rows
        if not self._rows:
            raise InvalidInputError(f"'{files[0]}' holds no images: it has no rows.")
        listed = "\n".join(f"{name} {f.stat().st_size}" for name, f in zip(names, files, strict=True))
        self.mark: Mapping[str, Any] = {
            "parquet": file_name(str(files[0].resolve().parent)),
            "images": self._rows,
            "image_column": [image for image, _, _ in self._columns],
            "columns": options.columns.chosen,
            "id_from_file": options.id_from_file,
            "files": hashlib.sha256(listed.encode(errors="surrogateescape")).hexdigest(),
        }

    def items(self, wanted: Wanted) -> Iterator[SourceItem]:
        """Yield one item per row; its id is from the column "id" or "key", else the file's name and its number."""
        for place, (image, _, columns) in enumerate(self._columns):
            for name, row in self._read(place, [image, *columns.values()]):
                if wanted(name):
                    yield _row(name, row[image], take(row, columns), self.files[place].parent)

    def names(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """See `Source`."""
        import pyarrow.parquet as pq

        for place, (image, _, _) in enumerate(self._columns):
            kind = pq.read_schema(self.files[place]).field(image).type
            path = f"{image}.path" if "path" in [kind.field(i).name for i in range(kind.num_fields)] else None
            for name, row in self._read(place, [path] if path else []):
                yield name, path_names((row.get(image) or {}).get("path") if path else None)

    def _read(self, place: int, columns: Sequence[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield (id, these columns) of each row of a file."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        file, own, number = self.files[place], self._columns[place][1], 0
        needed = list(dict.fromkeys([*columns, *([own] if own else [])]))
        try:
            with pq.ParquetFile(file) as opened:
                labels = class_labels(opened.schema_arrow)
                for batch in opened.iter_batches(batch_size=_ROWS, columns=needed):
                    for row in batch.to_pylist() if needed else [{}] * batch.num_rows:
                        name = as_text(row.get(own)) if own else ""
                        if self._id_from_file or not name:
                            name = f"{self._file_names[place]}/{name or number}"
                        number += 1
                        yield name, with_labels(row, labels)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise InvalidInputError(
                f"'{file}' cannot be read behind row {number:,} ({message_of(error, 200)}); check the file."
            ) from error

    def total(self, done: int) -> int | None:
        """Return the number of rows."""
        return self._rows


def _row(name: str, image: Any, text: dict[str, str], folder: Path) -> SourceItem:
    data = image.get("bytes") if isinstance(image, dict) else image
    path = image.get("path") if isinstance(image, dict) else None
    names = path_names(path)
    if isinstance(data, bytes) and data:
        return SourceItem(name, data, text, names)
    if path and "://" not in path:
        return SourceItem(name, folder / path, text, names)
    only = f", only the link {path}" if path else ""
    return SourceItem(name, None, text, names, f"its row holds no encoded image{only}")
