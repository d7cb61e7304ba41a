"""Add-one-in queries against an index: the exact twin over all candidates, and the command that fits on them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from attribution_core.add_one_in.cases import MadeImages, TestCase
from attribution_core.add_one_in.queries import add_one_in
from attribution_core.attribution.attributor import Attributor
from attribution_core.cli.main import app
from attribution_core.collection.collection import Collection
from attribution_core.common.cards import read_card
from attribution_core.encoding.encoders import load_encoder
from attribution_core.errors import CollectionMismatchError, InvalidInputError
from attribution_core.mapping.heads import Head, MapperKind
from attribution_core.mapping.pair import MapperPair
from attribution_core.retrieval.index import TrainingIndex
from attribution_core.scoring.calibrator import Calibrator
from tests.support.fakes import ENCODER, fake_collection, shape_image

DIM, N = 6, 80


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def made_case(seed: int, own: tuple[int, ...] = (1, 3, 2), made: int = 3) -> tuple[TestCase, np.ndarray]:
    """Models with so many exemplars each, images near them in two kinds, and a training set."""
    rng = np.random.default_rng(seed)
    ends = np.cumsum(own)
    exemplars = rng.normal(size=(ends[-1], DIM)).astype(np.float32)
    chunks = np.stack([ends - own, ends], axis=1)
    kinds = {}
    for kind in ("written", "procedural"):
        model = np.repeat(np.arange(len(own)), made)
        near = exemplars[chunks[model, 0]] + 0.6 * rng.normal(size=(len(model), DIM))
        kinds[kind] = MadeImages(near.astype(np.float32), model)
    return TestCase("made", exemplars, chunks, kinds), unit(rng.normal(size=(N, DIM)))


def every_candidate(case: TestCase, training: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Each query's similarities to its exemplars and to all training images, query by query."""
    pair = MapperPair.identity(DIM)
    own, rows = pair.map_training(case.exemplars), []
    for made in case.made.values():
        for query, model in zip(pair.map_query(made.features), made.model, strict=True):
            start, end = case.chunks[model]
            rows.append((own[start:end] @ query, training @ query))
    return rows


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**16), listed=st.integers(5, N + 5), temperature=st.floats(0.02, 1))
def test_influences_of_exemplars_equal_those_over_all_candidates(seed, listed, temperature):
    case, training = made_case(seed)
    queries = add_one_in(case, MapperPair.identity(DIM), TrainingIndex.build(training, "Flat"), listed)
    ours = queries.nll(Calibrator(), temperature)
    for k, (own, others) in enumerate(every_candidate(case, training)):
        everything = np.concatenate([own, others]).astype(np.float64) / temperature
        twin = np.logaddexp.reduce(everything) - own.astype(np.float64).mean() / temperature
        # The rest stands for its bins' means: 4,096 bins of one query's range.
        assert ours[k] == pytest.approx(twin, abs=1e-4)
        assert queries.is_exemplar[k].sum() == len(own)
        assert np.sort(queries.similarity[k][queries.is_exemplar[k]]) == pytest.approx(np.sort(own), abs=1e-6)
    assert queries.model.tolist() == [*np.repeat([0, 1, 2], 3)] * 2
    assert (queries.rest.total + queries.similarity.shape[1] - queries.is_exemplar.sum(1) == N).all()


def test_the_temperature_is_that_of_the_whole_softmax():
    case, training = made_case(3, own=(1,) * 30, made=2)
    queries = add_one_in(case, MapperPair.identity(DIM), TrainingIndex.build(training, "Flat"), 20)
    rows = [np.concatenate(row) for row in every_candidate(case, training)]
    marks = np.zeros((len(rows), N + 1), bool)
    marks[:, 0] = True
    twin = Calibrator().fit(np.array(rows), marks)
    assert queries.fit().temperature_ == pytest.approx(twin.temperature_, rel=1e-4)


def test_what_does_not_fit_is_said():
    case, training = made_case(1)
    index, pair = TrainingIndex.build(training, "Flat"), MapperPair.identity(DIM)
    with pytest.raises(CollectionMismatchError, match="case 'made' has 6 columns"):
        add_one_in(case, MapperPair.identity(4), index)
    with pytest.raises(InvalidInputError, match="listed"):
        add_one_in(case, pair, index, 0)
    with pytest.raises(InvalidInputError, match="a model has 3 exemplars, too many"):
        add_one_in(case, pair, index, 2)
    with pytest.raises(InvalidInputError, match="no generated images"):
        add_one_in(TestCase("empty", case.exemplars, case.chunks, {}), pair, index)


def write_models(folder, numbers, name):
    """Models whose made images are their exemplar, or in one of three cases something else."""
    entries = []
    for k in numbers:
        shape_image(1000 + k).save(folder / f"{k}-e.png")
        shape_image(1000 + k if k % 3 else k).save(folder / f"{k}-m.png")
        entries.append(
            {
                "exemplar": [f"{k}-e.png"],
                "synth": {"written": [f"{k}-m.png"]},
                "class_id": str(k),
                "category": "shape",
            }
        )
    (folder / name).write_text(json.dumps(entries))
    return folder / name


