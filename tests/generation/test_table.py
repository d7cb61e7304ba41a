"""Generators of every kind: rows, names, licences, tiny pipelines of each architecture, memory and what goes wrong."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from attribution_core.cli.main import app
from attribution_core.errors import (
    CheckpointError,
    InvalidInputError,
    MissingDependencyError,
    NotEnoughMemoryError,
    UnknownNameError,
)
from attribution_core.generation import generator as generation
from attribution_core.generation import memory as generator_memory
from attribution_core.generation.generator import Generator, StepPreview
from attribution_core.generation.previews import latent_colours, predicted_original, preview
from attribution_core.generation.table import GENERATORS, PIPELINES, find, licence_notice
from attribution_core.settings import REPOSITORY
from tests.support import tiny_large_pipelines as large
from tests.support.tiny_pipeline import SIDE, make_clip_like, make_pocket_like

MAKERS = {
    "StableDiffusionXLPipeline": large.make_xl,
    "StableDiffusion3Pipeline": large.make_sd3,
    "FluxPipeline": large.make_flux,
    "PixArtSigmaPipeline": large.make_pixart,
}
LOADED: dict[str, Generator] = {}


@pytest.fixture(params=MAKERS)
def generator(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator:
    kind = request.param
    if kind not in LOADED:
        folder = MAKERS[kind](tmp_path_factory.mktemp("large") / kind)
        LOADED[kind] = Generator.open(folder, device="cpu").load()
        if kind == "FluxPipeline":  # it has no size of its own, and draws 1024 px
            LOADED[kind].pipeline.default_sample_size = SIDE // 2
    return LOADED[kind]


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


def test_every_kind_makes_images_with_previews_and_repeats_them(generator: Generator) -> None:
    seen: list[StepPreview] = []
    made = generator.generate("a red cat", seed=3, steps=3, guidance=4.0, on_step=seen.append)
    side = 256 if "PixArt" in type(generator.pipeline).__name__ else SIDE
    assert made.image.size == (side, side) and pixels(made.image).std() > 0
    assert [(s.step, s.total) for s in seen] == [(1, 3), (2, 3), (3, 3)]
    assert {s.image.size for s in seen} == {(side, side)}
    assert "step" not in vars(generator.pipeline.scheduler)
    again = generator.generate("a red cat", seed=3, steps=3, guidance=4.0)
    assert np.array_equal(pixels(made.image), pixels(again.image)) and made.recipe == again.recipe
    other = generator.generate("a red cat", seed=4, steps=3, guidance=4.0)
    assert not np.array_equal(pixels(made.image), pixels(other.image))
    batch = generator.generate_batch(["a red cat"] * 2, [3, 4], steps=3, guidance=4.0)
    assert abs(pixels(batch[1].image) - pixels(other.image)).max() <= 2
    assert type(generator.pipeline).__name__ in PIPELINES
    assert generator.defaults == PIPELINES[type(generator.pipeline).__name__]
    assert generator.plan.precision == "float32" and str(generator.plan) == ""


def test_what_on_step_raises_ends_every_kind_and_leaves_it_usable(generator: Generator) -> None:
    def stop(step: StepPreview) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generator.generate("a cat", seed=1, steps=2, on_step=stop)
    assert "step" not in vars(generator.pipeline.scheduler)
    assert pixels(generator.generate("a cat", seed=1, steps=1).image).std() > 0


def test_the_last_prediction_is_what_is_decoded(generator: Generator) -> None:
    """The tap, unpacking and scaling of each kind: decoding what the last preview read gives the image itself."""
    pipeline, last = generator.pipeline, []
    read = generation.preview
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            generation, "preview", lambda pipe, latents: last.append(latents) or read(pipe, latents)
        )
        made = generator.generate("a red cat", seed=5, steps=3, guidance=3.0, on_step=lambda step: None)
    latents = last[-1].float()
    if latents.dim() == 3:
        latents = pipeline._unpack_latents(latents, SIDE, SIDE, pipeline.vae_scale_factor)
    config = pipeline.vae.config
    with torch.no_grad():
        decoded = pipeline.vae.decode(latents / config.scaling_factor + (config.shift_factor or 0)).sample
    image = pipeline.image_processor.postprocess(decoded)[0]
    assert abs(pixels(image) - pixels(made.image)).max() <= 1


def test_tuning_says_which_generators_it_changes(generator: Generator) -> None:
    with pytest.raises(
        InvalidInputError, match=f"StableDiffusionPipeline .* is a {type(generator.pipeline).__name__}"
    ):
        _ = generator.tunable


def test_flow_matching_leads_straight_to_noise() -> None:
    from diffusers import FlowMatchEulerDiscreteScheduler

    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    scheduler.set_timesteps(5)
    clean, noise = torch.randn(2, 16, 3, 3), torch.randn(2, 16, 3, 3)
    for timestep, sigma in zip(scheduler.timesteps, scheduler.sigmas, strict=False):
        noisy = (1 - sigma) * clean + sigma * noise
        assert torch.allclose(predicted_original(scheduler, noise - clean, timestep, noisy), clean, atol=1e-4)


class Linear(torch.nn.Module):
    """An autoencoder whose latents are a known linear map of the colours of 8 x 8 pixels."""

    def __init__(self, channels: int, scale: float, shift: float | None) -> None:
        super().__init__()
        self.map = torch.nn.Parameter(torch.randn(channels, 3))
        self.offset = torch.nn.Parameter(torch.randn(channels))
        self.config = type("Config", (), {"scaling_factor": scale, "shift_factor": shift})()
        self.dtype, self.calls = torch.float32, 0

    def encode(self, pictures: torch.Tensor):
        self.calls += 1
        code = torch.nn.functional.avg_pool2d(pictures, 8)
        code = torch.einsum("nrhw,cr->nchw", code, self.map) + self.offset[:, None, None]
        return type("Out", (), {"latent_dist": type("Dist", (), {"mode": lambda self: code})()})()


@pytest.mark.parametrize(
    ("channels", "scale", "shift"),
    [(4, 0.18215, None), (4, 0.13025, None), (16, 1.5305, 0.0609), (16, 0.3611, 0.1159)],
)
def test_previews_show_the_colours_that_the_autoencoder_encoded(
    channels: int, scale: float, shift: float | None
) -> None:
    torch.manual_seed(0)
    vae = Linear(channels, scale, shift)
    pipeline = type("Pipeline", (), {"vae": vae, "vae_scale_factor": 8, "_execution_device": "cpu"})()
    picture = torch.rand(1, 3, 6, 5) * 2 - 1
    with torch.no_grad():
        code = vae.encode(picture.repeat_interleave(8, 2).repeat_interleave(8, 3)).latent_dist.mode()
    seen = preview(pipeline, (code - (shift or 0.0)) * scale)
    assert seen.size == (40, 48)
    middle = pixels(seen)[4::8, 4::8]  # away from the edges of what is enlarged
    wanted = ((picture[0].permute(1, 2, 0) + 1) * 127.5).numpy()
    assert np.abs(middle - wanted).mean() < 12
    small = torch.einsum("nchw,cr->nrhw", (code - (shift or 0)) * scale, latent_colours(pipeline)[:-1])
    assert torch.allclose(small + latent_colours(pipeline)[-1][:, None, None], picture, atol=1e-3)
    assert vae.calls == 2, "fitted once"


def test_a_blacked_out_image_comes_with_one_clear_notice(tmp_path: Path) -> None:
    folder = large.with_safety_checker(make_clip_like(tmp_path / "clip"), tmp_path / "checked")
    made = Generator.open(folder, device="cpu").generate("a cat", seed=1, steps=1)
    assert pixels(made.image).max() == 0
    assert made.blacked_out and len(made.notices) == 1
    assert "safety checker" in made.notices[0] and "another seed" in made.notices[0]
    plain = Generator.open(tmp_path / "clip", device="cpu").generate("a cat", seed=1, steps=1)
    assert plain.notices == () and not plain.blacked_out and pixels(plain.image).max() > 0


def test_the_longest_reader_says_what_the_generator_did_not_see(tmp_path: Path) -> None:
    flux = Generator.open(large.make_flux(tmp_path / "flux"), device="cpu").load()
    words = " ".join(["red cat"] * 300)
    assert generation._notices(flux.pipeline, "a red cat", False) == ()
    assert any("reads 511 tokens" in n for n in generation._notices(flux.pipeline, words, False))
    assert any(
        "reads 255 tokens" in n for n in generation._notices(flux.pipeline, words, False, text_tokens=256)
    )


def test_a_row_gives_its_generator_defaults_and_the_length_of_its_text(tmp_path: Path) -> None:
    spec = GENERATORS["flux-1-schnell"]
    opened = Generator.open("FLUX-1-schnell")
    assert (opened.name, opened.defaults) == (spec.hub, spec.defaults)
    opened._folder = large.make_flux(tmp_path / "flux")
    opened.device = "cpu"
    opened.pipeline.default_sample_size = SIDE // 2
    asked = []
    with pytest.MonkeyPatch.context() as patch:
        call = type(opened.pipeline).__call__
        patch.setattr(
            type(opened.pipeline),
            "__call__",
            lambda self, *a, max_sequence_length=512, **k: (
                asked.append(max_sequence_length)
                or call(self, *a, max_sequence_length=max_sequence_length, **k)
            ),
        )
        made = opened.generate("a cat")
    assert asked == [256] and (made.recipe.steps, made.recipe.guidance) == (4, 0.0)
    assert made.recipe.generator == spec.hub


@pytest.mark.parametrize("name", GENERATORS)
def test_every_row_opens_by_its_name_and_by_its_hub_name(name: str) -> None:
    spec = GENERATORS[name]
    for given in filter(None, (name, name.upper(), spec.hub)):
        opened = Generator.open(given)
        assert opened.name == (spec.hub or "pocket/generator")
        assert opened.defaults == (spec.defaults or opened.defaults)
    assert find(name) is spec and spec.licence


def test_the_pocket_generator_is_the_one_that_ships() -> None:
    assert Generator.open("pocket").folder == REPOSITORY / "checkpoints/pocket/generator"
    assert Generator.open("pocket").licence_notice == ""
    assert generator_memory.native_side(Generator.open("pocket").folder) == GENERATORS["pocket"].size


def test_an_unknown_name_is_corrected() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'sdxl-turbo'"):
        Generator.open("sdxl-turbo2")
    assert Generator.open("someone/else").defaults == PIPELINES["StableDiffusionPipeline"]


@pytest.mark.parametrize(
    ("hub", "words"),
    [
        (
            "CompVis/stable-diffusion-v1-4",
            "under the CreativeML OpenRAIL-M licence; by continuing you accept it",
        ),
        ("stabilityai/sdxl-turbo", "under the Stability AI Community License;"),
        ("stabilityai/stable-diffusion-3.5-medium", "accept the licence, then run 'hf auth login'"),
        ("someone/else", "under the licence that its page states"),
    ],
)
def test_the_licence_is_shown_before_anything_is_fetched(hub: str, words: str) -> None:
    notice = Generator.open(hub).licence_notice
    assert words in notice and f"https://huggingface.co/{hub}" in notice
    assert notice == licence_notice(hub)


def hub_cache(folder: Path, name: str, made: Path) -> None:
    """A pipeline as the hub's cache holds it: snapshots of links to files that are named by their checksum."""
    from attribution_core.common.files import sha256_file

    repository = folder / f"models--{name.replace('/', '--')}"
    snapshot = repository / "snapshots" / ("0" * 40)
    (repository / "refs").mkdir(parents=True)
    (repository / "refs/main").write_text("0" * 40)
    (repository / "blobs").mkdir()
    for file in made.rglob("*"):
        if file.is_file():
            blob = repository / "blobs" / sha256_file(file)
            blob.write_bytes(file.read_bytes())
            link = snapshot / file.relative_to(made)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(os.path.relpath(blob, link.parent))


