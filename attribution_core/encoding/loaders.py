"""Loaders for the networks of `ENCODERS` and their weights: one per library or kind of file.

Loaders require the state dict to match the network exactly. A missing or left-over key or another shape is an error;
otherwise part of the network would stay random.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attribution_core.common.cards import verify_files
from attribution_core.common.optional import import_optional
from attribution_core.common.tensors import read_tensors
from attribution_core.errors import CheckpointError

if TYPE_CHECKING:
    import torch

    from attribution_core.encoding.spec import EncoderSpec

DOWNLOADED = Path.home() / ".cache/attribution-explorer/encoders"
"""Folder for weights that the command `download` fetches or that are placed by hand."""

EncoderTable = Mapping[str, "EncoderSpec"]


def load_network(spec: EncoderSpec, checkpoints: Path, rows: EncoderTable) -> Any:
    """Load the network of a row, with its weights, on the CPU.

    checkpoints: folder of the bundled encoders. rows: `ENCODERS`, for rows that build on another row's network.
    Raises `MissingDependencyError` or `CheckpointError`.
    """
    return _LOADERS[spec.loader](spec, checkpoints, rows)


def load_exactly(network: Any, state: Mapping[str, Any], name: str, assign: bool = False) -> None:
    """Load a state dict whose keys and shapes must all match; else raise a `CheckpointError` with the first mismatches.

    assign: use the tensors themselves instead of copies, for a network on the "meta" device.
    """
    own = network.state_dict()
    wrong = sorted(set(own) ^ set(state)) + [k for k in own if k in state and own[k].shape != state[k].shape]
    if wrong:
        raise CheckpointError(
            f"the weights for '{name}' do not fit its network ({len(wrong)} keys differ, first: "
            f"{', '.join(wrong[:3])}); they belong to another encoder."
        )
    network.load_state_dict(dict(state), assign=assign)


def moco_backbone(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Extract the ViT from a MoCo v3 checkpoint: strip `module.base_encoder.` and drop the projection head."""
    prefix = "module.base_encoder."
    backbone = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    return {key: value for key, value in backbone.items() if not key.startswith("head.")}


