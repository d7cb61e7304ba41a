"""Unlearning on tiny pipelines: the loss really rises, noise is paired, and weights come back bit by bit."""

from __future__ import annotations

import hashlib
import itertools
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attribution_core.analyses.unlearning.forget import (
    AFTER,
    BEFORE,
    FORGET,
    LossChanges,
    UnlearningSettings,
    latents,
    loss_changes,
)
from attribution_core.analyses.unlearning.second_opinion import SecondOpinion, second_opinion
from attribution_core.attribution.attributor import Added, Attributor
from attribution_core.common.progress import Progress
from attribution_core.corpus.credit import Credit
from attribution_core.errors import InvalidInputError
from attribution_core.figures.second_opinion import rank_scatter
from attribution_core.generation.generator import Generator
from tests.support.fakes import fake_collection, shape_image
from tests.support.tiny_pipeline import make_clip_like, make_pocket_like

QUICK = UnlearningSettings(steps=3, rate=0.01, batch_size=4, draws=2)
# An untrained network hears little of its prompt: long steps, and many noises, so that the rise is above chance.
STRONG = UnlearningSettings(steps=4, rate=0.05, batch_size=32, draws=32)


@pytest.fixture(scope="module", params=[make_pocket_like, make_clip_like], ids=["pocket", "clip"])
def generator(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator:
    return Generator.open(request.param(tmp_path_factory.mktemp("tiny") / "generator"), device="cpu").load()


@pytest.fixture(scope="module")
def attributor(tmp_path_factory: pytest.TempPathFactory) -> Attributor:
    return Attributor(fake_collection(tmp_path_factory.mktemp("second") / "shapes", n=60), device="cpu")


def weights(generator: Generator) -> str:
    digest = hashlib.sha256()
    for name, value in generator.pipeline.unet.state_dict().items():
        digest.update(name.encode() + value.numpy().tobytes())
    return digest.hexdigest()


def shapes(*seeds: int) -> list[Any]:
    return [shape_image(seed) for seed in seeds]


def test_the_loss_on_the_image_rises_and_the_weights_come_back(generator: Generator) -> None:
    before = weights(generator)
    told = loss_changes(
        generator, shape_image(1), "red cat", shapes(1, 9, 20), ["red cat", "dog", "a house"], STRONG
    )
    assert told.took
    assert told.query_after > told.query_before > 0
    # The first of the others is the image itself, with its prompt: the same noise, the same losses.
    assert told.before[0] == pytest.approx(told.query_before, rel=1e-5)
    assert told.after[0] == pytest.approx(told.query_after, rel=1e-5)
    assert told.change == pytest.approx(told.after - told.before)
    assert weights(generator) == before
    assert not any(w.requires_grad or w.grad is not None for w in generator.pipeline.unet.parameters())


def test_more_steps_forget_more(generator: Generator) -> None:
    few, many = (
        loss_changes(generator, shape_image(1), "red cat", shapes(2), ["dog"], replace(STRONG, steps=n))
        for n in (1, 6)
    )
    assert many.query_after > few.query_after
    assert many.query_before == few.query_before


def test_noise_is_paired_so_that_an_idle_step_changes_nothing(generator: Generator) -> None:
    still = UnlearningSettings(steps=1, rate=1e-30, batch_size=2, draws=3)
    told = loss_changes(generator, shape_image(1), "red cat", shapes(2, 3), ["dog", "cat"], still)
    assert (told.change == 0).all() and told.query_after == told.query_before and not told.took


def test_losses_do_not_depend_on_what_is_measured_beside_them(generator: Generator) -> None:
    both = loss_changes(generator, shape_image(1), "red cat", shapes(*range(2, 14)), ["dog"] * 12, QUICK)
    alone = loss_changes(generator, shape_image(1), "red cat", shapes(7), ["dog"], QUICK)
    assert alone.before[0] == pytest.approx(both.before[5], rel=1e-5)
    assert alone.change[0] == pytest.approx(both.change[5], rel=1e-3, abs=1e-6)
    again = loss_changes(generator, shape_image(1), "red cat", shapes(7), ["dog"], QUICK)
    assert np.array_equal(again.after, alone.after)


def test_a_loss_is_the_networks_mean_squared_error(generator: Generator) -> None:
    import torch

    told = loss_changes(generator, shape_image(1), "red cat", shapes(2), ["dog"], QUICK)
    pipe = generator.pipeline
    drawing = torch.Generator("cpu").manual_seed(QUICK.seed)
    clean = latents(pipe, shapes(2))
    noise = torch.randn((2, *clean.shape[1:]), generator=drawing)
    times = (((torch.arange(2) + torch.rand(2, generator=drawing)) / 2) * 1000).long()
    errors = []
    with torch.no_grad():
        states = pipe.encode_prompt(["dog"], pipe.device, 1, False)[0]
        for k in range(2):
            noisy = pipe.scheduler.add_noise(clean, noise[k : k + 1], times[k : k + 1])
            answer = pipe.unet(noisy, times[k], encoder_hidden_states=states).sample
            if pipe.scheduler.config.prediction_type == "epsilon":
                wanted = noise[k : k + 1]
            else:
                wanted = pipe.scheduler.get_velocity(clean, noise[k : k + 1], times[k : k + 1])
            errors.append(float((answer - wanted).square().mean()))
    assert told.before[0] == pytest.approx(np.mean(errors), rel=1e-4)


@pytest.mark.parametrize("stage", [BEFORE, FORGET, AFTER])
def test_stopping_anywhere_leaves_the_generator_as_it_was(generator: Generator, stage: str) -> None:
    before = weights(generator)

    def stop(step: Progress) -> None:
        if step.stage == stage:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loss_changes(generator, shape_image(1), "red cat", shapes(2, 3), ["dog", "cat"], QUICK, stop)
    assert weights(generator) == before
    assert not any(w.requires_grad for w in generator.pipeline.unet.parameters())
    assert generator.lock.acquire(blocking=False)
    generator.lock.release()


def test_progress_counts_to_the_end_and_others_wait_meanwhile(generator: Generator) -> None:
    steps: list[Progress] = []
    free: list[bool] = []

    def look(step: Progress) -> None:
        steps.append(step)

        def try_lock() -> None:
            free.append(generator.lock.acquire(blocking=False))

        thread = threading.Thread(target=try_lock)
        thread.start()
        thread.join()

    loss_changes(generator, shape_image(1), "red cat", shapes(2, 3), ["dog", "cat"], QUICK, look)
    assert [s.stage for s in steps] == [BEFORE, *[FORGET] * 3, AFTER]
    assert steps[-1].done == steps[-1].total and steps[-1].seconds_left == 0
    assert all(a.done < b.done for a, b in itertools.pairwise(steps))
    assert not any(free)


def test_bad_input_is_refused(generator: Generator) -> None:
    for images, captions in (([], []), (shapes(1), []), (shapes(1), ["a", "b"])):
        with pytest.raises(InvalidInputError, match="one caption for each"):
            loss_changes(generator, shape_image(1), "red cat", images, captions, QUICK)
    with pytest.raises(InvalidInputError, match="needs the prompt"):
        loss_changes(generator, shape_image(1), "  ", shapes(1), ["dog"], QUICK)
    for bad in (
        {"steps": 0},
        {"draws": 1.5},
        {"batch_size": True},
        {"rate": 0},
        {"rate": 2},
        {"rate": float("nan")},
        {"seed": -1},
    ):
        with pytest.raises(InvalidInputError, match=next(iter(bad))):
            UnlearningSettings(**bad)


def test_a_second_opinion_holds_the_list_and_random_images(
    generator: Generator, attributor: Attributor
) -> None:
    before = weights(generator)
    added = [Added(shape_image(7), Credit(caption="<b>cat</b>"))]
    told = second_opinion(
        attributor, generator, shape_image(7), "red cat", candidates=6, others=5, added=added, settings=QUICK
    )
    assert list(told.listed) == [True] * 7 + [False] * 5
    assert set(told.ids[:2]) == {7, 60} and len(set(told.ids)) == 12
    assert told.credits[list(told.ids).index(60)].caption == "<b>cat</b>"
    listed = attributor.attribute(shape_image(7), 6)
    assert set(listed.ids) <= set(told.ids[:7])
    full = attributor.attribute(shape_image(7), 60)
    known = dict(zip(full.ids, full.similarity, strict=True))
    for k in range(7, 12):
        assert told.similarity[k] == pytest.approx(known[told.ids[k]], abs=1e-5)
        assert known[told.ids[k]] <= told.similarity[:7].min() + 1e-6
    assert weights(generator) == before
    names = [trace.name for trace in rank_scatter(told, 2).data if trace.name]
    assert set(names) <= {"on the list", "drawn at random", "far apart"}
    assert "&lt;b&gt;" in str(rank_scatter(told, 2).data) and "<b>cat" not in str(rank_scatter(told, 2).data)


def test_a_small_collection_is_judged_whole_and_too_few_are_refused(
    generator: Generator, attributor: Attributor
) -> None:
    told = second_opinion(
        attributor, generator, shape_image(7), "cat", candidates=58, others=50, settings=QUICK
    )
    assert len(told) == 60 and set(told.ids) == set(range(60))
    for bad in ({"candidates": 0}, {"candidates": 2.5}, {"others": -1}):
        with pytest.raises(InvalidInputError, match=next(iter(bad))):
            second_opinion(attributor, generator, shape_image(7), "cat", settings=QUICK, **bad)
    with pytest.raises(InvalidInputError, match="3 images would be judged"):
        second_opinion(attributor, generator, shape_image(7), "cat", candidates=3, others=0, settings=QUICK)


def by_hand(similarity: list[float], change: list[float], listed: int) -> SecondOpinion:
    n = len(similarity)
    return SecondOpinion(
        np.arange(n),
        tuple(Credit(id=str(k)) for k in range(n)),
        np.arange(n) < listed,
        np.array(similarity),
        LossChanges(np.zeros(n), np.array(change)),
    )


def test_places_and_correlation_by_hand() -> None:
    told = by_hand([0.9, 0.8, 0.7, 0.6, 0.1], [5, 1, 4, 3, 2], 3)
    assert list(told.rank_similarity) == [1, 2, 3, 4, 5]
    assert list(told.rank_unlearning) == [1, 5, 2, 3, 4]
    # 1 - 6 * sum of squared differences (9 + 1 + 1 + 1) / (5 * 24)
    agreement = told.agreement()
    assert agreement.value == pytest.approx(1 - 6 * 12 / 120)
    assert -1 <= agreement.low <= agreement.value <= agreement.high <= 1
    # Of 3 x 2 pairs: 5 and 4 stand above both random ones, 1 above none.
    above = told.above_random()
    assert above is not None and above.value == pytest.approx(4 / 6)
    assert list(told.order(True)) == [0, 2, 3, 4, 1]
    assert told.apart(2) == (1,) and told.shared(2) == 1 and told.shared(3) == 2
    assert by_hand([4, 3, 2, 1], [1, 2, 3, 4], 4).agreement(True).value == pytest.approx(-1)
    assert by_hand([4, 3, 2, 1], [1, 2, 3, 4], 4).above_random() is None
    assert by_hand([1, 1, 1, 1], [1, 2, 3, 4], 4).agreement().value == 0
    assert list(by_hand([2, 2, 1, 0], [1, 2, 3, 4], 4).rank_similarity) == [1, 1, 3, 4]


def test_the_correlation_is_scipys() -> None:
    from scipy.stats import spearmanr

    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 6, 40).astype(float), rng.normal(size=40)
    assert by_hand(list(a), list(b), 40).agreement().value == pytest.approx(spearmanr(a, b).statistic)


