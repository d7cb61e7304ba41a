"""The plan of the pocket benchmark, fixed by a seed: its models, their exemplars and prompts.

Splits: "train" teaches mappers, "validation" chooses their settings and fits the temperature, and three test splits
tell what was reached. The exemplars of "test_seen_concept" show things that the generator knows from other drawings;
those of "test_unseen_concept" show things that neither it nor any mapper ever saw; those of "test_unseen_style" share
a style or a maker that neither saw.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from attribution_core.corpus.corpus import Corpus
from attribution_core.errors import InvalidInputError
from pocket.prompts import STYLE_TUNING, TUNING, benchmark_prompts

SPLITS = ("train", "validation", "test_seen_concept", "test_unseen_concept", "test_unseen_style")
TEST_SPLITS = SPLITS[2:]
KINDS = ("written", "procedural")
# Of objects whose concept is known: models that validate and that test; the others train.
VALIDATION_KNOWN, TEST_KNOWN = 20, 50
# Of concepts that the generator never saw: how many validate and how many test; the others train.
VALIDATION_CONCEPTS, TEST_CONCEPTS = 4, 14
VALIDATION_SETS = 6  # of the style sets whose parts the generator was trained on


@dataclass(frozen=True)
class Model:
    """One tuned model of the plan.

    exemplars: positions in the split "exemplars" of the corpus. category: the word that its token starts from. names:
    for a style, what each exemplar shows; else empty. prompts: templates, `each` of them for each of `KINDS` in turn.
    part: "core", "by-sa" or "gpl", the licence group of its exemplars and so of its images.
    """

    number: int
    split: str
    style: bool
    exemplars: tuple[int, ...]
    category: str
    names: tuple[str, ...]
    prompts: tuple[str, ...]
    seeds: tuple[int, ...]
    seed: int
    class_id: str
    part: str

    @property
    def captions(self) -> tuple[str, ...]:
        """Caption templates for tuning."""
        return STYLE_TUNING if self.style else TUNING

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kind of each prompt."""
        return tuple(kind for kind in KINDS for _ in range(len(self.prompts) // len(KINDS)))


def plan(exemplars: Corpus, each: int, limit: int | None = None, seed: int = 0) -> tuple[Model, ...]:
    """Return all models of the benchmark, or the first of every split for a quick look.

    exemplars: the split of that name. each: prompts of each kind. limit: models of each split and sort at most.
    Raises `InvalidInputError` where there are fewer prompts than asked for.
    """
    rng = np.random.default_rng(seed)
    groups = [*_objects(exemplars, rng), *_styles(exemplars, rng)]
    ids, labels = exemplars.column("id"), exemplars.column("concept_label")
    parts, concepts, sets = (exemplars.column(name) for name in ("part", "concept", "exemplar_set"))
    models: list[Model] = []
    used: Counter[tuple[str, bool]] = Counter()
    for split, style, members in groups:
        # Drawn for those left out too, so that a limited plan is a part of the whole one.
        prompts = _choose(benchmark_prompts("train" if split == "train" else "test", style), each, rng)
        seeds = rng.integers(0, 2**31, size=len(prompts) + 1)
        used[split, style] += 1
        if limit is not None and used[split, style] > limit:
            continue
        first = members[0]
        models.append(
            Model(
                len(models),
                split,
                style,
                members,
                "art" if style else labels[first],
                tuple(labels[i] or "picture" for i in members) if style else (),
                prompts,
                tuple(int(s) for s in seeds[1:]),
                int(seeds[0]),
                sets[first] if style else concepts[first] or ids[first],
                parts[first],
            )
        )
    return tuple(models)


_Group = tuple[str, bool, tuple[int, ...]]


def _objects(exemplars: Corpus, rng: np.random.Generator) -> Iterable[_Group]:
    held_out, labels, concepts = (exemplars.column(n) for n in ("held_out", "concept_label", "concept"))
    known = [i for i, why in enumerate(held_out) if why == "style" and labels[i]]
    names = _shares(
        rng.permutation(known), ("validation", VALIDATION_KNOWN), ("test_seen_concept", TEST_KNOWN)
    )
    for split, chosen in names:
        yield from ((split, False, (int(i),)) for i in chosen)
    unseen = defaultdict(list)
    for i, why in enumerate(held_out):
        if why == "concept" and labels[i]:
            unseen[concepts[i]].append(i)
    shares = _shares(
        rng.permutation(sorted(unseen)),
        ("validation", VALIDATION_CONCEPTS),
        ("test_unseen_concept", TEST_CONCEPTS),
    )
    for split, chosen in shares:
        yield from ((split, False, (i,)) for concept in chosen for i in unseen[str(concept)])


def _styles(exemplars: Corpus, rng: np.random.Generator) -> Iterable[_Group]:
    sets, parts = defaultdict(list), exemplars.column("part")
    for i, name in enumerate(exemplars.column("exemplar_set")):
        if name:
            sets[name].append(i)
    core = [name for name in sorted(sets) if parts[sets[name][0]] == "core"]
    for split, chosen in _shares(rng.permutation(core), ("validation", VALIDATION_SETS)):
        yield from ((split, True, tuple(sets[str(name)])) for name in chosen)
    # Share-alike and GPL images teach nothing that ships: they only test.
    yield from (("test_unseen_style", True, tuple(sets[name])) for name in sorted(set(sets) - set(core)))


def _shares(order: np.ndarray, *wanted: tuple[str, int]) -> Iterable[tuple[str, list[Any]]]:
    """The first so many for each name, and the others for "train"."""
    start = 0
    for split, count in wanted:
        yield split, list(order[start : start + count])
        start += count
    yield "train", list(order[start:])


def _choose(templates: dict[str, tuple[str, ...]], each: int, rng: np.random.Generator) -> tuple[str, ...]:
    chosen: list[str] = []
    for kind in KINDS:
        if len(templates[kind]) < each:
            raise InvalidInputError(f"there are {len(templates[kind])} {kind} prompts, {each} are wanted.")
        chosen += [templates[kind][i] for i in rng.permutation(len(templates[kind]))[:each]]
    return tuple(chosen)
