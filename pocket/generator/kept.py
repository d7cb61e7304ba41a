"""Stores intermediate weights of the generator in a quarter of the space, so that another machine can resume.

The bundled generator is only replaced together with everything built from it, which takes hours. Until then the
averaged weights are in `pocket/kept` as 8-bit numbers; further training removes the rounding errors.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderTiny
from safetensors.torch import load_file, save_file

from attribution_core.common.cards import read_card, verify_files, write_card
from attribution_core.common.files import atomic_path, sha256_file
from pocket.generator.quantization import dequantize, quantize

KEPT = Path("pocket/kept")
WEIGHTS = "unet.safetensors"
VAE_WEIGHTS = "vae/diffusion_pytorch_model.safetensors"


def keep(
    weights: Mapping[str, torch.Tensor],
    training: Mapping[str, Any],
    folder: Path = KEPT,
    vae: AutoencoderTiny | None = None,
) -> None:
    """Write averaged weights and the card's entries on their training.

    vae: the autoencoder whose latents they are trained on, if not the bundled one.
    """
    with atomic_path(folder / WEIGHTS) as temporary:
        save_file(quantize(weights), temporary)
    files = [WEIGHTS]
    if vae is not None:
        copy.deepcopy(vae).half().save_pretrained(folder / "vae")
        files.append(VAE_WEIGHTS)
    write_card(
        folder,
        {
            "what": "the pocket generator's UNet while it is trained: nothing that ships is made from it",
            "licence": "Apache-2.0",
            "training": training,
            "files": {name: sha256_file(folder / name) for name in files},
        },
    )


def keep_decoder(vae: AutoencoderTiny, training: Mapping[str, Any], folder: Path) -> None:
    """Replace the stored autoencoder by one whose decoder was trained further; the UNet's file stays as it is.

    training: the card's entries on it.
    """
    copy.deepcopy(vae).half().save_pretrained(folder / "vae")
    card = read_card(folder)
    files = card["files"] | {VAE_WEIGHTS: sha256_file(folder / VAE_WEIGHTS)}
    write_card(folder, card | {"training": card["training"] | {"decoder": training}, "files": files})


def kept(folder: Path = KEPT) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read what `keep` wrote: weights and training. Raises `CheckpointError` if the file differs from its card."""
    verify_files(folder)
    return dequantize(load_file(folder / WEIGHTS)), read_card(folder)["training"]