def test_columns_of_other_lengths_and_too_few_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="columns have lengths"):
        by_hand([1, 2, 3], [1, 2, 3], 3)
    with pytest.raises(InvalidInputError, match="columns have lengths"):
        SecondOpinion(
            np.arange(5), (Credit(),) * 5, np.ones(5, bool), np.ones(4), LossChanges(np.ones(5), np.ones(5))
        )
    with pytest.raises(InvalidInputError, match="order of 2 images"):
        by_hand([1, 2, 3, 4], [1, 2, 3, 4], 2).agreement(listed_only=True)
    with pytest.raises(InvalidInputError, match="top"):
        by_hand([1, 2, 3, 4], [1, 2, 3, 4], 2).apart(0)


def test_the_figure_tells_dots_on_the_list_at_random_and_far_apart() -> None:
    told = by_hand([9, 8, 7, 6, 5, 4], [1, 9, 8, 7, 6, 5], 4)
    figure = rank_scatter(told, 1)
    dots = {trace.name: (list(trace.x), list(trace.y)) for trace in figure.data if trace.name}
    assert dots["far apart"] == ([1], [6])
    assert dots["on the list"] == ([2, 3, 4], [1, 2, 3])
    assert dots["drawn at random"] == ([5, 6], [4, 5])


def test_the_shipped_generator_is_left_alone(tmp_path: Path) -> None:
    generator = Generator.open(make_pocket_like(tmp_path / "generator"), device="cpu")
    again = [generator.generate("red cat", 3, 3).image.tobytes()]
    loss_changes(generator, shape_image(1), "red cat", shapes(2), ["dog"], QUICK)
    again.append(generator.generate("red cat", 3, 3).image.tobytes())
    assert again[0] == again[1]
