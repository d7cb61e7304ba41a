"""The measurement of `check-model`: how images are planted, and what is counted."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import load_file

from attribution_core.collection.collection import Collection
from pocket.evidence.check_model import LORA, LoraRecipe, measure, plant
from tests.support.fakes import copying_collection
from tests.support.tiny_pipeline import make_pocket_like

RECIPE = LoraRecipe(pairs=2, repeats=4, others=4, rank=2, steps=3, batch=4)


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copying_collection(tmp_path_factory.mktemp("planted") / "shapes", 24).path
    make_pocket_like(folder / "generator")
    return folder


def test_pairs_are_of_one_source_and_style_and_no_image_is_used_twice() -> None:
    corpus = Collection.open("checkpoints/pocket").corpus
    planted = plant(corpus, LoraRecipe(pairs=6, others=50))
    assert (len(planted.repeated), len(planted.matched), len(planted.others)) == (6, 6, 50)
    rows = [*planted.repeated, *planted.matched, *planted.others]
    assert len(set(rows)) == len(rows)
    for name in ("source", "style"):
        column = corpus.column(name)
        assert [column[i] for i in planted.repeated] == [column[i] for i in planted.matched]
    captions, marks = corpus.column("short_caption"), corpus.column("planted")
    assert all(captions.count(captions[i]) == 1 and not marks[i] for i in rows[:12])
    assert plant(corpus, LoraRecipe(pairs=6, others=50)) == planted
    assert plant(corpus, LoraRecipe(pairs=6, others=50, seed=8)) != planted


def test_the_lora_is_trained_checked_and_resumed(collection: Path, tmp_path: Path) -> None:
    result = measure(collection, tmp_path, RECIPE, 2)
    assert result["results"].keys() == {"with the LoRA", "without it"}
    for told in result["results"].values():
        assert told["repeated"]["images drawn"] == told["matched"]["images drawn"] == 4
        assert 0 <= told["repeated"]["copies of their own"]["low"] <= 1
    tensors = load_file(tmp_path / LORA)
    assert all(tensor.any() for tensor in tensors.values()), "all of it was trained"
    assert {tensor.shape[0] for name, tensor in tensors.items() if "lora_A" in name} == {2}
    drawn = {
        name: [p.read_bytes() for p in sorted((tmp_path / name / "images").iterdir())]
        for name in ("with-the-LoRA", "without-it")
    }
    assert drawn["with-the-LoRA"] != drawn["without-it"], "the LoRA was applied"
    assert measure(collection, tmp_path, RECIPE, 2)["results"] == result["results"]
