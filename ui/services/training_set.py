"""What the tab Training set asks of the library: look through the training images, and for one's own among them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from attribution_core.analyses.memorization.copies import threshold_of
from attribution_core.analyses.word_search import WordSearch
from attribution_core.attribution.groups import UNKNOWN, GroupBy, group
from attribution_core.attribution.result import Attribution
from attribution_core.common.progress import OnProgress
from attribution_core.common.text import listing, one_line
from attribution_core.corpus.search import FILTERS, CorpusSearch, Wanted
from attribution_core.errors import InvalidInputError
from attribution_core.reports.exports.facts import CollectionFacts
from attribution_core.reports.exports.formats import ExportFile
from ui.services.app import Services
from ui.services.place import Place

PAGE = 48
"""Images on one page of the grid."""
ALIKE = 96
"""Images that "more like this" lists."""
MEANT = 24
"""Images that are listed after those whose captions hold the words, as similar by meaning."""
NEAREST = 8
"""Images beside an artist's own."""
SAME = 0.999
"""Similarity of the copy encoder from which the pictures are the same but for their encoding."""
_KEPT = 16  # searches whose result is kept, so that turning their pages costs nothing
_SUGGESTED = 5
_CALLED = {"creator": "maker"}  # what visitors call a column that they filter by


@dataclass(frozen=True, eq=False)
class Found:
    """What a search found.

    Attributes:
        positions: (k,) those whose captions hold the words, then those that are similar by meaning.
        said: How many are of the first kind.
        unsaid: Words that no caption has, where there are none of the first kind.
        suggestions: What to search for instead, then.
        what: In words, where it was chosen and not searched for.
    """

    positions: NDArray[np.int64]
    said: int
    unsaid: tuple[str, ...] = ()
    suggestions: tuple[str, ...] = ()
    what: str = ""

    @property
    def pages(self) -> int:
        """Number of pages, at least 1."""
        return max(1, math.ceil(len(self.positions) / PAGE))


@dataclass(frozen=True)
class Maker:
    """One maker in the training set.

    images: of theirs in it; works: of these, near-duplicates as one. part: of the training set. licences: with the
    number of images. link: of their first image. share: of the influence in this visit, as far as listed; None without
    any image that has shares. drawn: number of those images.
    """

    name: str
    images: int
    works: int
    part: float
    licences: tuple[tuple[str, int], ...]
    link: str
    share: float | None
    drawn: int


@dataclass(frozen=True, eq=False)
class Presence:
    """Whether an image is in the training set.

    Attributes:
        words: The answer in one sentence.
        ids: (k,) the training images nearest to it, nearest first.
        similarity: (k,) how near, in [-1, 1].
        kind: "same", "near-duplicate" or "similar".
    """

    words: str
    ids: NDArray[np.int64]
    similarity: NDArray[np.float32]
    kind: str


