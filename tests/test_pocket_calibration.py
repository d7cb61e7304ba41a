"""The recipes that tune, calibrate and make examples: planned by seed, resumed after a kill."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from attribution_core.calibration import Calibrator
from attribution_core.cards import read_card
from attribution_core.corpus import Corpus
from attribution_core.errors import InvalidInputError
from attribution_core.evidence import Evidence
from attribution_core.generation import Generator, Recipe
from attribution_core.images import read_recipe
from attribution_core.index import TrainingIndex
from attribution_core.mappers import MapperPair
from pocket import addone, calibration, examples
from pocket.addone import AddOneSettings
from pocket.calibration import Queries, interval, ranking
from tests.tiny_pipeline import SIDE, make_pocket_like

TINY = AddOneSettings(models=6, images=2, steps=1, iterations=2, batch_size=2)


class Thumbnail:
    """A deterministic encoder: 4 x 4 pixels."""

    name = "thumbnail"

    def encode(self, images):
        """(n, 48) float32."""
        return np.stack(
            [np.asarray(i.convert("RGB").resize((4, 4)), np.float32).ravel() - 90 for i in images]
        )


def row(i: int, exemplar_set: str = "") -> dict:
    colour = np.random.default_rng(i).integers(0, 255, (16, 16, 3), dtype=np.uint8)
    data = io.BytesIO()
    Image.fromarray(colour).save(data, "PNG")
    return {
        "id": f"image-{i}",
        "image": {"bytes": data.getvalue(), "path": ""},
        "concept_label": "red cat",
        "exemplar_set": exemplar_set,
        "width": 16,
        "height": 16,
    }


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    folder = tmp_path_factory.mktemp("collection")
    make_pocket_like(folder / "generator")
    Corpus.write(folder / "corpus/train-core.parquet", [row(i) for i in range(40)])
    Corpus.write(
        folder / "corpus/exemplars-core.parquet",
        [row(100 + i, "a set" if i % 3 == 0 else "") for i in range(12)],
    )
    prompts = {
        "tuning": ["{token} {category}"],
        "test": ["blue {token} {category}", "{token} {category}, noto style", "a {token} {category}"],
    }
    (folder / "corpus/prompts.json").write_text(json.dumps(prompts))
    return folder


def make_all(collection: Path, work: Path):
    return addone.make_all(collection / "generator", collection / "corpus", work, TINY, workers=1)


def test_the_plan_takes_single_exemplars_and_follows_the_seed(collection):
    exemplars = Corpus.open(collection / "corpus", split="exemplars")
    templates = ["{token} a", "{token} b", "{token} c"]
    tasks = addone.plan(exemplars, templates, TINY)
    assert tasks == addone.plan(exemplars, templates, TINY)
    assert {exemplars.column("exemplar_set")[t.exemplar] for t in tasks} == {""}
    assert len({t.exemplar for t in tasks}) == 6
    assert all(len(set(t.prompts)) == 2 and set(t.prompts) <= set(templates) for t in tasks)
    assert len({s for t in tasks for s in (*t.seeds, t.seed)}) == 18
    assert [t.held_out for t in tasks] == [False, False, True] * 2
    with pytest.raises(InvalidInputError, match="9 single exemplars"):
        addone.plan(exemplars, templates, AddOneSettings(models=9))


def test_a_killed_run_goes_on_with_what_is_missing(collection, tmp_path, monkeypatch):
    whole = make_all(collection, tmp_path / "whole")
    real, calls = addone.make, []

    def dies_at_the_third(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(addone, "make", dies_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        make_all(collection, tmp_path / "killed")
    assert len(list((tmp_path / "killed").rglob("*.npz"))) == 2
    resumed = make_all(collection, tmp_path / "killed")
    assert len(calls) == 3 + 4
    for left, right in zip(whole, resumed, strict=True):
        assert left.task == right.task
        assert np.array_equal(left.tuned, right.tuned) and np.array_equal(left.losses, right.losses)
    assert [len(m.untuned) for m in resumed] == [0, 0, 2] * 2
    assert resumed[2].tuned.shape == resumed[2].untuned.shape == (2, SIDE, SIDE, 3)
    assert not np.array_equal(resumed[2].tuned, resumed[2].untuned)


def test_the_recipe_writes_a_calibrator_with_its_figures(collection, tmp_path, monkeypatch):
    monkeypatch.setattr(calibration, "load_encoder", lambda name: Thumbnail())
    train = Corpus.open(collection / "corpus")
    rows = Thumbnail().encode([train.image(i) for i in range(len(train))])
    pair = MapperPair.identity(48, encoder=calibration.ENCODER)
    pair.save(collection / "mappers")
    TrainingIndex.build(pair.map_training(rows), encoder=calibration.ENCODER).save(collection / "index")
    # Random weights learn nothing: the exemplar is planted as the image made, so that there is a signal.
    exemplars = Corpus.open(collection / "corpus", split="exemplars")
    real = addone.make

    def resembles(generator, exemplar, task, captions, settings):
        made = real(generator, exemplar, task, captions, settings)
        noise = np.random.default_rng(task.number).integers(-70, 70, made.tuned.shape)
        like = np.clip(np.asarray(exemplar.resize((SIDE, SIDE))).astype(int) + noise, 0, 255).astype(np.uint8)
        far = np.full_like(like[0], 255)
        # One query in two resembles nothing, or the exemplar would always come first and no temperature fit.
        return addone.Made(task, np.stack([like[0], far]), made.untuned, made.losses, made.seconds)

    monkeypatch.setattr(addone, "make", resembles)
    card = calibration.run(collection, tmp_path / "calibrator", tmp_path / "work", TINY, workers=1)
    loaded = Calibrator.load(tmp_path / "calibrator", encoder=calibration.ENCODER)
    figures = card["metrics"][calibration.ENCODER]
    assert loaded.temperature_ == figures["temperature"]
    assert read_card(tmp_path / "calibrator")["metrics"] == json.loads(json.dumps(card["metrics"]))
    assert card["candidates"] == 41 and card["models"] == {"fit": 4, "held_out": 2}
    assert set(card["exemplars"]["fit"]).isdisjoint(card["exemplars"]["held_out"])
    assert set(card["exemplars"]["fit"]) <= set(exemplars.column("id"))
    assert figures["held_out_tuned"]["recall@1"] > figures["held_out_untuned"]["recall@1"]
    assert card["generator_sha256"] == Generator.open(collection / "generator").sha256
    assert (tmp_path / "work/sheet.png").stat().st_size > 0
    # An exact scan of the same rows: the baseline, which skips the index, must find the same.
    baseline = card["metrics"][calibration.BASELINE]
    assert baseline["temperature"] == pytest.approx(figures["temperature"], rel=1e-3)
    assert all(baseline[k] == figures[k] for k in ("held_out_tuned", "held_out_untuned", "fit_tuned"))
    assert str(tmp_path) not in (tmp_path / "calibrator/card.json").read_text()
    told = Evidence.open(tmp_path)
    assert told.told["own"] == calibration.method_name(calibration.ENCODER) and told.cases == ("held_out",)
    found = {s.encoder: s for s in told.scores}
    assert set(found) == {calibration.ENCODER, calibration.BASELINE, *calibration.OTHERS}
    assert found[calibration.ENCODER].recall[0].value == figures["held_out_tuned"]["recall@1"]
    # Every other query is white: of the others, each finds its exemplar first.
    assert found[calibration.ENCODER].mean_ap.value >= 0.5 and found[calibration.ENCODER].models == 2
    judged = told.method(calibration.method_name(calibration.ENCODER)).calibrated[0]
    assert judged.calibrated.value == pytest.approx(figures["held_out_nll_after"][0], abs=1e-4)
    assert judged.after.count.sum() == 41 * 4


def test_ranks_count_ties_against_the_exemplar():
    similarity = np.array([[0.1, 0.2, 0.9], [0.5, 0.2, 0.5], [0.9, 0.8, 0.1]], dtype=np.float32)
    queries = Queries(similarity, np.array([0, 1, 2]), np.array([False, True, True]))
    assert queries.rank.tolist() == [1, 2, 3]
    assert ranking(queries) == {
        "recall@1": pytest.approx(1 / 3, abs=1e-4),
        "recall@5": 1.0,
        "recall@10": 1.0,
        "recall@100": 1.0,
        "median_rank": 2.0,
    }
    assert queries.of(held_out=True).rank.tolist() == [2, 3]
    assert queries.is_exemplar.sum(axis=1).tolist() == [1, 1, 1] and queries.is_exemplar[:, -1].all()


def test_the_interval_is_over_models_not_queries():
    rng = np.random.default_rng(0)
    model = np.repeat(np.arange(20), 50)
    values = np.repeat(rng.normal(size=20), 50)
    mean, low, high = interval(values, model, seed=0)
    assert mean == pytest.approx(values.mean(), abs=1e-3) and low < mean < high
    # 1,000 queries of 20 models tell as much as 20 numbers do: two standard errors of 20.
    assert high - low == pytest.approx(2 * 1.96 * values[::50].std() / np.sqrt(20), rel=0.15)
    assert interval(values, model, seed=0) == [mean, low, high]


def test_examples_carry_the_recipe_that_repeats_them(collection, tmp_path):
    generator = Generator.open(collection / "generator")
    files = examples.make_examples(generator, tmp_path)
    assert len({f.name for f in files}) == len(examples.EXAMPLES) >= 8
    recipe = Recipe.from_dict(read_recipe(files[0]))
    assert recipe.prompt == examples.EXAMPLES[0][0] and recipe.generator_sha256 == generator.sha256
    again = generator.generate(recipe.prompt, recipe.seed, recipe.steps, recipe.guidance)
    assert again.image.tobytes() == Image.open(files[0]).convert("RGB").tobytes()
