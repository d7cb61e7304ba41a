"""Frozen feature encoders: one row each in `ENCODERS`, one loader per library.

Rows follow the table of the paper's released code (*Evaluating Data Attribution for Text-to-Image Models*,
ICCV 2023): names, resize filter, crop, normalisation and dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from attribution_core.cards import verify_files
from attribution_core.errors import CheckpointError, InvalidInputError, MissingDependencyError, unknown_name
from attribution_core.settings import shipped

if TYPE_CHECKING:
    import torch

SHIPPED = shipped("encoders")
DOWNLOADED = Path.home() / ".cache/attribution-explorer/encoders"
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
OPENAI = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))


@dataclass(frozen=True)
class Preprocess:
    """How a picture becomes an input. resize: shorter side in px, both sides where `squash`; crop: centre, px."""

    resize: int
    crop: int
    filter: str = "bicubic"  # "bicubic" or "bilinear"
    squash: bool = False
    mean: tuple[float, float, float] = HALF[0]
    std: tuple[float, float, float] = HALF[1]

    def __call__(self, image: Image.Image) -> NDArray[np.float32]:
        """RGB image -> (3, crop, crop) float32, normalised."""
        width, height = image.size
        if self.squash:
            size = (self.resize, self.resize)
        else:
            short = min(width, height)
            size = (max(self.resize, round(width * self.resize / short)),
                    max(self.resize, round(height * self.resize / short)))
        if image.size != size:
            kind = Image.Resampling.BICUBIC if self.filter == "bicubic" else Image.Resampling.BILINEAR
            image = image.resize(size, kind)
        left, top = (size[0] - self.crop) // 2, (size[1] - self.crop) // 2
        image = image.convert("RGB").crop((left, top, left + self.crop, top + self.crop))
        values = np.asarray(image, dtype=np.float32) / 255.0
        normal = (values - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        return np.ascontiguousarray(normal.transpose(2, 0, 1), dtype=np.float32)


@dataclass(frozen=True)
class EncoderSpec:
    """One row of the table. dim: length of a feature; licence: of the weights, "" where none is stated."""

    name: str
    dim: int
    preprocess: Preprocess
    loader: str
    model: str
    weights: str
    licence: str
    paper: str
    offline: bool = False

    @property
    def input_size(self) -> int:
        """Side of the square input in px."""
        return self.preprocess.crop


ENCODERS: Mapping[str, EncoderSpec] = {
    spec.name: spec
    for spec in (
        EncoderSpec("efficientnet-lite0", 1280, Preprocess(128, 128), "timm-shipped", "tf_efficientnet_lite0",
                    "efficientnet-lite0", "Apache-2.0", "Tan and Le, ICML 2019", offline=True),
        EncoderSpec("rgb-thumbnail", 768, Preprocess(16, 16, "bilinear", squash=True), "thumbnail", "", "",
                    "none needed", "baseline: 16 x 16 RGB pixels", offline=True),
        EncoderSpec("pocket-clip", 256, Preprocess(64, 64), "timm-shipped", "resnet10t", "pocket-clip", "Apache-2.0",
                    "trained here, after Radford et al., ICML 2021", offline=True),
        EncoderSpec("pocket-sscd", 256, Preprocess(64, 64), "timm-shipped", "resnet10t", "pocket-sscd", "Apache-2.0",
                    "trained here, after Pizzi et al., CVPR 2022", offline=True),
        EncoderSpec("pocket-clip-rgb", 448, Preprocess(64, 64), "with-colours", "pocket-clip", "pocket-clip",
                    "Apache-2.0", "pocket-clip beside 8 x 8 RGB pixels", offline=True),
        EncoderSpec("clip-vit-b32", 512, Preprocess(224, 224, mean=OPENAI[0], std=OPENAI[1]), "open_clip",
                    "ViT-B-32-quickgelu", "openai", "MIT", "Radford et al., ICML 2021"),
        EncoderSpec("dino-vitb16", 768, Preprocess(256, 224, mean=IMAGENET[0], std=IMAGENET[1]), "timm",
                    "vit_base_patch16_224.dino", "", "Apache-2.0", "Caron et al., ICCV 2021"),
        EncoderSpec("moco-v3-vitb16", 768, Preprocess(256, 224, "bilinear", mean=IMAGENET[0], std=IMAGENET[1]),
                    "moco", "vit_base_patch16_224",
                    "https://dl.fbaipublicfiles.com/moco-v3/vit-b-300ep/vit-b-300ep.pth.tar", "CC-BY-NC-4.0",
                    "Chen et al., ICCV 2021"),
        EncoderSpec("vit-b16-384", 768, Preprocess(384, 384, "bilinear"), "timm",
                    "vit_base_patch16_384.augreg_in21k_ft_in1k", "", "Apache-2.0", "Dosovitskiy et al., ICLR 2021"),
        EncoderSpec("aladin", 256, Preprocess(224, 224, squash=True), "torchscript", "",
                    "aladinVIT_bamfg_64.47.pt", "", "Ruta et al., ICCV 2021"),
        EncoderSpec("sscd", 512, Preprocess(288, 288, "bilinear", mean=IMAGENET[0], std=IMAGENET[1]),
                    "torchscript", "",
                    "https://dl.fbaipublicfiles.com/sscd-copy-detection/sscd_disc_mixup.torchscript.pt", "MIT",
                    "Pizzi et al., CVPR 2022"),
    )
}

# A processor's caches hold the activations of few images: 8 at a time were three times as fast as 64.
BATCH_CPU, BATCH_ACCELERATOR = 8, 64


class Encoder:
    """A loaded encoder. name, dim: as in its row; device: where it runs."""

    def __init__(self, spec: EncoderSpec, forward: Callable[[NDArray[np.float32]], NDArray[np.float32]],
                 device: str) -> None:
        """forward: (n, 3, s, s) float32 -> (n, dim) float32."""
        self.spec, self.device = spec, device
        self._forward = forward

    @property
    def name(self) -> str:
        """The row's name."""
        return self.spec.name

    @property
    def dim(self) -> int:
        """Length of a feature."""
        return self.spec.dim

    def encode(self, images: Sequence[Image.Image], batch_size: int | None = None) -> NDArray[np.float32]:
        """Features of RGB images, raw (neither mapped nor normalised).

        images: n of any size. batch_size: images at a time; None takes what is fast on the device. Returns
        (n, dim) float32.
        Raises `InvalidInputError` if `batch_size` is not positive, `CheckpointError` if the network's output
        does not have the row's dimension.
        """
        if batch_size is None:
            batch_size = BATCH_CPU if self.device == "cpu" else BATCH_ACCELERATOR
        if batch_size < 1:
            raise InvalidInputError(f"batch_size is {batch_size}, expected at least 1.")
        rows = [np.zeros((0, self.dim), dtype=np.float32)]
        for start in range(0, len(images), batch_size):
            batch = np.stack([self.spec.preprocess(image) for image in images[start:start + batch_size]])
            features = np.asarray(self._forward(batch), dtype=np.float32)
            if features.shape != (len(batch), self.dim):
                raise CheckpointError(f"encoder '{self.name}' gave features of shape {features.shape}, expected "
                                      f"{(len(batch), self.dim)}: its weights are not those of this row.")
            rows.append(features)
        return np.concatenate(rows)


