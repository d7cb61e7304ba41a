"""The noise signal: what is tapped on the way is what the two predictions say, and it costs no call of the network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attribution_core.generation.generator import Generator, StepPreview
from attribution_core.generation.noise_signal import NoiseSignal, signals_of
from tests.support.tiny_pipeline import make_clip_like, make_pocket_like

SEEDS = (3, 8)


@pytest.fixture(scope="module", params=["v_prediction", "epsilon"])
def generator(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator:
    folder = tmp_path_factory.mktemp(request.param)
    made = (make_pocket_like if request.param == "v_prediction" else make_clip_like)(folder)
    opened = Generator.open(made, device="cpu").load()
    assert opened.pipeline.scheduler.config.prediction_type == request.param
    return opened


def recorded(generator: Generator, run: Any) -> list[tuple[Any, Any, Any]]:
    """(noisy image, timestep, prediction) of every call of the network during `run`."""
    kept: list[tuple[Any, Any, Any]] = []

    def read(module: Any, given: Any, output: Any) -> None:
        kept.append((given[0].clone(), given[1], output[0].clone()))

    handle = generator.pipeline.unet.register_forward_hook(read)
    try:
        run()
    finally:
        handle.remove()
    return kept


def predicted_noise(scheduler: Any, noisy: Any, timestep: Any, prediction: Any) -> Any:
    if scheduler.config.prediction_type == "epsilon":
        return prediction
    alpha = scheduler.alphas_cumprod[int(timestep)]
    return alpha.sqrt() * prediction + (1 - alpha).sqrt() * noisy


def test_it_is_the_distance_of_the_two_noise_predictions(generator: Generator) -> None:
    made: list[Any] = []
    calls = recorded(generator, lambda: made.append(generator.generate("red cat", 3, 4, 3.5)))
    expected = []
    for noisy, timestep, prediction in calls:
        plain, told = predicted_noise(generator.pipeline.scheduler, noisy, timestep, prediction)
        expected.append(float((told - plain).norm()))
    signal = made[0].noise_signal
    assert signal is not None
    np.testing.assert_allclose(signal.steps, expected, rtol=1e-4, atol=1e-5)
    assert signal.mean == pytest.approx(np.mean(expected), rel=1e-4)


def test_recording_asks_the_network_no_more_often_and_changes_no_pixel(generator: Generator) -> None:
    made: list[Any] = []
    calls = recorded(generator, lambda: made.append(generator.generate("red cat", 3, 4, 3.5)))
    pipeline = generator.pipeline
    import torch

    direct = recorded(
        generator,
        lambda: made.append(
            pipeline(
                prompt=["red cat"],
                num_inference_steps=4,
                guidance_scale=3.5,
                generator=[torch.Generator("cpu").manual_seed(3)],
            ).images[0]
        ),
    )
    assert len(calls) == len(direct) == len(made[0].noise_signal.steps)
    assert made[0].image.tobytes() == made[1].tobytes()
    assert not pipeline.unet._forward_hooks


def test_without_guidance_there_is_none(generator: Generator) -> None:
    assert generator.generate("red cat", 3, 3, 1.0).noise_signal is None


def test_each_image_of_a_batch_has_its_own(generator: Generator) -> None:
    batch = generator.generate_batch(["red cat", "blue dog"], SEEDS, steps=3, guidance=3.5)
    for image, prompt, seed in zip(batch, ("red cat", "blue dog"), SEEDS, strict=True):
        alone = generator.generate(prompt, seed, 3, 3.5).noise_signal
        assert image.noise_signal is not None and alone is not None
        np.testing.assert_allclose(image.noise_signal.steps, alone.steps, rtol=1e-3)


def test_previews_and_a_stopped_generation_leave_no_tap(generator: Generator) -> None:
    def stop(step: StepPreview) -> None:
        raise KeyError("enough")

    with pytest.raises(KeyError):
        generator.generate("red cat", 3, 3, 3.5, stop)
    assert not generator.pipeline.unet._forward_hooks
    seen: list[StepPreview] = []
    assert generator.generate("red cat", 3, 3, 3.5, seen.append).noise_signal is not None
    assert len(seen) >= 3


def test_the_mean_is_over_steps() -> None:
    assert NoiseSignal((1.0, 2.0, 6.0)).mean == 3.0
    assert signals_of([], 2) == [None, None]


def test_a_saved_image_is_saved_without_it(generator: Generator, tmp_path: Path) -> None:
    from attribution_core.common.images import read_recipe

    generator.generate("red cat", 3, 3, 3.5).save(tmp_path / "a.png")
    assert "noise_signal" not in (read_recipe(tmp_path / "a.png") or {})
