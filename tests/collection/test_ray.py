"""Encoding on Ray, a local one: what comes of it is what comes without, whatever happens on the way."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from attribution_core.collection import shards
from attribution_core.collection.build import (
    ENCODING,
    Engine,
    IndexOptions,
    SourceOptions,
    build_collection,
)
from attribution_core.collection.ray import cluster as ray_cluster
from attribution_core.collection.ray import engine as ray_engine
from attribution_core.collection.ray.cluster import Share, share
from attribution_core.collection.sources.item import SourceItem
from attribution_core.common.progress import Progress
from attribution_core.errors import InvalidInputError, MissingDependencyError, UnknownNameError
from tests.support.fakes import shape_image
from tests.support.killed_build import killed_at_shard
from tests.support.sources import parquet, sample, shard

ENCODER = "rgb-thumbnail"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """One local Ray for all tests, with few resources; builds use the Ray that their program runs already.

    The GPU is one that Ray is told of and that is not there: workers are shared out by it unless the device is "cpu".
    """
    pytest.importorskip("ray")
    ray = ray_cluster.library()
    ray.init(
        address="local",
        num_cpus=2,
        num_gpus=1,
        object_store_memory=80_000_000,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
    )
    yield ray
    ray.shutdown()


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD", 4)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    for i in range(18):
        shape_image(i).save(folder / ("deep" if i % 2 else ".") / f"shape_{i:02d}.png")
    (folder / "broken.png").write_bytes(b"junk")
    (folder / "empty.jpg").write_bytes(b"")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a collection; nothing else may be left in its folder."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_folder_and_what_is_added_become_the_same_collection(
    cluster: Any, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "who.csv").write_text("file,creator\nshape_02.png,Ada\nbroken.png,Ben\nnone.png,Cleo\n")
    shard(
        tmp_path / "s.tar",
        [*sample(30, artist="Dan"), ("00031.png", b"junk"), *sample(32), ("00033.txt", b"x")],
    )
    seen: list[Progress] = []
    for engine, workers in (("local", None), ("ray", 2)):
        out = tmp_path / engine
        made = build_collection(
            photos,
            out,
            encoder=ENCODER,
            on_progress=seen.append,
            source=SourceOptions(metadata=tmp_path / "who.csv"),
            engine=Engine(engine, workers=workers),
        )
        assert {s.file for s in made.skipped} == {"broken.png", "empty.jpg"}
        added = build_collection(tmp_path / "s.tar", out, add=True, engine=Engine(engine, workers=workers))
        assert (added.added, len(added.skipped)) == (2, 2)
    assert contents(tmp_path / "ray") == contents(tmp_path / "local")
    assert {"skipped.json", "unmatched.json", "corpus-2/train-00004.parquet"} <= set(
        contents(tmp_path / "ray")
    )
    encoded = [step for step in seen if step.stage == ENCODING]
    assert encoded[:5] == encoded[5:] and [p.done for p in encoded[5:]] == [4, 8, 12, 16, 20]


def test_parquet_becomes_the_same_collection(cluster: Any, tmp_path: Path) -> None:
    parquet(tmp_path / "rows.parquet", range(10), TEXT=[f"shape {i}" for i in range(10)])
    for engine in ("local", "ray"):
        build_collection(tmp_path / "rows.parquet", tmp_path / engine, encoder=ENCODER, engine=Engine(engine))
    assert contents(tmp_path / "ray") == contents(tmp_path / "local")


class Slow:
    """An encoder of one's own: mean colours, slower for the first shard; says where it ran."""

    name, dim = "mean-colour", 4

    def __init__(self, fail_at: int = -1) -> None:
        self.fail_at = fail_at

    def encode(self, images: Sequence[Image.Image], batch_size: int | None = None) -> NDArray[np.float32]:
        rows = [[*np.asarray(image, np.float32).mean((0, 1)) / 255, float(os.getpid())] for image in images]
        first = images[0].size[0]
        if first == 100 + self.fail_at:
            raise OSError("the machine is on fire")
        time.sleep(1.5 if first == 100 else 0.3)
        return np.asarray(rows, np.float32)