def pick_device(device: str = "auto") -> str:
    """Choose where networks run. device: "auto" (CUDA, else MPS, else CPU), or a name that is checked.

    Raises `MissingDependencyError` without torch or where the named device is not there.
    """
    torch = _torch()
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        return next(name for name in ("cuda", "mps", "cpu") if available[name])
    kind = device.split(":")[0]
    if kind not in available:
        raise unknown_name("device", device, ["auto", *available])
    if not available[kind]:
        raise MissingDependencyError(f"device '{device}' is not available here; use 'auto' or 'cpu'.")
    return device


def load_encoder(name: str, device: str = "auto", checkpoints: Path | str | None = None) -> Encoder:
    """Load one encoder by the name of its row.

    checkpoints: folder with a sub-folder per shipped encoder; default: `checkpoints/encoders` of this
    repository. Raises `UnknownNameError`, `MissingDependencyError` (a package) or `CheckpointError` (weights
    that are not here and cannot be fetched), each with the mend.
    """
    if name not in ENCODERS:
        raise unknown_name("encoder", name, ENCODERS)
    spec = ENCODERS[name]
    if spec.loader == "thumbnail":
        return Encoder(spec, lambda batch: batch.reshape(len(batch), -1), "cpu")
    place = pick_device(device)
    network = _LOADERS[spec.loader](spec, Path(checkpoints) if checkpoints else SHIPPED)
    return Encoder(spec, _forward(network, place), place)


