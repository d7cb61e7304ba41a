"""What the tab Memorization asks of the library: verdicts, a close look, known cases, many seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from attribution_core.analyses.memorization.copies import HOW_TO_ADD
from attribution_core.analyses.memorization.known_prompts import KnownPrompt, known_prompts
from attribution_core.analyses.memorization.overlays import difference, heat
from attribution_core.analyses.memorization.verdict import Look, Verdict
from attribution_core.common.progress import OnProgress
from attribution_core.errors import CheckpointError, InvalidInputError
from attribution_core.evidence.memorization import MemorizationEvidence
from attribution_core.generation.generator import StepPreview
from attribution_core.reports.section import Fact, Picture, Section
from attribution_core.reports.wording.noise_signal import signal_how, signal_sentence
from attribution_core.reports.wording.verdict import (
    alignment_words,
    verdict_how,
    verdict_sentence,
    verdict_title,
)
from ui.services.app import Query, Services, checked_prompt
from ui.services.judged import Judged, judge, keep
from ui.services.link import repeats

MOST_SEEDS = 32
KINDS = ("planted", "control")


@dataclass(frozen=True)
class Case:
    """A training image whose prompt is known to bring it back, or one that is matched to it."""

    position: int
    kind: str
    prompt: str


@dataclass(frozen=True, eq=False)
class Tried:
    """An image of one seed, with its verdict."""

    query: Query
    verdict: Verdict


class MemorizationServices:
    """The questions of the tab, over one opened collection."""

    def __init__(self, services: Services) -> None:
        """services: what all tabs share."""
        self.services = services
        self.checker = services.copies

    @property
    def missing(self) -> str:
        """Why no verdict is possible, in a sentence; "" where it is."""
        return "" if self.checker.is_possible else HOW_TO_ADD

    def check(self, query: Query) -> Verdict:
        """Whether the query is a copy of a training image. Raises `AttributionError`."""
        return self.checker.check(query.image)

    def judge(
        self, query: Query, judged: Sequence[Judged] | None, on_progress: OnProgress | None = None
    ) -> list[Judged]:
        """What is known of the visit's images, with the verdict on this one. Raises `AttributionError`."""
        self.checker.prepare(on_progress)
        return keep(judged, judge(self.services, query, judged))

    def look(self, query: Query, position: int) -> Look:
        """The query and one training image in detail."""
        return self.checker.look(query.image, position)

    @cached_property
    def cases(self) -> dict[str, list[Case]]:
        """Cases that the corpus marks, by kind; empty where it marks none or nothing can be made."""
        corpus = self.services.collection.corpus
        if self.services.generator is None:
            return {}
        prompts = corpus.column("short_caption")
        found = {
            kind: [
                Case(i, kind, prompts[i])
                for i, mark in enumerate(corpus.column("planted"))
                if mark == kind and prompts[i]
            ]
            for kind in KINDS
        }
        return {kind: cases for kind, cases in found.items() if cases}

    @cached_property
    def documented(self) -> tuple[KnownPrompt, ...]:
        """Prompts that the literature names for the generator."""
        return known_prompts(self.services.collection.generator_path)

    def can_repeat(self, query: Query | None) -> bool:
        """Whether making the image again would record its signal."""
        return (
            query is not None
            and query.recipe is not None
            and query.noise_signal is None
            and query.recipe.guidance > 1
            and repeats(query.recipe, self.services)
        )

    def again(self, query: Query | None) -> Iterator[StepPreview | Query]:
        """Make the query again. Raises `InvalidInputError` where that cannot be done."""
        if query is None or query.recipe is None or not self.can_repeat(query):
            raise InvalidInputError("this image cannot be made again here; generate one on the first tab.")
        made = query.recipe
        return self.services.generate(made.prompt, made.seed, made.steps, made.guidance)

    def make(self, prompt: str, seed: int) -> Iterator[StepPreview | Query]:
        """Make an image with the generator's own steps and guidance. Raises `AttributionError`."""
        usual = self.services.defaults
        return self.services.generate(prompt, seed, usual.steps, usual.guidance)

    def try_seeds(self, prompt: str, count: Any) -> Iterator[Tried]:
        """Make a prompt from seeds 1 to `count`, one after the other; closing it stops the work.

        Raises `InvalidInputError` for a count that is no whole number from 1 to `MOST_SEEDS`.
        """
        words = checked_prompt(prompt)
        if (
            not isinstance(count, (int, float))
            or isinstance(count, bool)
            or not float(count).is_integer()
            or not 1 <= count <= MOST_SEEDS
        ):
            raise InvalidInputError(
                f"the number of seeds is {count!r}, expected a whole number from 1 to {MOST_SEEDS}."
            )
        if self.services.generator is None:
            raise CheckpointError("this collection has no generator; give images to look at.")
        self.checker.prepare()
        return self._tried(words, int(count))

    def _tried(self, prompt: str, count: int) -> Iterator[Tried]:
        for seed in range(1, count + 1):
            for event in self.make(prompt, seed):
                if isinstance(event, Query):
                    yield Tried(event, self.checker.check(event.image))

    def measured(self, query: Query | None) -> MemorizationEvidence | None:
        """Evidence on the generator that made the query; None if that was another generator or nothing was measured."""
        evidence = self.services.memorization_evidence
        if evidence is None or query is None or query.recipe is None:
            return evidence if query is None else None
        return evidence if query.recipe.generator_sha256 == evidence.generator_sha256 else None

    def section(self, query: Query, judged: Judged) -> Section | None:
        """The section of the report; None without a verdict. judged: of this query."""
        verdict = judged.copy
        if verdict is None:
            return None
        look = self.look(query, int(verdict.ids[0]))
        most = max(float(look.occlusion.query.max()), float(look.occlusion.match.max()))
        facts = [
            Fact("Verdict", verdict_title(verdict), verdict.is_copy, verdict_how(verdict)),
            Fact("Similarity", f"{verdict.similarity[0]:.3f}", float(verdict.similarity[0])),
            Fact(
                "Drop-off",
                f"{verdict.drop.size:.3f} after {verdict.drop.after}",
                verdict.drop.size,
                "The largest fall of similarity from one of the nearest training images to the next.",
            ),
        ]
        if verdict.threshold is not None:
            facts.insert(
                2,
                Fact(
                    "Threshold",
                    f"{verdict.threshold.value:.3f}",
                    verdict.threshold.value,
                    f"Of what is called a copy from there on, {verdict.threshold.precision:.0%} were.",
                ),
            )
        if query.noise_signal is not None:
            evidence = self.measured(query)
            facts.append(
                Fact(
                    "Noise signal",
                    f"{query.noise_signal.mean:.2f}",
                    query.noise_signal.mean,
                    f"{signal_sentence(evidence.signals, query.noise_signal)} {signal_how(evidence)}"
                    if evidence
                    else signal_how(None),
                )
            )
        laid = look.alignment
        pictures = (
            Picture(look.match, f"The closest training image: {verdict.credit.title_and_maker}"),
            Picture(
                difference(laid.difference),
                f"Where both differ, {alignment_words(laid)}: {laid.rms:.0f} of 255 on average",
            ),
            Picture(heat(query.image, look.occlusion.query, most), "This image: red where the likeness lies"),
            Picture(heat(look.match, look.occlusion.match, most), "The training image, likewise"),
        )
        return Section("Is it a copy?", verdict_sentence(verdict), tuple(facts), pictures)