def csd_style_tower(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Extract CLIP's image tower from a CSD checkpoint, with the style head in place of CLIP's projection.

    The checkpoint holds `module.backbone.*` without a projection, and two heads that replace it: `last_layer_style`
    is kept, `last_layer_content` dropped. Unknown keys stay, so that `load_exactly` reports them.
    """
    plain = {key.removeprefix("module."): value for key, value in state.items()}
    plain.pop("last_layer_content", None)
    tower = {
        key.removeprefix("backbone."): value for key, value in plain.items() if key != "last_layer_style"
    }
    if "last_layer_style" in plain and "proj" not in tower:
        tower["proj"] = plain["last_layer_style"]
    return tower


_ALADIN = (
    ("enc_style.", ""),
    ("transformer.embeddings.position_embeddings", "pos_embed"),
    ("transformer.embeddings.cls_token", "cls_token"),
    ("transformer.embeddings.patch_embeddings", "patch_embed.proj"),
    ("transformer.encoder.encoder_norm", "norm"),
    ("transformer.encoder.layer.", "blocks."),
    (".attention_norm.", ".norm1."),
    (".ffn_norm.", ".norm2."),
    (".ffn.", ".mlp."),
    (".attn.out.", ".attn.proj."),
    ("proj_head.fc1", "head.1"),
    ("proj_head.fc2", "head.3"),
)


def aladin_tower(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Rename the keys of ALADIN's ViT-B/16 and projection head to timm's, merging queries, keys and values."""
    torch, tower = _library("torch"), {}
    for key, value in state.items():
        for original, renamed in _ALADIN:
            key = key.replace(original, renamed)
        tower[key] = value
    for key in [key for key in tower if ".attn.query." in key]:
        parts = [key.replace(".query.", f".{part}.") for part in ("query", "key", "value")]
        if all(part in tower for part in parts):
            tower[key.replace(".query.", ".qkv.")] = torch.cat([tower.pop(part) for part in parts])
    return tower


def _load_shipped(spec: EncoderSpec, checkpoints: Path, rows: EncoderTable) -> Any:
    timm = _library("timm")
    from safetensors.torch import load_file  # imports torch, so only after timm has been found

    folder = checkpoints / spec.weights
    if not (folder / "model.safetensors").exists():
        name = spec.weights.removeprefix("pocket-")
        recipe = "encoders" if name == spec.weights else f"encoders.{name}"
        raise CheckpointError(
            f"the weights of '{spec.name}' are not in '{folder}'; get them with the repository (set "
            "ATTRIBUTION_CHECKPOINTS if its folder 'checkpoints' is elsewhere) or train them with "
            f"'python -m pocket.{recipe}'."
        )
    verify_files(folder)
    state = load_file(folder / "model.safetensors")
    # Encoders trained here keep their last linear layer; converted ones end with the pooled features.
    network = timm.create_model(
        spec.model, pretrained=False, num_classes=spec.dim if "fc.weight" in state else 0
    )
    load_exactly(network, state, spec.name)
    return network


def _load_with_colours(spec: EncoderSpec, checkpoints: Path, rows: EncoderTable) -> Any:
    """Append the picture's colour layout, a few pixels at half the weight, to the features of another row's network.

    Networks learn to ignore colour and position; mappers can only learn their worth if the features contain them.
    """
    functional, torch = _library("torch.nn.functional"), _library("torch")
    inner = rows[spec.model]
    network = load_network(inner, checkpoints, rows)
    side, plain = round(((spec.dim - inner.dim) / 3) ** 0.5), network.forward

    def forward(pixels: Any) -> Any:
        colours = functional.adaptive_avg_pool2d(pixels, side).flatten(1)
        parts = functional.normalize(plain(pixels)), functional.normalize(colours) * 0.5**0.5
        return torch.cat(parts, dim=1)

    network.forward = forward
    return network


def _load_timm(spec: EncoderSpec, checkpoints: Path, rows: EncoderTable) -> Any:
    timm = _library("timm")
    try:
        return timm.create_model(spec.model, pretrained=True, num_classes=0, **dict(spec.options))
    except Exception as error:  # the hub client raises many kinds of errors
        raise _not_loaded(spec, f"timm's '{spec.model}' on the Hugging Face hub", error) from error


def _load_open_clip(spec: EncoderSpec, checkpoints: Path, rows: EncoderTable) -> Any:
    open_clip = _library("open_clip")
    try:
        # Drop the text tower, which takes at least as much memory.
        return open_clip.create_model(spec.model, pretrained=spec.weights).visual
    except Exception as error:
        raise _not_loaded(spec, f"open_clip's '{spec.model}' ({spec.weights})", error) from error


def _load_moco(spec: EncoderSpec, checkpoints: Path, rows: EncoderTable) -> Any:
    timm = _library("timm")
    state = _inside(read_tensors(_weights_file(spec)), "state_dict", spec)
    network = timm.create_model(spec.model, pretrained=False, num_classes=0)
    load_exactly(network, moco_backbone(state), spec.name)
    return network


def _load_aladin(spec: EncoderSpec, checkpoints: Path, rows: EncoderTable) -> Any:
    timm, nn = _library("timm"), _library("torch.nn")
    network = timm.create_model(spec.model, pretrained=False, num_classes=0)
    middle = (network.num_features + spec.dim) // 2
    network.head = nn.Sequential(
        nn.LeakyReLU(), nn.Linear(network.num_features, middle), nn.LeakyReLU(), nn.Linear(middle, spec.dim)
    )
    state = read_tensors(_weights_file(spec))
    if not isinstance(state, dict):
        raise CheckpointError(
            f"the file for '{spec.name}' does not contain weights; get it from the release again."
        )
    load_exactly(network, aladin_tower(state), spec.name)
    return network


def _load_csd(spec: EncoderSpec, checkpoints: Path, rows: EncoderTable) -> Any:
    open_clip, torch = _library("open_clip"), _library("torch")
    functional = _library("torch.nn.functional")
    path = _weights_file(spec)
    # Besides tensors the file holds training settings and counters: plain data that is safe to read.
    plain_types = [
        argparse.Namespace,
        np.dtype,
        np.dtypes.Float64DType,
        np.dtypes.Int64DType,
        (np._core.multiarray.scalar, "numpy.core.multiarray.scalar"),  # type: ignore[attr-defined]
        np._core.multiarray.scalar,  # type: ignore[attr-defined]
    ]
    with torch.serialization.safe_globals(plain_types):
        state = _inside(read_tensors(path, mapped=True), "model_state_dict", spec)
    network = open_clip.create_model(spec.model, pretrained=None, load_weights=False, device="meta").visual
    load_exactly(network, csd_style_tower(state), spec.name, assign=True)
    plain = network.forward
    network.forward = lambda pixels: functional.normalize(plain(pixels))
    return network


def _load_torchscript(spec: EncoderSpec, checkpoints: Path, rows: EncoderTable) -> Any:
    path = _weights_file(spec)
    try:
        return _library("torch").jit.load(str(path), map_location="cpu")
    except RuntimeError as error:
        raise CheckpointError(
            f"'{path}' is not a TorchScript file; get the weights of '{spec.name}' again."
        ) from error


_LOADERS: Mapping[str, Callable[[EncoderSpec, Path, EncoderTable], Any]] = {
    "timm-shipped": _load_shipped,
    "timm": _load_timm,
    "open_clip": _load_open_clip,
    "moco": _load_moco,
    "aladin": _load_aladin,
    "csd": _load_csd,
    "torchscript": _load_torchscript,
    "with-colours": _load_with_colours,
}


def _inside(checkpoint: Any, key: str, spec: EncoderSpec) -> Mapping[str, Any]:
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get(key), dict):
        raise CheckpointError(
            f"the file for '{spec.name}' has no '{key}', so it is not its authors' checkpoint; get it from "
            f"{spec.weights} again."
        )
    inner: Mapping[str, Any] = checkpoint[key]
    return inner


def _weights_file(spec: EncoderSpec) -> Path:
    path = DOWNLOADED / spec.file
    if not path.exists():
        raise CheckpointError(
            f"the weights of '{spec.name}' are missing; run 'python -m attribution_core download "
            f"{spec.name}', or put '{path.name}' from "
            f"{spec.weights if '/' in spec.weights else 'the release of DanRuta/ALADIN'} "
            f"into '{path.parent}'."
        )
    return path


def _library(name: str) -> Any:
    return import_optional(name, "this encoder")


def _not_loaded(spec: EncoderSpec, where: str, error: Exception) -> CheckpointError:
    if "state_dict" in str(error):  # torch's wording for mismatched keys or shapes
        return CheckpointError(
            f"the weights of '{spec.name}' from {where} do not fit its network; the versions of the weights and "
            "the library differ, so install the versions in constraints.txt."
        )
    return CheckpointError(
        f"the weights of '{spec.name}' come from {where}, which cannot be reached; go online "
        "once so that they are cached, or use the bundled 'efficientnet-lite0'."
    )