def numbered(path: Path, count: int) -> Path:
    path.mkdir()
    for i in range(count):
        shape_image(i).resize((100 + i // 4, 64)).save(path / f"{i:03d}.png")
    return path


def test_an_encoder_of_ones_own_runs_in_two_workers_and_shards_stay_in_order(
    cluster: Any, tmp_path: Path
) -> None:
    images = numbered(tmp_path / "images", 24)
    out = tmp_path / "out"
    made = build_collection(
        images, out, loaded=Slow(), index=IndexOptions(near_duplicates=None), engine=Engine("ray", workers=2)
    )
    rows = np.concatenate([np.load(p) for p in sorted((out / "features").glob("[0-9]*[0-9].npy"))])
    assert np.allclose(rows[:, :3], Slow().encode([Image.open(p) for p in sorted(images.iterdir())])[:, :3])
    assert made.collection.corpus.column("id") == [f"{i:03d}.png" for i in range(24)]
    assert len(set(rows[:, 3])) == 2 and os.getpid() not in rows[:, 3]


@pytest.mark.parametrize("engine", ["ray", "local"])
def test_what_broke_off_on_ray_goes_on_with_either_engine(
    cluster: Any, engine: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with killed_at_shard(2, monkeypatch):
        build_collection(photos, tmp_path / "out", encoder=ENCODER, engine=Engine("ray"))
    assert sorted(p.name for p in (tmp_path / "out/building").glob("*.json")) == [
        "00000.json",
        "00001.json",
        "plan.json",
    ]
    seen: list[Progress] = []
    build_collection(
        photos, tmp_path / "out", encoder=ENCODER, on_progress=seen.append, engine=Engine(engine)
    )
    encoded = [step for step in seen if step.stage == ENCODING]
    assert [(p.done, p.resumed) for p in encoded] == [(8, 8), (12, 8), (16, 8), (20, 8)]
    build_collection(photos, tmp_path / "twin", encoder=ENCODER)
    assert contents(tmp_path / "out") == contents(tmp_path / "twin")


def test_what_an_encoder_of_ones_own_raises_is_not_hidden(cluster: Any, tmp_path: Path) -> None:
    images = numbered(tmp_path / "images", 12)
    with pytest.raises(OSError, match="on fire"):
        build_collection(images, tmp_path / "out", loaded=Slow(fail_at=1), engine=Engine("ray"))
    assert (tmp_path / "out/building/00000.json").exists() and not (
        tmp_path / "out/building/00001.json"
    ).exists()


def test_files_that_a_worker_does_not_have_stop_the_build(
    cluster: Any, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def elsewhere(item: SourceItem) -> SourceItem:
        return replace(item, data=Path("/no/such/folder", Path(str(item.data)).name))

    monkeypatch.setattr(ray_engine, "_portable", elsewhere)
    with pytest.raises(InvalidInputError, match="must see the images at the same path") as caught:
        build_collection(photos, tmp_path / "out", encoder=ENCODER, engine=Engine("ray"))
    assert str(photos / "broken.png") in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.slow
def test_an_encoder_that_ships_travels_and_gives_equal_features(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = numbered(tmp_path / "images", 6)
    for engine in ("local", "ray"):
        build_collection(images, tmp_path / engine, device="cpu", engine=Engine(engine))
    here, there = (
        [np.load(p) for p in sorted((tmp_path / engine / "features").glob("[0-9]*[0-9].npy"))]
        for engine in ("local", "ray")
    )
    assert [len(rows) for rows in there] == [4, 2]
    assert all(np.abs(a - b).max() < 1e-5 * np.abs(a).max() for a, b in zip(here, there, strict=True))
    # A worker's machine has no folder of encoders.
    recipe = pickle.loads(pickle.dumps(ray_engine.Recipe.of("pocket-clip-rgb", "cpu")))
    monkeypatch.setattr("attribution_core.encoding.encoders.SHIPPED", tmp_path / "nothing")
    assert recipe.load().encode([shape_image(1)]).shape == (1, 448)


def test_the_sentence_of_a_worker_is_the_users(cluster: Any, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingDependencyError, match="device 'cuda' is not available here"):
        build_collection(photos, tmp_path / "out", device="cuda", engine=Engine("ray"))


def test_what_the_engine_does_not_take_is_said_before_anything_is_written(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for options, kind, words in (
        ({"kind": "rya"}, UnknownNameError, "did you mean 'ray'. Known: local, ray"),
        ({"workers": 2}, InvalidInputError, "the engine 'local' has none"),
        ({"kind": "ray", "workers": 0}, InvalidInputError, "expected at least 1"),
    ):
        with pytest.raises(kind, match=words):
            build_collection(photos, tmp_path / "out", encoder=ENCODER, engine=Engine(**options))
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "attribution-explorer\[ray\]"'):
        build_collection(photos, tmp_path / "out", encoder=ENCODER, engine=Engine("ray"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("127.0.0.1:9", "no Ray cluster answers at RAY_ADDRESS '127.0.0.1:9'"),
        ("nonsense", "cannot be reached at RAY_ADDRESS 'nonsense'"),
    ],
)
def test_a_cluster_that_does_not_answer_is_one_sentence(
    address: str, words: str, photos: Path, tmp_path: Path
) -> None:
    pytest.importorskip("ray")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "attribution_core",
            "index",
            str(photos),
            "--out",
            str(tmp_path / "out"),
            "--encoder",
            ENCODER,
            "--engine",
            "ray",
        ],
        cwd=ROOT,
        text=True,
        capture_output=True,
        timeout=60,
        env={**os.environ, "RAY_ADDRESS": address},
    )
    assert done.returncode == 2
    assert words in done.stderr and done.stderr.count("\n") == 1, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT])
def test_a_command_on_a_cluster_may_be_stopped_at_any_time(
    cluster: Any, stop: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "SHARD", 256)  # as the command has it
    # From another folder: the cluster's workers know the library only by what the command brings along.
    images = numbered(tmp_path / "images", 1)
    for i in range(1, 1500):
        os.link(images / "000.png", images / f"{i:03d}.png")
    out = tmp_path / "out"
    command = [
        sys.executable,
        "-m",
        "attribution_core",
        "index",
        str(images),
        "--out",
        str(out),
        "--encoder",
        ENCODER,
        "--near-duplicates",
        "off",
    ]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "RAY_ADDRESS": cluster.get_runtime_context().gcs_address,
    }
    process = subprocess.Popen(
        [*command, "--engine", "ray", "--workers", "1"],
        cwd=tmp_path,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    started = time.monotonic()
    while (
        not (out / "building/00000.json").exists()
        and process.poll() is None
        and time.monotonic() - started < 60
    ):
        time.sleep(0.01)
    process.send_signal(stop)
    _, errors = process.communicate(timeout=20)
    told = [json.loads(p.read_text()) for p in sorted((out / "building").glob("[0-9]*.json"))]
    assert 1 <= len(told) < 6, "it was to be stopped in the middle"
    if stop is signal.SIGINT:
        assert process.returncode == 130
        assert "run the same command again to resume" in errors and "Traceback" not in errors, errors
    build_collection(
        images,
        out,
        encoder=ENCODER,
        index=IndexOptions(near_duplicates=None),
        engine=Engine("ray", workers=2),
    )
    build_collection(images, tmp_path / "twin", encoder=ENCODER, index=IndexOptions(near_duplicates=None))
    ids = [
        name
        for p in sorted((out / "features").glob("[0-9]*.json"))
        for name in json.loads(p.read_text())["ids"]
    ]
    assert ids == sorted(p.name for p in images.iterdir())
    assert (out / "features/00000.npy").read_bytes() == (tmp_path / "twin/features/00000.npy").read_bytes()


@pytest.mark.parametrize(
    ("machines", "workers", "device", "given"),
    [
        ([{"CPU": 8.0}], None, "auto", Share(1, 8, 0, 8)),
        ([{"CPU": 8.0}] * 3, None, "auto", Share(3, 8, 0, 8)),
        ([{"CPU": 8.0}, {"CPU": 32.0}, {}], None, "auto", Share(5, 8, 0, 8)),
        ([{"CPU": 2.0}], 2, "auto", Share(2, 1, 0, 1)),
        ([{"CPU": 2.0}], 3, "cpu", Share(3, 0.6666, 0, 1)),
        ([{"CPU": 8.0}] * 2, 3, "auto", Share(3, 4, 0, 4)),
        ([{"CPU": 16.0, "GPU": 4.0}, {"CPU": 64.0}], None, "auto", Share(4, 4, 1, 4)),
        ([{"CPU": 16.0, "GPU": 2.0}], 4, "cuda:1", Share(4, 4, 0.5, 4)),
        ([{"CPU": 16.0, "GPU": 2.0}], None, "cpu", Share(1, 16, 0, 16)),
    ],
)
def test_a_cluster_is_shared_out(
    machines: list[dict[str, float]], workers: int | None, device: str, given: Share
) -> None:
    assert share(machines, workers, device) == given


def test_a_shard_over_which_workers_die_is_given_up() -> None:
    async def fetched() -> list[list[str]]:
        shelf = ray_engine._ShardQueue(ray_engine.Recipe.of(ENCODER, "cpu"))
        await shelf.put(0, ["a shard"])
        return [await shelf.get(0) for _ in range(4)]

    with ThreadPoolExecutor(1) as pool:  # in this thread the browser's loop may be running
        given = pool.submit(asyncio.run, fetched()).result()
    assert given == [["a shard"]] * ray_engine.TRIES + [[]]
    with pytest.raises(InvalidInputError, match="workers died 3 times over the images 'a' to 'b'"):
        ray_engine._checked(
            [("a", SourceItem("a", b"")), ("b", SourceItem("b", b""))], ray_engine._Answer(None, "")
        )
