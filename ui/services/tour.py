"""The stops of the tour, chosen by rule from the collection's own files and computed when they are asked for.

A convincing case: of the stored examples, one with a training image that stands out, if there is one, and whose
influence comes most from works that its prompt names. An honest failure: of test images whose source is known, one that
looks like its source, which is not among the first that are named. A memorized picture: of the captions that were
repeated in training on purpose, the first whose drawing is a copy.
"""

from __future__ import annotations

import threading
from functools import cached_property
from typing import Any

import numpy as np

from attribution_core.add_one_in.cases import ManifestEntry
from attribution_core.add_one_in.evaluation import RECALL_AT, Score
from attribution_core.analyses.memorization.verdict import Verdict
from attribution_core.attribution.finding import named_share
from attribution_core.attribution.result import Attribution
from attribution_core.common.arrays import normalized
from attribution_core.common.text import rounded_percent
from attribution_core.evidence.benchmark import Evidence
from attribution_core.reports.handout import Stop
from attribution_core.reports.section import Picture
from attribution_core.reports.wording.headline import headline, name_and_maker
from attribution_core.reports.wording.verdict import precision_sentence
from ui.services.app import Query
from ui.services.memorization import Case, MemorizationServices

CONVINCING, FAILURE, MEMORIZED = "It works", "It fails", "It copies"
_WORKS = 4  # beside the image of the convincing case
_LOOKED_AT = 12  # test images among which the failure is chosen
_NAMED = 10  # a source below this rank was not found
_TRIED = 8  # captions that are drawn until one comes back
_SEED = 1


