"""The pocket benchmark: its plan, models that resume, what is written, and what is learned from it."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from attribution_core.add_one_in.cases import MadeImages, TestCase, read_manifest
from attribution_core.add_one_in.image_store import ImageStore
from attribution_core.collection import derived_index
from attribution_core.collection.collection import Collection
from attribution_core.common.cards import read_card, verify_files, write_card
from attribution_core.corpus.corpus import Corpus
from attribution_core.errors import CheckpointError, InvalidInputError
from attribution_core.evidence.benchmark import Evidence
from attribution_core.generation.generator import Generator
from attribution_core.mapping.pair import MapperPair
from attribution_core.scoring.calibrator import Calibrator
from pocket.benchmark import make as benchmark
from pocket.benchmark.plan import KINDS, SPLITS, plan
from pocket.evidence import learn
from pocket.evidence import methods as evidence
from pocket.prompts import STYLE_TUNING, TUNING, benchmark_prompts
from tests.support.tiny_pipeline import SIDE, make_pocket_like

ROOT = Path(__file__).resolve().parents[2]
EXEMPLARS = ROOT / "checkpoints/pocket/corpus"
TINY = benchmark.Settings(
    each=2, untuned=1, steps=1, iterations=2, style_iterations=3, batch_size=2, beside=2
)


@pytest.fixture(scope="module")
def exemplars():
    return Corpus.open(EXEMPLARS, "exemplars")


@pytest.fixture(scope="module")
def models(exemplars):
    return plan(exemplars, 8)


def test_the_plan_is_as_large_as_promised_and_its_splits_share_no_exemplar(exemplars, models):
    objects = [m for m in models if not m.style]
    assert len(objects) >= 300 and len(models) - len(objects) == 60
    used = [i for m in models for i in m.exemplars]
    assert len(set(used)) == len(used) and all(len(m.exemplars) == 1 for m in objects)
    held_out = exemplars.column("held_out")
    why = {split: {held_out[m.exemplars[0]] for m in models if m.split == split} for split in SPLITS}
    assert why["test_seen_concept"] == {"style"} and why["test_unseen_concept"] == {"concept"}
    assert why["test_unseen_style"] == {"set"}
    concepts = {split: {m.class_id for m in models if m.split == split} for split in SPLITS}
    assert not concepts["test_unseen_concept"] & (concepts["train"] | concepts["validation"])


def test_what_may_not_be_trained_on_only_tests(models):
    assert {m.part for m in models if m.split in ("train", "validation")} == {"core"}
    assert {m.part for m in models if m.split == "test_unseen_style"} == {"by-sa", "gpl"}


@pytest.mark.parametrize("style", [False, True])
def test_prompts_of_tuning_training_and_test_are_disjoint(style):
    train, test = (benchmark_prompts(part, style) for part in ("train", "test"))
    lists = [*train.values(), *test.values(), STYLE_TUNING if style else TUNING]
    every = [p for prompts in lists for p in prompts]
    assert len(set(every)) == len(every)
    assert all("{token}" in p and "{object}" not in p and "{medium}" not in p for p in every)


def test_models_draw_prompts_of_their_own_part_half_of_each_kind(models):
    for model in models:
        prompts = benchmark_prompts("train" if model.split == "train" else "test", model.style)
        assert model.kinds == ("written",) * 8 + ("procedural",) * 8
        for prompt, kind in zip(model.prompts, model.kinds, strict=True):
            assert prompt in prompts[kind]
    seeds = [s for m in models for s in (*m.seeds, m.seed)]
    assert len(set(seeds)) > 0.999 * len(seeds)


def test_the_plan_follows_its_seed_and_a_limited_one_is_a_part_of_it(exemplars, models):
    assert plan(exemplars, 8) == models
    assert plan(exemplars, 8, seed=1) != models
    few = plan(exemplars, 8, limit=2)
    whole = {replace(m, number=0) for m in models}
    assert len(few) == 14 and {replace(m, number=0) for m in few} <= whole
    with pytest.raises(InvalidInputError, match="written prompts, 99 are wanted"):
        plan(exemplars, 99)


def row(i: int, **columns: str) -> dict:
    pixels = np.random.default_rng(i).integers(0, 255, (16, 16, 3), dtype=np.uint8)
    data = io.BytesIO()
    Image.fromarray(pixels).resize((32, 32), Image.Resampling.NEAREST).save(data, "PNG")
    return {
        "id": f"image-{i}",
        "image": {"bytes": data.getvalue(), "path": ""},
        "concept_label": "red cat",
        "part": "core",
        **columns,
    }


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    folder = tmp_path_factory.mktemp("collection")
    make_pocket_like(folder / "generator")
    Corpus.write(folder / "corpus/train-core.parquet", [row(i) for i in range(40)])
    known = [row(100 + i, held_out="style", concept=f"known {i}") for i in range(74)]
    unseen = [row(200 + i, held_out="concept", concept=f"new {i}") for i in range(21)]
    sets = [row(300 + i, held_out="set", exemplar_set=f"set {i // 2}") for i in range(18)]
    Corpus.write(folder / "corpus/exemplars-core.parquet", [*known, *unseen, *sets])
    Corpus.write(
        folder / "corpus/exemplars-gpl.parquet",
        [row(400 + i, held_out="set", exemplar_set="gpl set", part="gpl") for i in range(3)],
    )
    write_card(folder / "corpus", {"files": [file.name for file in (folder / "corpus").glob("*.parquet")]})
    return folder


@pytest.fixture(scope="module")
def small(collection):
    return plan(Corpus.open(collection / "corpus", "exemplars"), 2, limit=2)


def made_like_their_exemplars(models, exemplars):
    """What models would make that learned well: their exemplar, noisy; untuned ones resemble nothing."""
    made = []
    for model in models:
        rng = np.random.default_rng(model.number)
        shown = [np.asarray(exemplars.image(model.exemplars[k % len(model.exemplars)])) for k in range(4)]
        # One image in two is noise, or the exemplar would always come first and no temperature fit.
        tuned = [
            (rng.integers(0, 255, x.shape) if k % 2 else x) + rng.normal(0, 40, x.shape)
            for k, x in enumerate(shown)
        ]
        made.append(
            benchmark.Made(
                np.clip(tuned, 0, 255).astype(np.uint8),
                rng.integers(0, 255, (2, SIDE, SIDE, 3)).astype(np.uint8),
                np.zeros(2),
                1.0,
            )
        )
    return made


def test_models_are_tuned_draw_their_prompts_and_leave_the_generator_alone(collection, small):
    generator = Generator.open(collection / "generator", device="cpu")
    exemplars = Corpus.open(collection / "corpus", "exemplars")
    pair = [next(m for m in small if not m.style), next(m for m in small if m.style)]
    made = [done for model in pair for done in benchmark.make(generator, exemplars, [model], TINY)]
    for done, iterations in zip(made, (2, 3), strict=True):
        assert done.tuned.shape == (4, SIDE, SIDE, 3) and done.untuned.shape == (2, SIDE, SIDE, 3)
        assert done.losses.shape == (iterations,) and done.seconds > 0
        assert not np.array_equal(done.tuned[0], done.untuned[0])
    again = benchmark._draw(generator, pair[0], [0, 2], "", TINY)
    assert np.abs(again.astype(int) - made[0].untuned).max() <= 1


def test_a_killed_run_goes_on_with_what_is_missing(collection, small, tmp_path):
    few = small[:3]
    first = benchmark.make_all(collection, tmp_path, few, TINY, workers=1)
    files = sorted(tmp_path.rglob("*.npz"))
    assert len(files) == 3
    kept = {file: file.stat().st_mtime_ns for file in files[1:]}
    files[0].unlink()
    again = benchmark.make_all(collection, tmp_path, few, TINY, workers=1)
    assert {file: file.stat().st_mtime_ns for file in files[1:]} == kept
    for one, other in zip(first, again, strict=True):
        # Tuned beside others or alone, a model draws the same up to rounding.
        assert np.abs(one.tuned.astype(int) - other.tuned).mean() < 1


@pytest.fixture(scope="module")
def written(collection, small):
    exemplars = Corpus.open(collection / "corpus", "exemplars")
    made = made_like_their_exemplars(small, exemplars)
    benchmark.write(collection / "benchmark", collection, small, made, TINY)
    return collection, made


def test_what_is_written_reads_as_the_released_format_and_holds_all_images(written, small):
    collection, made = written
    folder = collection / "benchmark"
    verify_files(folder)
    store = ImageStore.open(folder, collection / "corpus")
    done = dict(zip([m.number for m in small], made, strict=True))
    for split in SPLITS:
        raw = json.loads((folder / f"{split}.json").read_text())
        entries = read_manifest(folder / f"{split}.json")
        models = [m for m in small if m.split == split]
        assert len(raw) == len(models) and all(
            {"exemplar", "synth", "class_id", "category"} <= set(r) for r in raw
        )
        for model, entry in zip(models, entries, strict=True):
            assert list(entry.made) == list(KINDS) and entry.more["style"] is model.style
            paths = [p for kind in KINDS for p in entry.made[kind]]
            for path, pixels in zip(paths, done[model.number].tuned, strict=True):
                assert np.abs(np.asarray(store[path]).astype(int) - pixels).mean() < 60  # WebP of noise
            assert all(store[p].size == (32, 32) for p in entry.exemplars)
            assert all(store[p].size == (SIDE, SIDE) for kind in KINDS for p in entry.more["untuned"][kind])
            assert entry.more["licence"] == ("GPL-2.0" if model.part == "gpl" else "CC-BY-4.0")
    card = read_card(folder)
    assert card["generator_sha256"] == Generator.open(collection / "generator").sha256
    assert sum(n for counts in card["models"].values() for n in counts.values()) == len(small)
    prompts = (folder / "prompts/object-written-test.txt").read_text().splitlines()
    assert tuple(prompts) == benchmark_prompts("test", False)["written"]
    assert len(list((folder / "prompts").iterdir())) == 10


class Thumbnail:
    """A deterministic encoder: 6 x 6 pixels."""

    name, dim = "efficientnet-lite0", 108

    def encode(self, images):
        return np.stack([np.asarray(i.resize((6, 6)), np.float32).ravel() - 127 for i in images])


@pytest.fixture(scope="module")
def gathered(written, tmp_path_factory):
    """The collection that the recipe builds around a tiny benchmark, with a tiny eye."""
    folder, work = written[0], tmp_path_factory.mktemp("features")
    variants = (learn.LINEAR, learn.Variant("channel", kind="channel"))
    encoders = {"efficientnet-lite0": variants, "rgb-thumbnail": (learn.LINEAR,)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learn, "load_encoder", lambda name: Thumbnail())
        patch.setattr(derived_index, "load_encoder", lambda name, device: Thumbnail())
        patch.setattr(derived_index, "CACHE", tmp_path_factory.mktemp("indexes"))
        patch.setitem(evidence.SHIPPED, "efficientnet-lite0", (evidence.PRETRAINED, evidence.LEARNED))
        collection = evidence.gather(folder, work, encoders, epochs=3)
        first = {p: p.read_bytes() for p in (folder / "evidence").iterdir()}
        stored = {p: p.stat().st_mtime_ns for p in work.iterdir()}
        evidence.gather(folder, work, encoders, epochs=3)
        assert {p: p.stat().st_mtime_ns for p in work.iterdir()} == stored
        assert {p: p.read_bytes() for p in (folder / "evidence").iterdir()} == first
        assert not list(folder.glob("methods/*/index")), "it follows from the rest"
        yield collection


def test_the_collection_attributes_by_what_did_best_on_validation(gathered):
    card, found = read_card(gathered.path), Evidence.open(gathered.path)
    assert gathered.method == card["method"] == found.stored["own"]
    reached = found.stored["validation"]["efficientnet-lite0"]
    best = max(("linear", "channel"), key=reached.get)
    own = max(("pretrained", best), key=reached.get)
    assert gathered.method == f"efficientnet-lite0, {own}"
    assert set(gathered.methods) == {f"efficientnet-lite0, {name}" for name in ("pretrained", best)}
    for method in found.methods:
        opened = Collection.open(gathered.path, method.name)
        assert opened.calibrator.temperature_ == pytest.approx(method.temperature, rel=1e-5)
        calibrator = read_card(opened.layout.calibrator(opened.method))
        assert calibrator["generator_sha256"] == read_card(gathered.path / "benchmark")["generator_sha256"]
        assert calibrator["candidates"] == 40
    kinds = {
        name: Collection.open(gathered.path, f"efficientnet-lite0, {name}").mappers.kind
        for name in ("pretrained", best)
    }
    assert kinds == {"pretrained": "identity", best: best}


def test_evidence_tells_what_the_test_models_say(gathered):
    found = Evidence.open(gathered.path)
    assert found.cases == learn.TEST_SPLITS and found.kinds("test_seen_concept") == KINDS
    assert len(found.scores) == (3 + 2) * 3 * 2  # methods, cases, kinds
    assert {s.mapper for s in found.scores} == {"pretrained", "linear", "channel"}
    for method in found.methods:
        seen, unseen = method.calibrated[:2]
        assert (seen.case, unseen.case) == ("test_seen_concept", "test_unseen_concept")
        # 40 training images and the exemplar.
        assert seen.uniform == pytest.approx(np.log(41), abs=1e-5)
        assert seen.gain.value == pytest.approx(seen.uncalibrated.value - seen.calibrated.value, abs=1e-4)
        assert seen.calibrated.value < seen.uncalibrated.value < seen.uniform
        assert seen.after.count.sum() == 41 * 8
    took = found.stored["tuning_took"]["test_seen_concept"]["object"]
    assert (
        took["similarity_tuned"] > took["similarity_untuned"] + 0.1 and took["images"] == took["models"] == 1
    )
    model = found.models("test_unseen_style")[0]
    assert found.images[model.made["written"][0]].size == (SIDE, SIDE)
    assert found.images[model.exemplars[0]].size == (32, 32)
    rows = (gathered.path / "evidence/tables.csv").read_text().splitlines()
    assert len(rows) == 1 + len(found.scores)


def test_evidence_that_is_missing_or_damaged(tmp_path):
    assert Evidence.open(tmp_path) is None
    (tmp_path / "evidence").mkdir()
    for text in (
        "no json",
        "[]",
        '{"scores": [{}], "methods": []}',
        '{"scores": [], "methods": [{"name": "x"}]}',
    ):
        (tmp_path / "evidence/evidence.json").write_text(text)
        with pytest.raises(CheckpointError, match="build it again"):
            Evidence.open(tmp_path)
    (tmp_path / "evidence/evidence.json").write_text('{"scores": [], "methods": []}')
    assert Evidence.open(tmp_path).scaling == {}
    (tmp_path / "evidence/scaling.json").write_text('{"method": "x"}')
    with pytest.raises(CheckpointError, match="numbers"):
        Evidence.open(tmp_path)


def test_candidates_are_the_training_set_and_the_querys_own_exemplars():
    axes = np.eye(4, dtype=np.float32)
    case = TestCase(
        "by hand",
        axes[[2, 3, 0]],
        np.array([[0, 2], [2, 3]]),
        {"written": MadeImages(axes[[2, 0]], np.array([0, 1]))},
    )
    found = learn.candidates(case, MapperPair.identity(4), axes[[0, 1]])
    assert found.similarity.tolist() == [[0, 0, 1, 0], [1, 0, 1, -1]]
    assert found.is_exemplar.tolist() == [[False, False, True, True], [False, False, True, False]]
    calibrator = Calibrator.from_temperature(0.5)
    told = learn.judge(calibrator, case, MapperPair.identity(4), axes[[0, 1]])
    # By hand: e^2 = 7.389; the first query has one exemplar at 1 and one at 0, the second has a twin at 1.
    first = -(np.log(7.389056 / (7.389056 + 3)) + np.log(1 / (7.389056 + 3))) / 2
    second = -np.log(7.389056 / (2 * 7.389056 + 1))
    # The empty place weighs e^-2 in the likelihood of so few candidates.
    padded = -np.log(7.389056 / (2 * 7.389056 + 1 + np.exp(-2)))
    assert told.calibrated.value == pytest.approx((first + padded) / 2, abs=1e-5)
    assert second < padded and told.uniform == pytest.approx((np.log(4) + np.log(3)) / 2)
    assert told.after.count.sum() == 8


def test_the_command_explains_itself():
    import typer

    for module in (benchmark, evidence):
        app = typer.Typer()
        app.command()(module.main)
        done = CliRunner().invoke(app, ["--help"])
        assert done.exit_code == 0 and "--collection" in done.output
