"""Images in a local folder, with captions and metadata in files next to them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from attribution_core.collection.sources.item import (
    Columns,
    SourceItem,
    Wanted,
    caption_of_file,
    names_of_file,
)
from attribution_core.common.cells import as_text, file_name
from attribution_core.common.images import SUFFIXES
from attribution_core.common.json_text import parse_json
from attribution_core.common.text_files import read_text
from attribution_core.errors import InvalidInputError

if TYPE_CHECKING:
    from attribution_core.collection.sources.survey import Survey

_CAPTIONS = (".txt", ".caption")


class FolderSource:
    """Image files of a folder and its sub-folders, ordered by their paths, which are their ids."""

    def __init__(self, survey: Survey, files: Sequence[str], columns: Columns) -> None:
        """Read nothing yet. files: paths of the images, relative to the folder."""
        self.folder, self.title = survey.folder, survey.folder.resolve().name
        self.files, self._columns = sorted(files), columns
        self._problems = sorted(survey.problems)
        self._sidecars = frozenset(survey.sidecars)
        self._stems = Counter(str(PurePosixPath(name).with_suffix("")) for name in self.files)
        read = {s for name in self.files for s in self._beside(name)}
        unread = [(name, "no image, and named like none") for name in survey.sidecars if name not in read]
        self.unread: Sequence[tuple[str, str]] = [(file_name(n), reason) for n, reason in unread]
        listed = "\n".join(
            f"{name} {(self.folder / name).stat().st_size}" for name in sorted([*self.files, *read])
        )
        self.mark: Mapping[str, Any] = {
            "folder": file_name(str(self.folder.resolve())),
            "images": len(self.files),
            "files": hashlib.sha256(listed.encode(errors="surrogateescape")).hexdigest(),
        }
        if columns.chosen:
            self.mark = {**self.mark, "columns": columns.chosen}

    def check(self) -> None:
        """Raise `InvalidInputError` if there are no images."""
        if not self.files and not self._problems:
            raise InvalidInputError(
                f"'{self.folder}' holds no images; expected files ending in {', '.join(sorted(SUFFIXES))}."
            )

    def items(self, wanted: Wanted) -> Iterator[SourceItem]:
        """Yield one item per file, with the text of `a.txt`, `a.json` or `a.png.json` next to `a.png`."""
        for name, reason in self._problems:
            if wanted(file_name(name)):
                yield SourceItem(file_name(name), None, problem=reason)
        for name in self.files:
            image = file_name(name)
            if wanted(image):
                text = {
                    "caption": caption_of_file(image),
                    "source": file_name(self.title),
                }
                sidecar_text, notes = self._read_sidecars(name)
                if image != name:
                    notes.append("its name is not UTF-8, and written as in an address")
                yield SourceItem(
                    image,
                    self.folder / name,
                    text | sidecar_text,
                    names_of_file(image),
                    note="; ".join(notes),
                )

    def names(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """See `Source`."""
        for name in map(file_name, self.files):
            yield name, names_of_file(name)

    def total(self, done: int) -> int | None:
        """Return the number of files."""
        return len(self.files) + len(self._problems)

    def _beside(self, name: str) -> list[str]:
        """Return the sidecars of an image; later ones override earlier ones."""
        stem = str(PurePosixPath(name).with_suffix(""))
        return [
            beside
            for start in (stem, name)
            for suffix in (".json", *_CAPTIONS)
            if (beside := start + suffix) in self._sidecars
        ]

    def _read_sidecars(self, name: str) -> tuple[dict[str, str], list[str]]:
        """Return the text columns from an image's sidecars, and notes on what was ignored."""
        text: dict[str, str] = {}
        notes = []
        stem = str(PurePosixPath(name).with_suffix(""))
        for beside in self._beside(name):
            if not beside.startswith(name) and self._stems[stem] > 1:
                notes.append(
                    f"'{file_name(beside)}' was left aside: {self._stems[stem]} images go by its name"
                )
                continue
            try:
                content = read_text(self.folder / beside)
                if beside.endswith(".json"):
                    row = parse_json(content)
                    text |= self._columns.pick(row) if isinstance(row, dict) else {}
                elif caption := as_text(" ".join(content.split())):
                    text["caption"] = caption
            except (InvalidInputError, ValueError, RecursionError):
                notes.append(f"'{file_name(beside)}' cannot be read and was left aside")
        return text, notes
