"""The recipe that holds unlearning against similarity: places without the decoy, by hand, and a run in small."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from attribution_core.analyses.unlearning.forget import LossChanges, UnlearningSettings
from attribution_core.analyses.unlearning.second_opinion import SecondOpinion
from attribution_core.attribution.attributor import Attributor
from attribution_core.collection.collection import Collection
from attribution_core.corpus.corpus import Corpus
from attribution_core.corpus.credit import Credit
from attribution_core.generation.generator import Generator
from pocket.benchmark import make as benchmark
from pocket.benchmark.plan import Model
from pocket.evidence.second_opinion import OpinionSettings, places, planted, summary, tuned
from tests.support.fakes import ENCODER, fake_collection, shape_rows
from tests.support.tiny_pipeline import make_pocket_like


def opinion() -> SecondOpinion:
    """Rows 4 (the right one) and 60 (its decoy) among others; the decoy is the most similar of all."""
    change = np.array([0.1, 0.4, 0.2, 0.5, 0.3, 0.0])
    return SecondOpinion(
        np.array([60, 4, 8, 9, 5, 6]),
        (Credit(),) * 6,
        np.array([True] * 5 + [False]),
        np.array([0.9, 0.8, 0.7, 0.8, 0.1, 0.2]),
        LossChanges(np.ones(6), 1 + change, 0.2, 0.3),
    )


def test_places_are_counted_without_the_decoy_and_ties_count_against() -> None:
    told = places(opinion(), 4, 60)
    assert told["place"] == {"similarity": 2, "unlearning": 2} and told["judged"] == 5
    assert told["above the decoy"] is True
    assert places(opinion(), 6, 60)["above the decoy"] is False
    missing = places(opinion(), 77, 60)
    assert missing["place"] == {"similarity": 6, "unlearning": 6} and missing["above the decoy"] is False


def test_summaries_count_first_places() -> None:
    rows = [places(opinion(), row, 60) for row in (9, 4)]
    told = summary(rows, 4.0)
    assert told["found"]["unlearning"]["first 1"]["value"] == 0.5
    assert told["found"]["similarity"]["first 1"]["value"] == 0.0
    assert told["found"]["similarity"]["first 10"]["value"] == 1.0
    assert told["seconds an image"] == 2.0 and told["images"] == 2
    json.dumps(told)


def test_both_tests_run_in_small(tmp_path: Path) -> None:
    rows = [
        {**row, "planted": "planted" if i < 3 else "", "short_caption": "red cat", "concept_label": "red cat"}
        for i, row in enumerate(shape_rows(60))
    ]
    collection = fake_collection(tmp_path / "shapes", n=60)
    Corpus.write(tmp_path / "shapes/corpus/train-core.parquet", rows)
    Corpus.write(tmp_path / "shapes/corpus/exemplars-core.parquet", rows[:4])
    opened = Attributor(Collection.open(collection.path), device="cpu")
    assert opened.collection.encoder_name == ENCODER
    generator = Generator.open(make_pocket_like(tmp_path / "generator"), device="cpu")
    held_out = Corpus.open(tmp_path / "shapes/corpus", split="exemplars")
    quick = UnlearningSettings(steps=1, batch_size=2, draws=1)
    settings = OpinionSettings(2, 2, 7, benchmark.Settings(each=1, steps=2, iterations=2), quick)
    first = planted(opened, generator, held_out, settings)
    assert len({row["source"] for row in first}) == 2
    prompts = ("a {token} {category}",)
    models = [
        Model(i, "test_unseen_concept", False, (i,), "red cat", (), prompts, (5,), 6, "", "core")
        for i in range(2)
    ]
    second = tuned(opened, generator, held_out, models, settings)
    for row in (*first, *second):
        assert 1 <= row["place"]["unlearning"] <= row["judged"] + 1
        assert row["judged"] >= 59
    assert summary(second, 1.0)["images"] == 2
