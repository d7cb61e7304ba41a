"""Previews of a generation: the predicted result of each step as a small picture."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    import torch
    from PIL import Image

_COLOUR_MAPS: WeakKeyDictionary[Any, torch.Tensor] = WeakKeyDictionary()
_SIDE, _FIELDS = 128, 8  # side in px, and colour patches across, of the pictures that the map is fitted on


@contextmanager
def tap_predicted_original(scheduler: Any) -> Iterator[list[torch.Tensor]]:
    """Yield a list whose only item is the predicted result x0 of the latest scheduler step."""
    step, own_step = scheduler.step, vars(scheduler).get("step")
    last: list[torch.Tensor] = []

    @wraps(step)
    def tap(
        model_output: torch.Tensor, timestep: Any, sample: torch.Tensor, *args: Any, **kwargs: Any
    ) -> Any:
        output = step(model_output, timestep, sample, *args, **{**kwargs, "return_dict": True})
        original = getattr(output, "pred_original_sample", None)
        last[:] = [
            predicted_original(scheduler, model_output, timestep, sample) if original is None else original
        ]
        return (output.prev_sample,)

    scheduler.step = tap
    try:
        yield last
    finally:
        if own_step is None:
            del scheduler.step
        else:
            scheduler.step = own_step


def predicted_original(
    scheduler: Any, prediction: torch.Tensor, timestep: Any, sample: torch.Tensor
) -> torch.Tensor:
    """Compute the result x0 that a prediction at one timestep implies.

    prediction, sample: (n, c, h, w), or packed (n, t, c). Supports "epsilon", "v_prediction" and "sample" of
    variance-preserving schedulers, and flow matching, whose prediction is the straight path from x0 to noise.
    """
    if not hasattr(scheduler, "alphas_cumprod"):
        return sample - float(timestep) / scheduler.config.num_train_timesteps * prediction
    alpha = scheduler.alphas_cumprod[int(timestep)].to(sample)
    kind = scheduler.config.prediction_type
    if kind == "v_prediction":
        return alpha.sqrt() * sample - (1 - alpha).sqrt() * prediction
    if kind == "epsilon":
        return (sample - (1 - alpha).sqrt() * prediction) / alpha.sqrt().clamp(min=1e-4)
    return prediction


def preview(pipeline: Any, latents: torch.Tensor) -> Image.Image:
    """Render the first of the predicted latents (n, c, h, w), or packed (n, t, 4 c), as an RGB picture at output size.

    A tiny autoencoder decodes them; for a large one, `latent_colours` approximates the colours.
    """
    import torch
    from PIL import Image

    vae, factor = pipeline.vae, pipeline.vae_scale_factor
    scaled = latents[:1]
    if scaled.dim() == 3:  # FLUX packs 2 x 2 latents into one
        side = round(scaled.shape[1] ** 0.5) * 2 * factor
        scaled = pipeline._unpack_latents(scaled, side, side, factor)
    with torch.no_grad():
        if type(vae).__name__ == "AutoencoderTiny":
            pixels = vae.decode(scaled.to(vae.dtype) / vae.config.scaling_factor, return_dict=False)[
                0
            ].float()
        else:
            colours = latent_colours(pipeline).to(scaled.device)
            pixels = torch.einsum("nchw,cr->nrhw", scaled.float(), colours[:-1]) + colours[-1][:, None, None]
    array = ((pixels[0].clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).cpu().numpy()
    size = (scaled.shape[3] * factor, scaled.shape[2] * factor)
    return Image.fromarray(array).resize(size, Image.Resampling.BICUBIC)


def latent_colours(pipeline: Any) -> torch.Tensor:
    """Return the (c + 1, 3) linear map, offset last, from a pipeline's scaled latents to RGB in [-1, 1].

    Fitted by least squares, once per autoencoder, on colour patches that it encodes, so it works for any number of
    channels and costs one product per step.
    """
    import torch

    vae = pipeline.vae
    if vae not in _COLOUR_MAPS:
        rng = torch.Generator("cpu").manual_seed(0)
        fields = torch.rand(2, 3, _FIELDS, _FIELDS, generator=rng) * 2 - 1
        sharp = torch.nn.functional.interpolate(fields[:1], size=(_SIDE, _SIDE), mode="nearest")
        smooth = torch.nn.functional.interpolate(fields[1:], size=(_SIDE, _SIDE), mode="bicubic").clamp(-1, 1)
        pictures = torch.cat([sharp, smooth])
        # Pipelines do the same for autoencoders that overflow float16.
        upcast = vae.dtype == torch.float16 and bool(getattr(vae.config, "force_upcast", False))
        if upcast:
            vae.to(dtype=torch.float32)
        with torch.no_grad():
            code = vae.encode(pictures.to(pipeline._execution_device, vae.dtype)).latent_dist.mode()
        if upcast:
            vae.to(dtype=torch.float16)
        shift = getattr(vae.config, "shift_factor", None) or 0.0
        code = ((code.float() - shift) * vae.config.scaling_factor).double().cpu()
        targets = torch.nn.functional.adaptive_avg_pool2d(pictures.double(), code.shape[2:])
        rows = torch.cat([code, torch.ones_like(code[:, :1])], dim=1).movedim(1, -1).flatten(0, 2)
        targets = targets.movedim(1, -1).flatten(0, 2)
        _COLOUR_MAPS[vae] = torch.linalg.lstsq(rows, targets, driver="gelsd").solution.float()
    return _COLOUR_MAPS[vae]
