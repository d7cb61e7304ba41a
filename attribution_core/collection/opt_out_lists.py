"""Lists of images that must not be trained on: how they are written, and which images they name."""

from __future__ import annotations

import functools
import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes, urlsplit

from PIL import Image

from attribution_core.common.cells import as_text, file_name
from attribution_core.common.files import sha256_file
from attribution_core.common.tables import SUFFIXES, Table, plain_name
from attribution_core.common.text_files import read_lines
from attribution_core.corpus.perceptual_hash import NEAR, perceptual_hash, read_hash
from attribution_core.errors import InvalidInputError

_PREFIX = re.compile(r"([a-z]{2,12}):(?!//)\s*(.*)", re.IGNORECASE)
_QUOTED = re.compile(r"([\"'])(.+)\1(?:\s+#.*)?")
_COMMENT = re.compile(r"\s+#(?:\s.*)?$")
_BARE_LINK = re.compile(r"[\w-]+(?:\.[\w-]+)+/.+")
_WEB = re.compile(r"https?://", re.IGNORECASE)
_COLUMNS = {
    "id": ("id", "file", "file_name", "filename", "key"),
    "link": ("link", "url"),
    "domain": ("domain", "host"),
    "maker": ("maker", "creator", "artist", "author", "photographer"),
    "phash": ("phash", "perceptual_hash"),
}
"""Names of a table's column for each kind."""
_SEVERAL = re.compile(r"\s*(?:[,;&/]|\b(?:and|or|with)\b)\s*", re.IGNORECASE)


class Kind(StrEnum):
    """What an entry of a list names."""

    ID = "id"
    LINK = "link"
    DOMAIN = "domain"
    MAKER = "maker"
    PHASH = "phash"


@dataclass(frozen=True)
class OptOutList:
    """Entries of lists, in a form to compare with.

    files: absolute path -> SHA-256. written: entry, as "kind: its form to compare with" -> as it is in its list.
    """

    ids: frozenset[str] = frozenset()
    links: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()
    makers: frozenset[str] = frozenset()
    hashes: tuple[int, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    written: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, files: Iterable[Path | str]) -> OptOutList:
        """Read lists: text with one entry a line, or CSV, Parquet or JSON with a column for each kind.

        A line is an id or a link, or says what it is: "domain: example.org", "maker: Ada", "phash: ff00...", "id: a:b".
        What follows # is a comment, at the start of a line or between spaces. A table has columns named after the
        kinds, or "kind" and "value".

        Raises `InvalidInputError` if a file cannot be read, is empty, or has an entry of an unknown kind.
        """
        entries: dict[Kind, set[str]] = {kind: set() for kind in Kind}
        written: dict[str, str] = {}
        digests: dict[str, str] = {}
        for file in files:
            path = Path(file)
            found = list(_table(path) if path.suffix.lower() in SUFFIXES else _lines(path))
            if not found:
                raise InvalidInputError(
                    f"the opt-out list '{path}' is empty; write one id, link, domain, maker or perceptual hash a line."
                )
            for kind, value in found:
                try:
                    plain = _NORMAL[kind](value)
                except InvalidInputError as error:
                    raise InvalidInputError(f"the opt-out list '{path}' cannot be used: {error}") from error
                entries[kind].add(plain)
                bare = kind in (Kind.ID, Kind.LINK)
                written.setdefault(f"{kind}: {plain}", value if bare else f"{kind}: {value}")
            digests[file_name(str(path.resolve()))] = sha256_file(path)
        return cls(
            frozenset(entries[Kind.ID]),
            frozenset(entries[Kind.LINK]),
            frozenset(entries[Kind.DOMAIN]),
            frozenset(entries[Kind.MAKER]),
            tuple(sorted(int(text, 16) for text in entries[Kind.PHASH])),
            digests,
            written,
        )

    @property
    def digest(self) -> str:
        """A checksum of all files; "" without any."""
        return hashlib.sha256("".join(self.files.values()).encode()).hexdigest() if self.files else ""

    def matches(
        self, ids: Iterable[str], creator: str, link: str, picture: Callable[[], Image.Image | None]
    ) -> Iterator[tuple[str, str]]:
        """Yield all entries that name an image, as in `written`, each with "kind: what it says".

        ids: by which it goes. creator, link: of its credit. picture: called only if the list has hashes.
        """
        for name in ids:
            if (own_id := _plain(name)) in self.ids:
                yield f"id: {own_id}", f"id: {name}"
        plain = _link(link)
        if plain in self.by_link:
            yield self.by_link[plain], f"link: {link}"
        host = plain.partition("/")[0]
        for domain in (".".join(host.split(".")[k:]) for k in range(host.count(".") + 1)):
            if domain and domain in self.domains:
                yield f"domain: {domain}", f"domain: {domain}"
        for maker in _makers(creator) if self.makers else ():
            if (person := _maker(maker)) in self.makers:
                yield f"maker: {person}", f"maker: {maker}"
        if self.hashes and (image := picture()) is not None:
            own = perceptual_hash(image)
            for differ, near in sorted(((own ^ other).bit_count(), other) for other in self.hashes):
                if differ <= NEAR:
                    yield f"phash: {near:016x}", f"phash: {near:016x}, {differ} of 64 bits differ"

    @functools.cached_property
    def by_link(self) -> Mapping[str, str]:
        """The entries that are links, and ids that look like one without https://, by the link."""
        bare = {_link(f"https://{name}"): f"id: {name}" for name in self.ids if _BARE_LINK.fullmatch(name)}
        return {**bare, **{link: f"link: {link}" for link in self.links}}

    @functools.cached_property
    def by_name(self) -> Mapping[str, str]:
        """The entries that are ids, by the maker's name that they may be."""
        return {_maker(name): f"id: {name}" for name in self.ids}


