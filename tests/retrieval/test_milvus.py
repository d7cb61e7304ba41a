"""Collections whose features are in Milvus: what is made there and dropped, what is said when it fails, many threads.

All of it on Milvus Lite, in a local file or behind a port as a server; tests of a server use that of
MILVUS_SERVER=milvus://HOST:PORT, where it is set.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from attribution_core.attribution.attributor import Attributor
from attribution_core.cli.main import app
from attribution_core.collection import shards
from attribution_core.collection.build import IndexOptions, build_collection
from attribution_core.collection.collection import Collection
from attribution_core.collection.editions import remove_images
from attribution_core.errors import (
    CheckpointError,
    CollectionMismatchError,
    InvalidInputError,
    MissingDependencyError,
)
from attribution_core.retrieval.index import TrainingIndex
from attribution_core.retrieval.milvus import note as milvus_note
from attribution_core.retrieval.milvus import row_summary
from attribution_core.retrieval.milvus import store as milvus_store
from attribution_core.retrieval.milvus.address import Address, close, connect
from attribution_core.retrieval.rest import RestKind
from attribution_core.scoring.shares import shares_at
from tests.support.fake_release import save_features
from tests.support.fakes import shape_image

pytest.importorskip("milvus_lite")
ROOT = Path(__file__).resolve().parents[2]
ENCODER = "rgb-thumbnail"


def unit(n: int, d: int, seed: int = 0) -> np.ndarray:
    x = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server; Milvus Lite speaks its protocol behind a port."""
    if real := os.environ.get("MILVUS_SERVER"):
        yield real
        return
    from milvus_lite.adapter.grpc.server import start_server_in_thread

    running, database, port = start_server_in_thread(str(tmp_path_factory.mktemp("server") / "data"))
    yield f"milvus://127.0.0.1:{port}"
    running.stop(grace=0)
    database.close()


def held(address: str) -> set[str]:
    """Names of all collections there."""
    where = Address.parse(address)
    client = connect(where)
    try:
        return set(client.list_collections())
    finally:
        close(client, where)


def images(path: Path, seeds: range) -> Path:
    path.mkdir()
    for i in seeds:
        shape_image(i).save(path / f"{i:03d}.png")
    return path


