"""Tables of recall and mean average precision: against a brute-force twin, by hand, and from released files."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import binomtest
from typer.testing import CliRunner

from attribution_core.add_one_in.cases import MadeImages, TestCase, read_manifest
from attribution_core.add_one_in.evaluation import (
    RECALL_AT,
    evaluate,
    rank_agreement,
    to_csv,
    to_json,
    to_markdown,
)
from attribution_core.add_one_in.metrics import average_precision, recall_at_k
from attribution_core.cli.main import app
from attribution_core.common.estimates import over_models, proportion, wilson_interval
from attribution_core.encoding.encoders import ENCODERS
from attribution_core.errors import CheckpointError, CollectionMismatchError, InvalidInputError
from attribution_core.mapping.heads import Head
from attribution_core.mapping.pair import MapperPair
from attribution_core.release.features import ReleasedTrainingFeatures
from tests.support.ranking import rank_exemplars_last

D = 12


def make_case(name="test_a", seed=0, models=6, exemplars=3, per_model=4, kinds=("gpt", "media")):
    rng = np.random.default_rng(seed)
    own = rng.normal(size=(models * exemplars, D)).astype(np.float32)
    chunks = np.arange(models)[:, None] * exemplars + np.array([0, exemplars])
    made = {}
    for kind in kinds:
        model = np.repeat(np.arange(models), per_model)
        near = own[model * exemplars] + rng.normal(size=(len(model), D)) * 1.5
        made[kind] = MadeImages(
            near.astype(np.float32), model, tuple(f"{kind}/{i}.png" for i in range(len(model)))
        )
    return TestCase(name, own, chunks, made, tuple(f"exemplar/{i}.png" for i in range(len(own))))


def training(n=500, seed=9):
    return np.random.default_rng(seed).normal(size=(n, D)).astype(np.float32)


def mappers(seed=4):
    rng = np.random.default_rng(seed)
    heads = [Head(np.eye(D) + 0.1 * rng.normal(size=(D, D)), 0.1 * rng.normal(size=D)) for _ in range(2)]
    return MapperPair(heads[0], heads[1], "clip-vit-b32")


def unit64(rows):
    return rows.astype(np.float64)


def save_case(case, path):
    torch.save(
        {
            "exemplar_paths": list(case.exemplar_paths),
            "exemplar_chunks": [tuple(int(v) for v in c) for c in case.chunks],
            "exemplar_tensors": torch.tensor(case.exemplars),
            "synth_paths": {k: list(m.paths) for k, m in case.made.items()},
            "synth_ids": {k: torch.tensor(m.model) for k, m in case.made.items()},
            "synth_tensors": {k: torch.tensor(m.features) for k, m in case.made.items()},
        },
        path,
    )
    return path


def test_figures_agree_with_a_brute_force_twin():
    cases = [make_case(), make_case("test_b", 1, models=3, exemplars=7, kinds=("gpt",))]
    pool, pair = training(), mappers()
    scores = evaluate(lambda: [pool[:123], pool[123:]], cases, pair, "tuned")
    assert [(s.case, s.kind, s.models, s.queries) for s in scores] == [
        ("test_a", "gpt", 6, 24),
        ("test_a", "media", 6, 24),
        ("test_b", "gpt", 3, 12),
    ]
    mapped = unit64(pair.map_training(pool))
    for score in scores:
        case = cases[score.case == "test_b"]
        made, own = case.made[score.kind], unit64(pair.map_training(case.exemplars))
        rows = []
        for query, model in zip(unit64(pair.map_query(made.features)), made.model, strict=True):
            start, end = case.chunks[model]
            everything = np.concatenate([mapped, own[start:end]])
            marks = np.arange(len(everything)) >= len(mapped)
            rows.append(rank_exemplars_last((everything * query).sum(axis=1), marks))
        assert score.mean_ap.value == pytest.approx(np.mean([average_precision(r) for r in rows]), abs=1e-9)
        for k, estimate, ceiling in zip(RECALL_AT, score.recall, score.ceiling, strict=True):
            assert estimate.value == pytest.approx(np.mean([recall_at_k(r, k) for r in rows]), abs=1e-9)
            assert estimate.low <= estimate.value <= estimate.high <= ceiling + 1e-12


def test_ceilings_are_those_of_the_number_of_exemplars():
    score = evaluate(lambda: [training()], [make_case(exemplars=20)], MapperPair.identity(D))[0]
    assert score.ceiling == pytest.approx((1 / 20, 5 / 20, 10 / 20, 1))


def test_the_training_set_is_read_once():
    reads = []

    def blocks():
        reads.append(1)
        return [training()]

    evaluate(blocks, [make_case(), make_case("b", 2)], MapperPair.identity(D))
    assert len(reads) == 1


def test_an_interval_over_models_is_that_of_their_means():
    # Two models, one always right, one always wrong: drawing models gives 0, 1/2 or 1.
    model = np.repeat([0, 1], 50)
    estimate = over_models((model == 0).astype(float), model)
    assert (estimate.low, estimate.value, estimate.high) == (0.0, 0.5, 1.0)
    alike = over_models(np.full(100, 0.25), model)
    assert (alike.low, alike.value, alike.high) == (0.25, 0.25, 0.25)


def test_metrics_that_order_methods_alike_agree_fully():
    cases = [make_case()]
    pairs = [
        MapperPair(Head(np.eye(D), np.full(D, shift)), Head(np.eye(D), np.zeros(D))) for shift in (0, 1, 5)
    ]
    scores = [evaluate(lambda: [training()], cases, pair)[0] for pair in pairs]
    table = rank_agreement(scores)
    assert table["mean_ap"]["mean_ap"] == pytest.approx(1)
    assert table["mean_ap"]["recall@10"] == pytest.approx(table["recall@10"]["mean_ap"], nan_ok=True)
    with pytest.raises(InvalidInputError, match="three or more"):
        rank_agreement(scores[:2])


def test_tables_hold_the_figures():
    cases = [make_case(exemplars=20)]
    scores = [
        *evaluate(lambda: [training()], cases, MapperPair.identity(D, "clip-vit-b32"), "pretrained"),
        *evaluate(lambda: [training()], cases, mappers(), "tuned"),
    ]
    lines = to_markdown(scores).splitlines()
    assert lines[0].startswith("| encoder | mapper | test_a, gpt: R@1 |")
    assert lines[2].startswith(f"| clip-vit-b32 | pretrained | {scores[0].recall[0].value:.3f} |")
    assert lines[3].startswith("| clip-vit-b32 | tuned |")
    assert lines[4].startswith("| ceiling |  | 0.050 | 0.250 |")
    assert len({line.count("|") for line in lines}) == 1
    rows = list(csv.DictReader(to_csv(scores).splitlines()))
    assert float(rows[0]["mean_ap"]) == pytest.approx(scores[0].mean_ap.value, abs=1e-6)
    assert float(rows[3]["recall@10_high"]) == pytest.approx(scores[3].recall[2].high, abs=1e-6)
    assert json.loads(to_json(scores))[0]["mean_ap"]["low"] == scores[0].mean_ap.low


def test_released_files_are_read_as_they_are(tmp_path):
    case, pool = make_case(), training()
    read = TestCase.from_release(save_case(case, tmp_path / "test_a.pth"))
    assert read.name == "test_a" and read.exemplar_paths == case.exemplar_paths
    assert np.array_equal(read.exemplars, case.exemplars) and np.array_equal(read.chunks, case.chunks)
    assert np.array_equal(read.made["media"].features, case.made["media"].features)
    torch.save(
        {"feats": torch.tensor(pool), "paths": [str(i) for i in range(len(pool))]}, tmp_path / "laion.pth"
    )
    released = ReleasedTrainingFeatures.open(tmp_path / "laion.pth")
    assert len(released) == 500 and released.paths[7] == "7"
    assert np.array_equal(np.concatenate(list(released.blocks(128))), pool)


def test_files_of_before_the_zip_format_are_read_too(tmp_path):
    torch.save(
        {"feats": torch.ones(3, 2), "paths": list("abc")},
        tmp_path / "old.pth",
        _use_new_zipfile_serialization=False,
    )
    assert len(ReleasedTrainingFeatures.open(tmp_path / "old.pth")) == 3


@pytest.mark.parametrize("lost", ["exemplar_chunks", "synth_ids", "exemplar_tensors", "exemplar_paths"])
def test_a_damaged_test_case_is_named(tmp_path, lost):
    path = save_case(make_case(), tmp_path / "test_a.pth")
    stored = torch.load(path)
    del stored[lost]
    torch.save(stored, path)
    with pytest.raises(CheckpointError, match=f"not a released test case.*{lost}"):
        TestCase.from_release(path)


def test_training_features_that_are_none_are_named(tmp_path):
    torch.save({"feats": torch.ones(3, 2), "paths": ["a"]}, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match="not a file of released training features"):
        ReleasedTrainingFeatures.open(tmp_path / "x.pth")


def test_a_case_that_does_not_fit_is_refused():
    case = make_case()
    with pytest.raises(CollectionMismatchError, match="12 columns"):
        evaluate(lambda: [training()], [case], MapperPair.identity(D + 1, "sscd"))
    with pytest.raises(InvalidInputError, match="nothing to evaluate"):
        evaluate(lambda: [training()], [], MapperPair.identity(D))
    with pytest.raises(InvalidInputError, match="outside"):
        TestCase("x", case.exemplars, [[0, 99]], case.made)
    with pytest.raises(InvalidInputError, match=r"not in 0\.\.0"):
        TestCase("x", case.exemplars, [[0, 1]], case.made)


def test_manifests_survive_a_round_trip_with_our_own_fields(tmp_path):
    rows = [
        {
            "exemplar": ["e/1.png"],
            "synth": {"gpt": ["s/1.png", "s/2.png"]},
            "class_id": "n01",
            "category": "cat",
            "split": "train",
        }
    ]
    (tmp_path / "test.json").write_text(json.dumps(rows))
    entries = read_manifest(tmp_path / "test.json")
    assert entries[0].made["gpt"] == ("s/1.png", "s/2.png") and entries[0].more == {"split": "train"}
    assert [entry.to_dict() for entry in entries] == rows
    (tmp_path / "bad.json").write_text('[{"exemplar": "e/1.png", "synth": {}}]')
    with pytest.raises(CheckpointError, match="not a manifest"):
        read_manifest(tmp_path / "bad.json")
    with pytest.raises(CheckpointError, match="does not exist"):
        read_manifest(tmp_path / "none.json")


def test_the_command_writes_tables_of_released_files(tmp_path, monkeypatch):
    small = replace(ENCODERS["clip-vit-b32"], dim=D)  # a mapper of another size than its encoder's is refused
    monkeypatch.setitem(ENCODERS, "clip-vit-b32", small)
    case = make_case()
    path = save_case(case, tmp_path / "test_a.pth")
    torch.save(
        {"feats": torch.tensor(training()), "paths": [str(i) for i in range(500)]}, tmp_path / "laion.pth"
    )
    pair = mappers()
    torch.save(
        {
            f"{name}_mapper": {"weight": torch.tensor(h.weight), "bias": torch.tensor(h.bias)}
            for name, h in (("real", pair.real), ("synth", pair.synth))
        },
        tmp_path / "clip_tuned.pth",
    )
    command = [
        "evaluate",
        str(path),
        "--training",
        str(tmp_path / "laion.pth"),
        "--encoder",
        "clip-vit-b32",
        "--mappers",
        str(tmp_path / "clip_tuned.pth"),
        "--out",
        str(tmp_path / "tables"),
    ]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    scores = evaluate(lambda: [training()], [case], pair, "clip_tuned")
    stored = json.loads((tmp_path / "tables/table.json").read_text())
    assert [row["mapper"] for row in stored] == ["pretrained", "pretrained", "clip_tuned", "clip_tuned"]
    assert stored[2]["mean_ap"]["value"] == pytest.approx(scores[0].mean_ap.value)
    assert (tmp_path / "tables/table.md").read_text() in done.output
    wrong = CliRunner().invoke(app, [*command[:5], "clip", *command[6:]])
    assert wrong.exit_code == 2 and "unknown encoder 'clip'" in wrong.output


def test_a_proportion_has_wilsons_interval():
    told = proportion(np.array([True] * 8 + [False] * 2))
    # By hand: z = 1.95996; centre (8 + z^2 / 2) / (10 + z^2), half width z / (10 + z^2) * sqrt(1.6 + z^2 / 4).
    assert (told.value, told.low, told.high) == pytest.approx((0.8, 0.49016, 0.94332), abs=1e-4)
    for right, count in ((0, 1), (1, 1), (3, 7), (40_000, 100_000)):
        low, high = wilson_interval(np.array([right / count]), np.array([count]))
        theirs = binomtest(right, count).proportion_ci(method="wilson")
        assert (low[0], high[0]) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert proportion(np.ones(50, bool)).low == pytest.approx(50 / (50 + 1.95996**2), abs=1e-4)
    with pytest.raises(InvalidInputError, match="at least one case"):
        proportion(np.zeros(0, bool))
