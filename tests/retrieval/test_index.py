"""Every backend against a NumPy twin, FAISS in memory and Milvus in a local file: ids, values, and the rest."""

import json

import faiss
import numpy as np
import pytest

from attribution_core.errors import (
    AttributionError,
    CheckpointError,
    CollectionMismatchError,
    InvalidInputError,
    UnknownNameError,
)
from attribution_core.retrieval import backends
from attribution_core.retrieval.backends import BACKENDS
from attribution_core.retrieval.exhaustive import _SCAN_VALUES
from attribution_core.retrieval.hits import Nearest
from attribution_core.retrieval.index import TrainingIndex
from attribution_core.retrieval.milvus.address import Address, close, connect

FACTORIES = ["Flat", "SQfp16"]
FILES = {
    "Flat": ["index.faiss"],
    "SQfp16": ["index.faiss"],
    "SQ8x2": ["index.safetensors"],
    "IVF": ["cells.safetensors"],
}


@pytest.fixture(scope="module")
def lite(tmp_path_factory):
    """A file of Milvus Lite, open for all tests here."""
    pytest.importorskip("milvus_lite")
    address = Address.parse(f"milvus:{tmp_path_factory.mktemp('lite')}/contract.db")
    client = connect(address, create=True)
    yield address.text
    close(client, address)


@pytest.fixture(params=[*FACTORIES, "SQ8x2", "IVF", "milvus"])
def backend(request):
    """What to build with, of each row of the table."""
    return request.getfixturevalue("lite") if request.param == "milvus" else request.param


