"""What every long training run of the pocket recipes shares: log, schedule, average, checkpoints that resume."""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from attribution_core.cards import atomic_path

LOG = logging.getLogger("pocket")


def set_up_log(path: Path) -> None:
    """Log to the screen and to a file that a resumed run continues."""
    path.parent.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S",
                        handlers=[logging.StreamHandler(), logging.FileHandler(path)])


def fast_arithmetic(device: torch.device) -> torch.autocast:
    """Compute in bfloat16 where the hardware does; a CPU that emulates it is ten times slower than in float32."""
    native = device.type != "cpu" or bool(torch.cpu.get_capabilities().get("avx512_bf16"))
    return torch.autocast(device.type, torch.bfloat16, enabled=native)


def learning_rate(peak: float, step: int, fraction: float, warmup: int = 200, decay: float = 0.3) -> float:
    """Warm up over `warmup` steps, stay, and fall to 2 % over the last `decay` of the run.

    fraction: how much of the run is done, in [0, 1]. The long flat part lets a finished run be resumed
    with a larger target: the rate rises again and nothing learned is lost.
    """
    left = min(1.0, max(0.0, (1.0 - fraction) / decay))
    return peak * min(1.0, (step + 1) / warmup) * (0.02 + 0.98 * 0.5 * (1 - math.cos(math.pi * left)))


@dataclass
class Trainer:
    """One model, its optimizer and its running average, counted in samples and kept in one checkpoint file."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    peak: float
    target: int  # samples at which the run ends
    path: Path  # checkpoint file
    ema_decay: float = 0.9995
    every_s: float = 180.0  # seconds between checkpoints
    seen: int = 0
    steps: int = 0
    seconds: float = 0.0  # spent in earlier runs
    average: nn.Module = field(init=False)

    def __post_init__(self) -> None:
        """Start the average at the model itself."""
        self.average = copy.deepcopy(self.model).requires_grad_(False)

    def resume(self) -> None:
        """Go on from the checkpoint, where there is one: weights, optimizer, average, counters, random state."""
        if not self.path.exists():
            return
        state = torch.load(self.path, map_location="cpu", weights_only=True)
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        if "optimizer" in state:  # not where the run starts from shipped weights
            self.optimizer.load_state_dict(state["optimizer"])
        self.seen, self.steps, self.seconds = state["seen"], state["steps"], state["seconds"]
        if "rng" in state:
            torch.set_rng_state(state["rng"])
        LOG.info("resumed at %d samples, %d steps", self.seen, self.steps)

    def save(self, seconds: float) -> None:
        """Write the checkpoint under a temporary name, then rename it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(self.path) as temporary:
            torch.save({"model": self.model.state_dict(), "average": self.average.state_dict(),
                        "optimizer": self.optimizer.state_dict(), "seen": self.seen, "steps": self.steps,
                        "seconds": self.seconds + seconds, "rng": torch.get_rng_state()}, temporary)

    def run(self, batch: int) -> Iterator[int]:
        """Yield step numbers until the target; the caller computes a loss and calls `step` for each."""
        start = last_save = time.monotonic()
        seen_before = self.seen
        self._losses: list[float] = []
        while self.seen < self.target:
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate(self.peak, self.steps, self.seen / self.target)
            yield self.steps
            self.seen += batch
            now = time.monotonic()
            if self.steps % 100 == 0:
                rate = (self.seen - seen_before) / (now - start)
                LOG.info("%d steps, %d of %d samples, loss %.4f, %.1f samples/s, %.0f min left", self.steps,
                         self.seen, self.target, sum(self._losses) / max(1, len(self._losses)), rate,
                         (self.target - self.seen) / rate / 60)
                self._losses = []
            if now - last_save > self.every_s:
                self.save(now - start)
                last_save = now
        self.save(time.monotonic() - start)

    def step(self, loss: torch.Tensor) -> None:
        """One optimizer step, and one of the average (which warms up, so that it never lags at the start)."""
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.steps += 1
        self._losses.append(loss.item())
        keep = min(self.ema_decay, (1 + self.steps) / (10 + self.steps))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.model.parameters()), 1 - keep)
