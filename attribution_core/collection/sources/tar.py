"""WebDataset tar shards, streamed: a sample is an image with its texts, in any order."""

from __future__ import annotations

import re
import tarfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from attribution_core.collection.sources.item import Columns, SourceItem, Wanted
from attribution_core.common.cells import as_text, file_name
from attribution_core.common.folders import is_litter
from attribution_core.common.images import SUFFIXES
from attribution_core.common.json_text import parse_json
from attribution_core.errors import InvalidInputError

_LARGEST = 500_000_000  # bytes of a member that are read; no image that is let in is as large
_LARGEST_TEXT = 10_000_000
_TEXTS = (".txt", ".caption", ".text")
_NUMBER = re.compile(r"\.\d")  # in a name behind WebDataset's key
_DAMAGED = (tarfile.TarError, OSError, EOFError, zlib.error)


@dataclass(frozen=True)
class _Member:
    """A file in an archive. data: content of a text in a compressed archive, where seeking back is slow."""

    name: str
    place: int
    size: int
    data: bytes | None = None

    @property
    def stem(self) -> str:
        return str(PurePosixPath(self.name).with_suffix(""))

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.name).suffix.lower()


@dataclass(frozen=True)
class _Sample:
    """An image of a shard with its texts, or a key without an image."""

    key: str
    place: int
    image: _Member | None = None
    texts: tuple[_Member, ...] = ()
    notes: tuple[str, ...] = ()
    problem: str = ""


@dataclass
class _Scan:
    """The content of an archive: samples in the order of their images, and what is wrong with the file."""

    samples: list[_Sample] = field(default_factory=list)
    damage: str = ""