def _forward(network: Any, device: str) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    torch = _torch()
    # In PyTorch's own order of axes convolutions take half as long again; MPS was not tried with the other one.
    order = torch.contiguous_format if device == "mps" else torch.channels_last
    network = network.eval().to(device, memory_format=order)

    def forward(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        pixels = torch.from_numpy(batch).to(device, memory_format=order)
        with torch.inference_mode():
            return np.asarray(network(pixels).float().cpu().numpy())

    return forward


def _torch() -> Any:
    return _library("torch")


def _library(name: str, package: str = "") -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingDependencyError(f"this encoder needs {package or name}; install it with "
                                     f"'pip install {package or name}'.") from error


def _load_shipped(spec: EncoderSpec, checkpoints: Path) -> Any:
    timm, safetensors = _library("timm"), _library("safetensors.torch", "safetensors")
    folder = checkpoints / spec.weights
    if not (folder / "model.safetensors").exists():
        recipe = spec.weights.removeprefix("pocket-") if spec.weights.startswith("pocket-") else "encoders"
        raise CheckpointError(f"the weights of '{spec.name}' are not in '{folder}'; get them with the repository "
                              "(ATTRIBUTION_CHECKPOINTS names its folder 'checkpoints' where that lies elsewhere) or "
                              f"make them with 'python -m pocket.{recipe}'.")
    verify_files(folder)
    state = safetensors.load_file(folder / "model.safetensors")
    # Encoders that were trained here keep their last linear layer, converted ones end with the pooled features.
    network = timm.create_model(spec.model, pretrained=False, num_classes=spec.dim if "fc.weight" in state else 0)
    load_exactly(network, state, spec.name)
    return network


def _load_with_colours(spec: EncoderSpec, checkpoints: Path) -> Any:
    """Another row's network and, half as heavy, the picture itself in few pixels around grey: what is where in colour.

    Networks learn to see through colours and places; for mappers to learn what those are worth, they must be there.
    """
    functional = _library("torch.nn.functional")
    inner = ENCODERS[spec.model]
    network = _LOADERS[inner.loader](inner, checkpoints)
    side, plain = round(((spec.dim - inner.dim) / 3) ** 0.5), network.forward

    def forward(pixels: Any) -> Any:
        colours = functional.adaptive_avg_pool2d(pixels, side).flatten(1)
        seen = functional.normalize(plain(pixels)), functional.normalize(colours) * 0.5**0.5
        return _torch().cat(seen, dim=1)

    network.forward = forward
    return network


def _load_timm(spec: EncoderSpec, checkpoints: Path) -> Any:
    timm = _library("timm")
    try:
        return timm.create_model(spec.model, pretrained=True, num_classes=0)
    except Exception as error:  # the hub client's errors are of many kinds
        raise _unreachable(spec, f"timm's '{spec.model}' on the Hugging Face hub") from error


def _load_open_clip(spec: EncoderSpec, checkpoints: Path) -> Any:
    open_clip = _library("open_clip", "open_clip_torch")
    try:
        network = open_clip.create_model(spec.model, pretrained=spec.weights)
    except Exception as error:
        raise _unreachable(spec, f"open_clip's '{spec.model}' ({spec.weights})") from error
    network.forward = network.encode_image
    return network


def _load_moco(spec: EncoderSpec, checkpoints: Path) -> Any:
    timm, torch = _library("timm"), _torch()
    path = _weights_file(spec)
    state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    network = timm.create_model(spec.model, pretrained=False, num_classes=0)
    load_exactly(network, moco_backbone(state), spec.name)
    return network


def _load_torchscript(spec: EncoderSpec, checkpoints: Path) -> Any:
    path = _weights_file(spec)
    try:
        return _torch().jit.load(str(path), map_location="cpu")
    except RuntimeError as error:
        raise CheckpointError(f"'{path}' is not a TorchScript file; get the weights of '{spec.name}' again.") from error


_LOADERS: Mapping[str, Callable[[EncoderSpec, Path], Any]] = {
    "timm-shipped": _load_shipped, "timm": _load_timm, "open_clip": _load_open_clip, "moco": _load_moco,
    "torchscript": _load_torchscript, "with-colours": _load_with_colours,
}


def moco_backbone(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The ViT inside a MoCo v3 checkpoint: prefix `module.base_encoder.` stripped, the projection head dropped."""
    prefix = "module.base_encoder."
    kept = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    return {key: value for key, value in kept.items() if not key.startswith("head.")}


def load_exactly(network: Any, state: Mapping[str, Any], name: str) -> None:
    """Load a state dict; every key and shape must match, else `CheckpointError` names the first that do not."""
    own = network.state_dict()
    wrong = sorted(set(own) ^ set(state)) + [k for k in own if k in state and own[k].shape != state[k].shape]
    if wrong:
        raise CheckpointError(f"the weights given for '{name}' do not fit its network ({len(wrong)} keys differ, "
                              f"first: {', '.join(wrong[:3])}); they belong to another encoder.")
    network.load_state_dict(dict(state))


def _weights_file(spec: EncoderSpec) -> Path:
    path = DOWNLOADED / spec.weights.rsplit("/", 1)[-1]
    if not path.exists():
        raise CheckpointError(f"the weights of '{spec.name}' are not here; put '{path.name}' from "
                              f"{spec.weights if '/' in spec.weights else 'the release of DanRuta/ALADIN'} "
                              f"into '{path.parent}'.")
    return path


def _unreachable(spec: EncoderSpec, where: str) -> CheckpointError:
    return CheckpointError(f"the weights of '{spec.name}' come from {where}, which cannot be reached; go online "
                           "once so that they are cached, or use 'efficientnet-lite0', which ships.")
