"""A manifest's images by path, from files in folders or rows of Parquet files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from attribution_core.common.files import atomic_path
from attribution_core.common.folders import is_litter
from attribution_core.common.images import read_image
from attribution_core.errors import CheckpointError

if TYPE_CHECKING:
    from PIL import Image

_KEYS = ("path", "id")  # columns that name an image, in this order


class ImageStore:
    """A read-only mapping; `store[path]` is the RGB image with that path in a manifest."""

    def __init__(
        self, folders: Sequence[Path], rows: Mapping[str, tuple[int, int]], columns: Sequence[object]
    ) -> None:
        """Use `open` instead."""
        self._folders, self._rows, self._columns = folders, rows, columns

    @classmethod
    def open(cls, *folders: str | os.PathLike[str]) -> ImageStore:
        """Open a store over the files of some folders and the rows of their Parquet files.

        A Parquet file is used if it has a column "image" (encoded bytes, or {"bytes", "path"} as Hugging Face
        `datasets` writes it, one of which may be empty) and a column "path" or "id" with its name. Raises
        `CheckpointError` if a folder is missing or a Parquet file cannot be read.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        roots = [Path(folder) for folder in folders]
        rows: dict[str, tuple[int, int]] = {}
        columns: list[object] = []
        for folder in roots:
            if not folder.is_dir():
                raise CheckpointError(f"'{folder}' is not a folder; expected one with the manifest's images.")
            for file in sorted(f for f in folder.glob("*.parquet") if not is_litter(f.name)):
                try:
                    names = pq.read_schema(file).names
                    key = next((k for k in _KEYS if k in names), None)
                    if key is None or "image" not in names:
                        continue
                    table = pq.read_table(file, columns=[key, "image"])
                except (pa.ArrowInvalid, OSError) as error:
                    raise CheckpointError(
                        f"'{file}' cannot be read ({error}); fetch or build it again."
                    ) from error
                for row, name in enumerate(table[key].to_pylist()):
                    rows.setdefault(name, (len(columns), row))
                columns.append(table["image"])
        return cls(roots, rows, columns)

    def __getitem__(self, path: str) -> Image.Image:
        """Read an image. Raises `CheckpointError` if it is missing, `InvalidImageError` if it is damaged."""
        if path in self._rows:
            column, row = self._rows[path]
            stored = self._columns[column][row].as_py()  # type: ignore[index]
            data = stored.get("bytes") if isinstance(stored, dict) else stored
            if isinstance(data, bytes) and data:
                return read_image(data)
            path = (stored.get("path") if isinstance(stored, dict) else None) or path
        for folder in self._folders:
            if (folder / path).is_file():
                return read_image(folder / path)
        raise CheckpointError(
            f"there is no image '{path}' in {', '.join(map(str, self._folders))}; give the folder that the manifest's "
            "paths are relative to, or the one with its Parquet files."
        )


def write_images(path: str | os.PathLike[str], images: Iterable[tuple[str, bytes]]) -> None:
    """Write (path, encoded image) pairs as one Parquet file for `ImageStore` and Hugging Face `datasets`."""
    import json

    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = list(images)
    features = {"path": {"dtype": "string", "_type": "Value"}, "image": {"_type": "Image"}}
    schema = pa.schema(
        [("path", pa.string()), ("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())]))],
        {"huggingface": json.dumps({"info": {"features": features}})},
    )
    names = [name for name, _ in rows]
    table = pa.table([names, [{"bytes": data, "path": name} for name, data in rows]], schema=schema)
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", row_group_size=1000)
