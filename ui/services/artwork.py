"""What the tab My artwork asks of the library: read images and delete their files, keep them in memory, ask."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from PIL import Image

from attribution_core.analyses.artwork.lesson import (
    LEARNING,
    Lesson,
    WithAndWithout,
    checked_steps,
    learn,
    with_and_without,
)
from attribution_core.analyses.artwork.standing import (
    Artwork,
    Candidates,
    Standing,
    check_count,
    embed,
    read_piece,
    would_be_credited,
)
from attribution_core.analyses.artwork.survey import (
    Survey,
    checked_prompts,
    close_prompts,
    survey,
)
from attribution_core.common.progress import Progress
from attribution_core.errors import CheckpointError, InvalidInputError
from attribution_core.generation.generator import Generator
from attribution_core.generation.recipe import Recipe
from attribution_core.generation.tuning.customization import Customization
from ui.services import gpu
from ui.services.app import Query, Services
from ui.services.background import in_background
from ui.services.uploads import delete, uploaded

PROMPTS = 8


@dataclass(eq=False)
class Desk:
    """An artist's images in one visit, and what was made of them; all of it in memory only.

    rows: their embeddings by method. learned: what the generator was last taught, and from what.
    """

    images: tuple[Image.Image, ...] = field(default=(), repr=False)
    titles: tuple[str, ...] = ()
    rows: dict[str, Any] = field(default_factory=dict, repr=False)
    learned: tuple[Any, Customization] | None = field(default=None, repr=False)

    def put(self, images: Sequence[Image.Image], titles: Sequence[str]) -> None:
        """Lay images down in place of what is there."""
        self.images, self.titles, self.rows, self.learned = tuple(images), tuple(titles), {}, None

    def forget(self) -> None:
        """Let go of everything."""
        self.put((), ())


@dataclass(frozen=True, eq=False)
class Nearest:
    """An artist's image and the training image most similar to it. similarity: in [-1, 1]."""

    image: Image.Image
    title: str
    position: int
    similarity: float