@dataclass
class ListUse:
    """Which entries of lists came up among images, as in `OptOutList.written`.

    named: those that name an image. makers: ids that are a maker's name, and may have been meant so.
    """

    lists: OptOutList
    named: set[str] = field(default_factory=set)
    makers: set[str] = field(default_factory=set)

    def see(
        self, ids: Iterable[str], creator: str, link: str, picture: Callable[[], Image.Image | None]
    ) -> list[str]:
        """Note the entries that name an image, and return their reasons; arguments as for `OptOutList.matches`."""
        found = list(self.lists.matches(ids, creator, link, picture))
        self.named.update(entry for entry, _ in found)
        by_name = self.lists.by_name
        self.makers.update(by_name[name] for name in map(_maker, _makers(creator)) if name in by_name)
        return [reason for _, reason in found]

    def recall(self, left_out: Mapping[str, str]) -> None:
        """Note what names images that were left out before, of which only id and reason are known."""
        for name, reason in left_out.items():
            kind, _, said = reason.partition(": ")
            links = {"link": said, "domain": f"https://{said}"}
            ids = (name, said) if kind == "id" else (name,)
            self.see(ids, said if kind == "maker" else "", links.get(kind, ""), lambda: None)
            self.named.add(reason.partition(",")[0])  # a perceptual hash

    def unseen(self) -> None:
        """Note that an image was not opened, so that nobody knows which hashes name it."""
        self.named.update(f"phash: {number:016x}" for number in self.lists.hashes)

    def unmatched(self) -> dict[str, str]:
        """Return the entries that name no image: as written -> what may have been meant, or ""."""
        return {
            text: f"maker: {text}" if entry in self.makers else ""
            for entry, text in self.lists.written.items()
            if entry not in self.named
        }


