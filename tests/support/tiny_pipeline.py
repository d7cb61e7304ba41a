"""Tiny random Stable Diffusion pipelines of the two shapes that occur, made on the spot for offline tests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from attribution_core.generation.recipe import Recipe
from attribution_core.generation.weights import weights_sha256
from tests.support.images import save_png

WORDS = (
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "a",
    "red",
    "blue",
    "cat",
    "dog",
    "house",
    "picture",
    "of",
    "very",
    "small",
    "far",
    "away",
    "close",
    "up",
    "zoomed",
    "in",
    "style",
    "noto",
    "art",
    "the",
    ",",
    ".",
)
SIDE = 32


def make_pocket_like(folder: Path) -> Path:
    """BERT text encoder, v-prediction with zero terminal signal, AutoencoderTiny: as the pocket generator."""
    import torch
    from diffusers import AutoencoderTiny, DDIMScheduler
    from transformers import BertConfig, BertModel, BertTokenizerFast

    torch.manual_seed(0)
    text = BertModel(
        BertConfig(
            vocab_size=len(WORDS),
            hidden_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=32,
        ),
        add_pooling_layer=False,
    )
    text.config.use_attention_mask = True
    tokenizer = BertTokenizerFast(vocab={w: i for i, w in enumerate(WORDS)}, model_max_length=12)
    vae = AutoencoderTiny(
        encoder_block_out_channels=(8, 8, 8),
        decoder_block_out_channels=(8, 8, 8),
        num_encoder_blocks=(1, 1, 1),
        num_decoder_blocks=(1, 1, 1),
        scaling_factor=2.0,
    )
    scheduler = DDIMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        clip_sample=False,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
    )
    return _save(folder, text, tokenizer, vae, scheduler)


def make_clip_like(folder: Path) -> Path:
    """CLIP text encoder, epsilon PNDM, AutoencoderKL: as Stable Diffusion 1.x."""
    import torch
    from diffusers import AutoencoderKL, PNDMScheduler
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizerFast

    torch.manual_seed(1)
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)] + ["<", ">", "*", ","]
    vocabulary = [*letters, *(f"{c}</w>" for c in letters), "<|startoftext|>", "<|endoftext|>"]
    tokenizer = CLIPTokenizerFast(
        vocab={w: i for i, w in enumerate(vocabulary)}, merges=[], model_max_length=24
    )
    text = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(vocabulary),
            hidden_size=32,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=24,
            bos_token_id=len(vocabulary) - 2,
            eos_token_id=len(vocabulary) - 1,
        )
    )
    vae = AutoencoderKL(
        block_out_channels=(8, 8),
        norm_num_groups=4,
        layers_per_block=1,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
    )
    scheduler = PNDMScheduler(
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, skip_prk_steps=True, steps_offset=1
    )
    return _save(folder, text, tokenizer, vae, scheduler)


def _save(folder: Path, text: Any, tokenizer: Any, vae: Any, scheduler: Any) -> Path:
    from diffusers import StableDiffusionPipeline, UNet2DConditionModel

    factor = 2 ** (
        len(
            vae.config.encoder_block_out_channels
            if hasattr(vae.config, "encoder_block_out_channels")
            else vae.config.block_out_channels
        )
        - 1
    )
    unet = UNet2DConditionModel(
        sample_size=SIDE // factor,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=32,
        attention_head_dim=2,
        norm_num_groups=8,
    )
    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=text,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


def save_example(collection: Path, name: str, image: Image.Image, recipe: Recipe) -> None:
    """Store an image as an example of a collection's own generator, whose folder is there."""
    own = replace(recipe, generator_sha256=weights_sha256(collection / "generator"))
    save_png(image, collection / "examples" / name, own.to_dict())
