"""What each method says of the benchmark: a score of every training image for every query, (q, n).

Methods with a free setting yield one table a setting; the report chooses on halves of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from numpy.typing import NDArray
from PIL import Image
from scipy.special import softmax

from attribution_core.analyses.patches import patch_weights, small
from attribution_core.analyses.unlearning.forget import DEFAULTS, LossProbe, forgotten
from attribution_core.collection.layout import CollectionLayout
from attribution_core.common.arrays import normalized
from attribution_core.common.progress import ProgressReporter
from attribution_core.encoding.encoders import load_encoder
from attribution_core.generation.gradients import GradientProjector
from attribution_core.mapping.pair import MapperPair
from attribution_core.scoring.calibrator import Calibrator
from pocket.counterfactual.models import TIMES
from pocket.generator.denoiser import Noise, new_scheduler

Scores = NDArray[np.float64]
Named = Iterator[tuple[str, Scores]]
THUMBNAIL = "rgb-thumbnail"
DAMPING = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Of the Gram matrix, in units of its mean diagonal."""
NOISE = (0.3, 1.0, 3.0, 10.0)
"""Through which windows are seen; pixels are in [-1, 1]."""
SIDE = 8
"""Of each layer's projected gradient."""
OBJECTIVES: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "output norm": lambda v, target: v.square().mean((1, 2, 3)),  # D-TRAK (Zheng et al., ICLR 2024)
    "loss": lambda v, target: (v - target).square().mean((1, 2, 3)),
}
_BATCH = 32


@dataclass(frozen=True, eq=False)
class Images:
    """Some images in every form that a method takes.

    pictures: n of them. latents: (n, 4, 16, 16). states: (n, tokens, 384) of their captions.
    """

    pictures: Sequence[Image.Image]
    latents: torch.Tensor
    states: torch.Tensor


def joined(parts: Sequence[Images]) -> Images:
    """Return all images of some parts, in their order."""
    return Images(
        [picture for part in parts for picture in part.pictures],
        torch.cat([part.latents for part in parts]),
        torch.cat([part.states for part in parts]),
    )


def methods(
    layout: CollectionLayout, full: UNet2DConditionModel, device: torch.device
) -> dict[str, Callable[[Images, Images], Named]]:
    """Return all methods by name; each takes queries and training images.

    layout: of a collection, whose methods are among them. full: the model whose influences are asked about.
    """
    found: dict[str, Callable[[Images, Images], Named]] = {"thumbnail": thumbnail}
    for name in layout.methods:
        found[name] = partial(likeness, layout, name)
    for objective in OBJECTIVES:
        found[f"gradient of the {objective}"] = partial(gradient, full, objective, device=device)
    return found | {"patches": patches, "forgetting": partial(forgetting, full, device=device)}


def thumbnail(queries: Images, training: Images) -> Named:
    """Yield cosine similarities of small pictures."""
    encoder = load_encoder(THUMBNAIL)
    q, n = (normalized(encoder.encode(one.pictures)).astype(np.float64) for one in (queries, training))
    yield "", q @ n.T


def likeness(layout: CollectionLayout, method: str, queries: Images, training: Images) -> Named:
    """Yield similarities and calibrated shares by a method of a collection."""
    pair = MapperPair.load(layout.mappers(method))
    encoder = load_encoder(pair.encoder)
    q = pair.map_query(encoder.encode(queries.pictures)).astype(np.float64)
    similarity = q @ pair.map_training(encoder.encode(training.pictures)).T
    yield "similarity", similarity
    temperature = Calibrator.load(layout.calibrator(method)).temperature_
    yield "share", softmax(similarity / temperature, axis=1)


def gradient(
    model: UNet2DConditionModel, objective: str, queries: Images, training: Images, device: torch.device
) -> Named:
    """Yield inner products of projected gradients, whitened by the training images' Gram matrix, by damping."""
    projector = GradientProjector(model, SIDE)
    q, n = (_gradients(model, projector, objective, one, device).double() for one in (queries, training))
    gram, between = n @ n.T, q @ n.T
    for damping in DAMPING:
        damped = gram + damping * gram.diagonal().mean() * torch.eye(len(gram), dtype=gram.dtype)
        # q (n'n + c)^-1 n' = q n' (n n' + c)^-1, a matrix of the number of images instead of the rows' length
        yield f"damping {damping:g}", torch.linalg.solve(damped, between.T).T.numpy()


def _gradients(
    model: UNet2DConditionModel,
    projector: GradientProjector,
    objective: str,
    images: Images,
    device: torch.device,
) -> torch.Tensor:
    """(n, d) mean over time steps, each with one noise, the same for all images."""
    process, found = Noise(), torch.zeros(len(images.latents), projector.dim)
    for time in TIMES:
        noise = torch.randn(images.latents.shape[1:], generator=torch.Generator().manual_seed(time))
        for rows in torch.arange(len(found)).split(_BATCH):
            noisy, target = process.add(
                images.latents[rows], torch.full((len(rows),), time), noise.expand(len(rows), -1, -1, -1)
            )

            def value(
                rows: torch.Tensor = rows, x: torch.Tensor = noisy, y: torch.Tensor = target, t: int = time
            ) -> torch.Tensor:
                times = torch.full((len(rows),), t, device=device)
                v = model(x.to(device), times, images.states[rows].float().to(device)).sample
                return OBJECTIVES[objective](v, y.to(device))

            found[rows] += projector.rows(value).cpu() / len(TIMES)
    return found


def patches(queries: Images, training: Images) -> Named:
    """Yield the mean weight of each training image over all places of the query, by noise."""
    q, n = (small(one.pictures) for one in (queries, training))
    for noise in NOISE:
        yield f"noise {noise:g}", np.array([patch_weights(one, n, noise).mean((1, 2)) for one in q], float)


def forgetting(model: UNet2DConditionModel, queries: Images, training: Images, device: torch.device) -> Named:
    """Yield the increase of each training image's loss when the model forgets the query."""
    pipeline = SimpleNamespace(unet=model, scheduler=new_scheduler(), device=device)
    probe, progress = LossProbe(pipeline, DEFAULTS), ProgressReporter("", 0, None)
    clean, states = training.latents.to(device), training.states.float().to(device)
    before = probe.losses(clean, states, progress)
    changes = []
    for latents, words in zip(queries.latents, queries.states, strict=True):
        with forgotten(
            pipeline, latents[None].to(device), words[None].float().to(device), DEFAULTS, progress
        ):
            changes.append(probe.losses(clean, states, progress) - before)
    yield "", np.array(changes)
