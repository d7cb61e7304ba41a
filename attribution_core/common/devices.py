"""Where networks run: one choice of device for everything, its free memory, and one error where that is short."""

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
    """Choose where networks run. device: "auto" (CUDA, else MPS, else CPU), or a name that is checked.

    Raises `MissingDependencyError` without torch or where the named device is not there.
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
    """Bytes that are free on a device of `pick_device`; of a container, what its limit leaves."""
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
    """Whether a device of `pick_device` computes in bfloat16 itself."""
    return device.startswith("cpu") or (device.startswith("cuda") and bool(_torch().cuda.is_bf16_supported()))


@contextmanager
def memory_errors(what: str, mend: str) -> Iterator[None]:
    """Turn running out of memory, which each device says in its own way, into one sentence.

    what: what was tried ("making an image of 1024 x 1024 px"). mend: what to do, as the rest of a sentence.
    Raises `NotEnoughMemoryError`; other errors pass.
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
        raise NotEnoughMemoryError(f"memory ran out while {what}; {mend}.") from error


def is_short(error: Exception) -> bool:
    """Whether an error says that memory ran out, in any device's words."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _SHORT)
    )


def _torch() -> Any:
    return import_optional("torch", "running networks")
