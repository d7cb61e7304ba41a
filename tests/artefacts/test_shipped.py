"""What ships was made by the generator that ships: a stale calibration or example fails here."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from attribution_core.add_one_in.cases import read_manifest
from attribution_core.add_one_in.image_store import ImageStore
from attribution_core.analyses.memorization.copies import copy_encoder, threshold_of
from attribution_core.analyses.memorization.verdict import Memorization
from attribution_core.attribution.attributor import Attributor
from attribution_core.collection.collection import Collection
from attribution_core.common.cards import read_card, verify_files
from attribution_core.common.files import sha256_file
from attribution_core.common.images import read_image, read_recipe
from attribution_core.evidence.benchmark import Evidence
from attribution_core.evidence.memorization import FILE, MemorizationEvidence
from attribution_core.generation.generator import Generator
from attribution_core.generation.recipe import Recipe
from pocket.benchmark.plan import SPLITS
from pocket.examples import EXAMPLES, file_name

POCKET = Path(__file__).resolve().parents[2] / "checkpoints/pocket"
STORED = sorted((POCKET / "examples").glob("*.png"))


@pytest.fixture(scope="module")
def generator() -> Generator:
    return Generator.open(POCKET / "generator", device="cpu")


def test_the_temperature_was_fitted_on_images_of_the_shipped_generator(generator: Generator) -> None:
    methods = Collection.open(POCKET).methods
    assert len(methods) == 5
    for method in methods:
        collection = Collection.open(POCKET, method)
        card = read_card(collection.layout.calibrator(collection.method))
        assert card["generator_sha256"] == generator.sha256
        assert card["candidates"] == len(collection.index)
        assert card["benchmark_sha256"] == read_card(POCKET / "benchmark")["files"]
        assert card["temperature"] == collection.calibrator.temperature_


def test_evidence_is_of_the_methods_that_ship() -> None:
    collection, found = Collection.open(POCKET), Evidence.open(POCKET)
    assert found is not None and found.stored["own"] == collection.method
    assert {m.name for m in found.methods} == set(collection.methods)
    for method in found.methods:
        opened = Collection.open(POCKET, method.name)
        assert opened.calibrator.temperature_ == pytest.approx(method.temperature)


def test_the_benchmark_is_of_the_shipped_generator_and_whole(generator: Generator) -> None:
    folder = POCKET / "benchmark"
    card = read_card(folder)
    verify_files(folder)
    assert card["generator_sha256"] == generator.sha256
    models = [m for split in SPLITS for m in read_manifest(folder / f"{split}.json")]
    assert sum(not m.more["style"] for m in models) >= 300 and sum(m.more["style"] for m in models) >= 60
    assert all(sum(map(len, m.made.values())) >= 16 for m in models)
    assert sum(file.stat().st_size for file in folder.glob("*.parquet")) < 60e6
    store = ImageStore.open(folder, POCKET / "corpus")
    assert all(
        store[m.made["written"][0]].size == (64, 64) and store[m.exemplars[0]].size for m in models[::20]
    )


def test_the_fitted_temperature_helps_on_things_that_neither_mappers_nor_it_ever_saw() -> None:
    found = Evidence.open(POCKET)
    assert found is not None
    things = [t for t in found.method(found.stored["own"]).calibrated if t.case.endswith("_concept")]
    assert len(things) == 2
    for told in things:
        assert told.gain.low > 0, "the lower end of the gain's interval"
        assert told.calibrated.value < told.uncalibrated.value <= told.uniform
        assert told.after.misplaced < told.before.misplaced


def test_the_card_says_for_how_many_candidates_the_temperature_holds() -> None:
    collection = Collection.open(POCKET)
    holds = read_card(collection.layout.calibrator(collection.method))["holds_for_candidates"]
    assert holds["least"] <= len(collection.index) <= holds["most"] <= max(holds["tried"])


def test_the_region_test_is_of_the_corpus_and_the_methods_that_ship() -> None:
    told = json.loads((POCKET / "evidence/regions.json").read_text())
    assert told["corpus_sha256"] == {p.name: sha256_file(p) for p in (POCKET / "corpus").glob("*.parquet")}
    assert set(told["methods"]) == set(Collection.open(POCKET).methods)
    assert told["candidates"] == len(Collection.open(POCKET).index) + 1
    for method in told["methods"].values():
        assert method["true box"]["recall@1"]["low"] > method["whole image"]["recall@1"]["high"]


def test_the_second_opinion_was_measured_on_the_generator_that_ships(generator: Generator) -> None:
    told = json.loads((POCKET / "evidence/second_opinion.json").read_text())
    assert told["generator_sha256"] == generator.sha256
    assert told["method"] == Collection.open(POCKET).method
    for kind in ("planted", "tuned"):
        assert len(told[kind]["each"]) == told[kind]["images"] > 0
        assert all(row["loss"][1] > row["loss"][0] for row in told[kind]["each"]), "the image was forgotten"


def test_the_examples_are_those_of_the_recipe(generator: Generator) -> None:
    recipes = [read_recipe(path) for path in STORED]
    assert [path.name for path in STORED] == [
        file_name(k, prompt) for k, (prompt, _) in enumerate(EXAMPLES, 1)
    ]
    assert {recipe["generator_sha256"] for recipe in recipes} == {generator.sha256}


def test_the_first_example_can_be_made_again(generator: Generator) -> None:
    recipe = Recipe.from_dict(read_recipe(STORED[0]) or {})
    again = generator.generate(recipe.prompt, recipe.seed, recipe.steps, recipe.guidance).image
    difference = np.asarray(again, float) - np.asarray(read_image(STORED[0]), float)
    # Another processor rounds otherwise; eight other seeds of this prompt differ by 11 to 18.
    assert np.sqrt(np.square(difference).mean()) < 4


def test_a_training_image_is_its_own_nearest() -> None:
    collection = Collection.open(POCKET)
    for method in collection.methods:
        opened = Collection.open(POCKET, method)
        result = Attributor(opened, device="cpu").attribute(collection.corpus.image(4321), top=5)
        assert result.ids[0] == 4321
        # Learned mappers expect a generated image for a query, and turn a training image a little away from itself.
        assert opened.mappers.kind != "identity" or result.similarity[0] == pytest.approx(1, abs=5e-3)


def test_what_was_measured_of_memorization_is_of_the_shipped_generator(generator: Generator) -> None:
    collection, found = Collection.open(POCKET), MemorizationEvidence.open(POCKET)
    assert found is not None and found.generator_sha256 == generator.sha256
    stored = json.loads((POCKET / "evidence" / FILE).read_text())
    assert stored["copy_encoder"] == copy_encoder(collection)
    threshold = threshold_of(stored["copy_encoder"])
    assert threshold is not None and stored["threshold"] == threshold.value
    assert found.signals.at == (generator.defaults.steps, generator.defaults.guidance)
    groups = found.copies.groups
    assert groups["planted"].called > groups["training"].called >= groups["fresh"].called
    assert all(auc.low > 0.5 for auc in found.signals.auc.values()), (
        "the signal tells planted prompts from others"
    )


def test_drawing_again_less_like_it_helps_on_the_generator_that_ships(generator: Generator) -> None:
    told = json.loads((POCKET / "evidence/less_like.json").read_text())
    assert told["generator_sha256"] == generator.sha256
    assert told["copy_encoder"] == copy_encoder(Collection.open(POCKET))
    same, less = told["the same words"], told["less like it"]
    assert same["prompts"] == less["prompts"] == 40
    assert less["rate"]["high"] < same["rate"]["low"]


def test_copies_are_told_through_an_index_that_ships() -> None:
    collection = Collection.open(POCKET)
    checker = Memorization(collection, device="cpu")
    assert checker.is_quick
    planted = collection.corpus.column("planted").index("planted")
    told = checker.check(collection.corpus.image(planted).resize((96, 96)).convert("L"))
    assert told.is_copy and told.ids[0] == planted