class ArtworkServices:
    """The library side of the tab My artwork."""

    def __init__(self, services: Services, uploads: Path) -> None:
        """services: the opened collection and its generator. uploads: where uploaded files lie until they are read."""
        self._services, self._uploads = services, uploads
        self._open: WeakValueDictionary[str, Desk] = WeakValueDictionary()
        self._held_survey = gpu.on_gpu(self._survey, gpu.TUNING_S)
        self._held_learn = gpu.on_gpu(self._learn, gpu.TUNING_S)
        self._held_compare = gpu.on_gpu(self._compare, gpu.TUNING_S)

    def drop(self, desk: Desk | None, paths: Sequence[str] | None, visit: str = "") -> Desk:
        """Lay uploaded images beside those on the desk, all or none of them; the files are deleted in any case.

        visit: its number, by which `leave` finds the desk again. Raises `InvalidInputError`, `InvalidImageError`.
        """
        kept = desk or Desk()
        images = self.read(paths or (), len(kept.images))
        kept.put((*kept.images, *images), (*kept.titles, *(Path(p).stem for p in paths or ())))
        if visit:
            self._open[visit] = kept
        return kept

    def read(self, paths: Sequence[str], before: int = 0) -> list[Image.Image]:
        """Read uploaded images and delete their files, also where one of them cannot be read.

        before: how many there are already. Raises `InvalidInputError`, `InvalidImageError`.
        """
        files = [uploaded(path, self._uploads) for path in paths]
        read: dict[Path, Image.Image] = {}  # the same file twice is one file
        try:
            if not files:
                check_count(0)
            check_count(before + len(files))
            for path in files:
                if path not in read:
                    read[path] = read_piece(path, self._services.limits)
                    delete(path)
        finally:
            for path in files:
                delete(path)
        return [read[path] for path in files]

    def leave(self, visit: str) -> None:
        """Forget the desk of a visit whose page was closed."""
        desk = self._open.pop(visit, None)
        if desk is not None:
            desk.forget()

    def candidates(self, desk: Desk | None, artist: str, method: str | None) -> Candidates:
        """The images on the desk as candidates of a method; embedded once. Raises `InvalidInputError`."""
        if desk is None or not desk.images:
            raise InvalidInputError(
                "there is no artwork here: drop 1 to 30 images first. It is forgotten when the "
                "page is closed or loses its connection, and after an hour."
            )
        artwork, key = (
            Artwork(artist or "", desk.images, desk.titles),
            method or self._services.collection.method,
        )
        rows: np.ndarray | None = desk.rows.get(key)
        if rows is None:
            rows = embed(self._services.attributor(method), artwork).rows
            if desk.images is artwork.images:  # not forgotten or added to meanwhile
                desk.rows[key] = rows
        return Candidates(artwork, rows)

    def credited(self, desk: Desk | None, artist: str, method: str | None, query: Query | None) -> Standing:
        """Would the artist be credited for the query? Raises `InvalidInputError`."""
        candidates = self.candidates(desk, artist, method)
        if query is None:
            raise InvalidInputError(
                "there is no image to ask about yet; generate or upload one on the first tab."
            )
        attributor, top = self._services.attributor(method), self._services.settings.top
        return would_be_credited(attributor, query.image, candidates, top)

    def answer(self, paths: Sequence[str], artist: str, query: str, method: str | None) -> Standing:
        """The same of uploaded files alone, all of which are deleted. Raises `InvalidInputError`, `InvalidImageError`.

        query: the file of the image to ask about.
        """
        file = uploaded(query, self._uploads)
        try:
            image = self._services.read_upload(str(file))  # first, as it may be one of the artist's, too
            return self.credited(self.drop(None, paths), artist, method, image)
        finally:
            delete(file)

    def prompts(self) -> tuple[str, ...]:
        """Prompts to begin with: those of the stored examples, else captions from all over the training set."""
        told = [query.title for query in self._services.examples]
        corpus = self._services.collection.corpus
        places = np.linspace(0, len(corpus) - 1, PROMPTS).astype(int)
        told = told or [c.caption for c in corpus.credits([int(p) for p in places]) if c.caption.strip()]
        return checked_prompts(told[:PROMPTS]) if told else ()

    def nearest(self, desk: Desk | None, method: str | None) -> tuple[Nearest, ...]:
        """The training image most similar to each of the artist's images, most similar first."""
        if desk is None or not desk.images:
            return ()
        candidates = self.candidates(desk, "artist", method)
        collection = self._services.attributor(method).collection
        hits = collection.index.nearest(candidates.rows, 1)
        found = [
            Nearest(image, title, int(ids[0]), float(similarity[0]))
            for image, title, ids, similarity in zip(
                desk.images, desk.titles, hits.ids, hits.similarity, strict=True
            )
        ]
        return tuple(sorted(found, key=lambda one: -one.similarity))

    def near(self, desk: Desk | None, artist: str, method: str | None) -> tuple[str, ...]:
        """Captions of the training images closest to the artist's. Raises `InvalidInputError`."""
        candidates = self.candidates(desk, artist or "artist", method)
        found = close_prompts(self._services.attributor(method), candidates, PROMPTS)
        if not found:
            raise InvalidInputError(
                "the training images closest to yours have no captions; write prompts yourself."
            )
        return found

    def ask_prompts(
        self, desk: Desk | None, artist: str, method: str | None, prompts: str, seed: int
    ) -> Iterator[Progress | Survey]:
        """Yield progress and the answer at the end; closing it stops the work. Raises `InvalidInputError`."""
        self._generator()
        wanted = checked_prompts((prompts or "").splitlines())
        candidates = self.candidates(desk, artist, method)
        Recipe(wanted[0], seed)
        asked: Iterator[Progress | Survey] = self._held_survey(candidates, method, wanted, seed)
        return asked

    def _survey(
        self, candidates: Candidates, method: str | None, prompts: Sequence[str], seed: int
    ) -> Iterator[Progress | Survey]:
        def work(on_step: Callable[[Progress], None]) -> Survey:
            return survey(
                self._services.attributor(method),
                self._generator(),
                candidates,
                prompts,
                seed=seed,
                top=self._services.settings.top,
                on_step=on_step,
            )

        with closing(in_background(work, "artwork prompts")) as events:
            yield from events

    def ask_learned(
        self,
        desk: Desk | None,
        artist: str,
        method: str | None,
        lesson: Lesson,
        steps: int,
        prompts: str,
        seed: int,
    ) -> Iterator[Progress | WithAndWithout]:
        """The same for what the generator draws once it has learned from the images; it learns a lesson once."""
        self._generator()
        wanted = checked_prompts((prompts or "").splitlines(), PROMPTS)
        candidates = self.candidates(desk, artist, method)
        for prompt in wanted:
            lesson.with_token(prompt)
        Recipe(wanted[0], seed)
        return self._taught(desk, candidates, method, lesson, checked_steps(steps), wanted, seed)

    def _taught(
        self,
        desk: Desk | None,
        candidates: Candidates,
        method: str | None,
        lesson: Lesson,
        steps: int,
        prompts: Sequence[str],
        seed: int,
    ) -> Iterator[Progress | WithAndWithout]:
        """What was learned is kept here: on a ZeroGPU Space the work itself runs where nothing can be kept."""
        known = desk.learned if desk is not None else None
        if known is None or known[0] != (lesson, steps):
            with closing(self._held_learn(candidates, lesson, steps)) as events:
                for event in events:
                    if isinstance(event, Customization):
                        known = ((lesson, steps), event)
                    else:
                        yield event
            if desk is not None and desk.images is candidates.artwork.images:
                desk.learned = known
        if known is not None:
            yield from self._held_compare(candidates, known[1], method, lesson, prompts, seed)

    def _learn(
        self, candidates: Candidates, lesson: Lesson, steps: int
    ) -> Iterator[Progress | Customization]:
        def work(on_step: Callable[[Progress], None]) -> Customization:
            return learn(
                self._generator(), candidates, lesson, replace(LEARNING, steps=steps), on_step=on_step
            )

        with closing(in_background(work, "artwork learning")) as events:
            yield from events

    def _compare(
        self,
        candidates: Candidates,
        learned: Customization,
        method: str | None,
        lesson: Lesson,
        prompts: Sequence[str],
        seed: int,
    ) -> Iterator[Progress | WithAndWithout]:
        def work(on_step: Callable[[Progress], None]) -> WithAndWithout:
            return with_and_without(
                self._services.attributor(method),
                self._generator(),
                candidates,
                learned,
                lesson,
                prompts,
                seed=seed,
                top=self._services.settings.top,
                on_step=on_step,
            )

        with closing(in_background(work, "artwork comparison")) as events:
            yield from events

    def _generator(self) -> Generator:
        if self._services.generator is None:
            raise CheckpointError(
                "this collection has no generator, so nothing can be drawn or learned here."
            )
        return self._services.generator
