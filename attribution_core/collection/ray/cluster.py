"""Ray for the length of one build: joining or starting a cluster, and what each worker gets of it."""

from __future__ import annotations

import logging
import math
import os
import socket
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attribution_core.common.optional import import_optional
from attribution_core.common.text import message_of
from attribution_core.errors import InvalidInputError

PACKAGE = Path(__file__).resolve().parents[2]
_REACH = 5.0  # seconds; Ray itself tries for minutes
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


@dataclass(frozen=True)
class Share:
    """How a cluster is divided. count: workers; cpus, gpus: per worker, as Ray counts them; threads: per worker."""

    count: int
    cpus: float
    gpus: float
    threads: int


def library() -> Any:
    """Import Ray with Ray Data. Raises `MissingDependencyError`."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    import_optional("ray.data", "the engine 'ray'")
    return import_optional("ray", "the engine 'ray'")


@contextmanager
def running() -> Iterator[Any]:
    """Use the Ray that this program runs, else the cluster of RAY_ADDRESS or of this machine, else start one.

    A cluster that was joined keeps running, one that was started is stopped. Raises `MissingDependencyError`, and
    `InvalidInputError` if the cluster cannot be reached.
    """
    ray = library()
    if ray.is_initialized():
        yield ray
        return
    address = os.environ.get("RAY_ADDRESS", "")
    _reach(address)
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    warnings.filterwarnings(
        "ignore", "The minimum number of concurrent actors"
    )  # of Ray Data, for a short source
    try:
        try:
            # Workers run this copy of the library, whether or not it is installed on their machines.
            with _silent():
                ray.init(
                    runtime_env={"py_modules": [str(PACKAGE)]},
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                )
        except (ConnectionError, OSError, RuntimeError, ValueError) as error:
            what = f"be reached at RAY_ADDRESS '{address}'" if address else "be started"
            raise InvalidInputError(
                f"Ray cannot {what} ({message_of(error, 200)}); check the cluster, or "
                "leave '--engine ray' away."
            ) from error
        yield ray
    finally:
        ray.shutdown()


@contextmanager
def _silent() -> Iterator[None]:
    """Keep Ray's C++ core off the terminal, while it starts and afterwards.

    It would report a spurious error for every worker (Ray's issue 53727), and that its log level was changed.
    """
    name, before = "RAY_BACKEND_LOG_LEVEL", os.environ.get("RAY_BACKEND_LOG_LEVEL")
    terminal, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.environ.setdefault(name, "fatal")
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)
        os.close(nothing)
        if before is None:
            del os.environ[name]


def _reach(address: str) -> None:
    """Raise `InvalidInputError` if nothing answers at host:port."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit() or "/" in host:
        return  # Ray says itself what is wrong with another kind of address
    try:
        socket.create_connection((host.strip("[]"), int(port)), _REACH).close()
    except (OSError, OverflowError) as error:
        raise InvalidInputError(
            f"no Ray cluster answers at RAY_ADDRESS '{address}' ({error}); start it there, or "
            "unset RAY_ADDRESS to use this machine alone."
        ) from error


def share(machines: Sequence[Mapping[str, float]], workers: int | None, device: str) -> Share:
    """Divide a cluster among workers.

    machines: resources of each, as Ray names them ("CPU", "GPU"). workers: None for one per GPU; without GPUs, one for
    each time that the smallest machine's cores fit into a machine, which is one per machine if all are alike. device:
    "auto" and "cuda" use GPUs. Raises `InvalidInputError` if there are no cores.
    """
    if device == "auto" or device.startswith("cuda"):
        with_gpus = [m for m in machines if m.get("GPU", 0) >= 1]
        if with_gpus:
            total = int(sum(m["GPU"] for m in with_gpus))
            count = workers or total
            each = math.ceil(count / total)
            cpus = min(m.get("CPU", 0) / (int(m["GPU"]) * each) for m in with_gpus)
            return Share(count, _whole(cpus), _whole(1 / each), max(1, int(cpus)))
    cores = [int(m["CPU"]) for m in machines if m.get("CPU", 0) >= 1]
    if not cores:
        raise InvalidInputError("the Ray cluster has no processor cores to encode with; add machines to it.")
    smallest = min(cores)
    count = workers or sum(c // smallest for c in cores)
    cpus = smallest / math.ceil(count / sum(c // smallest for c in cores))
    return Share(count, _whole(cpus), 0, max(1, int(cpus)))


def _whole(amount: float) -> float:
    """Round down to what Ray accepts: a whole number, or four digits below one."""
    return float(int(amount)) if amount >= 1 else math.floor(amount * 1e4) / 1e4
