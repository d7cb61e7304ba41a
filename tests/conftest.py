"""Fixtures that browser and API tests share: apps over several collections."""

from __future__ import annotations

import importlib.util
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from attribution_core.settings import Settings
from tests.support.browser import start

if "PYTEST_XDIST_WORKER" in os.environ:
    # Before torch is imported: as many threads as there are cores for each worker, not for each of them all.
    workers = int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.environ["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // workers))


def pytest_configure() -> None:
    """Let programs that tests start be stopped by Ctrl-C: a shell's background jobs ignore it, and so would theirs."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def uploads(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where Gradio lays uploaded files and those to download."""
    folder = tmp_path_factory.mktemp("uploads")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder))
        yield folder


@pytest.fixture(scope="session")
def pocket_app() -> Iterator[str]:
    """The app over the collection that ships."""
    yield from start(Settings(port=0))


@pytest.fixture(scope="session")
def own_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app over a collection with two methods and evidence, without a generator and without examples."""
    from attribution_core.collection.collection import Collection
    from attribution_core.encoding.encoders import load_encoder
    from attribution_core.scoring.calibrator import Calibrator
    from tests.support.fakes import ENCODER, fake_collection, fake_evidence

    collection = fake_collection(tmp_path_factory.mktemp("own") / "shapes", n=120, temperature=0.005)
    features = load_encoder(ENCODER).encode([collection.corpus.image(i) for i in range(120)])
    collection.add_method(
        "flatter", encoder=ENCODER, features=features, calibrator=Calibrator.from_temperature(5.0, ENCODER)
    )
    fake_evidence(Collection.open(collection.path))
    yield from start(Settings(port=0, collection=collection.path, top=40, max_upload_mb=1))


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection of 60 shapes with a tiny generator of few steps and one example; only to be read."""
    from attribution_core.common.cards import write_card
    from attribution_core.generation.recipe import Recipe
    from tests.support.fakes import fake_collection, shape_image
    from tests.support.tiny_pipeline import make_pocket_like, save_example

    folder = tmp_path_factory.mktemp("shapes") / "shapes"
    fake_collection(folder, n=60, temperature=0.005)
    write_card(make_pocket_like(folder / "generator"), {"default_steps": 4, "default_guidance": 2.0})
    save_example(folder, "1.png", shape_image(1), Recipe("red cat", 1, 4, 2.0))
    return folder


@pytest.fixture(scope="session")
def shapes_app(shapes: Path) -> Iterator[str]:
    """The app over these shapes, with tools for MCP clients where their package is installed."""
    mcp = importlib.util.find_spec("mcp") is not None
    yield from start(Settings(port=0, collection=shapes, top=20, max_upload_mb=1, mcp=mcp))


@pytest.fixture(scope="session")
def released_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app over a collection from released files, which holds no pictures."""
    from tests.support.fake_release import released_shapes

    yield from start(Settings(port=0, collection=released_shapes(tmp_path_factory.mktemp("released"))))
