"""Contrastive fit of mapper heads: an exemplar and an image generated after tuning on it are a positive pair.

Follows the paper: a batch holds one (exemplar, generated image) pair from each of B tuned models; the loss is
InfoNCE over the B x B similarities in both directions, plus a regulariser that keeps a linear head near a rigid
transform.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from attribution_core.common.arrays import float_matrix, positive, whole
from attribution_core.common.files import atomic_path
from attribution_core.common.optional import import_optional
from attribution_core.common.tensors import read_tensors
from attribution_core.errors import CheckpointError, InvalidInputError

if TYPE_CHECKING:
    import torch

KINDS = ("linear", "channel", "mlp")
HIDDEN, OUT = 512, 256  # of the paper's MLP
_EVERY = 10  # epochs between checkpoints


@dataclass(frozen=True)
class FeaturePairs:
    """Raw features of exemplars and of generated images, each with the number of its tuned model.

    real: (r, d) float32. real_model: (r,). synth: (s, d) float32. synth_model: (s,). A model may have several
    exemplars, generated images, or augmented views of them, one per row.
    """

    real: NDArray[np.float32] = field(repr=False)
    real_model: NDArray[np.int64] = field(repr=False)
    synth: NDArray[np.float32] = field(repr=False)
    synth_model: NDArray[np.int64] = field(repr=False)

    def __post_init__(self) -> None:
        """Check that both sides cover the same models. Raises `InvalidInputError`."""
        real, synth = float_matrix("real", self.real), float_matrix("synth", self.synth)
        if real.shape[1] != synth.shape[1]:
            raise InvalidInputError(
                f"real has {real.shape[1]} columns and synth {synth.shape[1]}, expected features of one encoder."
            )
        for name, rows, model in (("real", real, self.real_model), ("synth", synth, self.synth_model)):
            if np.shape(model) != (len(rows),):
                raise InvalidInputError(f"{name}_model has shape {np.shape(model)}, expected ({len(rows)},).")
        if set(np.unique(self.real_model)) != set(np.unique(self.synth_model)):
            raise InvalidInputError("every model needs at least one exemplar and one generated image.")
        object.__setattr__(self, "real", real)
        object.__setattr__(self, "synth", synth)

    @property
    def models(self) -> NDArray[np.int64]:
        """Numbers of all models, ascending."""
        return np.unique(self.real_model)

    @property
    def dim(self) -> int:
        """Dimension of the features."""
        return int(self.real.shape[1])

    def of(self, models: NDArray[np.int64]) -> FeaturePairs:
        """Select the rows of some models, by their numbers."""
        real, synth = np.isin(self.real_model, models), np.isin(self.synth_model, models)
        return FeaturePairs(
            self.real[real], self.real_model[real], self.synth[synth], self.synth_model[synth]
        )


@dataclass(frozen=True)
class FitSettings:
    """Settings of a fit; defaults are the paper's where it states them.

    temperature: of the contrastive loss; the paper does not state it. rigidity: weight of the mean over rows of
    ||W^T W - I||^2, linear heads only; 0 omits it. batch: most models per batch. dropout: of the MLP.
    """

    kind: str = "linear"
    temperature: float = 0.05
    rigidity: float = 1.0
    epochs: int = 100
    learning_rate: float = 1e-3
    batch: int = 1024
    dropout: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise an `InvalidInputError` that names the first value out of range."""
        if self.kind not in KINDS:
            raise InvalidInputError(f"kind is {self.kind!r}, expected one of {', '.join(KINDS)}.")
        positive("temperature", self.temperature)
        positive("learning_rate", self.learning_rate)
        whole("epochs", self.epochs, 0)
        whole("batch", self.batch, 2)
        whole("seed", self.seed, 0)
        for name, value, high in (("rigidity", self.rigidity, np.inf), ("dropout", self.dropout, 0.99)):
            if not 0 <= value <= high:
                raise InvalidInputError(f"{name} is {value!r}, expected 0 to {high:g}.")


