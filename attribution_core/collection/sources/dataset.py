"""Images of Hugging Face data sets, streamed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attribution_core.collection.sources.item import SourceItem, Wanted, path_names, take
from attribution_core.collection.sources.options import SourceOptions
from attribution_core.common.cells import as_text
from attribution_core.common.optional import import_optional
from attribution_core.common.tables import with_labels
from attribution_core.common.text import message_of
from attribution_core.errors import InvalidInputError


class DatasetSource:
    """A Hugging Face data set by name or local folder, streamed by the package `datasets`."""

    def __init__(
        self,
        name: str,
        options: SourceOptions,
    ) -> None:
        """Ask the hub for the data set's description, and read its first row if that does not name the columns.

        Raises `InvalidInputError` if it cannot be loaded or lacks the split or column, `MissingDependencyError` without
        the package `datasets`.
        """
        if options.id_from_file:
            raise InvalidInputError(
                f"a data set such as '{name}' does not say which file a row is from; leave out --id-from-file, or "
                "give its Parquet files."
            )
        datasets = import_optional("datasets", "reading a Hugging Face data set")
        self.name, self.split, self.title = name, options.split or "train", Path(name).name
        self._root = Path(name) if Path(name).is_dir() else None
        try:
            loaded = datasets.load_dataset(name, options.config, streaming=True)
        except Exception as error:  # builders raise all kinds
            raise InvalidInputError(
                f"'{name}' is neither a path nor a data set that can be loaded "
                f"({type(error).__name__}: {message_of(error, 200)}); check the name, the network, and "
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
            raise InvalidInputError(
                f"data set '{name}' cannot be read ({message_of(error, 200)})."
            ) from error
        known = list(features or {})
        images = [n for n, kind in (features or {}).items() if isinstance(kind, datasets.Image)]
        column = options.image_column or next(
            iter([*images, *(n for n in ("image", "file_name") if n in known)]), None
        )
        if column is None or column not in known:
            wanted = f"column '{options.image_column}'" if options.image_column else "column of images"
            raise InvalidInputError(
                f"data set '{name}' has no {wanted}, but {', '.join(known)}; choose with --image-column."
            )
        self._column, self._columns = (
            column,
            options.columns.of([n for n in known if n != column], f"data set '{name}'"),
        )
        self._key = next((n for n in ("id", "__key__", "key") if n in known), None)
        if column in images:
            stream = stream.cast_column(column, datasets.Image(decode=False))
        self._stream = stream
        self.unread: Sequence[tuple[str, str]] = ()
        self._labels = _labels(features or {})
        parts = getattr(stream.info, "splits", None) or {}
        self._count = getattr(parts.get(self.split), "num_examples", None) or None
        self.mark: Mapping[str, Any] = {
            "dataset": str(self._root.resolve()) if self._root else name,
            "config": options.config,
            "split": self.split,
            "image_column": column,
            "columns": options.columns.chosen,
        }

    def items(self, wanted: Wanted) -> Iterator[SourceItem]:
        """Yield one item per row; its id is from a column "id", "__key__" or "key", else split and number."""
        number = 0
        try:
            for row in self._stream:
                name = as_text(row[self._key]) if self._key else ""
                name = name or f"{self.split}/{number:08d}"
                number += 1
                if wanted(name):
                    yield self._item(name, row)
        except Exception as error:  # readers raise all kinds
            raise InvalidInputError(
                f"data set '{self.name}' broke off behind row {number} ({message_of(error, 200)}); the same "
                "command goes on there."
            ) from error

    def names(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield nothing: names are known only once the data set is streamed."""
        return iter(())

    def _item(self, name: str, row: Mapping[str, Any]) -> SourceItem:
        image = row[self._column]
        text = {"source": self.title} | take(with_labels(row, self._labels), self._columns)
        path = image.get("path") if isinstance(image, dict) else image if isinstance(image, str) else None
        names = path_names(path)
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
        """Return the number of rows in the data set's description."""
        return self._count


def _labels(features: Mapping[str, Any]) -> dict[str, Sequence[str]]:
    """Return column -> names of its classes, for columns of labels or of lists of labels."""
    import datasets

    kinds = {name: getattr(kind, "feature", kind) for name, kind in features.items()}
    return {name: kind.names for name, kind in kinds.items() if isinstance(kind, datasets.ClassLabel)}
