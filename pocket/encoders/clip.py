"""Trains `pocket-clip`, the image-text encoder: `python -m pocket.encoders.clip` (about half an hour on one core).

After *Learning Transferable Visual Models From Natural Language Supervision* (Radford et al., ICML 2021): an image and
its caption belong together. The text tower is the generator's, frozen, with one linear layer on top, which ships beside
the image tower.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Annotated

import numpy as np
import torch
import typer
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F
from torchvision.transforms import v2

from attribution_core.common.files import atomic_path
from attribution_core.corpus.corpus import Corpus
from attribution_core.encoding.encoders import ENCODERS
from pocket.encoders.tower import (
    CORPUS,
    OUT,
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
from pocket.generator.commands import TOKENS, text_model
from pocket.generator.commands import WORK as GENERATOR_WORK
from pocket.training import set_up_log

NAME = "pocket-clip"
TEXT = "text.safetensors"
TEXT_DIM = 384
SCHEDULE = Schedule(batch=256, samples=300_000, peak=2e-3, weight_decay=0.1)
_BLOCK = 256


@torch.inference_mode()
def sentence_vectors(texts: list[str]) -> torch.Tensor:
    """(n, 384) float32: the text encoder's states, averaged over the tokens of each text."""
    tokenizer, encoder = text_model(GENERATOR_WORK)
    rows = []
    for k in range(0, len(texts), _BLOCK):
        batch = tokenizer(
            texts[k : k + _BLOCK], padding=True, max_length=TOKENS, truncation=True, return_tensors="pt"
        )
        states, mask = (
            encoder(batch.input_ids, attention_mask=batch.attention_mask)[0],
            batch.attention_mask[..., None],
        )
        rows.append((states * mask).sum(1) / mask.sum(1))
    return torch.cat(rows).float().clone()


class Captions:
    """The texts of each image: its captions, and the bare name of what it shows."""

    def __init__(self, corpus: Corpus) -> None:
        """corpus: the training set."""
        columns = (corpus.column(name) for name in ("short_caption", "caption", "concept_label"))
        self.of_image = [sorted({text for text in texts if text}) for texts in zip(*columns, strict=True)]

    @cached_property
    def vectors(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Vectors of all different texts (t, 384); each image's texts (n, most) as rows of them; how many it has."""
        known = sorted({text for texts in self.of_image for text in texts})
        row = {text: i for i, text in enumerate(known)}
        most = max(map(len, self.of_image))
        table = torch.tensor([[row[t] for t in texts] + [0] * (most - len(texts)) for texts in self.of_image])
        return sentence_vectors(known), table, torch.tensor([len(texts) for texts in self.of_image])


class ImageText(nn.Module):
    """The trained parts of both towers."""

    def __init__(self) -> None:
        """Initialise with random weights."""
        super().__init__()
        self.tower = new_tower(NAME)
        self.text = nn.Linear(TEXT_DIM, ENCODERS[NAME].dim, bias=False)
        self.log_scale = nn.Parameter(torch.tensor(np.log(10.0), dtype=torch.float32))


def mild_view() -> View:
    """A random view of an image that its caption still describes, 64 x 64 px."""
    return v2.Compose(
        [
            v2.RandomHorizontalFlip(),
            v2.RandomChoice([small(0.4), small(), v2.Compose([v2.Pad(24, fill=255), small(0.5)])]),
            v2.RandomApply(
                [v2.RandomAffine(15, fill=255, interpolation=v2.InterpolationMode.BILINEAR)], p=0.2
            ),
            v2.RandomApply([v2.ColorJitter(0.3, 0.3, 0.3, 0.02)], p=0.5),
            v2.RandomApply([v2.GaussianBlur(5, (0.1, 1.5))], p=0.2),
        ]
    )


def image_text_loss(
    images: torch.Tensor, texts: torch.Tensor, same: torch.Tensor, scale: torch.Tensor
) -> torch.Tensor:
    """Compute InfoNCE in both directions over images and texts (b, d); equal texts share their images.

    same: (b, b) bool, which texts are equal.
    """
    logits = scale * F.normalize(images, dim=1) @ F.normalize(texts, dim=1).T
    target = same.float() / same.sum(1, keepdim=True)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


def main(
    samples: Annotated[
        int, typer.Option(min=1, help="Total number of images to train on.")
    ] = SCHEDULE.samples,
) -> None:
    """Train, resuming if interrupted, and write weights and card."""
    set_up_log(WORK / f"{NAME}.log")
    corpus, path = Corpus.open(CORPUS), WORK / f"{NAME}.pt"
    vectors, table, many = Captions(corpus).vectors
    schedule = replace(SCHEDULE, samples=samples)
    model = ImageText()

    def loss(features: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        chosen = table[rows, (torch.rand(len(rows)) * many[rows]).long()]
        return image_text_loss(
            features[:, 0],
            model.text(vectors[chosen]),
            chosen[:, None] == chosen[None],
            model.log_scale.exp().clamp(max=100),
        )

    trained = train(model, schedule, Views(pictures(corpus), mild_view(), 1), 1, path, loss)
    with atomic_path(OUT / NAME / TEXT) as temporary:
        save_file({"text.weight": trained.get_parameter("text.weight").half().contiguous()}, temporary)
    export(
        NAME,
        trained.get_submodule("tower"),
        path,
        schedule,
        {
            "what": "Image and text: an image is near the captions that describe it, and images of one thing are near "
            "each other",
            "loss": {
                "contrast": "InfoNCE both ways",
                "scale": round(float(trained.get_parameter("log_scale").exp()), 2),
            },
            "text": f"mean of the generator's text states over tokens, times the matrix in {TEXT} (256, 384)",
            "source": "trained by `python -m pocket.encoders.clip` after Radford et al., ICML 2021",
        },
        (TEXT,),
    )


def text_features(texts: list[str]) -> torch.Tensor:
    """(n, 256) float32, to be compared with the image tower's features by cosine."""
    weight: torch.Tensor = load_file(OUT / NAME / TEXT)["text.weight"].float()
    return sentence_vectors(texts) @ weight.T


if __name__ == "__main__":
    typer.run(main)
