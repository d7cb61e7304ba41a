"""Encoding on several machines of Ray: three nodes, each a process of its own, one of which is killed on the way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from attribution_core.collection import shards
from attribution_core.collection.build import ENCODING, Engine, build_collection
from attribution_core.collection.ray import cluster as ray_cluster
from attribution_core.common.progress import Progress
from tests.collection.test_ray import Slow, contents, numbered

NODE = {"num_cpus": 1, "object_store_memory": 80_000_000}
QUICK_TO_NOTICE = {"health_check_period_ms": 500, "health_check_failure_threshold": 2}


class Steady(Slow):
    """Gives the same features wherever it runs."""

    def encode(self, images: Sequence[Image.Image], batch_size: int | None = None) -> NDArray[np.float32]:
        rows = super().encode(images)
        rows[:, 3] = 1
        return rows


@pytest.fixture
def machines() -> Iterator[Any]:
    """A head and two more nodes, and this process connected to them."""
    pytest.importorskip("ray")
    ray = ray_cluster.library()
    from ray.cluster_utils import Cluster

    head = {**NODE, "include_dashboard": False, "_system_config": QUICK_TO_NOTICE}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    for _ in range(2):
        cluster.add_node(**NODE)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.mark.slow
def test_a_machine_dies_and_the_collection_is_as_if_it_had_not(
    machines: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "SHARD", 4)
    images, lost = numbered(tmp_path / "images", 40), list(machines.worker_nodes)[:1]
    done: list[int] = []

    def on_progress(step: Progress) -> None:
        if step.stage != ENCODING:
            return
        done.append(step.done)
        if step.done == 8:
            machines.remove_node(lost[0], allow_graceful=False)

    made = build_collection(
        images, tmp_path / "ray", loaded=Steady(), engine=Engine("ray", workers=3), on_progress=on_progress
    )
    build_collection(images, tmp_path / "local", loaded=Steady())
    assert len(machines.worker_nodes) == 1, "it was to be lost in the middle"
    assert (made.added, done) == (40, list(range(4, 41, 4)))
    assert contents(tmp_path / "ray") == contents(tmp_path / "local")
