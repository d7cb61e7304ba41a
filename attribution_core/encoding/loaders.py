"""How the networks of `ENCODERS` are made and their weights read: one loader a library or kind of file.

Every loader holds each key of a state dict against the network's; one that is missing, left over or of another shape
is an error, never a network that is partly random.
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
"""Weights that the command `download` fetches, or that are put in place by hand."""

EncoderTable = Mapping[str, "EncoderSpec"]


def load_network(spec: EncoderSpec, checkpoints: Path, rows: EncoderTable) -> Any:
    """The network of a row, with its weights, on the CPU.

    checkpoints: folder of the encoders that ship. rows: `ENCODERS`, for rows that hold another one's network.
    Raises `MissingDependencyError` or `CheckpointError`.
    """
    return _LOADERS[spec.loader](spec, checkpoints, rows)


def load_exactly(network: Any, state: Mapping[str, Any], name: str, assign: bool = False) -> None:
    """Load a state dict; every key and shape must match, else `CheckpointError` names the first that do not.

    assign: take the tensors themselves, for a network that was made without memory (on "meta").
    """
    own = network.state_dict()
    wrong = sorted(set(own) ^ set(state)) + [k for k in own if k in state and own[k].shape != state[k].shape]
    if wrong:
        raise CheckpointError(
            f"the weights given for '{name}' do not fit its network ({len(wrong)} keys differ, "
            f"first: {', '.join(wrong[:3])}); they belong to another encoder."
        )
    network.load_state_dict(dict(state), assign=assign)


def moco_backbone(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The ViT inside a MoCo v3 checkpoint: prefix `module.base_encoder.` stripped, the projection head dropped."""
    prefix = "module.base_encoder."
    kept = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    return {key: value for key, value in kept.items() if not key.startswith("head.")}


def csd_style_tower(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The image tower of CLIP inside a CSD checkpoint, ending with the style head in place of CLIP's projection.

    The checkpoint holds `module.backbone.*` without a projection, and two heads that took the projection's place:
    `last_layer_style` is kept, `last_layer_content` dropped. Keys of other names stay, for `load_exactly` to name.
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
    """ALADIN's ViT-B/16 with its projection head, by the names of timm's: queries, keys and values in one matrix."""
    torch, tower = _library("torch"), {}
    for key, value in state.items():
        for theirs, ours in _ALADIN:
            key = key.replace(theirs, ours)
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
            f"the weights of '{spec.name}' are not in '{folder}'; get them with the repository "
            "(ATTRIBUTION_CHECKPOINTS names its folder 'checkpoints' where that lies elsewhere) or "
            f"make them with 'python -m pocket.{recipe}'."
        )
    verify_files(folder)
    state = load_file(folder / "model.safetensors")
    # Encoders that were trained here keep their last linear layer, converted ones end with the pooled features.
    network = timm.create_model(
        spec.model, pretrained=False, num_classes=spec.dim if "fc.weight" in state else 0
    )
    load_exactly(network, state, spec.name)
    return network


def _load_with_colours(spec: EncoderSpec, checkpoints: Path, rows: EncoderTable) -> Any:
    """Another row's network and, half as heavy, the picture itself in few pixels around grey: what is where in colour.

    Networks learn to see through colours and places; for mappers to learn what those are worth, they must be there.
    """
    functional, torch = _library("torch.nn.functional"), _library("torch")
    inner = rows[spec.model]
    network = load_network(inner, checkpoints, rows)
    side, plain = round(((spec.dim - inner.dim) / 3) ** 0.5), network.forward

    def forward(pixels: Any) -> Any:
        colours = functional.adaptive_avg_pool2d(pixels, side).flatten(1)
        seen = functional.normalize(plain(pixels)), functional.normalize(colours) * 0.5**0.5
        return torch.cat(seen, dim=1)

    network.forward = forward
    return network


def _load_timm(spec: EncoderSpec, checkpoints: Path, rows: EncoderTable) -> Any:
    timm = _library("timm")
    try:
        return timm.create_model(spec.model, pretrained=True, num_classes=0, **dict(spec.options))
    except Exception as error:  # the hub client's errors are of many kinds
        raise _not_loaded(spec, f"timm's '{spec.model}' on the Hugging Face hub", error) from error


def _load_open_clip(spec: EncoderSpec, checkpoints: Path, rows: EncoderTable) -> Any:
    open_clip = _library("open_clip")
    try:
        # What reads text is left behind: it takes as much memory again, and more.
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
            f"the file given for '{spec.name}' holds no weights; get it from the release again."
        )
    load_exactly(network, aladin_tower(state), spec.name)
    return network


def _load_csd(spec: EncoderSpec, checkpoints: Path, rows: EncoderTable) -> Any:
    open_clip, torch = _library("open_clip"), _library("torch")
    functional = _library("torch.nn.functional")
    path = _weights_file(spec)
    # Besides tensors the file holds the settings and counters of its training: plain data, which may be read.
    data = [
        argparse.Namespace,
        np.dtype,
        np.dtypes.Float64DType,
        np.dtypes.Int64DType,
        (np._core.multiarray.scalar, "numpy.core.multiarray.scalar"),  # type: ignore[attr-defined]
        np._core.multiarray.scalar,  # type: ignore[attr-defined]
    ]
    with torch.serialization.safe_globals(data):
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
            f"the file given for '{spec.name}' holds no '{key}'; it is not the checkpoint of its "
            f"authors. Get it from {spec.weights} again."
        )
    inner: Mapping[str, Any] = checkpoint[key]
    return inner


def _weights_file(spec: EncoderSpec) -> Path:
    path = DOWNLOADED / spec.file
    if not path.exists():
        raise CheckpointError(
            f"the weights of '{spec.name}' are not here; run 'python -m attribution_core download "
            f"{spec.name}', or put '{path.name}' from "
            f"{spec.weights if '/' in spec.weights else 'the release of DanRuta/ALADIN'} "
            f"into '{path.parent}'."
        )
    return path


def _library(name: str) -> Any:
    return import_optional(name, "this encoder")


def _not_loaded(spec: EncoderSpec, where: str, error: Exception) -> CheckpointError:
    if "state_dict" in str(error):  # torch's own words where keys or shapes differ
        return CheckpointError(
            f"the weights of '{spec.name}' from {where} do not fit its network; they, or the "
            "library, are of another version: install the versions in constraints.txt."
        )
    return CheckpointError(
        f"the weights of '{spec.name}' come from {where}, which cannot be reached; go online "
        "once so that they are cached, or use 'efficientnet-lite0', which ships."
    )
