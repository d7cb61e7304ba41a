"""Images by the paths that a manifest names: files in folders, or rows of Parquet files that hold them."""

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
    """Read-only; `store[path]` is the RGB image that a manifest calls `path`."""

    def __init__(
        self, folders: Sequence[Path], rows: Mapping[str, tuple[int, int]], columns: Sequence[object]
    ) -> None:
        """Use `open`."""
        self._folders, self._rows, self._columns = folders, rows, columns

    @classmethod
    def open(cls, *folders: str | os.PathLike[str]) -> ImageStore:
        """Look in these folders: for files, and in their Parquet files for rows with an image.

        A Parquet file counts where it has a column "image" (encoded, or {"bytes", "path"} as Hugging Face `datasets`
        write it, one of which may be empty) and a column "path" or "id" that names it. Raises `CheckpointError` where a
        folder is missing.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        places = [Path(folder) for folder in folders]
        rows: dict[str, tuple[int, int]] = {}
        columns: list[object] = []
        for folder in places:
            if not folder.is_dir():
                raise CheckpointError(
                    f"'{folder}' is no folder; expected one that holds the manifest's images."
                )
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
        return cls(places, rows, columns)

    def __getitem__(self, path: str) -> Image.Image:
        """Read one image. Raises `CheckpointError` where there is none, `InvalidImageError` where it is damaged."""
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
            "paths are relative to, or that holds its Parquet files."
        )


def write_images(path: str | os.PathLike[str], images: Iterable[tuple[str, bytes]]) -> None:
    """Write (path, encoded image) pairs as one Parquet file that `ImageStore` and `datasets` open."""
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
