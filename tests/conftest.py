"""Fixtures that browser and API tests share: the app over two collections, and Debian's Chromium."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from attribution_core.settings import Settings
from tests.support.browser import start, watched

if "PYTEST_XDIST_WORKER" in os.environ:
    # Before torch is imported: as many threads as there are cores for each worker, not for each of them all.
    workers = int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.environ["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // workers))

CHROMIUM = shutil.which("chromium")
BROWSER_MS = 90_000  # a browser and an app beside other tests on two cores may take their time
expect.set_options(timeout=BROWSER_MS)


def pytest_configure() -> None:
    """Let programs that tests start be stopped by Ctrl-C: a shell's background jobs ignore it, and so would theirs."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, object]) -> dict[str, object]:
    if CHROMIUM is None:
        pytest.skip("no program 'chromium' on the PATH; Debian: apt-get install chromium fonts-liberation")
    return {
        **browser_type_launch_args,
        "executable_path": CHROMIUM,
        "args": ["--no-sandbox", "--disable-dev-shm-usage"],
    }


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


@pytest.fixture(autouse=True)
def patience(request: pytest.FixtureRequest) -> None:
    """Actions and page loads wait as long as expectations do."""
    if "page" in request.fixturenames:
        request.getfixturevalue("page").set_default_timeout(BROWSER_MS)


@pytest.fixture
def opened(page: Page, pocket_app: str) -> Iterator[Page]:
    """The page on its first example."""
    yield from watched(page, pocket_app)


@pytest.fixture
def own(page: Page, own_app: str) -> Iterator[Page]:
    yield from watched(page, own_app)
