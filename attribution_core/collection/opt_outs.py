"""What a build does about images whose owners opted out, and which were left out."""

from __future__ import annotations

import functools
import io
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from PIL import Image

from attribution_core.collection.layout import OPT_OUT_LISTS, OPTED_OUT, UNMATCHED_ENTRIES, CollectionLayout
from attribution_core.collection.opt_out_lists import ListUse, OptOutList
from attribution_core.collection.sources.item import SourceItem
from attribution_core.common.files import write_json_atomic
from attribution_core.common.json_text import read_json
from attribution_core.credentials.opt_outs import opt_out_in_cell
from attribution_core.errors import CheckpointError, unknown_name


class OptOutPolicy(StrEnum):
    """What is done with images whose owners opted out: leave them out, or keep them with a mark."""

    SKIP = "skip"
    MARK = "mark"


@dataclass(frozen=True)
class OptOutOptions:
    """How a build treats opt-outs. Raises `UnknownNameError` for an unknown policy.

    Attributes:
        files: Lists of images, see `OptOutList.read`.
        policy: For images whose owners opted out.
        even_if_opted_out: Add them all, with a mark; also those that were left out before.
    """

    files: Sequence[Path | str] = ()
    policy: OptOutPolicy | str = OptOutPolicy.SKIP
    even_if_opted_out: bool = False

    def __post_init__(self) -> None:
        """Check the policy's name."""
        if self.policy not in list(OptOutPolicy):
            raise unknown_name("opt-out policy", str(self.policy), map(str, OptOutPolicy))


@dataclass(frozen=True)
class Screen:
    """Decides over each image of a build.

    before: image -> why an earlier call left it out. leaves_out: whether images that opted out are left out, or marked.
    """

    lists: OptOutList = field(default_factory=OptOutList)
    options: OptOutOptions = field(default_factory=OptOutOptions)
    before: Mapping[str, str] = field(default_factory=dict)

    @property
    def leaves_out(self) -> bool:
        """Whether images that opted out are left out, not marked."""
        return self.options.policy == OptOutPolicy.SKIP and not self.options.even_if_opted_out

    @property
    def mark(self) -> Mapping[str, Any]:
        """What tells this build from one with other lists or another policy; empty for the defaults."""
        if self.leaves_out and not self.lists.digest:
            return {}
        options = self.options
        return {"opt_out": [str(options.policy), options.even_if_opted_out, self.lists.digest]}

    def refuses(self, name: str) -> bool:
        """Whether an image stays out because it was left out before."""
        return name in self.before and not self.options.even_if_opted_out

    def reason(
        self,
        name: str,
        item: SourceItem,
        text: Mapping[str, str],
        image: Mapping[str, Any] | None = None,
        use: ListUse | None = None,
    ) -> str:
        """Return why an image counts as opted out, or "".

        name: its id in the collection. text: columns of its row. image: what `shards.encode` gave; None before that, or
        where it could not be opened. use: notes which entries of the lists name it.
        """
        use = use or ListUse(self.lists)
        listed = use.see((name, item.id), text.get("creator", ""), text.get("link", ""), _picture(image))
        if image is None:
            use.unseen()
        return (
            opt_out_in_cell(text.get("opted_out", ""))
            or (image or {}).get("opted_out", "")
            or next(iter(listed), "")
            or self.before.get(name, "")
        )


def _picture(image: Mapping[str, Any] | None) -> Callable[[], Image.Image | None]:
    return lambda: None if image is None else Image.open(io.BytesIO(image["image"]["bytes"]))


def left_out(layout: CollectionLayout) -> dict[str, str]:
    """Read which images a collection leaves out: id -> reason. Raises `CheckpointError` if the list is damaged."""
    return _read_record(layout.folder / OPTED_OUT, "file", "reason")


def lists_with_earlier(
    layout: CollectionLayout, files: Sequence[Path | str]
) -> tuple[OptOutList, dict[str, bool]]:
    """Read the lists that are given, and those that earlier builds of a collection were given.

    Returns them, and path -> whether it has changed since then, of the earlier ones that are not given again.

    Raises:
        InvalidInputError: As `OptOutList.read` does.
        CheckpointError: An earlier list is gone, or the record of them is damaged.
    """
    given = OptOutList.read(files)
    earlier = {
        path: digest
        for path, digest in _read_record(layout.folder / OPT_OUT_LISTS, "path", "sha256").items()
        if path not in given.files and digest not in given.files.values()
    }
    for path in earlier:
        if not Path(path).is_file():
            raise CheckpointError(
                f"the opt-out list '{path}', which was given before, is gone, so images that it names would get in; "
                f"put it back, give it from where it is now, or take it out of '{layout.folder / OPT_OUT_LISTS}' to "
                "forget it."
            )
    lists = OptOutList.read([*files, *earlier])
    return lists, {path: lists.files[path] != digest for path, digest in earlier.items()}


def record_lists(layout: CollectionLayout, lists: OptOutList) -> None:
    """Write which lists later additions to a collection apply, too."""
    if lists.files:
        entries = [{"path": path, "sha256": digest} for path, digest in lists.files.items()]
        write_json_atomic(layout.folder / OPT_OUT_LISTS, entries)


def _read_record(path: Path, key: str, value: str) -> dict[str, str]:
    """Read a list of objects with two texts each; empty without a file. Raises `CheckpointError` if it is damaged."""
    try:
        return {str(entry[key]): str(entry[value]) for entry in read_json(path)} if path.exists() else {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"'{path}' cannot be read ({error}); restore it, or delete it to forget it."
        ) from error


def opt_out_facts(layout: CollectionLayout) -> dict[str, Any]:
    """Return what a collection's card says of opt-outs: how many were left out, why, and how many are marked."""
    import pyarrow.parquet as pq

    reasons = left_out(layout)
    marked = 0
    for file in layout.corpus.glob("train-*.parquet"):
        if "opted_out" in pq.read_schema(file).names:
            marked += sum(map(bool, pq.read_table(file, columns=["opted_out"])["opted_out"].to_pylist()))
    kinds = Counter(reason.partition(":")[0] for reason in reasons.values())
    return {"left_out": len(reasons), "marked": marked, "reasons": dict(sorted(kinds.items()))}


def matches_in(layout: CollectionLayout, use: ListUse, marked: bool = True) -> dict[str, str]:
    """Return the images of a collection that lists name: id -> reason. marked: whether to include marked ones."""
    from attribution_core.corpus.corpus import Corpus

    corpus = Corpus.open(layout.corpus)
    rows = zip(*(corpus.column(name) for name in ("id", "creator", "link", "opted_out")), strict=True)
    found: dict[str, str] = {}
    for position, (name, creator, link, mark) in enumerate(rows):
        reasons = use.see((name,), creator, link, functools.partial(_stored, corpus, position))
        if reasons and (marked or not mark):
            found[name] = reasons[0]
    return found


def write_unmatched(layout: CollectionLayout, use: ListUse) -> dict[str, str]:
    """List the entries that name no image in the collection's folder, if any, and return them as `unmatched` does."""
    unmatched, path = use.unmatched(), layout.folder / UNMATCHED_ENTRIES
    if unmatched:
        write_json_atomic(path, [{"entry": entry, "hint": hint} for entry, hint in unmatched.items()])
    else:
        path.unlink(missing_ok=True)
    return unmatched


def _stored(corpus: Any, position: int) -> Image.Image | None:
    picture: Image.Image | None = corpus.image(position) if corpus.has_image(position) else None
    return picture