class TrainingSetServices:
    """The questions of the tab, over one opened collection."""

    def __init__(self, services: Services) -> None:
        """services: what all tabs share."""
        self.services = services
        self.search = CorpusSearch(services.collection.corpus)
        self._has_index = False
        self._found = lru_cache(_KEPT)(self._find)
        self.described = cache(self._described)
        """Text of a file that describes the training set; made once. See `EXPORTS`."""

    def _described(self, file: ExportFile) -> str:
        collection = self.services.collection
        return file.write(CollectionFacts(collection.layout, collection.corpus))

    def find(self, place: Place) -> Found:
        """What is at a place. Raises `InvalidInputError` where it names what the training set does not have."""
        for name in FILTERS:
            value = getattr(place.wanted, name)
            if value and value not in self.search.counts(name):
                called = _CALLED.get(name, name)
                raise InvalidInputError(
                    f"no training image has the {called} '{one_line(value):.80}'; choose one of the list."
                )
        by_meaning = bool(place.wanted.words) and self.can_search_by_meaning
        return self._found(place.wanted, place.like, by_meaning)

    @property
    def can_search_by_meaning(self) -> bool:
        """Whether words are searched by meaning, too: not before its index, which may have to be made, is there."""
        method = self.services.text_method
        if not self._has_index and method is not None:
            self._has_index = self.services.collection.index_folder(method).exists()
        return self._has_index and self.services.word_search is not None

    def _find(self, wanted: Wanted, like: str, by_meaning: bool) -> Found:
        if like:
            alike = self._like(self.position(like))
            return Found(alike, len(alike))
        said = self.search.find(wanted)
        if not wanted.words:
            return Found(said, len(said))
        search = self.services.word_search if by_meaning else None
        meant = said[:0] if search is None else self._meant(search, wanted, said)
        positions = np.concatenate([said, meant])
        if len(said):
            return Found(positions, len(said))
        unsaid = tuple(self.search.unsaid(wanted.words))
        return Found(positions, 0, unsaid, self._suggestions(unsaid, meant))

    def _meant(self, search: WordSearch, wanted: Wanted, said: NDArray[np.int64]) -> NDArray[np.int64]:
        """Up to `MEANT` images that the words mean, of those that pass the filters, without those that say them."""
        filters = Wanted(creator=wanted.creator, style=wanted.style, licence=wanted.licence)
        every, total = filters == Wanted(), len(self.services.collection.corpus)
        near = search.nearest(wanted.words, MEANT + len(said) if every else total)
        if not every:
            near = near[np.isin(near, self.search.find(filters))]
        return near[~np.isin(near, said)][:MEANT]

    def _suggestions(self, unsaid: Sequence[str], meant: NDArray[np.int64]) -> tuple[str, ...]:
        """Words spelled like those that no caption has, then the things that the nearest images show."""
        spelled = [other for word in unsaid for other in self.search.suggest(word, 2)]
        shown = self.search.subjects(meant)
        return tuple(dict.fromkeys([*spelled, *shown]))[:_SUGGESTED]

    def _like(self, position: int) -> NDArray[np.int64]:
        collection = self.services.collection
        row = self.services.attributor().embed([collection.corpus.image(position)])
        ids = collection.index.nearest(row, min(ALIKE, len(collection.corpus))).ids[0]
        return np.concatenate([[position], ids[ids != position]])

    def position(self, name: str) -> int:
        """The position of the image of this id. Raises `InvalidInputError` where there is none."""
        position = self.search.position(name)
        if position is None:
            raise InvalidInputError(
                f"there is no training image '{one_line(name):.80}'; choose one that is shown."
            )
        return position

    def words(self, place: Place, found: Found, page: int) -> str:
        """What is in sight, in a sentence or two."""
        total, shown = len(self.services.collection.corpus), len(found.positions)
        meant, quoted = shown - found.said, f"“{place.wanted.words}”"
        if found.what:
            text = found.what
        elif place.like:
            credit = self.services.collection.corpus.credit(self.position(place.like))
            name = one_line(credit.caption or credit.id)
            text = f"The {shown} training images most like “{name}”, most similar first."
        elif not found.said and place.wanted.words:
            unknown = listing([f"“{word}”" for word in found.unsaid], "or") if found.unsaid else ""
            what = f"No caption says {unknown}" if unknown else f"No training image fits {quoted}"
            text = (
                f"{what}. These {meant} are similar in meaning, as far as the encoder knows the words."
                if meant
                else f"{what}."
            )
        elif shown == total:
            text = f"All {total:,} training images. {self.opt_outs()}".strip()
        else:
            text = f"{found.said:,} of {total:,} training images fit."
            text += f" Then come {meant} similar in meaning, in dashed frames." if meant else ""
        return f"{text} Page {page} of {found.pages}." if found.pages > 1 else text

    def opt_outs(self) -> str:
        """How many images were left out or are marked because their owners opted out, in a sentence; "" without any."""
        facts = self.services.collection.card.get("opted_out")
        left, marked = (
            value if isinstance(value := (facts if isinstance(facts, dict) else {}).get(name), int) else 0
            for name in ("left_out", "marked")
        )
        parts = []
        if left > 0:
            parts.append(f"{left:,} image{'s were' if left > 1 else ' was'} left out")
        if marked > 0:
            parts.append(f"{marked:,} of those here {'are' if marked > 1 else 'is'} marked")
        return f"Because their owners opted out of training, {listing(parts)}." if parts else ""

    def contact(self) -> str:
        """How to object to an image's use, from the collection's card; "" where the card does not say."""
        return one_line(str(self.services.collection.card.get("contact", ""))).strip()

    def maker(self, name: str, results: Sequence[Attribution]) -> Maker:
        """What is known of a maker. results: attributions of this visit, with or without shares."""
        corpus = self.services.collection.corpus
        positions = self.search.find(Wanted(creator=name))
        results = [result for result in results if result.has_shares]
        share = None
        if results:
            groups = group(results, corpus, GroupBy.CREATOR).groups
            share = next((g.influence for g in groups if g.name == (name or UNKNOWN)), 0.0)
        return Maker(
            name,
            len(positions),
            self.search.works(positions),
            len(positions) / len(corpus),
            tuple(self.search.tally("licence", positions)),
            corpus.credit(int(positions[0])).link if len(positions) else "",
            share,
            len(results),
        )

    def presence(self, image: Image.Image, on_progress: OnProgress | None = None) -> Presence:
        """Look for an artist's own image. Raises `AttributionError`."""
        collection = self.services.collection
        if self.services.copies.is_possible:
            copies = self.services.copies.prepare(on_progress)
            hits = copies.search([image], NEAREST)[0]
            ids, similarity, threshold = hits.ids, hits.similarity, threshold_of(copies.encoder_name)
        else:  # by likeness alone, which tells no copies
            rows = self.services.attributor().embed([image])
            alike = collection.index.nearest(rows, min(NEAREST, len(collection.corpus)))
            ids, similarity, threshold = alike.ids[0], alike.similarity[0], None
        name = collection.corpus.credit(int(ids[0])).caption or f"image {ids[0]}"
        if threshold is None:
            same = similarity[0] >= SAME
            found = "Very likely, your image is" if same else "The most similar training image is"
            words = f"{found} “{name}”. This collection has no encoder that tells copies from similar images."
            return Presence(words, ids, similarity, "same" if same else "similar")
        if similarity[0] >= SAME:
            return Presence(
                f"Yes: the same picture is in the training set, as “{name}”.", ids, similarity, "same"
            )
        close = int((similarity >= threshold.value).sum())
        if close > 1:
            words = (
                f"As close as a copy, but to {close} training images or more that look alike, so it need not be a copy "
                f"of one. The closest is “{name}”."
            )
            return Presence(words, ids, similarity, "near-duplicate")
        if close:
            words = (
                f"Very likely: “{name}” is a near-duplicate of your image. Of pictures this close, about "
                f"{threshold.precision:.0%} were copies when this was measured."
            )
            return Presence(words, ids, similarity, "near-duplicate")
        words = f"No copy of your image was found. The most similar training image is “{name}”."
        return Presence(words, ids, similarity, "similar")
