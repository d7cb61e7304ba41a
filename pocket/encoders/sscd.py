"""Trains `pocket-sscd`, the copy-detection encoder: `python -m pocket.encoders.sscd` (about 45 minutes on one core).

After *A Self-Supervised Descriptor for Image Copy Detection* (Pizzi et al., CVPR 2022): views of one image belong
together, all others do not (InfoNCE), and an entropy term pushes every feature away from its nearest neighbour, so that
similarities of different images spread evenly and one threshold fits all. Views are copies as people make them: crops,
other colours, blur, compression, and the image pasted into another one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import torch
import typer
from PIL import Image
from torch import nn
from torch.nn import functional as F
from torchvision.transforms import v2

from attribution_core.corpus.corpus import Corpus
from pocket.encoders.tower import (
    CORPUS,
    SIZE,
    WORK,
    Schedule,
    View,
    Views,
    export,
    new_tower,
    pictures,
    small,
    train,
)
from pocket.training import set_up_log

NAME = "pocket-sscd"
N_VIEWS = 2
TEMPERATURE = 0.05
ENTROPY = 5.0  # weight of the entropy term; the paper takes 30, in batches of 4,096
SCHEDULE = Schedule(batch=128, samples=500_000, peak=2e-3)


class Copies(nn.Module):
    """The network that becomes the encoder."""

    def __init__(self) -> None:
        """Initialise with random weights."""
        super().__init__()
        self.tower = new_tower(NAME)


def copy_view(others: list[Image.Image]) -> View:
    """Make a random copy of an image, 64 x 64 px. others: images it may be pasted into or overlaid with."""
    geometry = v2.Compose(
        [
            small(0.25),
            v2.RandomHorizontalFlip(),
            v2.RandomApply(
                [
                    v2.RandomAffine(
                        25, (0.1, 0.1), shear=10, fill=255, interpolation=v2.InterpolationMode.BILINEAR
                    )
                ],
                p=0.3,
            ),
        ]
    )
    colour = v2.Compose(
        [
            v2.RandomApply([v2.ColorJitter(0.5, 0.5, 0.5, 0.3)], p=0.8),
            v2.RandomGrayscale(p=0.2),
            v2.RandomInvert(p=0.05),
            v2.RandomPosterize(2, p=0.05),
            v2.RandomApply([v2.GaussianBlur(7, (0.1, 2.0))], p=0.3),
            v2.RandomApply([v2.JPEG((5, 60))], p=0.3),
        ]
    )

    def view(image: Image.Image) -> Image.Image:
        made = geometry(image)
        chance = float(torch.rand(()))
        if chance < 0.35:
            made = _pasted(made, others[int(torch.randint(len(others), ()))])
        elif chance < 0.5:
            made = _pasted(others[int(torch.randint(len(others), ()))].resize((SIZE, SIZE)), made, 0.25, 0.5)
        result: Image.Image = colour(made)
        return result

    return view


def _pasted(image: Image.Image, ground: Image.Image, least: float = 0.5, most: float = 0.9) -> Image.Image:
    """Paste an image, scaled to `least` to `most` of the side, on another image, white or a plain colour."""
    canvas = ground.resize((SIZE, SIZE))
    if most > 0.5 and torch.rand(()) < 0.5:
        canvas = Image.new("RGB", (SIZE, SIZE), tuple(torch.randint(256, (3,)).tolist()))
    side = int(SIZE * (least + (most - least) * float(torch.rand(()))))
    left, top = (int(v) for v in torch.randint(SIZE - side + 1, (2,)))
    canvas.paste(image.resize((side, side)), (left, top))
    return canvas


def copy_loss(
    features: torch.Tensor, temperature: float = TEMPERATURE, entropy: float = ENTROPY
) -> torch.Tensor:
    """Compute InfoNCE over views (b, 2, d) plus `entropy` times the Kozachenko-Leonenko term.

    That term is the mean of -log distance to the nearest view of another image (Sablayrolles et al., ICLR 2019).
    """
    count = len(features)
    rows = F.normalize(features.transpose(0, 1).flatten(0, 1), dim=1)  # all first views, then all second ones
    image = torch.arange(count).repeat(2)
    similarity = rows @ rows.T
    own = torch.eye(2 * count, dtype=torch.bool)
    twin = torch.arange(2 * count).roll(count)
    contrast = F.cross_entropy((similarity / temperature).masked_fill(own, -torch.inf), twin)
    nearest = similarity.masked_fill(image[:, None] == image[None], -2).amax(1)
    distance = (2 - 2 * nearest).clamp(min=1e-6).sqrt()
    return contrast - entropy * distance.log().mean()


def main(
    samples: Annotated[
        int, typer.Option(min=1, help="Total number of views to train on.")
    ] = SCHEDULE.samples,
) -> None:
    """Train, resuming if interrupted, and write weights and card."""
    set_up_log(WORK / f"{NAME}.log")
    images, path = pictures(Corpus.open(CORPUS)), WORK / f"{NAME}.pt"
    schedule = replace(SCHEDULE, samples=samples)
    trained = train(
        Copies(),
        schedule,
        Views(images, copy_view(images), N_VIEWS),
        N_VIEWS,
        path,
        lambda features, rows: copy_loss(features),
    )
    export(
        NAME,
        trained.get_submodule("tower"),
        path,
        schedule,
        {
            "what": "Copy detection: crops, recoloured, blurred, compressed and pasted copies of an image are near it, "
            "and all else is far",
            "loss": {"contrast": "InfoNCE", "temperature": TEMPERATURE, "entropy_weight": ENTROPY},
            "source": "trained by `python -m pocket.encoders.sscd` after Pizzi et al., CVPR 2022",
        },
    )


if __name__ == "__main__":
    typer.run(main)
