"""Shared by all training runs of the pocket recipes: log, schedule, running average, resumable checkpoints."""

from __future__ import annotations

import copy
import logging
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from attribution_core.common.files import atomic_path
from attribution_core.errors import CheckpointError

LOG = logging.getLogger("pocket")


def set_up_log(path: Path) -> None:
    """Log to the screen and to a file that a resumed run continues."""
    path.parent.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(message)s",
        datefmt="%H:%M:%S",
        handlers=[logging.StreamHandler(), logging.FileHandler(path)],
    )


def say(line: str) -> None:
    """Print progress to stderr."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def training_device() -> torch.device:
    """A GPU where PyTorch can use one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def native_bfloat16(device: torch.device) -> bool:
    """Whether the hardware computes in bfloat16; a CPU that emulates it is ten times slower than in float32."""
    return device.type != "cpu" or bool(torch.cpu.get_capabilities().get("avx512_bf16"))


@contextmanager
def fast_arithmetic(device: torch.device) -> Iterator[None]:
    """Compute in bfloat16 if the hardware supports it.

    On a CPU, attention over so few tokens takes a fifth of the time with the flash kernel, but little as products.
    """
    plain = sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()
    with torch.autocast(device.type, torch.bfloat16, enabled=native_bfloat16(device)), plain:
        yield


def learning_rate(peak: float, step: int, fraction: float, warmup: int = 200, decay: float = 0.3) -> float:
    """Return the learning rate: warm-up over `warmup` steps, constant, then decay to 2 % over the last `decay`.

    fraction: of the run that is done, in [0, 1]. The long constant part lets a finished run resume
    with a larger target: the rate rises again without losing what was learned.
    """
    left = min(1.0, max(0.0, (1.0 - fraction) / decay))
    return peak * min(1.0, (step + 1) / warmup) * (0.02 + 0.98 * 0.5 * (1 - math.cos(math.pi * left)))


@dataclass
class Trainer:
    """A model with its optimizer and running average, whose progress is counted in samples and checkpointed."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    peak: float
    target: int  # samples at which the run ends
    path: Path  # checkpoint file
    ema_decay: float = 0.9995
    every_s: float = 180.0  # seconds between checkpoints
    limit_s: float | None = None  # seconds at which the run ends instead
    pause_s: float | None = (
        None  # seconds after which it pauses, to be resumed; does not affect the learning rate
    )
    on_save: Callable[[dict[str, Any]], None] | None = None  # called with each checkpoint once it is written
    seen: int = 0
    steps: int = 0
    fresh_at: int = 0  # steps at which the optimizer was new; the warm-up counts from there
    seconds: float = 0.0  # spent in earlier runs
    average: nn.Module = field(init=False)

    def __post_init__(self) -> None:
        """Start the average at the model itself."""
        self.average = copy.deepcopy(self.model).requires_grad_(False)

    def resume(self) -> None:
        """Resume from the checkpoint if there is one: weights, optimizer, average, counters, random state."""
        if not self.path.exists():
            return
        state = torch.load(self.path, map_location="cpu", weights_only=True)
        grown = "optimizer" not in state  # bundled weights, which the recipe may extend
        for model, name in ((self.model, "model"), (self.average, "average")):
            if model.load_state_dict(state[name], strict=not grown).unexpected_keys:
                raise CheckpointError(f"{self.path} holds another network; move it aside to start anew.")
        self.fresh_at = state["steps"] if grown else state.get("fresh_at", 0)
        if not grown:
            self.optimizer.load_state_dict(state["optimizer"])
        self.seen, self.steps, self.seconds = state["seen"], state["steps"], state["seconds"]
        if "rng" in state:
            torch.set_rng_state(state["rng"])
        LOG.info("resumed at %d samples, %d steps", self.seen, self.steps)

    def save(self, seconds: float) -> None:
        """Write the checkpoint atomically."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        state = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "seen": self.seen,
            "steps": self.steps,
            "fresh_at": self.fresh_at,
            "seconds": self.seconds + seconds,
            "rng": torch.get_rng_state(),
        }
        with atomic_path(self.path) as temporary:
            torch.save(state, temporary)
        if self.on_save:
            self.on_save(state)

    def run(self, batch: int) -> Iterator[int]:
        """Yield step numbers until the target; the caller computes a loss and calls `step` for each."""
        start = last_save = time.monotonic()
        seen_before = self.seen
        self._losses: list[torch.Tensor] = []
        while (done := self._done(time.monotonic() - start)) < 1:
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate(self.peak, self.steps - self.fresh_at, done)
            yield self.steps
            self.seen += batch
            now = time.monotonic()
            if self.steps % 100 == 0:
                rate = (self.seen - seen_before) / (now - start)
                LOG.info(
                    "%d steps, %d of %d samples, loss %.4f, %.1f samples/s, %.0f min left",
                    self.steps,
                    self.seen,
                    self.target,
                    torch.stack(self._losses).mean().item() if self._losses else 0.0,
                    rate,
                    self._left(now - start, rate) / 60,
                )
                self._losses = []
            if self.pause_s and now - start > self.pause_s:
                break
            if now - last_save > self.every_s:
                self.save(now - start)
                last_save = now
        self.save(time.monotonic() - start)

    def _left(self, seconds: float, rate: float) -> float:
        return self.limit_s - self.seconds - seconds if self.limit_s else (self.target - self.seen) / rate

    def _done(self, seconds: float) -> float:
        return (self.seconds + seconds) / self.limit_s if self.limit_s else self.seen / self.target

    def step(self, loss: torch.Tensor) -> None:
        """Take one optimizer step and update the running average, whose decay warms up to avoid an early lag."""
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.steps += 1
        self._losses.append(loss.detach())  # read when it is logged: reading waits for a GPU
        keep = min(self.ema_decay, (1 + self.steps) / (10 + self.steps))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.model.parameters()), 1 - keep)
            for average, now in zip(self.average.buffers(), self.model.buffers(), strict=True):
                average.copy_(now)  # batch norms' statistics are averages already
