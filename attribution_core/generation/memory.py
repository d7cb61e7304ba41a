"""Plans how a generator fits into free memory: precision, tiling, and offloading to main memory."""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from attribution_core.common.json_text import parse_json, read_json
from attribution_core.errors import CheckpointError, NotEnoughMemoryError

SMALL = 2_000_000_000
"""Weights up to which float32 is affordable, as with Stable Diffusion 1 and 2; tuning and second opinions need it."""
WORK_PER_PIXEL = 1600
"""Activations per pixel of an image, mostly in the decoder; a conservative estimate."""
TILE = 512
"""Side in px of a tile of the tiling decoder."""
LAYERS = 500_000_000
"""Bytes of the few layers on the device with sequential offloading."""
_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
_VARIANT = re.compile(r"\.(fp16|bf16|fp8|non_ema|ema_only)[.-]")


@dataclass(frozen=True)
class MemoryPlan:
    """How to load a generator. offload: "", "model" (one network at a time on the device) or "sequential" (one layer).

    vae_slicing: decode the images of a batch one by one. vae_tiling: decode an image in tiles, which can shift
    colours slightly. needs: estimated bytes on the device.
    """

    precision: str = "float32"
    attention_slicing: bool = False
    vae_slicing: bool = False
    vae_tiling: bool = False
    offload: str = ""
    needs: int = 0

    def __str__(self) -> str:
        """Return one sentence for the user; "" if no savings were needed."""
        savings = [
            words
            for words, used in (
                (f"half precision ({self.precision})", self.precision != "float32"),
                ("sliced attention", self.attention_slicing),
                ("tiled decoding", self.vae_tiling),
                ("one network at a time on the device", self.offload == "model"),
                ("one layer at a time on the device, which is slow", self.offload == "sequential"),
            )
            if used
        ]
        return f"To fit into free memory, the generator runs with {', '.join(savings)}." if savings else ""


def plan_memory(
    parts: Mapping[str, int], side: int, device: str, free: int, main_free: int, half: str = "float16"
) -> MemoryPlan:
    """Return the first plan that fits, in order of increasing savings.

    parts: number of weights of each of the pipeline's networks, by name. side: of an image, px. device: "cpu", "cuda"
    or "mps", with or without a number. free: bytes free on it. main_free: bytes free in main memory. half: half
    precision to use.
    Raises a `NotEnoughMemoryError` that says what the last plan needs if none fits.
    """
    weights, largest = sum(parts.values()), max(parts.values(), default=0)
    plain, tiled = WORK_PER_PIXEL * side**2, WORK_PER_PIXEL * min(side, TILE) ** 2
    kind = device.split(":")[0]
    full, halved = MemoryPlan(), MemoryPlan(half)
    sliced = replace(halved, vae_slicing=True, vae_tiling=True, attention_slicing=kind == "mps")
    # (plan, weights and activations on the device, further bytes there, weights in main memory)
    ladder: list[tuple[MemoryPlan, int, int, int]] = []
    if kind == "cpu":
        ladder = [
            (full, weights + plain, 0, 0),
            (replace(full, vae_slicing=True, vae_tiling=True), weights + tiled, 0, 0),
            (replace(sliced, precision="bfloat16"), weights + tiled, 0, 0),
        ]
    else:
        if weights <= SMALL:
            ladder.append((full, weights + plain, 0, 0))
        ladder += [(halved, weights + plain, 0, 0), (sliced, weights + tiled, 0, 0)]
    if kind == "cuda":
        ladder += [
            (replace(sliced, offload="model"), largest + tiled, 0, weights),
            (replace(sliced, offload="sequential"), tiled, LAYERS, weights),
        ]
    for plan, values, extra, offloaded in ladder:
        size = _BYTES[plan.precision]
        plan = replace(plan, needs=values * size + extra)
        if plan.needs <= free and offloaded * size <= main_free:
            return plan
    where = f"'{device}'" if kind != "cpu" else "main memory"
    short = f"{_gb(plan.needs)} on {where}, where {_gb(free)} are free"
    if plan.needs <= free:
        short = f"{_gb(offloaded * size)} of main memory, where {_gb(main_free)} are free"
    raise NotEnoughMemoryError(
        f"this generator needs at least {short}; close other programs, or choose a smaller generator such as "
        "'sd-turbo' (see the command 'generators')."
    )


def weight_counts(folder: Path) -> dict[str, int]:
    """Count the weights of each network in a pipeline folder, from the headers of its files.

    Extra copies in other precisions ("fp16") are skipped. Raises `CheckpointError` for a damaged file.
    """
    counts = {}
    for part in sorted(p for p in folder.iterdir() if p.is_dir()):
        for suffix, count in ((".safetensors", _count), (".bin", lambda file: file.stat().st_size // 4)):
            files = [f for f in part.iterdir() if f.suffix == suffix]
            files = [f for f in files if not _VARIANT.search(f.name)] or files
            if files:
                counts[part.name] = sum(count(file) for file in files)
                break
    return counts


def native_side(folder: Path) -> int:
    """Return the side in px of the images that a folder's network was trained on, from its configuration."""
    vae = _config(folder / "vae")
    channels = vae.get("encoder_block_out_channels") or vae.get("block_out_channels") or (0,) * 4
    network = _config(folder / "unet") or _config(folder / "transformer")
    return int(network.get("sample_size") or 128) * 2 ** (len(channels) - 1)


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        values: dict[str, Any] = read_json(path) if path.exists() else {}
    except ValueError as error:
        raise CheckpointError(
            f"'{path}' cannot be read ({error}); copy or fetch the generator again."
        ) from error
    return values


def _count(file: Path) -> int:
    try:
        with file.open("rb") as handle:
            length = struct.unpack("<Q", handle.read(8))[0]
            header = parse_json(handle.read(length))
        return sum(math.prod(t["shape"]) for t in _tensors(header))
    except (struct.error, ValueError, KeyError, OverflowError, MemoryError) as error:
        raise CheckpointError(
            f"'{file.name}' could not be loaded because it is damaged; copy or fetch '{file.parent}' again."
        ) from error


def _tensors(header: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    return (value for name, value in header.items() if name != "__metadata__")


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
