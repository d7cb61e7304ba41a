"""Finds what a folder holds that can be read: images, Parquet files with images, tar shards."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from attribution_core.collection.layout import CollectionLayout
from attribution_core.collection.sources.options import ReadAs, SourceOptions
from attribution_core.collection.sources.parquet import image_column_of
from attribution_core.common.cards import CARD_NAME
from attribution_core.common.cells import file_name
from attribution_core.common.folders import Listing, is_image, list_files
from attribution_core.common.text import listing
from attribution_core.errors import InvalidInputError

TAR = re.compile(r"\.(tar|tgz|tar\.(gz|bz2|xz))$", re.IGNORECASE)
PARQUET = re.compile(r"\.(parquet|pq)$", re.IGNORECASE)
SIDECARS = (".txt", ".caption", ".json")


_CALLED = {ReadAs.FOLDER: "images", ReadAs.PARQUET: "Parquet files with images", ReadAs.TAR: "tar shards"}


@dataclass(frozen=True)
class Survey:
    """Files of a folder by what they can be read as, in order. others: all other files, with the reason."""

    folder: Path
    kinds: Mapping[ReadAs, list[str]]
    sidecars: list[str]
    problems: list[tuple[str, str]]
    others: list[tuple[str, str]]

    @classmethod
    def of(
        cls,
        folder: Path,
        options: SourceOptions | None = None,
        out: Path | None = None,
    ) -> Survey:
        """Look at all files, except those of collections and the table of metadata.

        out: the collection that is being built. Raises `InvalidInputError` if the folder cannot be read.
        """
        options = options or SourceOptions()
        listed: Listing = list_files(folder, out)
        kinds: dict[ReadAs, list[str]] = {kind: [] for kind in ReadAs}
        others, sidecars = list(listed.litter), []
        table = None if options.metadata is None else Path(options.metadata).resolve()
        collections = _collections(folder, listed.files)
        for name in listed.files:
            path = folder / name
            if any(name.startswith(f"{inside}/") for inside in collections) or path.resolve() == table:
                continue
            if PARQUET.search(name):
                column = image_column_of(path, options.image_column)
                if column is None:
                    others.append((name, "a Parquet file without a column of images"))
                else:
                    kinds[ReadAs.PARQUET].append(name)
            elif TAR.search(name):
                kinds[ReadAs.TAR].append(name)
            elif path.suffix.lower() in SIDECARS:
                sidecars.append(name)
            elif is_image(path):
                kinds[ReadAs.FOLDER].append(name)
            else:
                others.append((name, "no image"))
        others += [(f"{inside}/", "a collection, and no source of one") for inside in collections]
        return cls(folder, kinds, sidecars, listed.problems, others)

    def choose(self, kind: ReadAs | None) -> ReadAs:
        """Return the kind to read: the given one, else the one with the most bytes.

        Raises `InvalidInputError` if there are no files of the given kind.
        """
        if kind is not None:
            if not self.kinds[kind]:
                raise InvalidInputError(
                    f"'{self.folder}' holds no {_CALLED[kind]}, but {self._summary()}; give another --as."
                )
            return kind
        there = [kind for kind in ReadAs if self.kinds[kind]] or [ReadAs.FOLDER]
        return max(there, key=self._bytes)

    def unread(self, chosen: ReadAs) -> list[tuple[str, str]]:
        """List the files that are not read if this kind is chosen, with the reason."""
        left = [
            (name, f"{_CALLED[kind]} are not read beside {_CALLED[chosen]}; choose with --as {kind}")
            for kind in ReadAs
            if kind != chosen
            for name in self.kinds[kind]
        ]
        if chosen != ReadAs.FOLDER:
            left += [(name, "no image") for name in self.sidecars]
            left += self.problems
        return [(file_name(name), reason) for name, reason in (*left, *self.others)]

    def _bytes(self, kind: ReadAs) -> int:
        return sum((self.folder / name).stat().st_size for name in self.kinds[kind])

    def _summary(self) -> str:
        there = [f"{len(self.kinds[kind]):,} {_CALLED[kind]}" for kind in ReadAs if self.kinds[kind]]
        return listing(there) if there else "nothing that can be read"


def _collections(folder: Path, files: list[str]) -> list[str]:
    """List the sub-folders that hold a collection."""
    cards = (Path(name).parent for name in files if Path(name).name == CARD_NAME)
    return sorted(
        place.as_posix()
        for place in cards
        if place != Path() and (CollectionLayout(folder / place).mappers() / CARD_NAME).is_file()
    )
