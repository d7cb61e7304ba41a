"""GPU work: here without detours, and on a ZeroGPU Space in forks that hand back all that they compute."""

from __future__ import annotations

import importlib.util
import json
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import attribution_core.errors as errors
from attribution_core.analyses.artwork.lesson import LEARNING, MARK, Lesson, learn, with_and_without
from attribution_core.analyses.artwork.standing import Artwork, embed
from attribution_core.analyses.artwork.survey import survey
from attribution_core.analyses.unlearning.second_opinion import second_opinion
from attribution_core.attribution.attributor import Attributor
from attribution_core.attribution.origin import MadeBy
from attribution_core.collection.collection import Collection
from attribution_core.encoding.encoders import load_encoder
from attribution_core.generation.generator import Generator
from attribution_core.generation.recipe import Recipe
from attribution_core.scoring.calibrator import Calibrator
from tests.support.fakes import ENCODER, fake_collection, shape_image
from tests.support.tiny_pipeline import make_pocket_like, save_example
from ui.services import gpu

ROOT = Path(__file__).resolve().parents[2]


def on_zero_gpu(*command: str, real: bool = False, **more: str) -> subprocess.CompletedProcess[str]:
    """Run Python with `spaces` of tests/ui/zero_gpu, or with the real package, whose parent process needs no GPU."""
    path = [str(ROOT)] if real else [str(ROOT / "tests/ui/zero_gpu"), str(ROOT)]
    environment = {
        **os.environ,
        "SPACES_ZERO_GPU": "true",
        "SPACES_ZERO_DEVICE_API_URL": "http://127.0.0.1:9",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(path),
        **more,
    }
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("zero") / "shapes"
    collection = fake_collection(folder, n=60)
    make_pocket_like(folder / "generator")
    features = load_encoder(ENCODER).encode([collection.corpus.image(i) for i in range(60)])
    collection.add_method(
        "flatter", encoder=ENCODER, features=features, calibrator=Calibrator.from_temperature(5.0, ENCODER)
    )
    save_example(folder, "1.png", shape_image(1), Recipe("shape 1", 1))
    return folder


@pytest.fixture(scope="module")
def visit(folder: Path) -> dict[str, Any]:
    done = on_zero_gpu("tests/ui/zero_gpu/visit.py", str(folder))
    assert done.returncode == 0, done.stderr[-3000:]
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def test_everything_is_loaded_before_the_first_fork(visit: dict[str, Any]) -> None:
    assert visit["loaded"] and visit["methods"] == ["flatter", "own"]
    assert visit["before"] == [] and visit["forks of the first"] == 0


def test_what_the_forks_compute_is_what_is_computed_here(visit: dict[str, Any], folder: Path) -> None:
    made = Generator.open(folder / "generator", "cpu").generate("red cat", 3, 3, 2.0)
    pixels, recipe, previews = visit["made"]
    assert bytes.fromhex(pixels) == made.image.tobytes()
    assert recipe == made.recipe.to_dict() and 1 <= previews <= 3
    attributor = Attributor(Collection.open(folder), "cpu")
    own = MadeBy.THIS_GENERATOR
    for name, image in (("attributed", made.image), ("first", shape_image(1))):
        here = attributor.attribute(image, 20, made_by=own)
        assert visit[name] == json.loads(json.dumps(here.to_dict()))
    assert visit["other method"] == 5.0
    opinion = second_opinion(attributor, Generator.open(folder / "generator", "cpu"), made.image, "red cat")
    assert np.array_equal(visit["opinion"], opinion.rank_unlearning)


def test_what_was_learned_in_a_fork_is_kept_for_the_next(visit: dict[str, Any], folder: Path) -> None:
    attributor, generator = (
        Attributor(Collection.open(folder), "cpu"),
        Generator.open(folder / "generator", "cpu"),
    )
    images = tuple(shape_image(500 + k) for k in range(3))
    candidates, lesson = embed(attributor, Artwork("Ada", images, ("a", "b", "c"))), Lesson("cat")
    rows = survey(attributor, generator, candidates, ("red cat",), seed=2, top=20).rows
    assert visit["survey"] == [row.standing.best.rank for row in rows]
    learned = learn(generator, candidates, lesson, replace(LEARNING, steps=25))
    pairs = with_and_without(
        attributor, generator, candidates, learned, lesson, (f"red {MARK}",), seed=2, top=20
    ).pairs
    assert np.allclose(visit["learned"], [[pair.before.share, pair.after.share] for pair in pairs], rtol=1e-3)
    assert visit["kept"]


def test_only_gpu_work_takes_the_gpu_and_says_for_how_long(visit: dict[str, Any]) -> None:
    assert visit["forks"] == [
        ["_stream", gpu.GENERATION_S],
        ["encode", gpu.ENCODING_S],
        ["encode", gpu.ENCODING_S],
        ["encode", gpu.ENCODING_S],
        ["_judge", gpu.TUNING_S],
        ["encode", gpu.ENCODING_S],
        ["_survey", gpu.TUNING_S],
        ["_learn", gpu.TUNING_S],
        ["_compare", gpu.TUNING_S],
        ["_compare", gpu.TUNING_S],
        ["_stream", gpu.GENERATION_S],
    ]


def test_a_users_mistake_in_a_fork_is_told_as_it_is(visit: dict[str, Any]) -> None:
    assert visit["mistake"] == ["InvalidInputError", "batch_size is 0, expected at least 1."]


@pytest.mark.parametrize("name", [n for n in vars(errors) if n.endswith("Error")])
def test_every_error_can_be_handed_over(name: str) -> None:
    again = pickle.loads(pickle.dumps(getattr(errors, name)("why")))
    assert type(again).__name__ == name and str(again) == "why"


def test_without_a_zero_gpu_nothing_is_wrapped() -> None:
    assert gpu.SPACES is None
    assert gpu.on_gpu(shape_image, 5) is shape_image


def test_without_the_package_a_zero_gpu_space_computes_where_it_is(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['spaces'] = None; from ui.services import gpu; "
        "print(gpu.SPACES, gpu.on_gpu(len, 1) is len)"
    )
    assert on_zero_gpu("-c", code).stdout == "None True\n"


REAL = """
import json, sys
from pathlib import Path
from attribution_core.settings import Settings
from ui.services import gpu
from ui.services.app import Services
import spaces.zero
services = Services.open(Settings(collection=Path(sys.argv[1]), top=20))
services.warm_up()
pipeline = services.generator._pipeline
print(json.dumps({
    "emulated": gpu.SPACES is spaces, "first": services.first[1].to_dict()["top"][0]["id"],
    "devices": sorted({str(p.device) for part in (pipeline.unet, pipeline.vae, pipeline.text_encoder)
                       for p in part.parameters()}),
    "packed": spaces.zero.torch.pack(), "marked": sorted({f.__name__ for f in spaces.zero.decorator.decorated_cache})}))
"""


@pytest.mark.skipif(importlib.util.find_spec("spaces") is None, reason="the package spaces is not installed")
def test_the_real_package_finds_all_weights_on_its_gpu_before_the_launch(
    folder: Path, tmp_path: Path
) -> None:
    done = on_zero_gpu("-c", REAL, str(folder), real=True, ZEROGPU_OFFLOAD_DIR=str(tmp_path))
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    weights = sum(path.stat().st_size for path in (folder / "generator").rglob("*.safetensors"))
    assert told["emulated"] and told["first"] == "shape/0001"
    assert told["devices"] == ["cuda:0"] and told["packed"] > 0.8 * weights
    assert {"encode", "_stream"} <= set(told["marked"])