@dataclass(frozen=True)
class FitResult:
    """Arrays of both heads, by the names in `Head`, and the mean loss of each epoch."""

    real: dict[str, NDArray[np.float32]] = field(repr=False)
    synth: dict[str, NDArray[np.float32]] = field(repr=False)
    losses: tuple[float, ...] = field(repr=False)


def fit_heads(
    pairs: FeaturePairs,
    settings: FitSettings,
    on_epoch: Callable[[int, float], None] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
) -> FitResult:
    """Fit both heads; linear and channel heads start as the identity. The same seed gives the same heads.

    Args:
        pairs: Features of exemplars and generated images.
        settings: Settings of the fit.
        on_epoch: Called with the number of the epoch, from 1, and its mean loss.
        checkpoint: File from which an interrupted fit with the same settings resumes; deleted at the end.

    Raises:
        InvalidInputError: There are fewer than two models.
        CheckpointError: The checkpoint belongs to another fit.
        MissingDependencyError: torch is not installed.
    """
    torch = import_optional("torch", "fitting mappers")

    if len(pairs.models) < 2:
        raise InvalidInputError(f"a contrastive fit needs at least two models, given {len(pairs.models)}.")
    random = torch.Generator().manual_seed(settings.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        heads = torch.nn.ModuleDict({name: _new_head(settings, pairs.dim) for name in ("real", "synth")})
        optimizer = torch.optim.Adam(heads.parameters(), lr=settings.learning_rate, betas=(0.9, 0.999))
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, settings.epochs))
        state = _State(heads, optimizer, schedule, random, {**asdict(settings), "models": len(pairs.models)})
        losses = state.load(checkpoint)
        sides = [_Side(pairs.real, pairs.real_model), _Side(pairs.synth, pairs.synth_model)]
        heads.train()
        for epoch in range(len(losses), settings.epochs):
            losses.append(_epoch(heads, optimizer, sides, settings, random))
            schedule.step()
            if on_epoch is not None:
                on_epoch(epoch + 1, losses[-1])
            if checkpoint is not None and (epoch + 1) % _EVERY == 0:
                state.save(checkpoint, losses)
    if checkpoint is not None:
        Path(checkpoint).unlink(missing_ok=True)
    return FitResult(_arrays(heads["real"]), _arrays(heads["synth"]), tuple(losses))


class _Side:
    """Features of one side, sorted by model, so that one row of each model can be drawn at once."""

    def __init__(self, features: NDArray[np.float32], model: NDArray[np.int64]) -> None:
        import torch

        order = np.argsort(model, kind="stable")
        _, first, count = np.unique(model[order], return_index=True, return_counts=True)
        self._features = torch.from_numpy(features[order])
        self._first, self._count = torch.from_numpy(first), torch.from_numpy(count)

    def draw(self, models: torch.Tensor, random: torch.Generator) -> torch.Tensor:
        """Draw one row of each model, given by its position among the models: (b, d)."""
        import torch

        within = (torch.rand(len(models), generator=random) * self._count[models]).long()
        return self._features[self._first[models] + within]

    def __len__(self) -> int:
        return len(self._first)


