"""Frozen feature encoders: a row each in `ENCODERS`, with one loader per library.

Rows follow the table of the paper's released code (*Evaluating Data Attribution for Text-to-Image Models*,
ICCV 2023): names, resize filter, crop, normalisation and dimensions.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from attribution_core.common.devices import has_bfloat16, memory_errors, pick_device
from attribution_core.encoding.loaders import load_network
from attribution_core.encoding.spec import HALF, IMAGENET, OPENAI, EncoderSpec, Normal, Preprocess
from attribution_core.errors import CheckpointError, InvalidInputError, unknown_name
from attribution_core.settings import shipped

SHIPPED = shipped("encoders")
PRECISIONS = ("auto", "float32", "float16", "bfloat16")


def _as_torchvision(
    resize: int, crop: int, normal: Normal, kind: str = "bicubic", squash: bool = False
) -> Preprocess:
    return Preprocess(resize, crop, kind, squash, *normal, as_torchvision=True)


ENCODERS: Mapping[str, EncoderSpec] = {
    spec.name: spec
    for spec in (
        EncoderSpec(
            "efficientnet-lite0",
            1280,
            Preprocess(128, 128),
            "timm-shipped",
            "tf_efficientnet_lite0",
            "efficientnet-lite0",
            "Apache-2.0",
            "Tan and Le, ICML 2019",
            offline=True,
        ),
        EncoderSpec(
            "rgb-thumbnail",
            768,
            Preprocess(16, 16, "bilinear", squash=True),
            "thumbnail",
            "",
            "",
            "none needed",
            "baseline: 16 x 16 RGB pixels",
            offline=True,
        ),
        EncoderSpec(
            "pocket-clip",
            256,
            Preprocess(64, 64),
            "timm-shipped",
            "resnet10t",
            "pocket-clip",
            "Apache-2.0",
            "trained here, after Radford et al., ICML 2021",
            offline=True,
        ),
        EncoderSpec(
            "pocket-sscd",
            256,
            Preprocess(64, 64),
            "timm-shipped",
            "resnet10t",
            "pocket-sscd",
            "Apache-2.0",
            "trained here, after Pizzi et al., CVPR 2022",
            offline=True,
        ),
        EncoderSpec(
            "pocket-clip-rgb",
            448,
            Preprocess(64, 64),
            "with-colours",
            "pocket-clip",
            "pocket-clip",
            "Apache-2.0",
            "pocket-clip beside 8 x 8 RGB pixels",
            offline=True,
        ),
        EncoderSpec(
            "clip-vit-b32",
            512,
            _as_torchvision(224, 224, OPENAI),
            "open_clip",
            "ViT-B-32-quickgelu",
            "openai",
            "MIT",
            "Radford et al., ICML 2021",
        ),
        EncoderSpec(
            "dino-vitb16",
            768,
            _as_torchvision(256, 224, IMAGENET),
            "timm",
            "vit_base_patch16_224.dino",
            "",
            "Apache-2.0",
            "Caron et al., ICCV 2021",
        ),
        EncoderSpec(
            "moco-v3-vitb16",
            768,
            _as_torchvision(256, 224, IMAGENET, "bilinear"),
            "moco",
            "vit_base_patch16_224",
            "https://dl.fbaipublicfiles.com/moco-v3/vit-b-300ep/vit-b-300ep.pth.tar",
            "CC-BY-NC-4.0",
            "Chen et al., ICCV 2021",
        ),
        EncoderSpec(
            "vit-b16-384",
            768,
            _as_torchvision(384, 384, HALF, "bilinear"),
            "timm",
            "vit_base_patch16_384.augreg_in21k_ft_in1k",
            "",
            "Apache-2.0",
            "Dosovitskiy et al., ICLR 2021",
        ),
        EncoderSpec(
            "aladin",
            256,
            _as_torchvision(224, 224, HALF, "bilinear", squash=True),
            "aladin",
            "vit_base_patch16_224",
            "aladinVIT_bamfg_64.47.pt",
            "",
            "Ruta et al., ICCV 2021",
        ),
        EncoderSpec(
            "sscd",
            512,
            _as_torchvision(288, 288, IMAGENET, "bilinear"),
            "torchscript",
            "",
            "https://dl.fbaipublicfiles.com/sscd-copy-detection/sscd_disc_mixup.torchscript.pt",
            "MIT",
            "Pizzi et al., CVPR 2022",
        ),
        EncoderSpec(
            "openclip-vitb16",
            512,
            _as_torchvision(224, 224, OPENAI),
            "open_clip",
            "ViT-B-16",
            "laion2b_s34b_b88k",
            "MIT",
            "Cherti et al., CVPR 2023",
        ),
        EncoderSpec(
            "siglip2-vitb16",
            768,
            _as_torchvision(224, 224, HALF, squash=True),
            "open_clip",
            "ViT-B-16-SigLIP2",
            "webli",
            "Apache-2.0",
            "Tschannen et al., 2025",
        ),
        # The authors' evaluation size. They finished training at 518 px, which takes seven times as long.
        EncoderSpec(
            "dinov2-vitb14",
            768,
            _as_torchvision(256, 224, IMAGENET),
            "timm",
            "vit_base_patch14_dinov2.lvd142m",
            "",
            "Apache-2.0",
            "Oquab et al., TMLR 2024",
            options=(("img_size", 224),),
        ),
        EncoderSpec(
            "dinov3-vitb16",
            768,
            _as_torchvision(256, 256, IMAGENET),
            "timm",
            "vit_base_patch16_dinov3.lvd1689m",
            "",
            "DINOv3 License",
            "Siméoni et al., 2025",
            options=(("global_pool", "token"),),
            half="bfloat16",
        ),
        EncoderSpec(
            "csd-vitl14",
            768,
            _as_torchvision(224, 224, OPENAI),
            "csd",
            "ViT-L-14-quickgelu",
            "https://huggingface.co/tomg-group-umd/CSD-ViT-L/resolve/main/pytorch_model.bin",
            "CC-BY-4.0",
            "Somepalli et al., ECCV 2024",
            saved_as="csd_vit_l.bin",
        ),
    )
}

# A CPU's caches hold the activations of only a few images: batches of 8 were three times as fast as 64.
BATCH_CPU, BATCH_ACCELERATOR = 8, 64


class Encoder:
    """A loaded encoder. name, dim: as in its row of `ENCODERS`. device: where it runs."""

    def __init__(
        self, spec: EncoderSpec, forward: Callable[[NDArray[np.float32]], NDArray[np.float32]], device: str
    ) -> None:
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
        """Compute raw features of RGB images (neither mapped nor normalised).

        images: n of any size. If there is more than one batch, items are accessed and preprocessed in other threads
        while the network computes, so a sequence that opens files on access decodes them there. batch_size: None
        chooses a fast size for the device. Returns (n, dim) float32.
        Raises `InvalidInputError` if `batch_size` is not positive, `CheckpointError` if the network's output
        does not have the row's dimension, `NotEnoughMemoryError`.
        """
        if batch_size is None:
            batch_size = BATCH_CPU if self.device == "cpu" else BATCH_ACCELERATOR
        if batch_size < 1:
            raise InvalidInputError(f"batch_size is {batch_size}, expected at least 1.")
        rows = [np.zeros((0, self.dim), dtype=np.float32)]
        with (
            closing(self._batches(images, batch_size)) as batches,
            memory_errors(
                f"encoding images with '{self.name}'",
                f"give a batch_size below {batch_size}, or device 'cpu'",
            ),
        ):
            for batch in batches:
                features = np.asarray(self._forward(batch), dtype=np.float32)
                if features.shape != (len(batch), self.dim):
                    raise CheckpointError(
                        f"encoder '{self.name}' returned features of shape {features.shape}, expected "
                        f"{(len(batch), self.dim)}; its weights do not belong to this row."
                    )
                rows.append(features)
        return np.concatenate(rows)

    def _batches(
        self, images: Sequence[Image.Image], size: int
    ) -> Generator[NDArray[np.float32], None, None]:
        """Yield batches (b, 3, s, s), preparing the next while one is in use."""
        if len(images) <= size:  # a single query should not wait for threads
            if len(images):
                yield np.stack([self.spec.preprocess(image) for image in images])
            return
        cores = os.cpu_count() or 1
        pool = ThreadPoolExecutor(min(2 if self.device == "cpu" else 8, cores), "preprocess")

        def submit(start: int) -> tuple[NDArray[np.float32], list[Future[None]]]:
            batch = self._buffer(min(size, len(images) - start))

            def fill(row: int) -> None:
                batch[row] = self.spec.preprocess(images[start + row])

            return batch, [pool.submit(fill, row) for row in range(len(batch))]

        try:
            batch, futures = submit(0)
            for start in range(size, len(images) + size, size):
                following = submit(start) if start < len(images) else None
                for future in futures:
                    future.result()
                yield batch
                if following is not None:
                    batch, futures = following
        finally:
            pool.shutdown(cancel_futures=True)

    def _buffer(self, count: int) -> NDArray[np.float32]:
        shape = (count, 3, self.spec.input_size, self.spec.input_size)
        if not self.device.startswith("cuda"):
            return np.empty(shape, dtype=np.float32)
        import torch

        # Pinned memory is copied to the device asynchronously.
        return np.asarray(torch.empty(shape, pin_memory=True).numpy())


def load_encoder(
    name: str, device: str = "auto", checkpoints: Path | str | None = None, precision: str = "auto"
) -> Encoder:
    """Load an encoder by its name in `ENCODERS`.

    checkpoints: folder with a sub-folder per bundled encoder; default: `checkpoints/encoders` of this
    repository. precision: "float32", "float16", "bfloat16" (both as autocast, with float32 features), or "auto":
    the row's half precision on CUDA, float32 elsewhere. Raises `UnknownNameError`, `MissingDependencyError` (a
    missing package) or `CheckpointError` (weights that are missing and cannot be fetched), each with a remedy.
    """
    if name not in ENCODERS:
        raise unknown_name("encoder", name, ENCODERS)
    if precision not in PRECISIONS:
        raise unknown_name("precision", precision, PRECISIONS)
    spec = ENCODERS[name]
    if spec.loader == "thumbnail":
        return Encoder(spec, lambda batch: batch.reshape(len(batch), -1), "cpu")
    device = pick_device(device)
    network = load_network(spec, Path(checkpoints) if checkpoints else SHIPPED, ENCODERS)
    return Encoder(spec, _forward(network, device, _precision(spec, device, precision)), device)


def _precision(spec: EncoderSpec, device: str, requested: str) -> str:
    if requested != "auto":
        return requested
    if not device.startswith("cuda"):
        return "float32"
    return spec.half if spec.half != "bfloat16" or has_bfloat16(device) else "float32"


def _forward(
    network: Any, device: str, precision: str
) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    import torch

    # Convolutions take half as long again with PyTorch's default memory layout; channels_last is untested on MPS.
    order = torch.contiguous_format if device == "mps" else torch.channels_last
    network = network.eval().to(device, memory_format=order)
    kind, half = device.split(":")[0], None if precision == "float32" else getattr(torch, precision)

    def forward(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        pixels = torch.from_numpy(batch).to(device, memory_format=order, non_blocking=True)
        with torch.inference_mode():
            with torch.autocast(kind, dtype=half, enabled=half is not None):
                features = network(pixels).float()
            # Some networks overflow float16; recompute such a batch in float32.
            if half is not None and not bool(torch.isfinite(features).all()):
                features = network(pixels).float()
            return np.asarray(features.cpu().numpy())

    return forward