def test_a_generator_in_the_hubs_cache_opens_without_a_notice_and_without_reading_it_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import diffusers

    made = make_clip_like(tmp_path / "made")
    hub_cache(tmp_path / "hub", "someone/else", made)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    snapshot = tmp_path / "hub/models--someone--else/snapshots" / ("0" * 40)
    monkeypatch.setattr(diffusers.DiffusionPipeline, "download", lambda name: snapshot)
    opened = Generator.open("someone/else", device="cpu")
    assert opened.licence_notice == ""
    plain = Generator.open(made, device="cpu")
    expected, read = plain.sha256, []
    monkeypatch.setattr("attribution_core.generation.weights.sha256_file", read.append)
    assert opened.sha256 == expected and read == []
    assert np.array_equal(
        pixels(opened.generate("a cat", 1, 2).image), pixels(plain.generate("a cat", 1, 2).image)
    )


class RepositoryNotFoundError(OSError):
    pass


class GatedRepoError(
    RepositoryNotFoundError
):  # on the hub a gated model is one that is not there for everybody
    pass


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (
            GatedRepoError("403 Client Error"),
            "licence was not accepted with this account.*sd-3|stable-diffusion-3",
        ),
        (OSError(28, "No space left on device"), "the disk is full.*HF_HOME"),
        (ConnectionError("no route"), "the hub cannot be reached.*go online once"),
        (
            RepositoryNotFoundError("404 Client Error"),
            "stabilityai/.*does not exist on the hub.*check the name",
        ),
        (ValueError("odd"), "could not be fetched.*check the name and the connection"),
    ],
)
def test_what_keeps_a_generator_from_being_fetched_is_told(
    cause: Exception, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import diffusers

    def fail(name: str) -> None:
        raise OSError("Cannot load model: it is not cached locally") from cause

    monkeypatch.setattr(diffusers.DiffusionPipeline, "download", fail)
    with pytest.raises(CheckpointError, match=words):
        Generator.open("sd-3-medium", device="cpu").load()


def test_a_tokenizer_that_needs_another_package_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import diffusers

    def fail(*args: object, **kwargs: object) -> None:
        raise ImportError("T5Tokenizer requires the SentencePiece library but it was not found")

    monkeypatch.setattr(diffusers.DiffusionPipeline, "from_pretrained", fail)
    with pytest.raises(MissingDependencyError, match="pip install sentencepiece"):
        Generator.open(make_clip_like(tmp_path / "clip"), device="cpu").load()


def test_memory_that_runs_out_is_one_sentence_with_the_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = Generator.open(make_pocket_like(tmp_path / "pocket"), device="cpu").load()
    kept = generator.generate("a cat", 1, 1)

    def short(*args: object, **kwargs: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has ...")

    with monkeypatch.context() as patch:
        patch.setattr(generator.pipeline.unet, "forward", short)
        with pytest.raises(
            NotEnoughMemoryError, match="^memory ran out while .* smaller generator such as 'sd-turbo'"
        ):
            generator.generate("a cat", 1, 1)
    assert np.array_equal(pixels(kept.image), pixels(generator.generate("a cat", 1, 1).image))
    monkeypatch.setattr(generation, "free_memory", lambda device: 10_000_000)
    with pytest.raises(NotEnoughMemoryError, match="needs at least .* GB on main memory"):
        monkeypatch.setattr(generation, "native_side", lambda folder: 512)
        Generator.open(tmp_path / "pocket", device="cpu").load()


def test_a_generator_in_half_precision_draws_and_is_not_tuned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_clip_like(tmp_path / "clip")
    full = Generator.open(folder, device="cpu").generate("a cat", 1, 2)
    plan = generator_memory.MemoryPlan("bfloat16", attention_slicing=True, vae_slicing=True, vae_tiling=True)
    monkeypatch.setattr(generation, "plan_memory", lambda *a: plan)
    spared, seen = Generator.open(folder, device="cpu"), []
    made = spared.generate("a cat", 1, 2, on_step=seen.append)
    assert spared.pipeline.unet.dtype == torch.bfloat16
    assert spared.pipeline.vae.use_slicing and spared.pipeline.vae.use_tiling
    assert len(seen) >= 2 and 0 < abs(pixels(made.image) - pixels(full.image)).mean() < 8
    assert str(spared.plan).startswith(
        "To fit into free memory, the generator runs with half precision (bfloat16)"
    )
    with pytest.raises(InvalidInputError, match="need float32"):
        _ = spared.tunable


@pytest.mark.parametrize("make", [make_clip_like, large.make_sd3])
def test_parts_that_wait_in_main_memory_draw_the_same_image(
    make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a GPU the hooks move parts from main memory to main memory; what they do to the drawing is the same."""
    folder, seen = make(tmp_path / "made"), []
    plain = Generator.open(folder, device="cpu").generate("a cat", 1, 2)
    monkeypatch.setattr(generation, "plan_memory", lambda *a: generator_memory.MemoryPlan(offload="model"))
    spared = Generator.open(folder, device="cpu")
    for _ in range(2):
        made = spared.generate("a cat", 1, 2, on_step=seen.append)
        assert np.array_equal(pixels(made.image), pixels(plain.image))
    assert len(seen) >= 4 and hasattr(spared.pipeline.vae, "_hf_hook")


def test_generators_are_listed_and_chosen_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    runner = CliRunner()
    table = runner.invoke(app, ["generators"]).output
    assert all(name in table and spec.licence in table for name, spec in GENERATORS.items())
    rows = json.loads(runner.invoke(app, ["generators", "--json"]).output)
    card = json.loads((REPOSITORY / "checkpoints/pocket/generator/card.json").read_text())
    assert (rows[0]["steps"], rows[0]["guidance"]) == (card["default_steps"], card["default_guidance"])
    folder, out = make_clip_like(tmp_path / "clip"), tmp_path / "made.png"
    monkeypatch.setenv("ATTRIBUTION_GENERATOR", str(folder))
    done = runner.invoke(app, ["generate", "a cat", "--steps", "1", "--out", str(out), "--device", "cpu"])
    assert done.exit_code == 0 and Image.open(out).size == (SIDE, SIDE)
    recipe = "".join(Image.open(out).text.values())
    assert "clip" in recipe and str(tmp_path) not in recipe

    def off(name: str) -> None:
        raise CheckpointError("the hub is off")

    monkeypatch.setattr(generation, "download", off)
    done = runner.invoke(
        app, ["generate", "a cat", "--generator", "sdxl", "--out", str(out), "--device", "cpu"]
    )
    assert done.exit_code == 2 and done.output.index("OpenRAIL++-M licence") < done.output.index(
        "error: the hub"
    )
    done = runner.invoke(app, ["generate", "a cat", "--generator", "sdxll", "--out", str(out)])
    assert done.exit_code == 2 and "did you mean 'sdxl'" in done.output


def test_the_app_draws_with_another_generator(tmp_path: Path) -> None:
    from attribution_core.settings import Settings
    from ui.services.app import OTHERS, Query, Services

    folder = make_clip_like(tmp_path / "clip")
    services = Services.open(Settings(generator=str(folder), device="cpu"))
    *_, made = services.generate("a cat", 1, 2, 3.0)
    assert isinstance(made, Query) and made.image.size == (SIDE, SIDE)
    assert made.recipe.generator.endswith("/clip") and made.notices == (OTHERS,)
    assert services.defaults == PIPELINES["StableDiffusionPipeline"]