def _epoch(
    heads: Any, optimizer: Any, sides: list[_Side], settings: FitSettings, random: torch.Generator
) -> float:
    """Train on one pair from every model, in batches of equal size; returns the mean loss."""
    import torch

    shuffled = torch.randperm(len(sides[0]), generator=random)
    # A batch of one would have nothing to contrast.
    parts = min(-(-len(shuffled) // settings.batch), len(shuffled) // 2)
    batches = torch.tensor_split(shuffled, parts)
    total = 0.0
    for models in batches:
        real, synth = (side.draw(models, random) for side in sides)
        loss = contrast(heads["real"](real), heads["synth"](synth), settings.temperature)
        if settings.kind == "linear" and settings.rigidity > 0:
            loss = loss + settings.rigidity * sum(_non_rigidity(head.weight) for head in heads.values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() / len(batches)
    return total


def contrast(real: torch.Tensor, synth: torch.Tensor, temperature: float) -> torch.Tensor:
    """Compute InfoNCE in both directions between mapped rows (b, m); row k of both sides is a positive pair."""
    import torch
    from torch.nn import functional as F

    logits = F.normalize(real, dim=1) @ F.normalize(synth, dim=1).T / temperature
    same = torch.arange(len(logits))
    return (F.cross_entropy(logits, same) + F.cross_entropy(logits.T, same)) / 2


def _non_rigidity(weight: torch.Tensor) -> torch.Tensor:
    """Mean over rows of ||W^T W - I||^2: zero for rotations and reflections."""
    import torch

    return (weight.T @ weight - torch.eye(weight.shape[1])).square().sum(1).mean()


def _new_head(settings: FitSettings, dim: int) -> Any:
    import torch
    from torch import nn

    if settings.kind == "mlp":
        return nn.Sequential(
            nn.Linear(dim, HIDDEN, bias=False),
            nn.BatchNorm1d(HIDDEN),
            nn.ReLU(),
            nn.Dropout(settings.dropout),
            nn.Linear(HIDDEN, OUT),
            nn.BatchNorm1d(OUT, affine=False),
        )
    if settings.kind == "channel":

        class Channel(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.weight = nn.Parameter(torch.ones(dim))
                self.bias = nn.Parameter(torch.zeros(dim))

            def forward(self, rows: torch.Tensor) -> torch.Tensor:
                return rows * self.weight + self.bias

        return Channel()
    head = nn.Linear(dim, dim)
    nn.init.eye_(head.weight)
    nn.init.zeros_(head.bias)
    return head


def _arrays(head: Any) -> dict[str, NDArray[np.float32]]:
    """Return the head's arrays; batch norms are folded into the layers before them."""
    if not hasattr(head, "weight"):
        first, second = _fold(head[0], head[1]), _fold(head[4], head[5])
        return {"weight": second[0], "bias": second[1], "hidden_weight": first[0], "hidden_bias": first[1]}
    return {name: getattr(head, name).detach().numpy().copy() for name in ("weight", "bias")}


def _fold(linear: Any, norm: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return weight and bias of a linear layer combined with the batch norm after it, in evaluation mode."""
    scale = (norm.running_var + norm.eps).rsqrt()
    shift = -norm.running_mean * scale if linear.bias is None else (linear.bias - norm.running_mean) * scale
    if norm.affine:
        scale, shift = scale * norm.weight, shift * norm.weight + norm.bias
    return (linear.weight * scale[:, None]).detach().numpy(), shift.detach().numpy()


@dataclass
class _State:
    """The complete state of a fit, for its checkpoint."""

    heads: Any
    optimizer: Any
    schedule: Any
    random: Any
    identity: dict[str, Any]  # of the fit; checkpoints of other fits are rejected

    def save(self, path: str | os.PathLike[str], losses: list[float]) -> None:
        import torch

        # given a path, torch does not say why it cannot write
        with atomic_path(path) as temporary, temporary.open("wb") as handle:
            torch.save(
                {
                    "heads": self.heads.state_dict(),
                    "optimizer": self.optimizer.state_dict(),
                    "schedule": self.schedule.state_dict(),
                    "random": self.random.get_state(),
                    "dropout": torch.get_rng_state(),
                    "losses": losses,
                    "identity": self.identity,
                },
                handle,
            )

    def load(self, path: str | os.PathLike[str] | None) -> list[float]:
        import torch

        if path is None or not Path(path).exists():
            return []
        stored = read_tensors(path)
        if not isinstance(stored, dict) or stored.get("identity") != self.identity:
            raise CheckpointError(f"'{path}' belongs to another fit; delete it to start over.")
        self.heads.load_state_dict(stored["heads"])
        self.optimizer.load_state_dict(stored["optimizer"])
        self.schedule.load_state_dict(stored["schedule"])
        self.random.set_state(stored["random"])
        torch.set_rng_state(stored["dropout"])
        return list(stored["losses"])
