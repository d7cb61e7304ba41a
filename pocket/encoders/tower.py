"""Shared by the encoders trained here: a small ResNet, views of the training set, and how weights are saved."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from attribution_core.collection.layout import CollectionLayout
from attribution_core.common.cards import read_card, write_card
from attribution_core.common.files import atomic_path
from attribution_core.corpus.corpus import Corpus
from attribution_core.encoding.encoders import ENCODERS
from attribution_core.encoding.spec import HALF
from pocket.encoders.convert import measured
from pocket.training import Trainer, fast_arithmetic

CORPUS = CollectionLayout(Path("checkpoints/pocket")).corpus
OUT = Path("checkpoints/encoders")
WORK = Path(".work/encoders")
SIZE = 64  # px: what the pocket generator makes
CPU = torch.device("cpu")
View = Callable[[Image.Image], Image.Image]


def new_tower(name: str) -> nn.Module:
    """The untrained network of an encoder's row, with its last linear layer: (n, 3, 64, 64) -> (n, dim)."""
    spec = ENCODERS[name]
    tower: nn.Module = timm.create_model(spec.model, pretrained=False, num_classes=spec.dim)
    return tower.to(memory_format=torch.channels_last)


def pictures(corpus: Corpus) -> list[Image.Image]:
    """Decode all images."""
    return [corpus.image(i) for i in range(len(corpus))]


class Views(Dataset[tuple[torch.Tensor, int]]):
    """Random views of images. Item i: (n_views, 3, 64, 64) uint8, and i."""

    def __init__(self, images: list[Image.Image], view: View, n_views: int) -> None:
        """view: a random transform of one image, which draws from torch's generator."""
        self._images, self._view, self._n_views = images, view, n_views

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._images)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        """Return views of one image."""
        views = [np.asarray(self._view(self._images[i])) for _ in range(self._n_views)]
        return torch.from_numpy(np.stack(views)).permute(0, 3, 1, 2), i

    def batches(self, size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Endless batches of different images, ((size, n_views, 3, 64, 64) uint8, (size,)), made by a second process.

        All randomness follows torch's generator.
        """
        loader = DataLoader(self, size, shuffle=True, drop_last=True, num_workers=1, prefetch_factor=4)
        while True:
            yield from loader


def to_input(pixels: torch.Tensor) -> torch.Tensor:
    """(n, 3, 64, 64) uint8 -> float32 as the encoders' rows normalise."""
    mean, std = (torch.tensor(values)[:, None, None] for values in HALF)
    return ((pixels.float() / 255 - mean) / std).contiguous(memory_format=torch.channels_last)


@dataclass(frozen=True)
class Schedule:
    """Training settings. batch: images per step. samples: total number of views. peak: highest learning rate."""

    batch: int
    samples: int
    peak: float
    weight_decay: float = 0.05
    ema: float = 0.998


def train(
    model: nn.Module,
    schedule: Schedule,
    data: Views,
    n_views: int,
    path: Path,
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    seed: int = 0,
) -> nn.Module:
    """Train a module whose `tower` sees images; resumes from the checkpoint `path`. Returns the averaged module.

    loss: of features (batch, n_views, dim) float32 and the images' numbers (batch,).
    """
    torch.manual_seed(seed)
    # Gains and biases are not decayed: they set the scale of what the layers pass on.
    groups = [
        {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": schedule.weight_decay},
        {"params": [p for p in model.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=schedule.peak, fused=True)
    trainer = Trainer(model.train(), optimizer, schedule.peak, schedule.samples, path, ema_decay=schedule.ema)
    trainer.resume()
    batches = data.batches(schedule.batch)
    for _ in trainer.run(schedule.batch * n_views):
        pixels, rows = next(batches)
        with fast_arithmetic(CPU):
            features = model.tower(to_input(pixels.flatten(0, 1)))
        trainer.step(loss(features.float().unflatten(0, pixels.shape[:2]), rows))
    return trainer.average.eval()


def small(smallest: float = 0.0) -> v2.Transform:
    """Crop at random, at least `smallest` of the area (0: no crop), to the encoders' size."""
    if smallest:
        return v2.RandomResizedCrop(SIZE, (smallest, 1.0), (0.75, 1.33), v2.InterpolationMode.BICUBIC)
    return v2.Resize(SIZE, v2.InterpolationMode.BICUBIC)


def export(
    name: str,
    tower: nn.Module,
    path: Path,
    schedule: Schedule,
    card: dict[str, Any],
    more_files: tuple[str, ...] = (),
) -> None:
    """Write a tower's weights, in float16, and its card. path: the checkpoint that tells how long it was trained."""
    spec, folder = ENCODERS[name], OUT / name
    done = torch.load(path, map_location="cpu", weights_only=True)
    with atomic_path(folder / "model.safetensors") as temporary:
        save_file(
            {k: v.half().contiguous() if v.is_floating_point() else v for k, v in tower.state_dict().items()},
            temporary,
        )
    write_card(
        folder,
        {
            **card,
            "encoder": spec.name,
            "dim": spec.dim,
            "input_size": spec.input_size,
            "preprocessing": f"bicubic to {SIZE} px on the shorter side, centre crop, mean and std 0.5",
            "network": f"{spec.model} (timm), {sum(p.numel() for p in tower.parameters()):,} parameters, trained from "
            "random weights",
            "training": {
                "views": done["seen"],
                "steps": done["steps"],
                "hours": round(done["seconds"] / 3600, 2),
                "device": "cpu",
                "recipe": vars(schedule),
                "data": "the split `train` of the pocket corpus",
                "corpus_sha256": read_card(CORPUS)["files"]["train-core.parquet"],
                "date": datetime.now(UTC).date().isoformat(),
            },
            "licence": "Apache-2.0 for the weights; the training images keep theirs "
            "(see ../../pocket/corpus/card.json)",
            "files": ["model.safetensors", *more_files],
            **measured(folder),
        },
    )
