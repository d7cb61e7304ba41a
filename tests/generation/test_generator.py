"""Generation: recipes, previews, cancelling and errors, on tiny random pipelines of both shapes."""

from __future__ import annotations

import json
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import UniPCMultistepScheduler
from hypothesis import given
from hypothesis import strategies as st

from attribution_core.common.cards import write_card
from attribution_core.common.images import read_recipe
from attribution_core.errors import CheckpointError, InvalidInputError
from attribution_core.generation.generator import Generator, StepPreview
from attribution_core.generation.previews import predicted_original
from attribution_core.generation.recipe import MAX_GUIDANCE, MAX_PROMPT, MAX_SEED, MAX_STEPS, Recipe
from tests.support.tiny_pipeline import SIDE, make_clip_like, make_pocket_like


@pytest.fixture(scope="module")
def pocket(tmp_path_factory):
    return Generator.open(make_pocket_like(tmp_path_factory.mktemp("store") / "pocket"), device="cpu")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return Generator.open(make_clip_like(tmp_path_factory.mktemp("store") / "clip"), device="cpu")


def pixels(made) -> np.ndarray:
    return np.asarray(made.image).astype(int)


@pytest.mark.parametrize("shape", ["pocket", "clip"])
def test_same_recipe_gives_the_same_pixels_and_each_setting_matters(shape, request):
    generator = request.getfixturevalue(shape)
    first = generator.generate("a red cat", seed=3, steps=4, guidance=3.0)
    assert first.image.size == (SIDE, SIDE) and first.image.mode == "RGB"
    assert np.array_equal(
        pixels(first), pixels(generator.generate("a red cat", seed=3, steps=4, guidance=3.0))
    )
    others = [
        ("a blue dog", 3, 4, 3.0),
        ("a red cat", 4, 4, 3.0),
        ("a red cat", 3, 5, 3.0),
        ("a red cat", 3, 4, 9.0),
    ]
    for prompt, seed, steps, guidance in others:
        assert not np.array_equal(pixels(first), pixels(generator.generate(prompt, seed, steps, guidance)))


def test_a_fresh_process_worth_of_state_gives_the_same_pixels(pocket):
    torch.manual_seed(123)
    first = pocket.generate("cat", seed=1, steps=3)
    torch.manual_seed(456)
    again = Generator.open(pocket.folder, device="cpu").generate("cat", seed=1, steps=3)
    assert np.array_equal(pixels(first), pixels(again)) and first.recipe == again.recipe


def test_batch_makes_the_images_that_single_calls_make(pocket):
    prompts, seeds = ["a cat", "blue dog", "a house"], [5, 6, 7]
    batch = pocket.generate_batch(prompts, seeds, steps=3, guidance=2.0, batch_size=2)
    for made, prompt, seed in zip(batch, prompts, seeds, strict=True):
        alone = pocket.generate(prompt, seed, steps=3, guidance=2.0)
        assert made.recipe == alone.recipe
        assert abs(pixels(made) - pixels(alone)).max() <= 2
    assert pixels(batch[0]).tolist() != pixels(batch[1]).tolist()
    with pytest.raises(InvalidInputError, match="3 prompts, 2 seeds"):
        pocket.generate_batch(prompts, seeds[:2])


@pytest.mark.parametrize("shape", ["pocket", "clip"])
def test_previews_count_up_and_do_not_change_the_image(shape, request):
    generator = request.getfixturevalue(shape)
    seen: list[StepPreview] = []
    made = generator.generate("a cat", seed=2, steps=5, on_step=seen.append)
    total = seen[0].total
    assert [s.step for s in seen] == list(range(1, total + 1)) and total >= 5
    assert {s.image.size for s in seen} == {(SIDE, SIDE)}
    assert len({s.image.tobytes() for s in seen}) > 1
    assert np.array_equal(pixels(made), pixels(generator.generate("a cat", seed=2, steps=5)))


def test_the_last_preview_is_the_image_itself(pocket):
    seen: list[StepPreview] = []
    made = pocket.generate("a cat", seed=2, steps=4, on_step=seen.append)
    # At the last step the predicted result is the result.
    assert abs(np.asarray(seen[-1].image).astype(int) - pixels(made)).max() <= 1


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
def test_predicted_original_inverts_the_noising(kind):
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler(prediction_type=kind)
    clean, noise = torch.randn(2, 4, 3, 3), torch.randn(2, 4, 3, 3)
    for timestep in (0, 400, 900):
        alpha = scheduler.alphas_cumprod[timestep]
        noisy = alpha.sqrt() * clean + (1 - alpha).sqrt() * noise
        prediction = {
            "epsilon": noise,
            "sample": clean,
            "v_prediction": alpha.sqrt() * noise - (1 - alpha).sqrt() * clean,
        }[kind]
        found = predicted_original(scheduler, prediction, timestep, noisy)
        assert torch.allclose(found, clean, atol=1e-3)