def _lines(path: Path) -> Iterable[tuple[Kind, str]]:
    for whole in read_lines(path, "the opt-out list"):
        if whole.startswith("#"):
            continue
        quoted = _QUOTED.fullmatch(whole)
        line = quoted[2].strip() if quoted else _COMMENT.sub("", whole)
        prefixed = _PREFIX.fullmatch(line)
        if prefixed is None:
            yield (Kind.LINK if _WEB.match(line) else Kind.ID), line
        else:
            yield _kind(prefixed[1], path), _filled(prefixed[2], path, line)


def _table(path: Path) -> Iterable[tuple[Kind, str]]:
    table = Table.open(path, ("kind", *(name for names in _COLUMNS.values() for name in names)))
    by_name = {plain_name(name): name for name in table.names}
    if "kind" in by_name and "value" in by_name:
        for _, row in table:
            kind, value = (as_text(row.get(by_name[name])) for name in ("kind", "value"))
            if kind or value:
                yield _kind(kind, path), _filled(value, path, kind)
        return
    columns = [
        (Kind(kind), by_name[name]) for kind, names in _COLUMNS.items() for name in names if name in by_name
    ]
    if not columns:
        raise InvalidInputError(
            f"the opt-out list '{path}' has no column {', '.join(_COLUMNS)}, or kind and value, but "
            f"{', '.join(table.names)[:200] or 'none'}; name its columns so."
        )
    for _, row in table:
        for kind, column in columns:
            cell = row.get(column)
            for value in map(as_text, cell if isinstance(cell, list) else [cell]):
                if value:
                    yield kind, value


def _kind(text: str, path: Path) -> Kind:
    for kind, names in _COLUMNS.items():
        if plain_name(text) in names:
            return Kind(kind)
    raise InvalidInputError(
        f"the opt-out list '{path}' names the unknown kind '{text:.40}', expected {', '.join(_COLUMNS)}; write an id "
        "with a colon as id:..."
    )


def _filled(value: str, path: Path, line: str) -> str:
    if not value.strip():
        raise InvalidInputError(f"the opt-out list '{path}' has an entry without a value: '{line:.80}'.")
    return value.strip()


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name.replace("\\", "/").removeprefix("./"))


def _makers(creator: str) -> tuple[str, ...]:
    """A credit as a whole, and each maker of several."""
    return creator, *_SEVERAL.split(creator)


def _maker(name: str) -> str:
    return " ".join(unicodedata.normalize("NFC", name).casefold().split())


def _link(link: str) -> str:
    """A link without scheme, user, "www.", fragment and last slash, percent-encoded; "" for none to the web."""
    text = link.strip()
    if not _WEB.match(text):
        return ""
    try:
        parts = urlsplit(text)
        host = _domain(parts.hostname or "")
        port = f":{parts.port}" if parts.port not in (None, 80, 443) else ""
        path = quote(unquote_to_bytes(parts.path.rstrip("/")))
        query = f"?{quote(unquote_to_bytes(parts.query))}" if parts.query else ""
    except ValueError:
        return ""
    return f"{host}{port}{path}{query}"


def _listed_link(link: str) -> str:
    plain = _link(link if "://" in link else f"https://{link}")
    if not plain:
        raise InvalidInputError(f"'{link:.80}' is no link to the web.")
    return plain


def _domain(name: str) -> str:
    host = name.strip().casefold().rstrip(".").removeprefix("*.").removeprefix("www.")
    try:
        return host.encode("idna").decode("ascii") if not host.isascii() else host
    except UnicodeError:
        return host


def _listed_domain(name: str) -> str:
    host = _domain((urlsplit(name).hostname or "") if "://" in name else name)
    if not host or "/" in host or any(c.isspace() for c in host):
        raise InvalidInputError(f"'{name:.80}' is no domain, such as example.org.")
    return host


_NORMAL: Mapping[Kind, Callable[[str], str]] = {
    Kind.ID: _plain,
    Kind.LINK: _listed_link,
    Kind.DOMAIN: _listed_domain,
    Kind.MAKER: _maker,
    Kind.PHASH: lambda text: f"{read_hash(text):016x}",
}
