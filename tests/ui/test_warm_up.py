"""What the app prepares in the background when it starts."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from attribution_core.collection import derived_index
from attribution_core.encoding.encoders import load_encoder
from attribution_core.settings import Settings
from tests.support.fakes import ENCODER, fake_collection, shape_image
from ui.services.app import Services


def test_indexes_that_a_collection_leaves_out_are_made_before_anybody_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(derived_index, "CACHE", tmp_path / "indexes")
    collection = fake_collection(tmp_path / "shapes", n=30)
    features = load_encoder(ENCODER).encode([shape_image(i) for i in range(30)])
    for method in ("left out", "stored"):
        collection.add_method(method, encoder=ENCODER, features=features)
    shutil.rmtree(collection.index_folder("left out"))
    place = collection.index_folder("left out")
    services = Services.open(Settings(collection=collection.path))
    assert not place.exists()
    services.warm_up()
    for _ in range(600):
        if place.exists():
            break
        time.sleep(0.1)
    assert place.parent == tmp_path / "indexes" and place.is_dir()
    assert [path.suffix for path in place.parent.iterdir() if path != place] == [".lock"]
