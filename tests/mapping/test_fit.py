"""Fitting mapper heads: the loss by hand, the start, what is learned, and a resume that changes nothing."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attribution_core.errors import CheckpointError, CollectionMismatchError, InvalidInputError
from attribution_core.mapping.fit import FeaturePairs, FitSettings, _non_rigidity, contrast, fit_heads
from attribution_core.mapping.pair import MapperPair
from tests.support.pairs import D, made_pairs


def place_of_own(pair, pairs):
    """Mean place of each made image's own exemplar among all exemplars."""
    similarity = pair.map_query(pairs.synth) @ pair.map_training(pairs.real).T
    own = similarity[np.arange(len(similarity)), pairs.synth_model]
    return float((similarity >= own[:, None]).sum(axis=1).mean())


def test_contrast_worked_by_hand():
    # Two pairs, unit rows along the axes, each its own: similarities 1 and 0.
    rows = torch.eye(2) * 3
    expected = -np.log(np.exp(1 / 0.5) / (np.exp(1 / 0.5) + 1))
    assert contrast(rows, rows, 0.5).item() == pytest.approx(expected, abs=1e-6)
    assert contrast(rows, rows.flip(0), 0.5).item() == pytest.approx(expected + 1 / 0.5, abs=1e-6)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000))
def test_rotations_do_not_non_rigidity(seed):
    rotation = np.linalg.qr(np.random.default_rng(seed).normal(size=(5, 5)))[0]
    assert _non_rigidity(torch.tensor(rotation).float()).item() == pytest.approx(0, abs=1e-5)
    # W = 2 I: W^T W - I = 3 I, so each row has square 9.
    assert _non_rigidity(2 * torch.eye(5)).item() == pytest.approx(9)


@pytest.mark.parametrize("kind", ["linear", "channel"])
def test_before_the_first_epoch_a_fit_is_the_pretrained_result(kind):
    pairs = made_pairs()
    plain = MapperPair.identity(D, "fake")
    start = plain.fit(pairs, kind, epochs=0)
    assert start.encoder == "fake" and start.kind == kind
    assert start.map_query(pairs.synth) == pytest.approx(plain.map_query(pairs.synth), abs=1e-6)
    assert start.map_training(pairs.real) == pytest.approx(plain.map_training(pairs.real), abs=1e-6)


@pytest.mark.parametrize("kind", ["linear", "channel", "mlp"])
def test_what_is_learned_holds_for_the_models_it_saw(kind):
    pairs = made_pairs()
    losses = []
    fitted = MapperPair.identity(D, "fake").fit(
        pairs,
        kind,
        lambda _, loss: losses.append(loss),
        epochs=150,
        dropout=0,
        learning_rate=1e-2,
        rigidity=0.0,
    )
    before = place_of_own(MapperPair.identity(D), pairs)
    assert losses[-1] < losses[0] and len(losses) == 150
    if kind != "channel":  # scales cannot put channels in another order
        assert place_of_own(fitted, pairs) < before / 3


def test_a_linear_head_learns_what_holds_for_models_it_never_saw():
    fitted = MapperPair.identity(D).fit(made_pairs(200), epochs=200, learning_rate=1e-2, rigidity=0.01)
    unseen = made_pairs(40, seed=5)
    assert place_of_own(fitted, unseen) < place_of_own(MapperPair.identity(D), unseen) / 3


def test_rigidity_keeps_the_heads_near_rotations():
    bends = [
        float(
            _non_rigidity(
                torch.tensor(
                    MapperPair.identity(D)
                    .fit(made_pairs(), epochs=100, learning_rate=1e-2, rigidity=rigidity)
                    .synth.weight
                )
            )
        )
        for rigidity in (0.0, 10.0)
    ]
    assert bends[1] < bends[0] / 5


def test_the_folded_mlp_is_the_network_in_evaluation(monkeypatch):
    kept = {}
    original = torch.nn.ModuleDict

    def keep(*args):
        kept["heads"] = original(*args)
        return kept["heads"]

    monkeypatch.setattr(torch.nn, "ModuleDict", keep)
    pairs = made_pairs()
    fitted = MapperPair.identity(D).fit(pairs, "mlp", epochs=5)
    with torch.no_grad():
        network = kept["heads"]["synth"].eval()(torch.tensor(pairs.synth))
    expected = torch.nn.functional.normalize(network, dim=1).numpy()
    assert fitted.map_query(pairs.synth) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_the_same_seed_gives_the_same_heads_and_leaves_the_random_state_alone(kind):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one, two, other = (
        fit_heads(made_pairs(), FitSettings(kind, epochs=5, batch=16, seed=s)) for s in (1, 1, 2)
    )
    assert torch.equal(torch.rand(3), expected)
    assert all(np.array_equal(one.synth[name], two.synth[name]) for name in one.synth)
    assert not np.array_equal(one.synth["weight"], other.synth["weight"])


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_a_fit_that_was_stopped_ends_as_one_that_was_not(tmp_path, kind):
    chosen, path = FitSettings(kind, epochs=25, batch=16, seed=3), tmp_path / "fit.pt"
    whole = fit_heads(made_pairs(), chosen)

    def stop(epoch, _):
        if epoch == 17:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_heads(made_pairs(), chosen, stop, path)
    epochs = []
    resumed = fit_heads(made_pairs(), chosen, lambda epoch, _: epochs.append(epoch), path)
    assert epochs == list(range(11, 26))
    assert resumed.losses == whole.losses
    assert all(np.array_equal(resumed.real[name], whole.real[name]) for name in whole.real)
    assert not path.exists()


def test_a_checkpoint_of_another_fit_is_refused(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fit_heads(made_pairs(), FitSettings(epochs=20), stop_at_10, tmp_path / "fit.pt")
    with pytest.raises(CheckpointError, match="another fit"):
        fit_heads(made_pairs(), FitSettings(epochs=21), None, tmp_path / "fit.pt")


def stop_at_10(epoch, _):
    if epoch == 11:
        raise KeyboardInterrupt


def test_batches_never_hold_a_single_model():
    fitted = fit_heads(made_pairs(3), FitSettings("mlp", epochs=2, batch=2))
    assert np.isfinite(fitted.losses).all()


def test_a_part_holds_the_rows_of_its_models():
    part = made_pairs(5).of(np.array([1, 3]))
    assert part.models.tolist() == [1, 3]
    assert part.synth_model.tolist() == [1, 1, 3, 3] and len(part.real) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "forest"},
        {"temperature": 0},
        {"rigidity": -1},
        {"epochs": -1},
        {"batch": 1},
        {"dropout": 1},
        {"seed": -1},
        {"learning_rate": float("nan")},
    ],
)
def test_bad_settings(change):
    with pytest.raises(InvalidInputError, match=next(iter(change))):
        MapperPair.identity(D).fit(made_pairs(), **change)


def test_bad_pairs():
    good = made_pairs(3)
    with pytest.raises(CollectionMismatchError, match="8 columns"):
        MapperPair.identity(D + 1).fit(good)
    with pytest.raises(InvalidInputError, match="two models"):
        MapperPair.identity(D).fit(good.of(np.array([1])))
    with pytest.raises(InvalidInputError, match="at least one exemplar"):
        FeaturePairs(good.real[:2], good.real_model[:2], good.synth, good.synth_model)
    with pytest.raises(InvalidInputError, match="one encoder"):
        FeaturePairs(good.real[:, :4], good.real_model, good.synth, good.synth_model)
    with pytest.raises(InvalidInputError, match="real_model"):
        FeaturePairs(good.real, good.real_model[:2], good.synth, good.synth_model)
