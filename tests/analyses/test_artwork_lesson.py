"""A generator that learns from an artist's images for a moment: with and without, and exactly as before afterwards."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from attribution_core.analyses.artwork.lesson import (
    MARK,
    Lesson,
    Pair,
    WithAndWithout,
    checked_steps,
    learn,
    with_and_without,
)
from attribution_core.analyses.artwork.standing import LISTED, Artwork, Candidates, embed, would_be_credited
from attribution_core.attribution.attributor import Attributor
from attribution_core.common.progress import Progress
from attribution_core.errors import InvalidInputError
from attribution_core.figures.artwork import moved
from attribution_core.generation.generator import Generator
from attribution_core.generation.tuning.loop import TuningSettings
from attribution_core.reports.as_dict import lesson_dict
from attribution_core.reports.wording.artwork import lesson_sentence
from tests.support.fakes import fake_collection, shape_image
from tests.support.tiny_pipeline import make_clip_like, make_pocket_like

QUICK = TuningSettings(steps=6, batch_size=2, learning_rate=1e-2, views=4, scattered=True)


@pytest.fixture(scope="module", params=[make_pocket_like, make_clip_like])
def generator(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Generator:
    return Generator.open(request.param(tmp_path_factory.mktemp("learned") / "generator"), "cpu")


@pytest.fixture(scope="module")
def attributor(tmp_path_factory: pytest.TempPathFactory) -> Attributor:
    return Attributor(fake_collection(tmp_path_factory.mktemp("learned") / "shapes", n=60))


@pytest.fixture(scope="module")
def mine(attributor: Attributor) -> Candidates:
    return embed(attributor, Artwork("Ada", (shape_image(900), shape_image(901)), ("one", "two")))


def drawn(generator: Generator) -> bytes:
    return generator.generate("red cat", 3, 4, 2.0).image.tobytes()


def test_with_and_without_and_the_generator_as_before(
    generator: Generator, attributor: Attributor, mine: Candidates
) -> None:
    before, lesson, steps = drawn(generator), Lesson("cat"), []
    taught = learn(generator, mine, lesson, QUICK, seed=1, on_step=steps.append)
    assert drawn(generator) == before
    assert [s.done for s in steps] == list(range(7)) and steps[-1].total == 6
    told = with_and_without(
        attributor,
        generator,
        mine,
        taught,
        lesson,
        [MARK, "red v* in the house"],
        seed=3,
        steps=4,
        guidance=2.0,
        on_step=steps.append,
    )
    assert drawn(generator) == before, "the generator is bit by bit as it was"
    for pair, plain in zip(told.pairs, ("cat", "red cat in the house"), strict=True):
        assert pair.without.tobytes() == generator.generate(plain, 3, 4, 2.0).image.tobytes()
        assert pair.learned.tobytes() != pair.without.tobytes()
        assert 0 <= pair.before.share <= 1 and len(pair.after.pieces) == 2
    assert told.risen == sum(p.after.share > p.before.share for p in told.pairs)
    stored = json.loads(json.dumps(lesson_dict(told), allow_nan=False))
    assert stored["verdict"] == lesson_sentence(told) and "of 62 sources" in stored["verdict"]
    assert told.can_be_seen == sum(p.risen and p.after.best.rank <= LISTED for p in told.pairs)
    assert [p["before"]["share"] for p in stored["prompts"]] == [p.before.share for p in told.pairs]
    assert {s.done for s in steps[7:]} >= set(range(17)) and steps[-1].total == 16
    figure = moved(told)
    assert list(figure.data[1].x) == [p.after.share for p in told.pairs[::-1]]


def test_the_same_seed_learns_the_same(generator: Generator, mine: Candidates) -> None:
    one, two = (learn(generator, mine, Lesson("cat", style=True), QUICK, seed=4) for _ in range(2))
    assert all((one.deltas[name] == two.deltas[name]).all() for name in one.deltas)
    assert any((delta != 0).any() for delta in one.deltas.values())


@pytest.mark.parametrize("stage", ["learn", "draw"])
def test_stopping_leaves_the_generator_as_it_was(
    generator: Generator, attributor: Attributor, mine: Candidates, stage: str
) -> None:
    before, lesson = drawn(generator), Lesson("cat")

    def stop(step: Progress) -> None:
        if step.done == step.total - 1:
            raise KeyboardInterrupt

    taught = learn(generator, mine, lesson, QUICK)
    with pytest.raises(KeyboardInterrupt):
        if stage == "learn":
            learn(generator, mine, lesson, QUICK, on_step=stop)
        else:
            with_and_without(attributor, generator, mine, taught, lesson, [MARK], steps=3, on_step=stop)
    assert drawn(generator) == before


def test_others_images_wait_and_are_not_touched(
    generator: Generator, attributor: Attributor, mine: Candidates
) -> None:
    before, others, lesson = drawn(generator), [], Lesson("cat")
    started = threading.Event()

    def other() -> None:
        started.wait(30)
        others.extend(drawn(generator) for _ in range(3))

    thread = threading.Thread(target=other)
    thread.start()
    taught = learn(
        generator, mine, lesson, QUICK, on_step=lambda step: started.set() if step.done == 2 else None
    )
    with_and_without(attributor, generator, mine, taught, lesson, [MARK, f"blue {MARK}"], steps=4)
    thread.join(60)
    assert others == [before] * 3


@pytest.mark.parametrize(
    ("lesson", "prompt", "tuned", "plain"),
    [
        (Lesson("cat"), "V*", "<v*> cat", "cat"),
        (Lesson("red cat"), "a v*  and V*", "a <v*> red cat and <v*> red cat", "a red cat and red cat"),
        (
            Lesson("cat", True),
            "a house in the style of V* art",
            "a house in the style of <v*> art",
            "a house",
        ),
        (Lesson("cat", True), "a house, V* art", "a house, <v*> art", "a house, art"),
    ],
)
def test_what_the_mark_becomes(lesson: Lesson, prompt: str, tuned: str, plain: str) -> None:
    assert (lesson.with_token(prompt), lesson.without_token(prompt)) == (tuned, plain)


def test_bad_lessons_are_one_sentence(attributor: Attributor, generator: Generator, mine: Candidates) -> None:
    with pytest.raises(InvalidInputError, match="a word or two"):
        Lesson("  ")
    with pytest.raises(InvalidInputError, match="41 characters"):
        Lesson("x" * 41)
    with pytest.raises(InvalidInputError, match=r"does not hold V\*"):
        Lesson("cat").with_token("a cat")
    for steps in (0, 501, 2.5):
        with pytest.raises(InvalidInputError, match="learning steps"):
            checked_steps(steps)  # type: ignore[arg-type]
    assert all(
        lesson.with_token(p) for lesson in (Lesson(), Lesson(style=True)) for p in lesson.examples(["noto"])
    )
    taught = learn(generator, mine, Lesson("cat"), QUICK)
    with pytest.raises(InvalidInputError, match="no prompt"):
        with_and_without(attributor, generator, mine, taught, Lesson("cat"), [])


def test_nothing_is_written(
    generator: Generator, mine: Candidates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    learn(generator, mine, Lesson("cat"), QUICK)
    assert list(tmp_path.iterdir()) == []


def test_an_effect_that_is_too_small_is_called_so(attributor: Attributor, mine: Candidates) -> None:
    near, far = (would_be_credited(attributor, image, mine) for image in (shape_image(900), shape_image(17)))
    far = replace(far, pieces=tuple(replace(p, rank=40, influence=1e-9) for p in far.pieces))
    picture = shape_image(1)
    for before, after, seen in ((far, near, True), (near, far, False), (far, far, False)):
        told = WithAndWithout("Ada", Lesson("cat"), 1, (Pair("V*", picture, picture, before, after),))
        assert lesson_sentence(told).startswith("The effect is too small to see.") != seen
        assert bool(told.can_be_seen) == seen