def test_what_on_step_raises_ends_the_generation_and_leaves_it_usable(pocket):
    class Stop(Exception):
        pass

    seen = []

    def stop(preview):
        seen.append(preview.step)
        if preview.step == 2:
            raise Stop

    before = pocket.generate("a cat", seed=9, steps=4)
    with pytest.raises(Stop):
        pocket.generate("a cat", seed=9, steps=4, on_step=stop)
    assert seen == [1, 2]
    assert "step" not in vars(pocket.pipeline.scheduler)
    assert np.array_equal(pixels(before), pixels(pocket.generate("a cat", seed=9, steps=4)))


def test_the_checksum_is_told_while_an_image_is_being_made(pocket):
    # Two threads that each wait for the other's lock would stand still for ever.
    generator, told = Generator.open(pocket.folder, device="cpu"), []
    asking = threading.Thread(target=lambda: told.append(generator.sha256), daemon=True)

    def on_step(step: StepPreview) -> None:
        if step.step == 1:
            asking.start()
            asking.join(20)
            assert told, "it waits for the image"

    made = generator.generate("cat", steps=2, on_step=on_step)
    assert told == [made.recipe.generator_sha256] == [pocket.sha256]


def test_the_recipe_travels_in_the_png_and_repeats_the_image(pocket, tmp_path):
    made = pocket.generate("a red cat, noto style", seed=11, steps=3, guidance=2.5)
    made.save(tmp_path / "made.png")
    recipe = Recipe.from_dict(read_recipe(tmp_path / "made.png"))
    assert recipe == made.recipe
    assert recipe.generator_sha256 == pocket.sha256 and recipe.generator == pocket.name
    assert str(tmp_path.parent) not in json.dumps(recipe.to_dict())
    again = pocket.generate(recipe.prompt, recipe.seed, recipe.steps, recipe.guidance)
    assert np.array_equal(pixels(made), pixels(again))


@given(
    st.builds(
        Recipe,
        prompt=st.text(max_size=40),
        seed=st.integers(0, MAX_SEED),
        steps=st.integers(1, MAX_STEPS),
        guidance=st.floats(0, MAX_GUIDANCE),
    )
)
def test_recipe_survives_text(recipe):
    assert Recipe.from_dict(recipe.to_dict()) == recipe


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"seed": -1}, "seed.*given -1"),
        ({"seed": MAX_SEED + 1}, "seed"),
        ({"prompt": "a" * (MAX_PROMPT + 1)}, "the prompt has 10,001 characters, more than the 10,000"),
        ({"seed": 1.5}, "seed.*1.5"),
        ({"seed": True}, "seed"),
        ({"steps": 0}, "steps.*1 to 200.*given 0"),
        ({"steps": 201}, "steps"),
        ({"guidance": -0.1}, "guidance"),
        ({"guidance": float("nan")}, "guidance.*nan"),
        ({"guidance": 31}, "guidance"),
        ({"guidance": "3"}, "guidance"),
        ({"prompt": None}, "prompt"),
    ],
)
def test_bad_values_are_named(values, words):
    with pytest.raises(InvalidInputError, match=words):
        Recipe(**{"prompt": "a cat", **values})


@pytest.mark.parametrize("values", [{}, {"prompt": "a", "seed": "x"}, {"prompt": "a", "guidance": ""}])
def test_unreadable_recipes_are_errors(values):
    with pytest.raises(InvalidInputError):
        Recipe.from_dict(values)


def test_empty_prompt_is_the_unconditional_image(pocket):
    guided, plain = (pocket.generate("", seed=1, steps=3, guidance=g) for g in (8.0, 1.0))
    # With nothing said, both directions of guidance are the same.
    assert abs(pixels(guided) - pixels(plain)).max() <= 2
    assert guided.notices == ()


