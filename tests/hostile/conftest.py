"""An app over a small collection with a tiny generator, for visitors who mean no good."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from attribution_core.generation.generator import GeneratedImage, Generator, StepPreview
from attribution_core.settings import Settings
from tests.support.browser import start
from tests.support.callers import Caller
from tests.support.fakes import fake_collection
from tests.support.tiny_pipeline import make_pocket_like


@pytest.fixture(scope="session")
def small_collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile") / "shapes"
    fake_collection(folder, n=60)
    make_pocket_like(folder / "generator")
    return folder


@pytest.fixture(scope="session")
def url(small_collection: Path) -> Iterator[str]:
    yield from start(
        Settings(
            port=0, collection=small_collection, top=20, max_upload_mb=2, job_seconds=20, learning_seconds=20
        )
    )


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An image takes three seconds to draw, unless nobody waits for it; gives the prompts in the order of drawing."""
    begun: list[str] = []

    def generate(self: Generator, *given: Any) -> GeneratedImage:
        begun.append(given[0])
        for step in range(60):
            time.sleep(0.05)
            given[-1](StepPreview(step + 1, 60, Image.new("RGB", (8, 8))))
        return drawn(self, *given)

    drawn = Generator.generate
    monkeypatch.setattr(Generator, "generate", generate)
    return begun


@pytest.fixture
def visitor(url: str) -> Caller:
    return Caller.of(url)


@pytest.fixture
def other(url: str) -> Caller:
    return Caller.of(url)
