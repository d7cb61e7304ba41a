"""What the tab My artwork asks of the library: read images and delete their files, keep them in memory, ask."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property
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
from attribution_core.analyses.artwork.nearest import Nearest, nearest
from attribution_core.analyses.artwork.standing import (
    MOST_IMAGES,
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
from attribution_core.errors import CheckpointError, InvalidImageError, InvalidInputError
from attribution_core.evidence.learned import LearnedDrawing
from attribution_core.generation.generator import Generator
from attribution_core.generation.recipe import Recipe
from attribution_core.generation.tuning.customization import Customization
from ui.services import gpu
from ui.services.app import Query, Services
from ui.services.background import in_background
from ui.services.uploads import delete, uploaded

PROMPTS = 8
DRAWN_AT_ONCE = 4
"""Prompts that are drawn without being asked for, as each takes the generator seconds that others wait for."""


@dataclass(eq=False)
class Desk:
    """An artist's images in one visit, and what was made of them; all of it in memory only.

    drops: how often images were laid down or taken away. notes: what was left out of the last drop, a sentence each.
    rows: their embeddings by method. nearest: the training images most like them by method. learned: what the generator
    was last taught, and from what.
    """

    images: tuple[Image.Image, ...] = field(default=(), repr=False)
    titles: tuple[str, ...] = ()
    drops: int = 0
    notes: tuple[str, ...] = ()
    rows: dict[str, Any] = field(default_factory=dict, repr=False)
    nearest: dict[str, tuple[Nearest, ...]] = field(default_factory=dict, repr=False)
    learned: tuple[Any, Customization] | None = field(default=None, repr=False)

    def put(self, images: Sequence[Image.Image], titles: Sequence[str], notes: Sequence[str] = ()) -> None:
        """Lay images down in place of what is there."""
        self.images, self.titles, self.notes = tuple(images), tuple(titles), tuple(notes)
        self.rows, self.nearest, self.learned = {}, {}, None
        self.drops += 1

    def forget(self) -> None:
        """Let go of everything."""
        self.put((), ())


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
        """Lay uploaded images beside those on the desk; the files are deleted in any case.

        What cannot be read, and what is too many, is left out and noted on the desk. visit: its number, by which
        `leave` finds the desk again. Raises `InvalidInputError` or `InvalidImageError` where no image can be taken:
        the desk is then as it was.
        """
        kept = desk or Desk()
        files = [uploaded(path, self._uploads) for path in paths or ()]
        try:
            if not files:
                check_count(0)
            room = MOST_IMAGES - len(kept.images)
            if room < 1:
                raise InvalidInputError(
                    f"there are {MOST_IMAGES} images here, which is the most; press “Forget my artwork” to begin again."
                )
            images, notes = self._readable(files, room)
        finally:
            for file in files:
                delete(file)
        kept.put(
            (*kept.images, *(image for _, image in images)),
            (*kept.titles, *(title for title, _ in images)),
            notes,
        )
        if visit:
            self._open[visit] = kept
        return kept

    def _readable(self, files: Sequence[Path], room: int) -> tuple[list[tuple[str, Image.Image]], list[str]]:
        """The first `room` files that are images, with their titles, and a sentence on each that was left out.

        Raises what reading the first file raises if none is an image.
        """
        taken: list[tuple[str, Image.Image]] = []
        failed: list[InvalidImageError] = []
        waiting = list(files)
        while waiting and len(taken) < room:
            file = waiting.pop(0)
            try:
                taken.append((file.stem, read_piece(file, self._services.limits)))
            except InvalidImageError as error:
                failed.append(error)
        if not taken:
            raise failed[0]
        notes = [f"{str(error)[:1].upper()}{str(error)[1:]}" for error in failed]
        if waiting:
            were = "file was" if len(waiting) == 1 else "files were"
            notes.append(f"At most {MOST_IMAGES} images are taken; {len(waiting)} {were} left out.")
        return taken, notes

    def read(self, paths: Sequence[str]) -> list[Image.Image]:
        """Read uploaded images, all or none of them, and delete their files. Raises as `drop` does."""
        files = [uploaded(path, self._uploads) for path in paths]
        try:
            check_count(len(files))
            return [read_piece(file, self._services.limits) for file in files]
        finally:
            for file in files:
                delete(file)

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
            desk = Desk()
            desk.put(self.read(paths), [Path(path).stem for path in paths])
            return self.credited(desk, artist, method, image)
        finally:
            delete(file)

    def nearest(self, desk: Desk | None, artist: str, method: str | None) -> tuple[Nearest, ...]:
        """Each of the artist's images beside the training image most like it. Raises `InvalidInputError`."""
        candidates, key = self.candidates(desk, artist, method), method or self._services.collection.method
        found = None if desk is None else desk.nearest.get(key)
        if found is None:
            copies = self._services.copies if self._services.copies.is_quick else None
            found = nearest(self._services.attributor(method), candidates, copies)
            if desk is not None and desk.images is candidates.artwork.images:
                desk.nearest[key] = found
        return found

    def near(
        self, desk: Desk | None, artist: str, method: str | None, count: int = PROMPTS
    ) -> tuple[str, ...]:
        """Captions of the training images closest to the artist's. Raises `InvalidInputError`."""
        found = close_prompts(self._services.attributor(method), self.candidates(desk, artist, method), count)
        if not found:
            raise InvalidInputError(
                "the training images closest to yours have no captions; write prompts yourself."
            )
        return found

    @cached_property
    def example(self) -> LearnedDrawing | None:
        """A drawing that the generator learned from, to show first. Raises `CheckpointError` where it is damaged."""
        return (
            None if self._services.settings.generator else LearnedDrawing.open(self._services.collection.path)
        )

    def ask_prompts(
        self, desk: Desk | None, artist: str, method: str | None, prompts: str, seed: int
    ) -> Iterator[Progress | Survey]:
        """Yield progress and the answer at the end; closing it stops the work, and so does another drop.

        Raises `InvalidInputError`.
        """
        self._generator()
        wanted = checked_prompts((prompts or "").splitlines())
        candidates = self.candidates(desk, artist, method)
        Recipe(wanted[0], seed)
        return _until_dropped(desk, self._held_survey(candidates, method, wanted, seed))

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
        events = self._taught(desk, candidates, method, lesson, checked_steps(steps), wanted, seed)
        return _until_dropped(desk, events)

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


def _until_dropped(desk: Desk | None, events: Any) -> Iterator[Any]:
    """The events of work on what is on the desk; it ends, without an answer, once that is forgotten or added to."""
    drops = desk.drops if desk is not None else 0
    with closing(events):
        for event in events:
            if desk is not None and desk.drops != drops:
                return
            yield event
