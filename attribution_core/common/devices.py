"""Devices that networks run on: choice of device, free memory, and one error for running out of it."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attribution_core.common.optional import import_optional
from attribution_core.errors import MissingDependencyError, NotEnoughMemoryError, unknown_name

_CGROUP = Path("/sys/fs/cgroup")
_SHORT = ("out of memory", "can't allocate memory", "not enough memory")


def pick_device(device: str = "auto") -> str:
    """Choose a device for networks. device: "auto" (CUDA, else MPS, else CPU), or a name to validate.

    Raises `MissingDependencyError` without torch or if the device is unavailable, `UnknownNameError` for other names.
    """
    torch = _torch()
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        return next(name for name in ("cuda", "mps", "cpu") if available[name])
    kind = device.split(":")[0]
    if kind not in available:
        raise unknown_name("device", device, ["auto", *available])
    if not available[kind]:
        raise MissingDependencyError(f"device '{device}' is not available here; use 'auto' or 'cpu'.")
    return device


def free_memory(device: str) -> int:
    """Return the free bytes on a device from `pick_device`, within a container's limit."""
    torch = _torch()
    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(torch.device(device))[0])
    if device.startswith("mps"):
        return int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    import psutil

    free = int(psutil.virtual_memory().available)
    try:
        limit, used = ((_CGROUP / name).read_text().strip() for name in ("memory.max", "memory.current"))
    except OSError:
        return free
    return free if limit == "max" else max(0, min(free, int(limit) - int(used)))


def has_bfloat16(device: str) -> bool:
    """Whether a device from `pick_device` supports bfloat16."""
    return device.startswith("cpu") or (device.startswith("cuda") and bool(_torch().cuda.is_bf16_supported()))


@contextmanager
def memory_errors(activity: str, remedy: str) -> Iterator[None]:
    """Turn any device's out-of-memory error into a `NotEnoughMemoryError` of one sentence; other errors propagate.

    activity: what was being done ("generating an image of 1024 x 1024 px"). remedy: what to do, as a clause.
    """
    try:
        yield
    except NotEnoughMemoryError:
        raise
    except (MemoryError, RuntimeError) as error:
        if not is_short(error):
            raise
        gc.collect()
        torch = _torch()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        raise NotEnoughMemoryError(f"memory ran out while {activity}; {remedy}.") from error


def is_short(error: Exception) -> bool:
    """Whether an error means that memory ran out, on any device."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _SHORT)
    )


def _torch() -> Any:
    return import_optional("torch", "running networks")
