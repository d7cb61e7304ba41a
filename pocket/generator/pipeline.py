"""Writes networks as a `StableDiffusionPipeline`, which diffusers and `Generator` open."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import torch
from diffusers import AutoencoderTiny, StableDiffusionPipeline, UNet2DConditionModel
from transformers import BertModel, BertTokenizerFast

from pocket.generator.denoiser import sampler

LARGEST_SHARD = "15MB"  # of the UNet's weights


def write_pipeline(
    folder: Path,
    unet: UNet2DConditionModel,
    vae: AutoencoderTiny,
    tokenizer: BertTokenizerFast,
    encoder: BertModel,
) -> None:
    """Write all networks in float16, in place of what is there; other files in the folder stay."""
    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=sampler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as made:
        pipeline.to(torch.float16).save_pretrained(made, safe_serialization=True)
        for old in Path(made, "unet").glob("*.safetensors"):
            old.unlink()
        pipeline.unet.save_pretrained(Path(made, "unet"), max_shard_size=LARGEST_SHARD)
        for old in folder.rglob("*.safetensors*"):
            old.unlink()
        shutil.copytree(made, folder, dirs_exist_ok=True)
