"""Tiny random pipelines of the larger generators' shapes, made on the spot for offline tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.tiny_pipeline import SIDE, WORDS


def make_xl(folder: Path) -> Path:
    """Two CLIP text encoders, Euler sampling, AutoencoderKL: as Stable Diffusion XL."""
    import torch
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    torch.manual_seed(2)
    tokenizer, config = clip_tokenizer(), clip_config()
    unet = UNet2DConditionModel(
        sample_size=SIDE // 2,
        block_out_channels=(16, 32),
        layers_per_block=1,
        norm_num_groups=8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=64,
        attention_head_dim=2,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + 32,
        transformer_layers_per_block=(1, 1),
        use_linear_projection=True,
    )
    StableDiffusionXLPipeline(
        vae=make_vae(scaling_factor=0.13025),
        text_encoder=CLIPTextModel(config),
        tokenizer=tokenizer,
        text_encoder_2=CLIPTextModelWithProjection(config),
        tokenizer_2=tokenizer,
        unet=unet,
        scheduler=EulerDiscreteScheduler(
            beta_schedule="scaled_linear",
            beta_start=0.00085,
            beta_end=0.012,
            timestep_spacing="leading",
            steps_offset=1,
        ),
        add_watermarker=False,
    ).save_pretrained(folder)
    return folder


def make_sd3(folder: Path) -> Path:
    """Two CLIP encoders and T5, a transformer, flow matching, 16 channels with a shift: as Stable Diffusion 3."""
    import torch
    from diffusers import FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel, StableDiffusion3Pipeline
    from transformers import CLIPTextModelWithProjection

    torch.manual_seed(3)
    tokenizer, config = clip_tokenizer(), clip_config()
    encoder, reader = make_t5()
    transformer = SD3Transformer2DModel(
        sample_size=SIDE // 2,
        patch_size=2,
        in_channels=16,
        out_channels=16,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=64,
        caption_projection_dim=16,
        pooled_projection_dim=64,
        pos_embed_max_size=SIDE,
    )
    StableDiffusion3Pipeline(
        vae=make_vae(16, scaling_factor=1.5305, shift_factor=0.0609),
        transformer=transformer,
        text_encoder=CLIPTextModelWithProjection(config),
        tokenizer=tokenizer,
        text_encoder_2=CLIPTextModelWithProjection(config),
        tokenizer_2=tokenizer,
        text_encoder_3=encoder,
        tokenizer_3=reader,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
    ).save_pretrained(folder)
    return folder


def make_flux(folder: Path) -> Path:
    """CLIP and T5, a transformer over packed latents, flow matching: as FLUX.1-schnell."""
    import torch
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
    from transformers import CLIPTextModel

    torch.manual_seed(4)
    encoder, reader = make_t5()
    transformer = FluxTransformer2DModel(
        patch_size=1,
        in_channels=64,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=64,
        pooled_projection_dim=32,
        axes_dims_rope=(4, 4, 8),
        guidance_embeds=False,
    )
    FluxPipeline(
        vae=make_vae(16, scaling_factor=0.3611, shift_factor=0.1159),
        transformer=transformer,
        text_encoder=CLIPTextModel(clip_config()),
        tokenizer=clip_tokenizer(),
        text_encoder_2=encoder,
        tokenizer_2=reader,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=1.0),
    ).save_pretrained(folder)
    return folder


def make_pixart(folder: Path) -> Path:
    """T5, a transformer that also predicts a variance, DPM-Solver, a callback of the old kind: as PixArt-Sigma.

    It draws 256 px, the smallest size that the pipeline allows.
    """
    import torch
    from diffusers import DPMSolverMultistepScheduler, PixArtSigmaPipeline, PixArtTransformer2DModel

    torch.manual_seed(5)
    encoder, reader = make_t5(32)
    transformer = PixArtTransformer2DModel(
        sample_size=32,
        patch_size=4,
        in_channels=4,
        out_channels=8,
        num_layers=1,
        attention_head_dim=8,
        num_attention_heads=2,
        cross_attention_dim=16,
        caption_channels=32,
        use_additional_conditions=False,
    )
    PixArtSigmaPipeline(
        vae=make_vae(blocks=4, scaling_factor=0.13025),
        transformer=transformer,
        text_encoder=encoder,
        tokenizer=reader,
        scheduler=DPMSolverMultistepScheduler(beta_schedule="linear"),
    ).save_pretrained(folder)
    return folder


def with_safety_checker(folder: Path, out: Path) -> Path:
    """The CLIP-like pipeline of a folder with a safety checker that finds every image unsafe, as it is saved."""
    import torch
    from diffusers import StableDiffusionPipeline
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
    from transformers import CLIPConfig, CLIPImageProcessor

    small = dict(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, projection_dim=8
    )
    checker = StableDiffusionSafetyChecker(
        CLIPConfig(
            text_config=dict(vocab_size=64, bos_token_id=0, eos_token_id=1, **small),
            vision_config=dict(image_size=SIDE, patch_size=16, **small),
            projection_dim=8,
        )
    )
    torch.nn.init.constant_(checker.concept_embeds_weights, -2.0)  # every cosine is above
    extractor = CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    pipeline = StableDiffusionPipeline.from_pretrained(
        folder, safety_checker=checker, feature_extractor=extractor, requires_safety_checker=True
    )
    pipeline.save_pretrained(out)
    return out


def make_vae(channels: int = 4, blocks: int = 2, **options: float) -> Any:
    """A tiny AutoencoderKL that halves the side in each block but the last."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(8,) * blocks,
        norm_num_groups=4,
        layers_per_block=1,
        latent_channels=channels,
        down_block_types=("DownEncoderBlock2D",) * blocks,
        up_block_types=("UpDecoderBlock2D",) * blocks,
        **options,
    )


def make_t5(width: int = 64) -> tuple[Any, Any]:
    """A tiny T5 encoder, and a tokenizer that knows `WORDS`."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

    words = ["<pad>", "</s>", "<unk>", *WORDS]
    tokenizer = Tokenizer(models.WordLevel({w: k for k, w in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=512,
    )
    config = T5Config(vocab_size=len(words), d_model=width, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
    return T5EncoderModel(config), fast


def clip_tokenizer() -> Any:
    """Letters, as CLIP's tokenizer spells words it does not know."""
    from transformers import CLIPTokenizerFast

    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)] + ["<", ">", "*", ","]
    vocabulary = [*letters, *(f"{c}</w>" for c in letters), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizerFast(vocab={w: i for i, w in enumerate(vocabulary)}, merges=[], model_max_length=24)


def clip_config() -> Any:
    """A tiny CLIP text encoder's configuration."""
    from transformers import CLIPTextConfig

    size = len(clip_tokenizer())
    return CLIPTextConfig(
        vocab_size=size,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=24,
        projection_dim=32,
        bos_token_id=size - 2,
        eos_token_id=size - 1,
    )
