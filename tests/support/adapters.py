"""LoRA files for the tiny pipelines."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

LAYER = "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"
LORA_RANK = 2


def lora_tensors(scale: float = 1.0, width: int = 32) -> dict[str, torch.Tensor]:
    """Random matrices for one layer, named as diffusers does. width: of the text states that the layer reads."""
    random = torch.Generator().manual_seed(0)
    return {
        f"unet.{LAYER}.lora_A.weight": torch.randn(LORA_RANK, width, generator=random),
        f"unet.{LAYER}.lora_B.weight": scale * torch.randn(32, LORA_RANK, generator=random),
    }


def save_lora(path: Path, scale: float = 1.0, width: int = 32) -> Path:
    """Write them; returns the path."""
    save_file(lora_tensors(scale, width), path)
    return path
