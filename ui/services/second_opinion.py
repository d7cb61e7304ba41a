"""What the tab Second opinion asks of the library: judge by unlearning, step by step, and what is known of both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from functools import cached_property

from PIL import Image

from attribution_core.analyses.unlearning.second_opinion import SecondOpinion, second_opinion
from attribution_core.common.progress import Progress
from attribution_core.errors import InvalidInputError
from attribution_core.evidence.second_opinion import SecondOpinionEvidence
from ui.services import gpu
from ui.services.app import Query, Services
from ui.services.background import in_background
from ui.services.link import repeats


class SecondOpinionServices:
    """The library side of the tab Second opinion."""

    def __init__(self, services: Services) -> None:
        """services: the opened collection and its generator."""
        self._services = services
        self._held = gpu.on_gpu(self._judge, gpu.TUNING_S)

    def hindrance(self, query: Query | None) -> str:
        """Why this query cannot be judged, in a sentence; "" where it can."""
        if self._services.generator is None:
            return "This collection has no generator, so there is nothing that could forget the image."
        if query is None:
            return "There is no image yet. Generate one on the first tab."
        if query.recipe is None or not query.recipe.prompt.strip():
            return (
                "It needs an image that was generated here. The generator forgets the image together with its prompt, "
                "and the prompt of this one is not known."
            )
        if not repeats(query.recipe, self._services):
            return "It needs an image by this generator. This one is by another, or by another version of it."
        return ""

    def ask(self, query: Query | None, method: str | None) -> Iterator[Progress | SecondOpinion]:
        """Give progress, and the two rankings at the end; closing it stops the work, the generator is then as before.

        Progress that nobody fetched in time is skipped. Raises `InvalidInputError` where `hindrance` says why.
        """
        why = self.hindrance(query)
        if why or query is None or query.recipe is None or self._services.generator is None:
            raise InvalidInputError(why)
        _ = self._services.attributor(method)  # a method that is not known is said at once
        asked: Iterator[Progress | SecondOpinion] = self._held(query.image, query.recipe.prompt, method)
        return asked

    def _judge(
        self, image: Image.Image, prompt: str, method: str | None
    ) -> Iterator[Progress | SecondOpinion]:
        attributor, generator = self._services.attributor(method), self._services.generator
        assert generator is not None  # `hindrance` looked

        def work(on_step: Callable[[Progress], None]) -> SecondOpinion:
            return second_opinion(attributor, generator, image, prompt, on_step=on_step)

        with closing(in_background(work, "second opinion")) as events:
            yield from events

    @cached_property
    def measured(self) -> SecondOpinionEvidence | None:
        """What was measured of both methods. Raises `CheckpointError` where it is damaged."""
        return SecondOpinionEvidence.open(self._services.collection.path)

    @property
    def same_generator(self) -> bool:
        """Whether that was measured with the generator that is open."""
        generator, measured = self._services.generator, self.measured
        if generator is None or measured is None:
            return False
        return generator.sha256 == measured.generator_sha256
