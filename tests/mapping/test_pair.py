"""Mapper pairs: what they compute, what they refuse, what they read and write."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attribution_core.errors import CheckpointError, CollectionMismatchError, InvalidInputError
from attribution_core.mapping.heads import Head, MapperKind
from attribution_core.mapping.pair import MapperPair


def features(n=5, d=6, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def pair(d=6, m=4, seed=0):
    rng = np.random.default_rng(seed)
    heads = [Head(rng.normal(size=(m, d)), rng.normal(size=m)) for _ in range(2)]
    return MapperPair(heads[0], heads[1], encoder="fake")


def release(tmp_path, **change):
    torch.manual_seed(0)
    state = {
        name: {"weight": torch.randn(6, 6), "bias": torch.randn(6)}
        for name in ("real_mapper", "synth_mapper")
    }
    state.update(change)
    torch.save(state, tmp_path / "clip_tuned.pth")
    return tmp_path / "clip_tuned.pth", state


def heads_of(kind, d=6, m=4, h=5, seed=0):
    rng = np.random.default_rng(seed)
    make = {
        "linear": lambda: Head(rng.normal(size=(m, d)), rng.normal(size=m)),
        "channel": lambda: Head(rng.normal(size=d), rng.normal(size=d)),
        "mlp": lambda: Head(
            rng.normal(size=(m, h)), rng.normal(size=m), rng.normal(size=(h, d)), rng.normal(size=h)
        ),
    }[kind]
    return make(), make()


def test_a_channel_head_is_the_linear_head_of_its_diagonal():
    scale, bias = np.array([2.0, -1.0, 0.5]), np.array([0.1, 0.2, 0.3])
    raw = features(4, 3)
    assert Head(scale, bias)(raw) == pytest.approx(Head(np.diag(scale), bias)(raw), abs=1e-6)


def test_a_hidden_layer_worked_by_hand():
    head = Head([[1.0, 2.0]], [0.5], [[1.0, 0.0], [0.0, -1.0]], [0.0, 1.0])
    # hidden: relu(3, -2 + 1) = (3, 0); relu(-1, 4 + 1) = (0, 5)
    assert head(np.array([[3.0, 2.0], [-1.0, -4.0]], np.float32)).tolist() == [[3.5], [10.5]]
    assert (head.dim, head.out_dim) == (2, 1)


@pytest.mark.parametrize("kind", ["linear", "channel", "mlp"])
def test_every_kind_survives_a_round_trip(tmp_path, kind):
    made, raw = MapperPair(*heads_of(kind), "fake", kind), features()
    made.save(tmp_path, {"seed": 3, "kind": "not this"})
    read = MapperPair.load(tmp_path, "fake")
    assert read.kind == kind and (read.dim, read.out_dim) == (made.dim, made.out_dim)
    assert np.array_equal(read.map_query(raw), made.map_query(raw))
    assert np.array_equal(read.map_training(raw), made.map_training(raw))
    assert json.loads((tmp_path / "card.json").read_text())["seed"] == 3


@pytest.mark.parametrize(("kind", "given"), [("mlp", "linear"), ("channel", "linear"), ("linear", "mlp")])
def test_a_kind_that_the_heads_are_not_is_refused(kind, given):
    with pytest.raises(InvalidInputError, match=f"the heads are {given}"):
        MapperPair(*heads_of(given), "fake", kind)


def test_half_a_hidden_layer_is_refused():
    with pytest.raises(InvalidInputError, match="both"):
        Head([[1.0]], [0.0], hidden_weight=[[1.0]])
    with pytest.raises(InvalidInputError, match=r"\(h, d\)"):
        Head([[1.0, 2.0]], [0.0], [[1.0]], [0.0])


def test_identity_only_normalises():
    raw = features()
    expected = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    same = MapperPair.identity(6, encoder="fake")
    for mapped in (same.map_training(raw), same.map_query(raw)):
        assert mapped.dtype == np.float32
        assert mapped == pytest.approx(expected, abs=1e-7)
    assert (same.dim, same.out_dim, same.kind) == (6, 6, "identity")
    assert same.real.weight == pytest.approx(np.eye(6)) and same.synth.bias == pytest.approx(np.zeros(6))


def test_hand_worked_heads_differ():
    two = MapperPair(Head([[2, 0], [0, 1]], [0, 0]), Head([[0, 1], [1, 0]], [1, 0]))
    x = np.array([[1.0, 2.0]], dtype=np.float32)
    assert two.map_training(x) == pytest.approx(np.array([[2, 2]]) / np.sqrt(8))
    assert two.map_query(x) == pytest.approx(np.array([[3, 1]]) / np.sqrt(10))


def test_against_torch():
    made, raw = pair(), features(9)
    for head, mapped in ((made.real, made.map_training(raw)), (made.synth, made.map_query(raw))):
        layer = torch.nn.Linear(6, 4)
        layer.load_state_dict({"weight": torch.tensor(head.weight), "bias": torch.tensor(head.bias)})
        with torch.no_grad():
            expected = torch.nn.functional.normalize(layer(torch.tensor(raw))).numpy()
        assert mapped == pytest.approx(expected, abs=1e-6)


@settings(deadline=None)
@given(st.floats(1e-25, 1e25), st.integers(1, 20))
def test_rows_have_unit_length_at_any_scale(scale, n):
    mapped = MapperPair.identity(6).map_training(features(n) * np.float32(scale))
    assert np.linalg.norm(mapped.astype(np.float64), axis=1) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("make", [lambda: MapperPair.identity(6, "fake"), pair])
def test_save_and_load(tmp_path, make):
    before = make()
    before.save(tmp_path)
    after = MapperPair.load(tmp_path, encoder="fake")
    assert (after.kind, after.encoder, after.dim, after.out_dim) == (
        before.kind, before.encoder, before.dim, before.out_dim,
    )  # fmt: skip
    assert (after.map_training(features()) == before.map_training(features())).all()
    assert (after.map_query(features()) == before.map_query(features())).all()


def test_identity_takes_no_room(tmp_path):
    MapperPair.identity(512, "fake").save(tmp_path)
    assert [item.name for item in tmp_path.iterdir()] == ["card.json"]


def test_two_encoders_of_one_dimension_are_told_apart(tmp_path):
    MapperPair.identity(512, "clip-vit-b32").save(tmp_path)
    with pytest.raises(CollectionMismatchError, match=r"'clip-vit-b32', expected 'clip-vit-b16'"):
        MapperPair.load(tmp_path, encoder="clip-vit-b16")


def test_damage_is_found(tmp_path):
    pair().save(tmp_path)
    file = tmp_path / "mappers.safetensors"
    data = file.read_bytes()
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(CheckpointError, match="differs"):
        MapperPair.load(tmp_path)
    card = json.loads((tmp_path / "card.json").read_text())
    (tmp_path / "card.json").write_text(json.dumps({**card, "files": {}}))
    file.write_bytes(b"junk")
    with pytest.raises(CheckpointError, match="cannot be used"):
        MapperPair.load(tmp_path)


@pytest.mark.parametrize("change", [{"kind": "mlp"}, {"dim": 7}, {"kind": None}, {"encoder": None}])
def test_cards_that_disagree(tmp_path, change):
    pair().save(tmp_path)
    card = {**json.loads((tmp_path / "card.json").read_text()), **change}
    (tmp_path / "card.json").write_text(json.dumps({k: v for k, v in card.items() if v is not None}))
    with pytest.raises(CheckpointError):
        MapperPair.load(tmp_path)


def test_released_file(tmp_path):
    path, state = release(tmp_path)
    made = MapperPair.from_release(path, encoder="mine")
    assert (made.encoder, made.kind, made.dim) == ("mine", MapperKind.LINEAR, 6)
    for head, name in ((made.real, "real_mapper"), (made.synth, "synth_mapper")):
        assert (head.weight == state[name]["weight"].numpy()).all()
        assert (head.bias == state[name]["bias"].numpy()).all()
    raw = features()
    expected = raw @ state["synth_mapper"]["weight"].numpy().T + state["synth_mapper"]["bias"].numpy()
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert made.map_query(raw) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        {"synth_mapper": {"weight": torch.zeros(6, 6)}},
        {"synth_mapper": {"weight": torch.zeros(6, 6), "bias": torch.zeros(5)}},
        {"synth_mapper": {"weight": torch.zeros(4, 6), "bias": torch.zeros(4)}},
        {"synth_mapper": {"weight": torch.full((6, 6), float("nan")), "bias": torch.zeros(6)}},
        {"synth_mapper": torch.zeros(6)},
        {"synth_mapper": None},
        {"real_mapper": {"weight": [[1.0]], "bias": [0.0]}},
    ],
)
def test_files_that_are_no_released_mapper(tmp_path, change):
    path, _ = release(tmp_path, **change)
    with pytest.raises(CheckpointError, match="not a released mapper"):
        MapperPair.from_release(path, encoder="clip-vit-b32")


def test_released_file_of_another_kind(tmp_path):
    torch.save([1, 2], tmp_path / "list.pth")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pth")
    for name in ("list.pth", "module.pth", "missing.pth"):
        with pytest.raises(CheckpointError, match=name):
            MapperPair.from_release(tmp_path / name, encoder="x")


def test_wrong_columns_name_the_encoder():
    with pytest.raises(CollectionMismatchError, match=r"7 columns.*'fake'.*6"):
        pair().map_training(features(2, 7))


@pytest.mark.parametrize(
    "bad", [np.full((1, 6), np.nan), np.full((1, 6), np.inf), np.zeros(6), np.zeros((1, 1, 6)), [["a"] * 6]]
)
def test_bad_features(bad):
    with pytest.raises(InvalidInputError, match="features"):
        MapperPair.identity(6).map_query(bad)


def test_a_row_without_direction_is_refused_by_number():
    raw = features()
    raw[3] = 0
    with pytest.raises(InvalidInputError, match="row 3"):
        MapperPair.identity(6).map_training(raw)


def test_no_rows_stay_no_rows():
    assert pair().map_training(np.zeros((0, 6))).shape == (0, 4)


def test_bad_heads():
    for weight, bias in (
        ([[1.0]], [0.0, 0.0]),
        ([1.0], [0.0, 0.0]),
        (np.zeros((0, 2)), []),
        ([[np.nan]], [0.0]),
    ):
        with pytest.raises(InvalidInputError):
            Head(weight, bias)
    with pytest.raises(InvalidInputError, match="expected the same"):
        MapperPair(Head([[1.0]], [0.0]), Head([[1.0, 2.0]], [0.0]))
    for dim in (0, -1, 2.5):
        with pytest.raises(InvalidInputError, match="dim"):
            MapperPair.identity(dim)
