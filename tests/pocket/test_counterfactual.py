"""The benchmark of left-out training images: its plan, and the score of predictions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from PIL import Image
from scipy.stats import spearmanr

from attribution_core.collection.layout import CollectionLayout
from attribution_core.common.estimates import Estimate
from attribution_core.common.files import write_json_atomic
from attribution_core.common.json_text import read_json
from attribution_core.corpus.corpus import Corpus
from attribution_core.errors import CheckpointError, UnknownNameError
from attribution_core.evidence.counterfactual import FILE, CounterfactualEvidence, sheet
from attribution_core.settings import Settings
from pocket.counterfactual import models
from pocket.counterfactual.data import Data, Packed
from pocket.counterfactual.groups import group_test
from pocket.counterfactual.lds import estimate, lds, rank_correlations
from pocket.counterfactual.made import draw, prompted
from pocket.counterfactual.plan import CONCEPTS, HALVES, STYLES, TWICE, WITHOUT_CONCEPT, Plan, Run
from pocket.counterfactual.report import OWN, sheets, table
from pocket.counterfactual.scores import DAMPING, NOISE, Images, forgetting, methods
from pocket.generator.autoencoder import AutoencoderRecipe, new_autoencoder
from pocket.generator.denoiser import Recipe, TrainingSet, UNetShape, new_unet


@pytest.fixture(scope="module")
def plan() -> Plan:
    corpus = Corpus.open(CollectionLayout(Settings().collection).corpus)
    return Plan.of(*(corpus.column(name) for name in ("style", "concept", "planted")))


def test_every_concept_is_there_in_every_style_once(plan: Plan) -> None:
    assert len(set(plan.rows)) == len(plan.rows) == CONCEPTS * len(STYLES)
    pairs = set(zip(plan.styles.tolist(), plan.concepts.tolist(), strict=True))
    assert pairs == {(style, concept) for style in STYLES for concept in set(plan.concepts.tolist())}
    assert not set(plan.held_out) & set(plan.rows) and len(set(plan.held_out)) == 100


def test_models_see_halves_or_all_but_a_group(plan: Plan) -> None:
    runs = list(plan.runs())
    assert len({run.name for run in runs}) == len(runs) == 2 + HALVES + TWICE + len(STYLES) + WITHOUT_CONCEPT
    by_name = {run.name: run for run in runs}
    assert all(run.kept.sum() == len(plan.rows) // 2 for run in runs if run.name.startswith("half"))
    one, again = by_name["half-03"], by_name["half-03-again"]
    assert (one.kept == again.kept).all() and one.seed != again.seed
    assert set(plan.styles[~by_name["without-fluent-flat"].kept]) == {"fluent flat"}
    assert sum((~run.kept).sum() == len(STYLES) for run in runs) == WITHOUT_CONCEPT
    seen = np.mean([run.kept for run in runs if run.name.startswith("half")], axis=0)
    assert seen.min() > 0.2 and seen.max() < 0.8, "no image is in nearly all halves or in hardly any"


def test_too_few_concepts_are_refused() -> None:
    with pytest.raises(ValueError, match="expected more than"):
        Plan.of(list(STYLES), ["cat"] * len(STYLES), [""] * len(STYLES))


def test_a_model_sees_its_images_alone_and_is_trained_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = UNetShape((16, 16, 32), (False, True, True), pooled_text=True)
    monkeypatch.setattr(models, "RECIPE", Recipe(small, batch=4, samples=12))
    seen: list[torch.Tensor] = []

    class Watched(TrainingSet):
        def draw(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            seen.append(rows)
            return super().draw(rows)

        def to(self, device: torch.device) -> TrainingSet:
            return self

    torch.manual_seed(0)
    states = torch.randn(6, 24, 384).half()
    data = Watched(torch.randn(6, 4, 16, 16), states, states, states[:1], torch.arange(6))
    device = torch.device("cpu")
    run = Run("half", np.array([True, False, True, True, False, False]))
    models.train(run, data, tmp_path, device)
    assert set(torch.cat(seen).tolist()) == {0, 2, 3}
    assert [path.name for path in tmp_path.iterdir()] == ["half.safetensors"]
    written = (tmp_path / "half.safetensors").read_bytes()
    models.train(run, data, tmp_path, device)
    assert len(seen) == 3 and (tmp_path / "half.safetensors").read_bytes() == written
    models.train(replace(run, name="again", seed=1), data, tmp_path, device)
    one, again = (
        models.losses(models.load(replace(run, name=name), tmp_path, device), data.latents, states, device)
        for name in ("half", "again")
    )
    assert one.shape == (6, len(models.TIMES)) and np.isfinite(one).all()
    assert not np.allclose(one, again), "another seed is another model"


def test_packed_images_come_back_in_the_plans_order(tmp_path: Path, plan: Plan) -> None:
    small = replace(plan, rows=plan.rows[:3], held_out=plan.held_out[:2])
    rng = np.random.default_rng(0)
    latents = rng.normal(size=(5, 4, 16, 16)).astype(np.float16)
    packed = Packed(small, latents, np.arange(1, 6), np.arange(6, 11))
    packed.save(tmp_path / "packed.npz")
    read = Packed.load(tmp_path / "packed.npz")
    assert read.plan.styles.tolist() == plan.styles.tolist() and read.short.tolist() == [1, 2, 3, 4, 5]
    data = read.unpacked(torch.arange(11).reshape(11, 1, 1).half())
    assert data.training.short.flatten().tolist() == [1, 2, 3]
    assert data.held_out.long.flatten().tolist() == [9, 10]
    assert data.training.empty.flatten().tolist() == data.held_out.empty.flatten().tolist() == [0]
    np.testing.assert_array_equal(data.held_out.latents.numpy(), latents[3:].astype(np.float32))


def test_the_full_model_is_first_and_what_it_draws_is_asked_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = UNetShape((16, 16, 32), (False, True, True), pooled_text=True)
    monkeypatch.setattr(models, "RECIPE", Recipe(shape, batch=4, samples=8))
    styles, concepts = np.array(["noto", "blob"] * 2), np.array(["cat", "cat", "dog", "dog"])
    everything = np.ones(4, bool)

    class Two(Plan):
        def left_out(self) -> list[str]:
            return ["cat"]

        def runs(self) -> Iterator[Run]:
            yield Run("full", everything)
            yield Run("without-noto", styles != "noto")
            yield Run("half-00", np.array([True, False, False, True]), draws=False)

    plan = Two(np.arange(4), styles, concepts, np.arange(4, 6))
    examples = [
        TrainingSet(torch.randn(n, 4, 16, 16), states, states, states[:1], torch.arange(n))
        for n in (4, 2)
        for states in [torch.randn(n, 24, 384).half()]
    ]
    data, device = Data(plan, *examples), torch.device("cpu")
    with pytest.raises(ValueError, match="begin with part 1"):
        models.train_and_measure(data, tmp_path, device, "2/2")
    models.train_and_measure(data, tmp_path, device, until=0)
    assert not list(tmp_path.glob("*.npz"))
    models.train_and_measure(data, tmp_path, device, "1/2")
    assert {path.stem for path in tmp_path.glob("*.npz")} == {"full", "without-noto"}
    models.train_and_measure(data, tmp_path, device, "2/2")
    found = {path.stem: np.load(path) for path in tmp_path.glob("*.npz")}
    assert found["full"]["drawn"].shape == found["without-noto"]["drawn"].shape == (2, 4, 16, 16)
    assert set(found["half-00"].files) == {"made", "held_out"}
    assert found["half-00"]["made"].shape == found["half-00"]["held_out"].shape == (2, len(models.TIMES))
    full = models.load(Run("full", everything), tmp_path, device)
    drawn = torch.from_numpy(found["full"]["drawn"]).float()
    np.testing.assert_array_equal(models.losses(full, drawn, data.prompts, device), found["full"]["made"])


def test_scores_that_predict_the_losses_have_the_score_1_and_others_less() -> None:
    rng = np.random.default_rng(0)
    kept = rng.random((40, 30)) < 0.5
    worth = rng.normal(size=(5, 30))
    loss = 3 - worth @ kept.T
    assert lds(worth, kept, loss) == pytest.approx(np.ones(5))
    assert lds(-worth, kept, loss) == pytest.approx(-np.ones(5))
    assert lds(np.ones((5, 30)), np.ones((40, 30), bool), loss) == pytest.approx(np.zeros(5))
    assert np.abs(lds(rng.normal(size=(5, 30)), kept, loss)).max() < 0.6
    assert rank_correlations(loss, loss) == pytest.approx(np.ones(5))


def test_rank_correlations_are_scipys_and_0_where_a_row_is_constant() -> None:
    rng = np.random.default_rng(3)
    one, other = rng.integers(0, 6, (4, 20)).astype(float), rng.normal(size=(4, 20))
    one[3] = 1.0
    expected = [*(spearmanr(a, b).statistic for a, b in zip(one[:3], other[:3], strict=True)), 0.0]
    assert rank_correlations(one, other) == pytest.approx(expected)


def test_a_rank_correlation_by_hand() -> None:
    # Predicted order of the models: 1, 2, 3; actual: 1, 3, 2. Spearman: 1 - 6 * 2 / (3 * 8) = 0.5.
    kept = np.array([[True, True], [True, False], [False, False]])
    assert lds(np.array([[2.0, 1.0]]), kept, np.array([[0.1, 0.9, 0.5]])) == pytest.approx([0.5])


def test_an_estimate_has_an_interval_around_it_that_narrows_with_more_models() -> None:
    rng = np.random.default_rng(1)
    loss = rng.normal(size=(50, 60))
    noisy = loss + rng.normal(size=loss.shape)
    few, many = estimate(loss[:, :8], noisy[:, :8]), estimate(loss, noisy)
    assert few.low < few.value < few.high and many.high - many.low < few.high - few.low
    assert many.value == pytest.approx(rank_correlations(loss, noisy).mean())


def test_the_credited_group_is_compared_with_the_one_that_is_missed_most() -> None:
    scores = np.array([[3.0, 3.0, 1.0, 1.0], [0.0, 1.0, 5.0, 0.0]])  # of groups: 6 and 2, 1 and 5
    groups = np.array([[True, True, False, False], [False, False, True, True]])
    without = np.array(
        [[1.5, 1.1], [2.4, 2.2]]
    )  # the first image misses the first group, and so does the second
    found = group_test(scores, groups, np.array([1.0, 2.0]), without)
    assert (found.right.value, found.chance) == (0.5, 0.5)
    assert found.rise.value == pytest.approx((0.5 + 0.1) / 2)
    assert found.of_others.value == pytest.approx((0.1 + 0.2) / 2)


@pytest.mark.parametrize("groups", [[[True, False]], [[True, True], [False, True]]])
def test_one_group_and_groups_of_two_sizes_are_refused(groups: list[list[bool]]) -> None:
    with pytest.raises(ValueError, match="all of one size"):
        group_test(np.ones((1, 2)), np.array(groups), np.ones(1), np.ones((1, len(groups))))


@pytest.fixture(scope="module")
def small() -> UNet2DConditionModel:
    torch.manual_seed(0)
    model = new_unet(UNetShape((16, 16, 32), (False, True, True), pooled_text=True))
    torch.nn.init.normal_(model.conv_out.weight, std=0.05)
    return model.eval()


def some_images(count: int, seed: int) -> Images:
    drawing = torch.Generator().manual_seed(seed)
    pictures = [Image.new("RGB", (64, 64), (seed * 40 + k * 9, 90, 30)) for k in range(count)]
    latents, states = torch.randn(count, 4, 16, 16, generator=drawing), torch.randn(count, 24, 384)
    return Images(pictures, latents, states)


def test_a_copy_of_a_training_image_is_credited_to_it_by_every_method(small: UNet2DConditionModel) -> None:
    training, device = some_images(5, 1), torch.device("cpu")
    query = Images(training.pictures[3:4], training.latents[3:4], training.states[3:4])
    layout = CollectionLayout.read(Settings().collection)
    for name, method in methods(layout, small, device).items():
        if name in layout.methods:  # they see nothing in images of one colour
            continue
        tables = list(method(query, training))
        assert len(tables) == {"patches": len(NOISE), "thumbnail": 1, "forgetting": 1}.get(name, len(DAMPING))
        for setting, scores in tables:
            assert scores.shape == (1, 5) and np.isfinite(scores).all(), (name, setting)
            assert scores[0].argmax() == 3, (name, setting)


def test_forgetting_an_image_costs_it_more_than_others_and_leaves_the_model(
    small: UNet2DConditionModel,
) -> None:
    training, device = some_images(4, 2), torch.device("cpu")
    query = Images(training.pictures[:1], training.latents[:1], training.states[:1])
    before = {name: weight.clone() for name, weight in small.state_dict().items()}
    ((_, scores),) = forgetting(small, query, training, device)
    assert scores.shape == (1, 4) and scores[0].argmax() == 0
    assert all(torch.equal(weight, before[name]) for name, weight in small.state_dict().items())


def test_a_caption_is_drawn_from_the_same_noise_by_every_model(small: UNet2DConditionModel) -> None:
    states, device = torch.randn(3, 24, 384), torch.device("cpu")
    one, again = (draw(small, states, torch.zeros(1, 24, 384), device) for _ in range(2))
    assert one.shape == (3, 4, 16, 16) and torch.equal(one, again)
    torch.testing.assert_close(draw(small, states[:1], torch.zeros(1, 24, 384), device), one[:1])


def test_prompts_are_of_left_out_concepts_in_every_style(plan: Plan) -> None:
    places = prompted(plan)
    assert len(places) == WITHOUT_CONCEPT * len(STYLES)
    assert set(plan.concepts[places].tolist()) == set(plan.left_out())


def test_the_table_rewards_scores_that_are_right_and_is_read_back(plan: Plan, tmp_path: Path) -> None:
    """Losses fall with the number of images of the query's own style that a model sees."""
    rng = np.random.default_rng(0)
    captions = [f"caption {k}" for k in range(plan.rows.max() + 1)]
    runs = [run for run in plan.runs() if not run.name.endswith("again")]
    own = plan.styles[prompted(plan)]
    held_out = np.array(STYLES * 20)
    measured = {}
    for run in runs:
        seen = {style: run.kept[plan.styles == style].sum() for style in STYLES}
        measured[run.name] = {
            asked: np.repeat([[2 - seen[s] / 1000] for s in styles], 10, axis=1)
            for asked, styles in (("made", own), ("held_out", held_out))
        }
    right = {
        f"{asked} ": (plan.styles[None] == styles[:, None]).astype(np.float32)
        for asked, styles in (("made", own), ("held_out", held_out))
    }
    wrong = {key: rng.random(scores.shape) for key, scores in right.items()}
    found = table(plan, captions, measured, {"right": right, "wrong": wrong})
    write_json_atomic(tmp_path / "evidence" / FILE, found)
    evidence = CounterfactualEvidence.open(tmp_path)
    assert evidence is not None
    assert [row.method for row in evidence.made.methods] == ["right", "wrong", OWN]
    assert [row.method for row in evidence.held_out.methods] == ["right", "wrong"]
    assert evidence.prompts["noto"][0] == captions[plan.rows[(plan.styles == "noto").argmax()]]
    assert (
        evidence.made.of("right", "share") is None and evidence.made.of("wrong", "") in evidence.made.methods
    )
    assert evidence.models == len(runs) and evidence.made.queries == 100 and evidence.made.ceiling is None
    for asked in (evidence.made, evidence.held_out):
        best, worst = asked.methods[:2]
        assert asked.halves == HALVES * 3 // 4
        assert best.lds.value == pytest.approx(1) and best.right.value == 1
        assert abs(worst.lds.value) < 0.2 and worst.right.value < 0.5
        assert best.rise.value > 0.1 and best.others.value == pytest.approx(0)