def test_the_command_fits_a_collections_temperature_and_never_overwrites_one_unasked(tmp_path):
    fake_collection(tmp_path / "shapes", n=60, temperature=None)
    fit, test = (
        write_models(tmp_path, range(12), "fit.json"),
        write_models(tmp_path, range(12, 20), "test.json"),
    )
    command = [
        "calibrate",
        str(fit),
        "--test",
        str(test),
        "--collection",
        str(tmp_path / "shapes"),
        "--images",
        str(tmp_path),
        "--listed",
        "20",
    ]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    card = read_card(tmp_path / "shapes/calibrator")
    assert card["models"] == 12 and card["candidates"] == 60
    before, after = (
        card["fit: -log influence of the exemplars"][k]["value"] for k in ("uncalibrated", "calibrated")
    )
    assert after < before and f"temperature {card['temperature']:.6g}" in done.output
    opened = Collection.open(tmp_path / "shapes")
    assert Attributor(opened).attribute(shape_image(3), top=5).temperature == card["temperature"]
    again = CliRunner().invoke(app, command)
    assert again.exit_code == 2 and "--replace" in again.output
    assert CliRunner().invoke(app, [*command, "--replace"]).exit_code == 0
    elsewhere = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "other")])
    assert elsewhere.exit_code == 0 and Calibrator.load(tmp_path / "other", ENCODER).is_fitted


def test_the_command_says_what_is_missing(tmp_path):
    fake_collection(tmp_path / "shapes", n=20, temperature=None)
    models = write_models(tmp_path, range(4), "fit.json")
    command = ["calibrate", str(models), "--collection", str(tmp_path / "shapes")]
    without = CliRunner().invoke(app, command)
    assert without.exit_code == 2 and "--images" in without.output
    assert not (tmp_path / "shapes/calibrator").exists()
    nowhere = CliRunner().invoke(
        app,
        [
            "calibrate",
            str(tmp_path / "none.json"),
            "--collection",
            str(tmp_path / "shapes"),
            "--images",
            str(tmp_path),
        ],
    )
    assert nowhere.exit_code == 2 and "does not exist" in nowhere.output


def test_released_features_need_no_images(tmp_path):
    torch = pytest.importorskip("torch")
    collection = fake_collection(tmp_path / "shapes", n=40, temperature=None)
    features = load_encoder(ENCODER).encode([shape_image(1000 + k if k % 3 else k) for k in range(9)])
    exemplars = load_encoder(ENCODER).encode([shape_image(1000 + k) for k in range(9)])
    torch.save(
        {
            "exemplar_paths": [str(k) for k in range(9)],
            "exemplar_chunks": [(k, k + 1) for k in range(9)],
            "exemplar_tensors": torch.from_numpy(exemplars),
            "synth_paths": {"gpt": [str(k) for k in range(9)]},
            "synth_ids": {"gpt": list(range(9))},
            "synth_tensors": {"gpt": torch.from_numpy(features)},
        },
        tmp_path / "test_shapes.pth",
    )
    done = CliRunner().invoke(
        app, ["calibrate", str(tmp_path / "test_shapes.pth"), "--collection", str(collection.path)]
    )
    assert done.exit_code == 0, done.output
    assert Collection.open(collection.path).calibrator.is_fitted


def test_manifests_are_evaluated_against_a_collection(tmp_path):
    collection = fake_collection(tmp_path / "shapes", n=60)
    models = write_models(tmp_path, range(9), "test.json")
    command = [
        "evaluate",
        str(models),
        "--collection",
        str(collection.path),
        "--images",
        str(tmp_path),
        "--out",
        str(tmp_path / "tables"),
    ]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    (row,) = json.loads((tmp_path / "tables/table.json").read_text())
    assert (row["encoder"], row["mapper"], row["models"], row["queries"]) == (ENCODER, "pretrained", 9, 9)
    # Six of nine images are their exemplar; the other three are training images.
    assert row["recall"][0]["value"] == pytest.approx(6 / 9)
    features = load_encoder(ENCODER).encode([collection.corpus.image(i) for i in range(60)])
    scaled = Head(np.ones(768, np.float32), np.full(768, 0.01, np.float32))
    collection.add_method(
        "shifted",
        encoder=ENCODER,
        features=features,
        mappers=MapperPair(scaled, scaled, ENCODER, MapperKind.CHANNEL),
    )
    assert CliRunner().invoke(app, command).exit_code == 0
    assert [r["mapper"] for r in json.loads((tmp_path / "tables/table.json").read_text())] == [
        "pretrained",
        "shifted",
    ]
    for wrong, words in (
        (command[:2], "either --training"),
        (command[:4], "--images"),
        ([*command[:2], "--training", "x.pth"], "--encoder"),
    ):
        refused = CliRunner().invoke(app, wrong)
        assert refused.exit_code == 2 and words in refused.output