class TourServices:
    """The stops over one opened collection; each is computed once."""

    def __init__(self, own: MemorizationServices) -> None:
        """own: of the tab Memorization."""
        self._own, self._services = own, own.services
        self._lock = threading.Lock()
        self._stops: dict[str, Stop | None] = {}

    @property
    def kinds(self) -> tuple[str, ...]:
        """The stops that this collection may have, in their order; () where no tour is possible."""
        services, has_copies = self._services, not self._own.missing
        if not services.examples or not services.collection.calibrator.is_fitted:
            return ()
        kinds = {
            CONVINCING: True,
            FAILURE: has_copies and self._test_case is not None,
            MEMORIZED: has_copies and bool(self._own.cases.get("planted")),
        }
        return tuple(kind for kind, there in kinds.items() if there)

    def stop(self, kind: str) -> Stop | None:
        """A stop; None where its rule finds no case. kind: of `kinds`. `MEMORIZED` draws. Raises `AttributionError`."""
        make = {CONVINCING: self._convincing, FAILURE: self._failure, MEMORIZED: self._memorized}
        with self._lock:
            if kind not in self._stops:
                self._stops[kind] = make[kind]()
            return self._stops[kind]

    @property
    def collection(self) -> str:
        """Its name."""
        return self._services.collection.name

    @property
    def about(self) -> str:
        """One sentence on the collection."""
        count = f"{len(self._services.collection.index):,}"
        return (
            f"A small model was trained on {count} openly licensed drawings and on nothing else. So we can ask of each "
            "image that it draws: which of them shaped it?"
            if self._services.generator is not None
            else f"The training set has {count} images. Which of them shaped an image?"
        )

    @property
    def ask_for_own(self) -> str:
        """What to do after the last stop on the tab Generate."""
        verb = "Upload" if self._services.generator is None else "Draw"
        return f"{verb} an image of your own"

    def _convincing(self) -> Stop:
        found = [(query, self._services.attribute(query)) for query in self._services.examples]
        query, result = max(
            found, key=lambda one: (one[1].stands_out, named_share(one[1], one[0].title) or 0.0)
        )
        shown = [Picture(query.image, f"drawn from “{query.title}”")]
        for number, work in enumerate(result.works[:_WORKS]):
            shown.append(
                Picture(
                    self._services.collection.corpus.image(int(result.ids[work.places[0]])),
                    f"{rounded_percent(work.influence)}: {name_and_maker(result, number)}",
                )
            )
        return Stop(
            CONVINCING,
            f"{headline(result)}.",
            f"The model was asked for “{query.title}”. Every training image has a share of the influence, and all "
            f"shares add up to 100%. Here are the {len(shown) - 1} strongest works, with their makers.",
            tuple(shown),
            f"The drawing was compared with all {result.n_training:,} training images. The more alike one is, the "
            "larger its share. How fast shares fall with likeness was set on images whose source is known.",
        )

    @cached_property
    def _test_case(self) -> tuple[Evidence, str] | None:
        """The first test case whose models were tuned on one image each."""
        evidence = self._services.evidence
        if evidence is None:
            return None
        for case in evidence.cases:
            models = evidence.models(case)
            if models and all(len(model.exemplars) == 1 for model in models):
                return evidence, case
        return None

    def _failure(self) -> Stop | None:
        assert self._test_case is not None  # `kinds` looked
        evidence, case = self._test_case
        own = str(evidence.stored["own"])
        missed: list[tuple[float, ManifestEntry, Attribution, str, str]] = []
        for model in evidence.models(case)[:_LOOKED_AT]:
            kind, paths = next((kind, paths) for kind, paths in model.made.items() if paths)
            result = self._services.attribute_known(paths[0], model, own, _NAMED)
            if int(np.flatnonzero(result.ids >= len(self._services.collection.index))[0]) >= _NAMED:
                missed.append((self._likeness(evidence, model, paths[0]), model, result, paths[0], kind))
        if not missed:
            return None
        _, model, result, path, kind = max(missed, key=lambda one: one[0])
        source, named = evidence.exemplars(model)[0], result.works[0].places[0]
        score = self._score(evidence, own, case, kind)
        return Stop(
            FAILURE,
            f"The source is known, and it is not among the first {_NAMED} that we name.",
            f"A model was tuned on one drawing, {source.credit.title_and_maker}, and drew “{model.category}”. We "
            f"named {name_and_maker(result, 0)} first. This is common: {_often(score)}",
            (
                Picture(evidence.images[path], "drawn by the tuned model"),
                Picture(source.image, f"its source: {source.credit.title_and_maker}"),
                Picture(
                    self._services.collection.corpus.image(int(result.ids[named])),
                    f"named first: {name_and_maker(result, 0)}",
                ),
            ),
            f"This image was chosen by rule: of {_LOOKED_AT} test images, the one most like its source among those "
            f"that we missed. The source competed with {result.n_training - 1:,} training images. All test cases are "
            "under Evidence.",
        )

    def _likeness(self, evidence: Evidence, model: ManifestEntry, path: str) -> float:
        images = [evidence.images[path], evidence.images[model.exemplars[0]]]
        first, second = normalized(self._own.checker.index.encoder.encode(images))
        return float(first @ second)

    @staticmethod
    def _score(evidence: Evidence, method: str, case: str, kind: str) -> Score | None:
        own = evidence.method(method)
        of = (own.encoder, own.mapper, case, kind)
        return next((s for s in evidence.scores if (s.encoder, s.mapper, s.case, s.kind) == of), None)

    def _memorized(self) -> Stop | None:
        best: tuple[Case, Query, Verdict] | None = None
        for case in self._own.cases["planted"][:_TRIED]:
            for event in self._own.make(case.prompt, _SEED):
                if isinstance(event, Query):
                    verdict = self._own.check(event)
                    if best is None or verdict.similarity[0] > best[2].similarity[0]:
                        best = case, event, verdict
            if best is not None and best[2].is_copy:
                break
        if best is None or not best[2].is_copy:
            return None
        case, query, verdict = best
        limit: Any = verdict.threshold
        return Stop(
            MEMORIZED,
            "The model drew a training image again.",
            f"“{case.prompt}” was repeated in training on purpose. Asked for it just now (seed {_SEED}), the model "
            f"drew a copy. The similarity is {verdict.similarity[0]:.2f}; from {limit.value:.2f} on we call it a copy.",
            (
                Picture(query.image, "drawn just now"),
                Picture(
                    self._services.collection.corpus.image(int(verdict.ids[0])),
                    f"the training image: {verdict.credit.title_and_maker}",
                ),
            ),
            f"The drawing was compared with all {verdict.n_training:,} training images, and the closest is shown. "
            f"{precision_sentence(verdict)}",
        )


def _often(score: Score | None) -> str:
    if score is None:
        return "that is how hard the question is."
    first, among = score.recall[0].value, score.recall[RECALL_AT.index(_NAMED)].value
    return (
        f"of {score.queries:,} such test images, the right one came first in {first:.0%}, and among the first {_NAMED} "
        f"in {among:.0%}."
    )
