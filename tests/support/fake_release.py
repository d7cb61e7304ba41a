"""Files as the paper released them, small: features, mappers, calibrators, captions of drawings of shapes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from attribution_core.collection.collection import Collection
from attribution_core.encoding.encoders import load_encoder
from tests.support.fakes import ENCODER, shape_image

DIM = 768


def shapes(n: int) -> NDArray[np.float32]:
    """Features of shapes as the real row `rgb-thumbnail` gives them, (n, 768)."""
    return load_encoder(ENCODER).encode([shape_image(i) for i in range(n)])


def save_features(path: Path, features: NDArray[Any], paths: list[str] | None = None) -> Path:
    """{"feats", "paths"}, as `extract_feat.py` saves them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = paths or [f"dataset/laion_subset/{i:08d}.png" for i in range(len(features))]
    torch.save({"feats": torch.from_numpy(features), "paths": names}, path)
    return path


def mapper_state(kind: str, dim: int = DIM, seed: int = 0) -> dict[str, torch.Tensor]:
    """The state dict of one head of the released code, after some training: near the identity."""
    random = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=random)

    if kind == "linear":
        return {"weight": torch.eye(dim) + 0.01 * normal(dim, dim) / dim**0.5, "bias": 0.01 * normal(dim)}
    if kind == "channel":
        return {"weights": 1 + 0.1 * normal(1, dim)}
    network = mlp(dim)
    with torch.no_grad():
        for value in network.state_dict().values():
            if value.is_floating_point():
                value.copy_(normal(*value.shape).abs() + 0.5)
        for layer in (network[0], network[4]):
            layer.weight.copy_(normal(*layer.weight.shape))
    return network.state_dict()


def mlp(dim: int) -> torch.nn.Sequential:
    """The released code's MLP head: no bias, batch normalisation, the last one without affine."""
    return torch.nn.Sequential(
        torch.nn.Linear(dim, 32, bias=False),
        torch.nn.BatchNorm1d(32),
        torch.nn.ReLU(),
        torch.nn.Dropout(0.1),
        torch.nn.Linear(32, 16, bias=False),
        torch.nn.BatchNorm1d(16, affine=False),
    ).eval()


def save_mappers(path: Path, kind: str = "linear", dim: int = DIM) -> Path:
    """{"real_mapper", "synth_mapper"}."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"real_mapper": mapper_state(kind, dim, 0), "synth_mapper": mapper_state(kind, dim, 1)}, path)
    return path


def save_calibrator(path: Path, inv_tau: float = 40.0, bias: float = 0.0) -> Path:
    """{"inv_tau", "bias"}."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"inv_tau": torch.tensor(inv_tau), "bias": torch.tensor(bias)}, path)
    return path


def fake_release(folder: Path, short: str = "clip", n: int = 40, dim: int = 512) -> Path:
    """What `download paper-weights` and `download paper-laion-1m` leave, for one encoder."""
    rows = np.random.default_rng(0).normal(size=(n, dim)).astype(np.float32)
    save_features(folder / f"feats/{short}/laion_subset.pth", rows)
    save_mappers(folder / f"weights/mapper/{short}_tuned.pth", dim=dim)
    save_calibrator(folder / f"weights/calibrator/{short}_tuned.pth", bias=-0.5)
    (folder / "laion_captions.txt").write_text("".join(f"caption {i}\n" for i in range(n)))
    return folder


def released_shapes(folder: Path, n: int = 60) -> Path:
    """A collection from such files: captions and links of n shapes, without pictures."""
    (folder / "captions.txt").write_text(
        "".join(f"shape {i} & co\thttps://images.example.org/{i}.jpg\n" for i in range(n))
    )
    return Collection.from_release(
        folder / "collection",
        features=save_features(folder / "f.pth", shapes(n)),
        encoder=ENCODER,
        mappers=save_mappers(folder / "m.pth"),
        calibrator=save_calibrator(folder / "c.pth", 200.0, -1.0),
        captions=folder / "captions.txt",
    ).path
