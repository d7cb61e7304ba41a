"""An augmented training set in which every image has several looks and every look several captions.

A look is the image itself, mirrored, shifted and slightly smaller, or in another colour. So the UNet
learns varied captions and unusual colours, and its images for one prompt differ.
Planted images, which are to be memorized, have one look and their own two captions.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields

import numpy as np
import torch
from PIL import Image

from pocket.generator.captions import SLOTS, Words, plain_captions, recoloured_captions
from pocket.generator.colours import TARGETS, dominant, recolour, targets_of
from pocket.generator.denoiser import CAPTION_DROPOUT

SIDE = 128
PLAIN, MIRRORED, MOVED, MOVED_MIRRORED = 0, 1, (2, 4), (3, 5)
PLAIN_LOOKS, RECOLOURED_LOOKS = 6, 4
LOOKS = PLAIN_LOOKS + RECOLOURED_LOOKS
_SMALLEST = 0.8  # of a moved image, as a share of the whole


@dataclass(frozen=True)
class Plan:
    """The looks and captions of n images, planned before training from words and colours.

    texts: u different captions, the first one empty. captions: (n, LOOKS, SLOTS) int32 into them. looks: (n, SLOTS)
    uint8, each as likely. targets: (n, RECOLOURED_LOOKS) int8, place in `colours.TARGETS` or -1.
    """

    texts: tuple[str, ...]
    captions: np.ndarray
    looks: np.ndarray
    targets: np.ndarray


def plan(words: Sequence[Words], planted: Sequence[bool], seed: int = 0) -> Plan:
    """Plan captions and looks for n images. words: of each image. planted: which are to be memorized."""
    rng = np.random.default_rng(seed)
    ids: dict[str, int] = {"": 0}
    n = len(words)
    captions = np.zeros((n, LOOKS, SLOTS), np.int32)
    looks = np.zeros((n, SLOTS), np.uint8)
    targets = np.full((n, RECOLOURED_LOOKS), -1, np.int8)
    names = list(TARGETS)
    for i, (word, copied) in enumerate(zip(words, planted, strict=True)):
        plain = plain_captions(word, rng)
        if copied:
            plain = (plain[:1] + plain[3:4]) * (SLOTS // 2)
        captions[i, :PLAIN_LOOKS] = [ids.setdefault(c, len(ids)) for c in plain]
        if copied:
            continue
        turned = {"left", "right"} & set(word.label.split())
        own = (
            [PLAIN, PLAIN, PLAIN, PLAIN, *MOVED * 2] if turned else [PLAIN, MIRRORED, *MOVED, *MOVED_MIRRORED]
        )
        others: list[int] = []
        free = [names.index(name) for name in targets_of(word.colour)]
        for j, k in enumerate(rng.permutation(free)[:RECOLOURED_LOOKS] if free else ()):
            said = recoloured_captions(word, names[k], rng)
            if said:
                targets[i, j] = k
                row = [ids.setdefault(c, len(ids)) for c in said]
                captions[i, PLAIN_LOOKS + j] = np.resize(row, SLOTS)
                others.append(PLAIN_LOOKS + j)
        looks[i] = [*others, *np.resize(own, SLOTS - len(others))]
    return Plan(tuple(ids), captions, looks, targets)


def words_of(
    labels: Sequence[str], tags: Sequence[Sequence[str]], styles: Sequence[str], pixels: Sequence[np.ndarray]
) -> list[Words]:
    """Return the words of each image, including its colour."""
    with ProcessPoolExecutor() as pool:
        colours = list(pool.map(dominant, pixels, chunksize=64))
    return [Words(*known) for known in zip(labels, map(tuple, tags), styles, colours, strict=True)]


def looks_of(encoded: bytes, targets: Sequence[int], seed: int) -> np.ndarray:
    """Render all looks of an image file: (LOOKS, 3, 128, 128) uint8. Looks without a target repeat the image."""
    rng = np.random.default_rng(seed)
    image = _opened(encoded)
    own = np.asarray(image)
    names = list(TARGETS)
    looks = [own, own[:, ::-1]]
    for _ in MOVED:
        moved = _moved(image, rng)
        looks += [moved, moved[:, ::-1]]
    for k in targets:
        other = recolour(own, names[k]) if k >= 0 else None
        other = own if other is None else other
        if rng.random() < 0.5:
            other = _moved(Image.fromarray(other), rng)
        looks.append(other[:, ::-1] if rng.random() < 0.5 else other)
    return np.ascontiguousarray(np.stack(looks).transpose(0, 3, 1, 2))


def plain_look(encoded: bytes) -> np.ndarray:
    """Render an image file as it is: (3, 128, 128) uint8."""
    return np.ascontiguousarray(np.asarray(_opened(encoded)).transpose(2, 0, 1))


def _opened(encoded: bytes) -> Image.Image:
    return Image.open(io.BytesIO(encoded)).convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def _moved(image: Image.Image, rng: np.random.Generator) -> np.ndarray:
    side = int(SIDE * rng.uniform(_SMALLEST, 0.97))
    canvas = Image.new("RGB", (SIDE, SIDE), "white")
    x, y = (int(v) for v in rng.integers(0, SIDE - side + 1, 2))
    canvas.paste(image.resize((side, side), Image.Resampling.LANCZOS), (x, y))
    return np.asarray(canvas)


@dataclass(frozen=True)
class VariedSet:
    """Training data of the UNet, as `denoiser.Examples`.

    latents: (n, LOOKS, 4, 16, 16) float16, scaled. states: (u, 24, 384) float16, the first of the empty caption.
    captions, looks: as in `Plan`, int64. order: (m,) row numbers of one epoch, some repeated.
    """

    latents: torch.Tensor
    states: torch.Tensor
    captions: torch.Tensor
    looks: torch.Tensor
    order: torch.Tensor

    def to(self, device: torch.device) -> VariedSet:
        """Move all tensors except the order, which stays on the CPU."""
        return VariedSet(
            **{
                f.name: t if f.name == "order" else t.to(device)
                for f in fields(self)
                for t in [getattr(self, f.name)]
            }
        )

    def draw(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return one look of each row and one of its captions, a tenth of them empty."""
        at = rows.device
        looks = self.looks[rows, torch.randint(SLOTS, rows.shape, device=at)]
        captions = self.captions[rows, looks, torch.randint(SLOTS, rows.shape, device=at)]
        captions = captions * (torch.rand(rows.shape, device=at) >= CAPTION_DROPOUT)
        return self.latents[rows, looks].float(), self.states[captions].float()