def unit(n, d, seed=0):
    x = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def decoded(train, factory):
    """What FAISS itself says is stored, or two planes should hold; Milvus stores what it is given."""
    if factory in ("SQ8x2", "IVF"):
        unit = np.abs(train).max(axis=1, keepdims=True) / 127
        return np.rint(train.astype(np.float64) / unit * 254) * unit / 254
    if factory not in FACTORIES:
        return train
    peer = faiss.index_factory(train.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
    peer.train(train)
    peer.add(train)
    return peer.reconstruct_n(0, len(train))


@pytest.mark.parametrize(("n", "d", "q"), [(1, 3, 1), (700, 16, 5), (3000, 65, 40)])
def test_against_numpy(backend, n, d, q):
    train, query = unit(n, d), unit(q, d, 1)
    top = min(n, 50)
    hits = TrainingIndex.build(train, backend).search(query, top)
    scores = query.astype(np.float64) @ decoded(train, backend).astype(np.float64).T
    order = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    assert hits.ids.dtype == np.int64 and hits.similarity.dtype == np.float32
    assert hits.similarity == pytest.approx(np.take_along_axis(scores, order, axis=1), abs=2e-6)
    assert np.take_along_axis(scores, hits.ids, axis=1) == pytest.approx(hits.similarity, abs=2e-6)
    assert (hits.ids == order).mean() > 0.999
    assert (np.diff(hits.similarity, axis=1) <= 0).all()
    for t in (0.02, 0.1, 1.0):
        listed = np.zeros(scores.shape, dtype=bool)
        np.put_along_axis(listed, hits.ids, True, axis=1)
        low, _, high = hits.rest.log_sum_exp(t)
        if n > top:
            truth = np.logaddexp.reduce(np.where(listed, -np.inf, scores / t), axis=1)
            assert (low <= truth + 1e-4).all() and (truth <= high + 1e-4).all()
            assert (high - low).max() < 1e-4
    assert (hits.rest.total == n - top).all()


@pytest.mark.parametrize("factory", FACTORIES)
def test_against_faiss_itself(factory):
    train, query = unit(2000, 32), unit(7, 32, 1)
    hits = TrainingIndex.build(train, factory).search(query, 30)
    peer = faiss.index_factory(32, factory, faiss.METRIC_INNER_PRODUCT)
    peer.train(train)
    peer.add(train)
    similarity, ids = peer.search(query, 30)
    # FAISS rounds the query of an SQfp16 search to 16 bits on some processors.
    tolerance = 2e-6 if factory == "Flat" else 5e-4
    assert hits.similarity == pytest.approx(similarity, abs=tolerance)
    assert (hits.ids == ids).mean() > 0.98


@pytest.mark.parametrize("factory", FACTORIES)
def test_the_scan_reads_what_faiss_decodes(factory, monkeypatch):
    monkeypatch.setattr("attribution_core.retrieval.flat._DECODE_VALUES", 1000)
    train = unit(500, 32)
    index = TrainingIndex.build(train, factory)
    blocks = [rows for _, rows in index._backend._decoded()]
    assert (np.concatenate(blocks) == decoded(train, factory)).all()
    assert np.abs(decoded(train, factory) - train).max() < 1e-3


def test_an_image_finds_itself_and_no_cosine_exceeds_one(backend):
    train = unit(500, 24)
    hits = TrainingIndex.build(train, backend).search(train, 1)
    assert hits.ids[:, 0].tolist() == list(range(500))
    assert (hits.similarity <= 1.0).all() and (hits.similarity > 0.999).all()


def test_equal_images_come_in_the_order_they_were_added(backend):
    one = unit(1, 8)
    train = np.concatenate([unit(20, 8, 3), np.repeat(one, 6, axis=0), unit(20, 8, 4)])
    index = TrainingIndex.build(train, backend)
    assert index.search(one, 6).ids[0].tolist() == [20, 21, 22, 23, 24, 25]
    assert index.search(one, 3).ids[0].tolist() == [20, 21, 22]


@pytest.mark.parametrize("factory", FACTORIES)
def test_blocks_change_nothing(factory, monkeypatch):
    train, query = unit(900, 12), unit(25, 12, 1)
    index = TrainingIndex.build(train, factory)
    whole = index.search(query, 10)
    monkeypatch.setattr("attribution_core.retrieval.exhaustive._SCAN_VALUES", 2000)
    monkeypatch.setattr("attribution_core.retrieval.flat._DECODE_VALUES", 500)
    parts = index.search(query, 10)
    assert (whole.ids == parts.ids).mean() > 0.99
    assert whole.similarity == pytest.approx(parts.similarity, abs=1e-6)
    assert whole.rest.log_sum_exp(0.05).high == pytest.approx(parts.rest.log_sum_exp(0.05).high, abs=1e-5)
    assert _SCAN_VALUES * 4 <= 64e6


def test_built_from_parts_it_is_the_same(tmp_path):
    train = unit(50, 6)
    whole = TrainingIndex.build(train, "SQfp16", "e")
    parts = TrainingIndex.build_from((train[k : k + 20] for k in (0, 20, 40, 60)), "SQfp16", "e")
    for index, name in ((whole, "whole"), (parts, "parts")):
        index.save(tmp_path / name)
    assert (tmp_path / "whole/index.faiss").read_bytes() == (tmp_path / "parts/index.faiss").read_bytes()
    assert (tmp_path / "whole/card.json").read_text() == (tmp_path / "parts/card.json").read_text()


def test_bad_blocks(backend):
    with pytest.raises(InvalidInputError, match="no rows"):
        TrainingIndex.build_from(iter([]), backend)
    with pytest.raises(CollectionMismatchError, match="6 columns, expected 4"):
        TrainingIndex.build_from([unit(3, 4), unit(50, 6)], backend)
    with pytest.raises(InvalidInputError, match="hold 3 rows, expected 4"):
        TrainingIndex.build_from([unit(3, 4)], backend, count=4)


def test_a_single_block_asks_for_bounded_memory(monkeypatch):
    sizes = []
    empty = np.empty
    monkeypatch.setattr("attribution_core.retrieval.exhaustive._SCAN_VALUES", 5000)
    index = TrainingIndex.build(unit(1000, 4))

    def watched(shape, *args, **kwargs):
        sizes.append(np.prod(shape))
        return empty(shape, *args, **kwargs)

    monkeypatch.setattr("attribution_core.retrieval.exhaustive.np.empty", watched)
    index.search(unit(40, 4, 1), 3, bins=8)
    assert max(sizes) == 5000


def test_everything_listed_leaves_an_empty_rest(backend):
    hits = TrainingIndex.build(unit(10, 4), backend).search(unit(2, 4, 1), 10)
    assert hits.rest.total.tolist() == [0, 0]
    assert sorted(hits.ids[0].tolist()) == list(range(10))


def test_no_queries_give_no_hits(backend):
    hits = TrainingIndex.build(unit(10, 4), backend).search(np.zeros((0, 4), dtype=np.float32), 3)
    assert hits.ids.shape == (0, 3) and len(hits.rest) == 0


def test_save_and_load(backend, tmp_path):
    train, query = unit(300, 20), unit(3, 20, 1)
    index = TrainingIndex.build(train, backend, encoder="fake")
    index.save(tmp_path)
    again = TrainingIndex.load(tmp_path, encoder="fake")
    assert (len(again), again.dim, again.factory, again.encoder) == (300, 20, backend, "fake")
    assert (again.search(query, 9).ids == index.search(query, 9).ids).all()
    assert (again.search(query, 9).similarity == index.search(query, 9).similarity).all()
    card = json.loads((tmp_path / "card.json").read_text())
    assert (card["count"], card["dim"], card["encoder"]) == (300, 20, "fake")
    assert "fake" in repr(again)
    there = sorted(item.name for item in tmp_path.iterdir())
    assert there == [
        "card.json",
        *FILES.get(backend, ["milvus.json", "milvus.safetensors"]),
    ]
    # What another backend had in the folder goes.
    TrainingIndex.build(train, "Flat").save(tmp_path)
    assert sorted(item.name for item in tmp_path.iterdir()) == ["card.json", "index.faiss"]


def test_half_the_values_take_half_the_room(tmp_path):
    for factory in FACTORIES:
        TrainingIndex.build(unit(1000, 64), factory).save(tmp_path / factory)
        size = (tmp_path / factory / "index.faiss").stat().st_size
        assert size == pytest.approx(1000 * 64 * {"Flat": 4, "SQfp16": 2}[factory], rel=0.01)


def test_another_encoder_is_a_mismatch(backend, tmp_path):
    TrainingIndex.build(unit(10, 4), backend, encoder="clip-vit-b32").save(tmp_path)
    with pytest.raises(CollectionMismatchError, match=r"clip-vit-b32.*expected 'clip-vit-b16'"):
        TrainingIndex.load(tmp_path, encoder="clip-vit-b16")
    assert TrainingIndex.load(tmp_path).encoder == "clip-vit-b32"


def test_damage_is_found(backend, tmp_path):
    index = TrainingIndex.build(unit(10, 4), backend)
    index.save(tmp_path)
    file = tmp_path / next(iter(json.loads((tmp_path / "card.json").read_text())["files"]))
    data = file.read_bytes()
    file.write_bytes(data[:-4] + b"\0\0\0\1")
    with pytest.raises(CheckpointError, match="differs"):
        TrainingIndex.load(tmp_path)
    file.unlink()
    with pytest.raises(CheckpointError, match="missing"):
        TrainingIndex.load(tmp_path)
    with pytest.raises(CheckpointError, match="does not exist"):
        TrainingIndex.load(tmp_path / "none")


@pytest.mark.parametrize("metric", [faiss.METRIC_INNER_PRODUCT, faiss.METRIC_L2])
@pytest.mark.parametrize("factory", ["HNSW8", "SQ8", "Flat", "nonsense"])
def test_files_that_are_something_else(tmp_path, factory, metric):
    if factory == "Flat" and metric == faiss.METRIC_INNER_PRODUCT:
        pytest.skip("that is the right thing")
    index = TrainingIndex.build(unit(40, 4))
    index.save(tmp_path)
    if factory == "nonsense":
        (tmp_path / "index.faiss").write_bytes(b"nonsense")
    else:
        other = faiss.index_factory(4, factory, metric)
        other.train(unit(40, 4))
        faiss.write_index(other, str(tmp_path / "index.faiss"))
    card = json.loads((tmp_path / "card.json").read_text())
    (tmp_path / "card.json").write_text(json.dumps({**card, "files": {}}))
    with pytest.raises(CheckpointError):
        TrainingIndex.load(tmp_path)


@pytest.mark.parametrize("change", [{"count": 11}, {"dim": 5}, {"factory": None}, {"encoder": None}])
def test_cards_that_disagree_with_the_file(backend, tmp_path, change):
    TrainingIndex.build(unit(10, 4), backend).save(tmp_path)
    card = {**json.loads((tmp_path / "card.json").read_text()), **change}
    card = {key: value for key, value in card.items() if value is not None}
    (tmp_path / "card.json").write_text(json.dumps(card))
    with pytest.raises(CheckpointError):
        TrainingIndex.load(tmp_path)


def with_nan():
    rows = unit(5, 4)
    rows[3, 2] = np.nan
    return rows


@pytest.mark.parametrize(
    ("train", "words"),
    [
        (with_nan(), "NaN or infinity, first in row 3"),
        (unit(5, 4) * 1.01, "row 0 has length 1.01"),
        (np.zeros((5, 4)), "length 0"),
        (np.zeros((0, 4)), "no rows"),
        (np.zeros((5, 0)), "no columns"),
        (unit(5, 4)[0], "two dimensions"),
        (np.array([["a"]]), "real numbers"),
    ],
)
def test_bad_training_rows(backend, train, words):
    with pytest.raises(InvalidInputError, match=words):
        TrainingIndex.build(train, backend)


@pytest.mark.parametrize(
    ("query", "error"),
    [
        (with_nan(), InvalidInputError),
        (unit(2, 4) * 0.5, InvalidInputError),
        (unit(2, 5), CollectionMismatchError),
        (unit(2, 4)[0], InvalidInputError),
    ],
)
def test_bad_queries(backend, query, error):
    with pytest.raises(error, match="query"):
        TrainingIndex.build(unit(10, 4), backend).search(query, 2)


@pytest.mark.parametrize("top", [0, -1, 11, 2.0, "3", True, None])
def test_bad_tops(backend, top):
    with pytest.raises(AttributionError, match=r"top is .*1\.\.10"):
        TrainingIndex.build(unit(10, 4), backend).search(unit(1, 4), top)


def test_auto_is_exact_for_few_rows_and_divides_many_into_cells(monkeypatch):
    assert [backends.suited_to(n) for n in (1, 200_000, 200_001)] == ["SQ8x2", "SQ8x2", "IVF"]
    monkeypatch.setattr(backends, "EXACT_UP_TO", 50)
    train = unit(51, 4)
    assert TrainingIndex.build(train[:50], "auto").factory == "SQ8x2"
    assert TrainingIndex.build(train, "auto").factory == "IVF"
    assert TrainingIndex.build_from([train[:20], train[20:]], "auto", count=51).factory == "IVF"
    with pytest.raises(InvalidInputError, match="give `count`"):
        TrainingIndex.build_from([train], "auto")


@pytest.mark.parametrize("factory", ["flat", "IVF16,Flat", "SQ8", ""])
def test_unknown_factories_list_the_known(factory):
    with pytest.raises(UnknownNameError, match="nown: auto, Flat, SQfp16, SQ8x2, IVF"):
        TrainingIndex.build(unit(10, 4), factory)


@pytest.mark.parametrize("name", sorted(BACKENDS))
def test_every_row_names_a_class_that_does_what_a_backend_does(name):
    loaded = BACKENDS[name].load()
    for method in (
        "check",
        "create",
        "open",
        "clean_up",
        "reserve",
        "add",
        "nearest",
        "search",
        "save",
        "delete",
    ):
        assert callable(getattr(loaded, method))


def test_nearest_lists_what_search_lists(backend):
    train, query = unit(60, 6), unit(4, 6, 1)
    index = TrainingIndex.build(train, backend)
    nearest, hits = index.nearest(query, 7), index.search(query, 7)
    assert type(nearest) is Nearest
    np.testing.assert_array_equal(nearest.ids, hits.ids)
    np.testing.assert_array_equal(nearest.similarity, hits.similarity)