def test_sheets_show_each_style_with_and_without_it(plan: Plan, tmp_path: Path) -> None:
    torch.manual_seed(0)
    vae = new_autoencoder(AutoencoderRecipe(16, (1, 1, 1, 1), (1, 1, 1, 1)))
    names = ["full", *(f"without-{style.replace(' ', '-')}" for style in STYLES)]
    measured = {name: {"drawn": np.random.default_rng(1).normal(size=(100, 4, 16, 16))} for name in names}
    for style, image in sheets(plan, measured, vae):
        (tmp_path / "evidence" / sheet(style)).parent.mkdir(parents=True, exist_ok=True)
        image.save(tmp_path / "evidence" / sheet(style))
    row = {"value": 0.5, "low": 0.4, "high": 0.6}
    asked = {"queries": 1, "halves": 1, "ceiling": row, "methods": []}
    write_json_atomic(
        tmp_path / "evidence" / FILE,
        {
            "training": 1,
            "models": 1,
            "date": "",
            "prompts": {style: ["owl"] * WITHOUT_CONCEPT for style in STYLES},
            "made": asked,
            "held_out": asked,
        },
    )
    evidence = CounterfactualEvidence.open(tmp_path)
    assert evidence is not None and evidence.made.ceiling == Estimate(0.5, 0.4, 0.6)
    for style in evidence.prompts:
        pairs = evidence.pairs(style)
        assert len(pairs) == WITHOUT_CONCEPT
        assert all(with_.size == without.size == (128, 128) for _, with_, without in pairs)
    with pytest.raises(UnknownNameError, match="style"):
        evidence.pairs("../without/noto")
    (tmp_path / "evidence" / sheet("noto")).write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match="cannot be read"):
        evidence.pairs("noto")
    Image.new("RGB", (128, 256)).save(tmp_path / "evidence" / sheet("noto"))
    with pytest.raises(CheckpointError, match=f"does not fit its {WITHOUT_CONCEPT} prompts"):
        evidence.pairs("noto")
    stored = read_json(tmp_path / "evidence" / FILE)
    for damaged in (
        {},
        stored | {"prompts": {}},
        stored | {"made": asked | {"ceiling": row | {"low": None}}},
    ):
        write_json_atomic(tmp_path / "evidence" / FILE, damaged)
        with pytest.raises(CheckpointError, match="report` again"):
            CounterfactualEvidence.open(tmp_path)
    assert CounterfactualEvidence.open(tmp_path / "nowhere") is None