def test_what_the_generator_does_not_see_is_said(pocket, clip):
    made = pocket.generate("a red cat a red cat a red cat a house dog", seed=0, steps=1)
    assert any("10 tokens" in n and n.endswith("'house dog'.") for n in made.notices)
    made = pocket.generate("a red zebra", seed=0, steps=1)
    assert made.notices == ("The generator does not know: zebra.",)
    assert pocket.generate("a red cat", seed=0, steps=1).notices == ()
    assert clip.generate("zebra", seed=0, steps=1).notices == ()


def test_a_long_prompt_is_not_written_into_the_log(pocket, capfd, caplog):
    pocket.generate("whisper " * 60, steps=1)
    told = capfd.readouterr()
    assert "whisper" not in told.out + told.err + caplog.text


def test_the_checksum_follows_the_weights(pocket, tmp_path):
    other = Generator.open(make_pocket_like(tmp_path / "copy"), device="cpu")
    assert other.sha256 == pocket.sha256
    weights = tmp_path / "copy/unet/diffusion_pytorch_model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert Generator.open(tmp_path / "copy").sha256 != pocket.sha256


def test_what_is_no_generator_is_one_clear_error(tmp_path, monkeypatch):
    for wrong in (tmp_path, tmp_path / "nothing", "a/b/c", "two words", ""):
        with pytest.raises(CheckpointError, match=r"model_index\.json"):
            Generator.open(wrong)
    (tmp_path / "model_index.json").write_text('{"_class_name": "StableDiffusionInpaintPipeline"}')
    with pytest.raises(CheckpointError, match="a StableDiffusionInpaintPipeline; expected"):
        Generator.open(tmp_path)
    (tmp_path / "model_index.json").write_text("not json")
    with pytest.raises(CheckpointError, match="copy or build"):
        Generator.open(tmp_path)
    import diffusers

    def unreachable(name, **kwargs):
        raise OSError("no connection")

    monkeypatch.setattr(diffusers.DiffusionPipeline, "download", unreachable)
    with pytest.raises(CheckpointError, match=r"someone/something.*no connection.*folder"):
        Generator.open("someone/something").load()


def test_a_damaged_folder_is_one_clear_error(tmp_path):
    folder = make_pocket_like(tmp_path / "damaged")
    weights = folder / "unet/diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="could not be loaded"):
        Generator.open(folder, device="cpu").load()


def test_steps_and_guidance_come_from_the_card(pocket, tmp_path):
    assert (pocket.defaults.steps, pocket.defaults.guidance) == (25, 7.5), "this one has no card"
    shutil.copytree(pocket.folder, tmp_path / "own")
    write_card(tmp_path / "own", {"default_steps": 3, "default_guidance": 2.0})
    own = Generator.open(tmp_path / "own")
    assert own.generate("red cat", seed=1).recipe == replace(
        pocket.generate("red cat", seed=1, steps=3, guidance=2.0).recipe, generator=own.name
    )
    assert own.generate_batch(["cat"], [1], guidance=1.0)[0].recipe.steps == 3
    assert (Generator.open("owner/name").defaults.steps, own.generate("cat", steps=1).recipe.steps) == (25, 1)


@pytest.mark.parametrize("steps", [1, 2, 3, 12])
def test_a_multistep_sampler_works_from_one_step_on(pocket, tmp_path, steps):
    shutil.copytree(pocket.folder, tmp_path / "unipc")
    UniPCMultistepScheduler.from_config(pocket.pipeline.scheduler.config).save_pretrained(
        tmp_path / "unipc/scheduler"
    )
    index = tmp_path / "unipc/model_index.json"
    index.write_text(index.read_text().replace("DDIMScheduler", "UniPCMultistepScheduler"))
    generator, seen = Generator.open(tmp_path / "unipc"), []
    made = generator.generate("red cat", 3, steps, 3.5, on_step=seen.append)
    assert type(generator.pipeline.scheduler).__name__ == "UniPCMultistepScheduler"
    assert [p.step for p in seen] == list(range(1, steps + 1))
    assert pixels(made).std() > 0
    assert np.array_equal(pixels(made), pixels(generator.generate("red cat", 3, steps, 3.5))), (
        "nothing is left over"
    )


def test_opening_loads_no_torch(tmp_path):
    import subprocess
    import sys

    (tmp_path / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}')
    code = (
        "import sys; from attribution_core.generation.generator import Generator; "
        f"Generator.open({str(tmp_path)!r}); sys.exit('torch' in sys.modules)"
    )
    root = Path(__file__).resolve().parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
