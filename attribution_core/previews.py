"""What a generation will become: the predicted result of each step, as a small picture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from PIL import Image

# A least-squares map from Stable Diffusion's four latent channels to RGB in [-1, 1], well known among its
# users: a preview without the large decoder.
_LATENT_TO_RGB = (
    (0.298, 0.207, 0.208),
    (0.187, 0.286, 0.173),
    (-0.158, 0.189, 0.264),
    (-0.184, -0.271, -0.473),
)


@contextmanager
def tap_predicted_original(scheduler: Any) -> Iterator[list[torch.Tensor]]:
    """Keep the predicted result x0 of each scheduler step in the yielded list's first place."""
    step, earlier = scheduler.step, vars(scheduler).get("step")
    last: list[torch.Tensor] = []

    @wraps(step)
    def tapped(
        model_output: torch.Tensor, timestep: Any, sample: torch.Tensor, *args: Any, **kwargs: Any
    ) -> Any:
        output = step(model_output, timestep, sample, *args, **{**kwargs, "return_dict": True})
        original = getattr(output, "pred_original_sample", None)
        last[:] = [
            predicted_original(scheduler, model_output, timestep, sample) if original is None else original
        ]
        return (output.prev_sample,)

    scheduler.step = tapped
    try:
        yield last
    finally:
        if earlier is None:
            del scheduler.step
        else:
            scheduler.step = earlier


def predicted_original(
    scheduler: Any, prediction: torch.Tensor, timestep: Any, sample: torch.Tensor
) -> torch.Tensor:
    """The result x0 that a prediction at one timestep stands for, of a variance-preserving scheduler.

    prediction, sample: (n, c, h, w). Handles "epsilon", "v_prediction" and "sample".
    """
    alpha = scheduler.alphas_cumprod[int(timestep)].to(sample)
    kind = scheduler.config.prediction_type
    if kind == "v_prediction":
        return alpha.sqrt() * sample - (1 - alpha).sqrt() * prediction
    if kind == "epsilon":
        return (sample - (1 - alpha).sqrt() * prediction) / alpha.sqrt().clamp(min=1e-4)
    return prediction


def preview(pipeline: Any, latents: torch.Tensor) -> Image.Image:
    """The first of the predicted latents (n, c, h, w) as an RGB picture of the output's size."""
    import torch
    from PIL import Image

    scaled = latents[:1].float()
    side = pipeline.unet.config.sample_size * pipeline.vae_scale_factor
    if type(pipeline.vae).__name__ != "AutoencoderTiny" and scaled.shape[1] == len(_LATENT_TO_RGB):
        pixels = torch.einsum("nchw,cr->nrhw", scaled, torch.tensor(_LATENT_TO_RGB).to(scaled))
    else:
        pixels = pipeline.vae.decode(scaled / pipeline.vae.config.scaling_factor, return_dict=False)[0]
    array = ((pixels[0].clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).cpu().numpy()
    return Image.fromarray(array).resize((side, side), Image.Resampling.BICUBIC)