class TarSource:
    """Tar shards: as in WebDataset, files with equal names up to the first dot of the last part are one sample.

    If several images share such a key, as in "Shot at 10.30.15.jpg", each is a sample under its full name, which a note
    says; a text that has only the key belongs to each of them.
    """

    def __init__(
        self,
        files: Sequence[Path],
        title: str,
        names: Sequence[str],
        columns: Columns,
        unread: Sequence[tuple[str, str]] = (),
    ) -> None:
        """names: of the files, for ids. Raises `InvalidInputError` if a file is not a tar archive."""
        self.files, self.title, self._columns, self.unread = list(files), title, columns, unread
        self._names = [file_name(name) for name in names]
        for file in files:
            try:
                with tarfile.open(file):
                    pass
            except _DAMAGED as error:
                raise InvalidInputError(
                    f"'{file}' cannot be read as a tar archive; check the file."
                ) from error
        self._sizes = [f.stat().st_size for f in files]
        self._read = 0  # approximate bytes of the archives
        self.mark: Mapping[str, Any] = {
            "tar": [
                f"{name} {file_name(str(f.resolve()))} {size}"
                for name, f, size in zip(self._names, files, self._sizes, strict=True)
            ],
            "columns": columns.chosen,
        }

    def items(self, wanted: Wanted) -> Iterator[SourceItem]:
        """Yield one item per sample; its id is shard/sample. A damaged shard ends with an item that says so."""
        for number, (file, name) in enumerate(zip(self.files, self._names, strict=True)):
            before = sum(self._sizes[:number])
            scan = _scan(file)
            try:
                with tarfile.open(file) as archive:
                    handle = cast(BinaryIO, archive.fileobj)
                    for sample in scan.samples:
                        if wanted(f"{name}/{sample.key}"):
                            yield self._item(name, sample, handle)
                        # In a compressed archive, places count unpacked bytes, which can exceed its size.
                        self._read = before + min(sample.place, self._sizes[number])
            except _DAMAGED as error:  # the scan does not unpack images
                scan.damage = scan.damage or f"'{file}' is damaged ({error}); what follows is not read"
            if scan.damage and wanted(f"{name}/..."):
                yield SourceItem(f"{name}/...", None, problem=scan.damage)
            self._read = before + self._sizes[number]

    def names(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """See `Source`."""
        for file, name in zip(self.files, self._names, strict=True):
            for sample in _scan(file).samples:
                yield f"{name}/{sample.key}", _names(sample)

    def _item(self, shard: str, sample: _Sample, handle: BinaryIO) -> SourceItem:
        text: dict[str, str] = {"source": shard}
        notes = list(sample.notes)
        problem = sample.problem
        data = None
        # Images are read in the order of the archive, so that a compressed one is unpacked only once.
        if sample.image is not None and not problem:
            if sample.image.size > _LARGEST:
                problem = "the file is too large to be an image"
            else:
                data = _content(sample.image, handle)
        for member in sample.texts:
            content = _content(member, handle) if member.data is None else member.data
            if member.suffix != ".json":
                text["caption"] = as_text(" ".join(content.decode("utf-8-sig", "replace").split()))
                continue
            try:
                row = parse_json(content)
                text |= self._columns.pick(row) if isinstance(row, dict) else {}
            except (ValueError, RecursionError):  # also what is not UTF-8
                notes.append(f"'{member.name}' cannot be read and was left aside")
        text = {column: value for column, value in text.items() if value}
        return SourceItem(f"{shard}/{sample.key}", data, text, _names(sample), problem, "; ".join(notes))

    def total(self, done: int) -> int | None:
        """Estimate from the part of the archives that has been read."""
        return None if not self._read else max(done, round(done * sum(self._sizes) / self._read))


def _names(sample: _Sample) -> tuple[str, ...]:
    """Return the names by which metadata may refer to a sample: without shard or folder, with or without ending."""
    key = PurePosixPath(sample.key)
    if sample.image is None:
        return str(key), key.name
    image = PurePosixPath(sample.image.name)
    return str(key), str(image), key.name, image.name


def _content(member: _Member, handle: BinaryIO) -> bytes:
    handle.seek(member.place)
    data = handle.read(member.size)
    if len(data) != member.size:
        raise tarfile.ReadError("unexpected end of data")
    return data


def _scan(file: Path) -> _Scan:
    """Read all headers of an archive, and the texts if it is compressed."""
    groups: dict[str, list[_Member]] = {}
    links: list[_Sample] = []
    scan = _Scan()
    last = ""
    try:
        with tarfile.open(file) as archive:
            compressed = type(archive.fileobj).__module__ in ("gzip", "bz2", "lzma")
            while (member := archive.next()) is not None:
                archive.members = []  # type: ignore[attr-defined]  # or it would keep every header in memory
                name = file_name(member.name)
                if is_litter(name.removeprefix("./")) or member.isdir():
                    continue
                path = PurePosixPath(name)
                last = (path.parent / path.name.partition(".")[0]).as_posix()
                if not member.isreg() or member.issparse():
                    if path.suffix.lower() in SUFFIXES:
                        why = "a link in the archive, or no regular file"
                        links.append(_Sample(str(path), member.offset, problem=why))
                    continue
                kept = None
                entry = _Member(str(path), member.offset_data, member.size)
                if compressed and entry.suffix in (*_TEXTS, ".json") and member.size <= _LARGEST_TEXT:
                    kept = _content(entry, cast(BinaryIO, archive.fileobj))
                groups.setdefault(last, []).append(_Member(entry.name, entry.place, entry.size, kept))
    except _DAMAGED as error:
        groups.pop(last, None)  # it may be incomplete
        scan.damage = (
            f"'{file}' is damaged or cut off in or behind its sample '{last}' ({error}); "
            "what follows is not read"
        )
    scan.samples = [sample for key, members in groups.items() for sample in _samples(key, members)]
    scan.samples = sorted([*scan.samples, *links], key=lambda sample: sample.place)
    return scan


def _samples(key: str, members: Sequence[_Member]) -> Iterator[_Sample]:
    """Yield the samples among the members of one WebDataset key."""
    images = [m for m in members if m.suffix in SUFFIXES]
    texts = [m for m in members if m.suffix in (*_TEXTS, ".json") and m.size <= _LARGEST_TEXT]
    if not images:
        ends = ", ".join(PurePosixPath(m.name).name.removeprefix(PurePosixPath(key).name) for m in members)
        yield _Sample(key, members[0].place, problem=f"no image among its files ({ends or 'no ending'})")
        return
    repeated = Counter(m.name for m in images)
    named = {m.name for m in images}
    stems = Counter(PurePosixPath(name).with_suffix("").as_posix() for name in named)
    for image in images:
        if len(named) == 1:
            own, name = [t for t in texts if not _names_another(t, image, key)], key
        else:
            own = [t for t in texts if t.stem == image.stem or t.stem == key]
            name = image.stem if stems[image.stem] == 1 else image.name
        used = _one_of_each(image, own)
        left = [t.name for t in own if t not in used] if repeated[image.name] == 1 else []
        notes = []
        if len(named) == 1 and image is images[0]:
            left += [t.name for t in texts if t not in own]
        if len(named) > 1:
            notes.append(f"{len(named)} images have the key '{key}'; each goes by its whole name")
            if image is images[0]:
                left += [t.name for t in texts if t.stem != key and t.stem not in stems]
        notes += [f"'{t}' was left aside: another text is nearer, or it names no image" for t in left]
        yield _Sample(name, image.place, image, tuple(used), tuple(notes))


def _names_another(text: _Member, image: _Member, key: str) -> bool:
    """Whether a text belongs to another numbered image, in another shard or missing.

    "Shot at 10.30.45.json" does not describe "Shot at 10.30.15.jpg", but "001.meta.json" does describe "001.image.jpg".
    """
    return text.stem != image.stem and bool(_NUMBER.search(text.stem.removeprefix(key)))


def _one_of_each(image: _Member, texts: Sequence[_Member]) -> list[_Member]:
    """Pick the metadata and the caption whose names are closest to the image's; captions last, as they override."""
    kinds = ([t for t in texts if t.suffix == ".json"], [t for t in texts if t.suffix != ".json"])
    return [max(kind, key=lambda t: (t.stem == image.stem, t.suffix == ".txt")) for kind in kinds if kind]
