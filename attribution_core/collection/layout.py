"""Where everything lies in a collection's folder: methods, editions, evidence, work in progress, the lock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import Field, PositiveInt

from attribution_core.common.cards import CARD_NAME, Card, check_card, read_card
from attribution_core.common.files import make_folder, written_to
from attribution_core.errors import CheckpointError

FEATURES, PIXELS, SUMMARY = ".npy", ".pixels.npy", ".json"
"""Endings of a shard's files: features, near-duplicate signatures, and a summary of what was read and skipped."""
SKIPPED, UNMATCHED, UNREAD = "skipped.json", "unmatched.json", "unread.json"
"""Lists that a build leaves: images that were skipped, rows and images without the other, files that were not read."""
OPTED_OUT = "opted_out.json"
"""The images that were left out because their owners opted out: a list of {"file": id, "reason": "kind: what"}."""
UNMATCHED_ENTRIES = "unmatched_opt_outs.json"
"""Entries of opt-out lists that name no image: a list of {"entry": as written, "hint": what may have been meant}."""
OPT_OUT_LISTS = "opt_out_lists.json"
"""Opt-out lists that were given, which later additions apply: a list of {"path": absolute, "sha256": of the file}."""
LOCK = ".lock"
_BUILDING, _FEATURES = "building", "features"
_PARTS = ("corpus", _FEATURES, "index")
_OWN_METHOD = "own"  # of a collection whose card does not name its method


class CollectionCard(Card):
    """What is checked of a collection's card; the rest is for people or optional tools.

    method: the collection's own. edition: the current one. built: digest of what `index` was called with.
    """

    KIND = "a collection"
    encoder: str = ""
    method: str = _OWN_METHOD
    edition: PositiveInt = 1
    built: str = ""
    near_duplicates: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True)
class CollectionLayout:
    """Paths of the parts of a collection; whether they exist is not checked.

    Corpus, features and index of an edition lie next to those of the one before it, and the card names the current
    edition: replacing one file changes all parts at once.

    folder: the collection. card: the content of its `card.json`; empty for one that is being made.
    """

    folder: Path
    card: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, folder: Path | str) -> CollectionLayout:
        """Read the card of a collection. Raises `CheckpointError` if it is missing or damaged."""
        card = read_card(folder)
        check_card(folder, card, CollectionCard)
        return cls(Path(folder), card)

    @property
    def corpus(self) -> Path:
        """Images with captions and credits, in Parquet files."""
        return self._edition("corpus")

    @property
    def features(self) -> Path:
        """Features and signatures of each shard, kept to add and remove images."""
        return self._edition(_FEATURES)

    def index(self, method: str | None = None) -> Path:
        """The index of a method, by default of the collection's own."""
        return self._edition("index") if self._is_own(method) else self.method(method) / "index"

    def mappers(self, method: str | None = None) -> Path:
        """The mapper pair of a method, by default of the collection's own."""
        return self.method(method) / "mappers"

    def calibrator(self, method: str | None = None) -> Path:
        """The calibrator of a method, by default of the collection's own."""
        return self.method(method) / "calibrator"

    def method(self, name: str | None = None) -> Path:
        """The folder of a method; that of the collection's own is the collection."""
        return self.folder if self._is_own(name) else self.methods_folder / str(name)

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of all methods, the collection's own first."""
        others = (card.parent.name for card in self.methods_folder.glob(f"*/{CARD_NAME}"))
        return str(self.card.get("method", _OWN_METHOD)), *sorted(others)

    @property
    def methods_folder(self) -> Path:
        """Holds a folder for each method other than the collection's own."""
        return self.folder / "methods"

    @property
    def generator(self) -> Path:
        """The diffusers folder of the model that was trained on the collection."""
        return self.folder / "generator"

    @property
    def examples(self) -> Path:
        """Images that the app offers to start with."""
        return self.folder / "examples"

    @property
    def map(self) -> Path:
        """Every training image as a point of the plane."""
        return self.folder / "map"

    @property
    def benchmark(self) -> Path:
        """Images of tuned models, whose exemplars are known."""
        return self.folder / "benchmark"

    def evidence(self, name: str) -> Path:
        """A file of measurements on this collection."""
        return self.folder / "evidence" / name

    @property
    def building(self) -> Path:
        """Finished shards of a build that is under way."""
        return self.folder / _BUILDING

    @property
    def plan(self) -> Path:
        """What the build under way was started with."""
        return self.building / "plan.json"

    @property
    def removing(self) -> Path:
        """Ids of the images that are being removed."""
        return self.folder / "removing.json"

    @property
    def parts(self) -> dict[str, Path]:
        """The folders of the current edition, by the part that they hold."""
        return {part: self._edition(part) for part in _PARTS}

    def outdated(self) -> Iterator[tuple[str, Path]]:
        """Parts of other editions than the current one, with their folders."""
        for part, current in self.parts.items():
            for path in (self.folder / part, *self.folder.glob(f"{part}-[0-9]*")):
                if path != current:
                    yield part, path

    def _edition(self, part: str) -> Path:
        number = self.card.get("edition", 1)
        return self.folder / (part if number == 1 else f"{part}-{number}")

    def _is_own(self, method: str | None) -> bool:
        return method is None or method == self.card.get("method", _OWN_METHOD)


def needed_to_attribute(path: Path) -> bool:
    """Whether a file is more than a help to build, add and remove. path: relative to the collection's folder."""
    return not path.parts[0].startswith((".", _FEATURES, _BUILDING))


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Lock a collection's folder against other runs, making it if it is missing.

    Raises `CheckpointError` if another run holds the lock, `OutputError` if the folder cannot be written to.
    """
    make_folder(folder)
    lock = FileLock(folder / LOCK, timeout=0)
    with written_to(folder / LOCK):
        try:
            lock.acquire()
        except Timeout as error:
            raise CheckpointError(
                f"another run is at work on '{folder}'; wait for it, or stop it first."
            ) from error
    try:
        yield
    finally:
        lock.release()
