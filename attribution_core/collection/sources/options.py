"""How the images of a new collection are to be read."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from attribution_core.collection.sources.item import Columns
from attribution_core.errors import unknown_name


class ReadAs(StrEnum):
    """What a folder is read as: `--as`."""

    FOLDER = "folder"
    PARQUET = "parquet"
    TAR = "tar"


@dataclass(frozen=True)
class SourceOptions:
    """How to read images and what is known about them; the defaults fit most sources.

    Raises `UnknownNameError` for an unknown `read_as`.

    Attributes:
        split: Of a Hugging Face data set; "train" by default.
        config: Of a data set that has several.
        image_column: Of a table; by default "image", or the first that holds images.
        columns: Which columns fill the corpus's text columns, where the names differ.
        metadata: A CSV, Parquet or JSON file with any of the corpus's text columns.
        key: Its column that names the images, by their ids or a part that is unique; by default the first of
            `metadata.KEYS`.
        prefix: Put before each id, so that images of two folders do not share one.
        read_as: Which kind of files to read from a folder; by default the one with the most bytes.
        id_from_file: Put the Parquet file's name before each id, for files that each count from the start.
    """

    split: str | None = None
    config: str | None = None
    image_column: str | None = None
    columns: Columns = field(default_factory=Columns)
    metadata: Path | str | None = None
    key: str | None = None
    prefix: str = ""
    read_as: ReadAs | str | None = None
    id_from_file: bool = False

    def __post_init__(self) -> None:
        """Check the name of the kind."""
        if self.read_as is not None and self.read_as not in list(ReadAs):
            raise unknown_name("kind of source", str(self.read_as), map(str, ReadAs))
