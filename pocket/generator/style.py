"""Classifies the styles of the pocket corpus, for the generator's report.

What EfficientNet-lite0 calls near is mostly the same thing in another style: even of real held-out images only a
quarter have three of their five nearest in their own style. So the report also asks a classifier that looks at
what a style is made of: mean, deviation and maximum of colours and of the first layers' responses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image
from safetensors.torch import load_file
from torch.nn import functional as F

WEIGHTS = Path("checkpoints/encoders/efficientnet-lite0/model.safetensors")
LAYERS = 3
_BLOCK = 64


@torch.inference_mode()
def texture(images: Sequence[Image.Image]) -> torch.Tensor:
    """(n, 249) float32 statistics of RGB images of one size, 64 x 64 px for the report."""
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False, features_only=True).eval()
    network.load_state_dict(
        load_file(WEIGHTS), strict=False
    )  # without the layers behind the last feature map
    rows = []
    for k in range(0, len(images), _BLOCK):
        pixels = torch.from_numpy(np.stack([np.array(image) for image in images[k : k + _BLOCK]]))
        x = pixels.permute(0, 3, 1, 2).float() / 127.5 - 1
        maps = [x, *network(x)[:LAYERS]]
        rows.append(
            torch.cat([s for m in maps for s in (m.mean((2, 3)), m.std((2, 3)), m.amax((2, 3)))], dim=1)
        )
    return torch.cat(rows)


@dataclass(frozen=True)
class StyleClassifier:
    """Multinomial logistic regression on standardized statistics."""

    styles: tuple[str, ...]
    mean: torch.Tensor
    scale: torch.Tensor
    weight: torch.Tensor
    bias: torch.Tensor

    @classmethod
    def fit(cls, features: torch.Tensor, styles: Sequence[str], penalty: float = 1.0) -> StyleClassifier:
        """Fit on features (n, d) and their styles. penalty: on the squared weights, over n."""
        names = tuple(sorted(set(styles)))
        target = torch.tensor([names.index(s) for s in styles])
        mean, scale = features.mean(0), features.std(0) + 1e-4
        x = (features - mean) / scale
        weight = torch.zeros(x.shape[1], len(names), requires_grad=True)
        bias = torch.zeros(len(names), requires_grad=True)
        optimizer = torch.optim.LBFGS([weight, bias], max_iter=100, line_search_fn="strong_wolfe")

        def loss() -> torch.Tensor:
            optimizer.zero_grad()
            value = F.cross_entropy(x @ weight + bias, target) + penalty * weight.square().sum() / len(x)
            value.backward()  # type: ignore[no-untyped-call]
            return value

        optimizer.step(loss)  # type: ignore[arg-type]
        return cls(names, mean, scale, weight.detach(), bias.detach())

    def predict(self, features: torch.Tensor) -> list[str]:
        """Return the most likely style of each row of features (n, d)."""
        scores = ((features - self.mean) / self.scale) @ self.weight + self.bias
        return [self.styles[k] for k in scores.argmax(1).tolist()]