@pytest.mark.parametrize(
    ("text", "told", "uri", "database"),
    [
        ("milvus://db.example", "milvus://db.example:19530", "http://db.example:19530", ""),
        ("milvus://10.0.0.7:8000/art", "milvus://10.0.0.7:8000/art", "http://10.0.0.7:8000", "art"),
        (
            "milvus+https://db.example/art/",
            "milvus+https://db.example:443/art",
            "https://db.example:443",
            "art",
        ),
        ("milvus://[::1]:19530", "milvus://[::1]:19530", "http://[::1]:19530", ""),
        ("milvus:vectors.db", "milvus:vectors.db", "/c/vectors.db", ""),
        ("milvus://./a/vectors.db", "milvus:a/vectors.db", "/c/a/vectors.db", ""),
        ("milvus:///data/vectors.db", "milvus:/data/vectors.db", "/data/vectors.db", ""),
    ],
)
def test_addresses(text: str, told: str, uri: str, database: str) -> None:
    address = Address.parse(text, Path("/c"))
    assert (address.text, address.uri, address.database) == (told, uri, database)
    assert Address.parse(told, Path("/c")) == address


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("milvus", "not a valid address"),
        ("milvus:", "not a valid address"),
        ("milvus:vectors", "not a valid address"),
        ("milvus://", "not a valid address"),
        ("milvus://h:99999", "not a valid address"),
        ("milvus://h/a/b", "not a valid address"),
        ("milvus://h?token=x", "not a valid address"),
        ("https://h:1", "not a valid address"),
        ("milvus:../x.db", "leads out"),
    ],
)
def test_invalid_addresses(text: str, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        Address.parse(text)


def test_a_password_is_refused_and_not_repeated() -> None:
    with pytest.raises(InvalidInputError, match="ATTRIBUTION_MILVUS_TOKEN") as caught:
        Address.parse("milvus://ada:hunter2@db.example")
    assert "hunter2" not in str(caught.value)


def test_the_token_is_in_no_file_and_no_error(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ATTRIBUTION_MILVUS_TOKEN", "ada:hunter2")
    TrainingIndex.build(unit(20, 4), server, home=tmp_path / "index").save(tmp_path / "index")
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and b"hunter2" in p.read_bytes()]
    with pytest.raises(CheckpointError, match="cannot be reached") as caught:
        TrainingIndex.build(unit(20, 4), "milvus://127.0.0.1:1")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("depth", [60, 200, 1990])
def test_shares_agree_with_faiss_within_their_intervals(
    depth: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_summary, "DEPTH", depth)
    monkeypatch.setattr(row_summary, "_SAMPLE", 400)
    train, query = unit(2000, 24), unit(12, 24, 1)
    index = TrainingIndex.build_from(
        (train[k : k + 300] for k in range(0, 2000, 300)), f"milvus:{tmp_path}/v.db"
    )
    ours, twin = index.search(query, 40), TrainingIndex.build(train).search(query, 40)
    assert np.array_equal(ours.ids, twin.ids) and ours.similarity == pytest.approx(twin.similarity, abs=2e-6)
    assert ours.rest.kind is (RestKind.SAMPLED if depth < 1990 else RestKind.EXACT)
    assert ours.rest.total.tolist() == [1960] * 12
    for t in (0.02, 0.05, 0.2, 1.0):
        found, right = (shares_at(hits.similarity, hits.rest, t) for hits in (ours, twin))
        assert (found.low <= right.influence * (1 + 1e-5)).all() and (
            right.influence <= found.high * (1 + 1e-5)
        ).all()
        assert (found.rest_low <= right.rest + 1e-5).all() and (right.rest <= found.rest_high + 1e-5).all()
    assert np.array_equal(index.nearest(query, 40).ids, twin.ids)
    # The same from its files.
    index.save(tmp_path / "index")
    again = TrainingIndex.load(tmp_path / "index").search(query, 40)
    assert np.array_equal(again.ids, ours.ids) and again.rest.log_sum_exp(0.05).high == pytest.approx(
        ours.rest.log_sum_exp(0.05).high, abs=1e-6
    )


def test_rows_come_back_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(milvus_store, "_INSERT_VALUES", 320)
    rows = unit(50, 16)
    given = list(TrainingIndex.build(rows, "milvus:vectors.db", home=tmp_path / "index").rows())
    assert [len(block) for block in given] == [20, 20, 10]
    np.testing.assert_allclose(np.concatenate(given), rows, atol=1e-6)


def test_the_sample_is_even_and_the_same_in_any_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_summary, "_SAMPLE", 100)
    rows = unit(5000, 3)
    whole, parts = row_summary.RowSummary(3), row_summary.RowSummary(3)
    whole.add(rows)
    for block in np.split(rows, [7, 50, 180, 3000]):
        parts.add(block)
    assert np.array_equal(whole.sample_id, parts.sample_id) and np.array_equal(whole.sample, parts.sample)
    assert np.array_equal(whole.sample, rows[whole.sample_id]) and len(set(whole.sample_id)) == 100
    assert whole.sum == pytest.approx(rows.sum(axis=0, dtype=np.float64), abs=1e-9) and parts.count == 5000
    # Each fifth of the rows has its part of the sample, and of the sample's first half.
    for chosen in (whole.sample_id, whole.sample_id[:50]):
        assert (
            np.abs(np.bincount(chosen // 1000, minlength=5) - len(chosen) / 5) < 4 * len(chosen) ** 0.5
        ).all()


def test_more_rows_than_milvus_returns_are_refused(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    index = TrainingIndex.build(unit(40, 4), server)
    monkeypatch.setattr(milvus_store, "LARGEST", 30)
    with pytest.raises(InvalidInputError, match="top is 31, but Milvus returns at most 30"):
        index.search(unit(1, 4), 31)


def test_threads_search_at_the_same_time(server: str) -> None:
    train = unit(400, 16)
    index = TrainingIndex.build(train, server)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda k: int(index.search(train[k : k + 1], 3).ids[0, 0]), range(64)))
    assert found == list(range(64))


def test_a_server_that_let_go_of_the_rows_loads_them_again(server: str) -> None:
    index, where = TrainingIndex.build(unit(30, 4), server), Address.parse(server)
    first = index.search(unit(2, 4, 1), 5).ids
    client = connect(where)
    client.release_collection(index._backend.name)  # type: ignore[attr-defined]
    close(client, where)
    assert np.array_equal(index.search(unit(2, 4, 1), 5).ids, first)


def test_rows_that_are_gone_or_others_are_said(server: str, tmp_path: Path) -> None:
    index = TrainingIndex.build(unit(30, 4), server, home=tmp_path / "index")
    index.save(tmp_path / "index")
    where, name = Address.parse(server), index._backend.name  # type: ignore[attr-defined]
    client = connect(where)
    client.insert(name, [{"id": 30, "row": unit(1, 4)[0]}])
    with pytest.raises(
        CollectionMismatchError, match=r"holds 31 rows of 4 values, expected 30 of 4.*--factory Flat"
    ):
        TrainingIndex.load(tmp_path / "index")
    client.drop_collection(name)
    close(client, where)
    with pytest.raises(CheckpointError, match=r"no longer has the collection .*; rebuild the index"):
        TrainingIndex.load(tmp_path / "index")
    with pytest.raises(CheckpointError, match="does not answer|cannot be read"):
        index.search(unit(1, 4), 2)


def test_rows_left_out_by_milvus_are_noticed(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_summary, "DEPTH", 20)
    index = TrainingIndex.build(unit(300, 8), server)
    store: Any = index._backend
    real = store._nearest

    def careless(queries: np.ndarray, depth: int) -> tuple[np.ndarray, np.ndarray]:
        ids, similarity = real(queries, depth + 30)
        return ids[:, 30:], similarity[:, 30:]

    monkeypatch.setattr(store, "_nearest", careless)
    with pytest.raises(CheckpointError, match="omits nearer rows"):
        index.search(unit(1, 8, 1), 5)


def test_a_file_that_is_missing_damaged_or_taken(tmp_path: Path) -> None:
    index = TrainingIndex.build(unit(30, 4), "milvus:v.db", home=tmp_path / "index")
    index.save(tmp_path / "index")
    code = "import sys; from attribution_core.retrieval.index import TrainingIndex; TrainingIndex.load(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "index")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "close any other program that has it open" in done.stderr.splitlines()[-1]
    assert "Failed to start" not in done.stderr and "pymilvus.exceptions" not in done.stderr
    del index  # the last one that has the file open lets it go, and the folder can be moved
    shutil.move(tmp_path / "index", tmp_path / "moved/index")
    shutil.move(tmp_path / "v.db", tmp_path / "moved/v.db")
    assert len(TrainingIndex.load(tmp_path / "moved/index")) == 30
    shutil.rmtree(tmp_path / "moved/v.db")
    with pytest.raises(CheckpointError, match=r"v\.db' of .* is missing; put it back"):
        TrainingIndex.load(tmp_path / "moved/index")
    (tmp_path / "moved/v.db").write_bytes(b"no database")
    with pytest.raises(CheckpointError, match="cannot be opened"):
        TrainingIndex.load(tmp_path / "moved/index")


def test_without_pymilvus_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(
        MissingDependencyError, match=r'needs pymilvus; run `pip install "attribution-explorer\[milvus\]"`'
    ):
        TrainingIndex.build(unit(3, 4), "milvus://127.0.0.1:1")


def test_what_does_not_come_about_is_dropped(server: str, tmp_path: Path) -> None:
    before = held(server)
    with pytest.raises(CollectionMismatchError):
        TrainingIndex.build_from([unit(3, 4), unit(3, 5)], server)
    assert held(server) == before
    # An index over another in the same folder takes its place in Milvus, too; one that others made stays.
    home, theirs = tmp_path / "index", TrainingIndex.build(unit(5, 4), server)
    for _ in range(3):
        TrainingIndex.build(unit(6, 4), server, home=home).save(home)
    assert len(held(server) - before) == 2 and len(TrainingIndex.load(home)) == 6
    TrainingIndex.discard(home)
    assert held(server) - before == {theirs._backend.name} and not home.exists()  # type: ignore[attr-defined]


def test_a_copy_of_a_folder_drops_nothing_of_the_original(server: str, tmp_path: Path) -> None:
    TrainingIndex.build(unit(6, 4), server, home=tmp_path / "a/index").save(tmp_path / "a/index")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    TrainingIndex.discard(tmp_path / "b/index")
    assert len(TrainingIndex.load(tmp_path / "a/index")) == 6 and not (tmp_path / "b/index").exists()
    (tmp_path / "a").rename(tmp_path / "c")  # moved, it still owns what it made
    before = held(server)
    TrainingIndex.discard(tmp_path / "c/index")
    assert len(before - held(server)) == 1


def test_what_cannot_be_dropped_now_is_dropped_by_a_later_run(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, home = held(server), tmp_path / "index"
    TrainingIndex.build(unit(6, 4), server, home=home).save(home)
    with monkeypatch.context() as patch:
        patch.setattr(
            milvus_store, "connect", lambda address: (_ for _ in ()).throw(CheckpointError("no server"))
        )
        TrainingIndex.discard(home)
    assert [p.name for p in home.iterdir()] == ["milvus.json"] and len(held(server) - before) == 1
    TrainingIndex.discard(home)
    assert not home.exists() and held(server) == before


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    """Of 18 images without two, in FAISS."""
    path = tmp_path_factory.mktemp("twin")
    build_collection(images(path / "images", range(18)), path / "twin", encoder=ENCODER)
    return remove_images(path / "twin", ["001.png", "014.png"]).collection


@pytest.mark.parametrize("where", ["server", "milvus:vectors.db"])
def test_a_collection_grows_shrinks_and_moves(
    where: str, twin: Collection, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    store = request.getfixturevalue("server") if where == "server" else where
    mine = tmp_path / "mine"
    here = store if where == "server" else f"milvus:{mine}/vectors.db"
    before = held(store) if where == "server" else set()
    first = images(tmp_path / "first", range(12))
    made = build_collection(first, mine, encoder=ENCODER, index=IndexOptions(factory=store)).collection
    assert made.card["factory"] == store and made.index.factory == store
    assert len(held(here) - before) == 1 and all("mine" in name for name in held(here) - before)
    build_collection(images(tmp_path / "second", range(12, 18)), mine, add=True)
    left = remove_images(mine, ["001.png", "014.png"]).collection
    assert len(held(here) - before) == 1 and len(left.index) == 16
    for seed in (3, 15):
        ours, theirs = (
            Attributor(c).attribute(shape_image(seed), top=5, temperature=0.05) for c in (left, twin)
        )
        assert [c.id for c in ours.credits] == [c.id for c in theirs.credits]
        assert ours.credits[0].id == f"{seed:03d}.png"
        assert ours.influence == pytest.approx(theirs.influence, abs=1e-5)
    # The same call again is nothing to do; another factory moves the rows, and the store is left as it was.
    again = build_collection(first, mine, encoder=ENCODER, index=IndexOptions(factory=store))
    assert (again.added, again.collection.card["edition"]) == (0, 3)
    del made, left, again, ours
    (tmp_path / "mine").rename(tmp_path / "elsewhere")
    opened = Collection.open(tmp_path / "elsewhere")
    assert Attributor(opened).attribute(shape_image(5), top=1, temperature=0.05).credits[0].id == "005.png"
    flat = build_collection(
        first, tmp_path / "elsewhere", encoder=ENCODER, index=IndexOptions(factory="Flat")
    ).collection
    assert flat.index.factory == "Flat" and not list((tmp_path / "elsewhere").glob("index*/milvus*"))
    assert held(store if where == "server" else f"milvus:{tmp_path}/elsewhere/vectors.db") == before


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


def test_cut_off_anywhere_the_old_or_the_new_holds_and_the_next_run_leaves_one(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "SHARD", 4)
    before, mine = held(server), tmp_path / "mine"
    first = images(tmp_path / "first", range(8))
    build_collection(first, mine, encoder=ENCODER, index=IndexOptions(factory=server))
    more = images(tmp_path / "second", range(8, 13))
    count = [0, -1]

    def counted(real: Any) -> Any:
        def wrapped(*args: Any, **options: Any) -> Any:
            if count[0] == count[1]:
                raise Killed
            count[0] += 1
            return real(*args, **options)

        return wrapped

    store = milvus_store.MilvusStore
    with monkeypatch.context() as patch:
        for owner, name in (
            (store, "add"),
            (store, "save"),
            (store, "_make_searchable"),
            (milvus_note, "write_note"),
            (milvus_store, "write_note"),
            (milvus_store, "_drop"),
            (Path, "replace"),
            (os, "rmdir"),
        ):
            patch.setattr(owner, name, counted(getattr(owner, name)))
        patch.setattr(store, "delete", lambda self: None)  # a kill drops nothing
        stopped = 0
        for stop in range(0, 200, 3):
            count[:] = [0, stop]
            try:
                build_collection(more, mine, add=True)
                break
            except Killed:
                stopped += 1
                patch.setattr(store, "delete", lambda self: None)
                count[1] = -1
                assert len(Collection.open(mine).index) in (8, 13)
        assert stopped > 5
    assert len(Collection.open(mine).index) == 13
    assert len(held(server) - before) == 1, "what cut-off runs left is dropped"


def test_the_command(server: str, tmp_path: Path) -> None:
    def call(*words: str) -> Any:
        return CliRunner().invoke(
            app,
            ["index", str(tmp_path / "first"), "--out", str(tmp_path / "mine"), "--encoder", ENCODER, *words],
        )

    images(tmp_path / "first", range(6))
    for words, said in (
        (["--store", "milvus:a.db", "--factory", "Flat"], "give only one of them"),
        (["--store", "milvus://127.0.0.1:1"], "cannot be reached"),
        (["--store", "a.db"], "not a valid address"),
        (["--store", "milvus://ada:hunter2@h"], "ATTRIBUTION_MILVUS_TOKEN"),
    ):
        done = call(*words)
        assert done.exit_code == 2 and said in done.stderr and "hunter2" not in done.stderr
        assert not (tmp_path / "mine").exists()
    assert call("--store", server).exit_code == 0
    card = json.loads((tmp_path / "mine/index/card.json").read_text())
    assert (card["factory"], card["count"]) == (server, 6)
    done = call("--store", server, "--add")
    assert done.exit_code == 2 and "cannot be changed with --add" in done.stderr


def test_released_files_go_there_too(server: str, tmp_path: Path) -> None:
    features = np.abs(unit(20, 768)) * 3
    save_features(tmp_path / "laion_subset.pth", features)
    before = held(server)
    done = CliRunner().invoke(
        app,
        [
            "from-release",
            ENCODER,
            "--features",
            str(tmp_path / "laion_subset.pth"),
            "--out",
            str(tmp_path / "mine"),
            "--store",
            server,
        ],
    )
    assert done.exit_code == 0, done.stderr
    index = Collection.open(tmp_path / "mine").index
    assert (index.factory, len(index), len(held(server) - before)) == (server, 20, 1)
    row = (features[7] / np.linalg.norm(features[7]))[None].astype(np.float32)
    assert index.search(row, 1).ids.tolist() == [[7]]
