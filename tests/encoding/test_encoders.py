"""Rows, preprocessing and loaders of the encoders, without a hub; and the shipped one against its source."""

from __future__ import annotations

import threading
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from attribution_core.common.devices import pick_device
from attribution_core.encoding import encoders
from attribution_core.encoding import loaders as encoder_loaders
from attribution_core.encoding.encoders import ENCODERS, Encoder, load_encoder
from attribution_core.encoding.spec import EncoderSpec, Preprocess
from attribution_core.errors import (
    CheckpointError,
    InvalidInputError,
    MissingDependencyError,
    NotEnoughMemoryError,
    UnknownNameError,
)
from tests.support.fakes import shape_image

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = Path(__file__).parent / "golden/efficientnet_lite0.npz"
PAPER_ROWS = {
    # name: (dim, resize, crop, filter, squash, mean of the normalisation), from the released code's table
    "clip-vit-b32": (512, 224, 224, "bicubic", False, 0.48145466),
    "dino-vitb16": (768, 256, 224, "bicubic", False, 0.485),
    "moco-v3-vitb16": (768, 256, 224, "bilinear", False, 0.485),
    "vit-b16-384": (768, 384, 384, "bilinear", False, 0.5),
    "aladin": (256, 224, 224, "bilinear", True, 0.5),
    "sscd": (512, 288, 288, "bilinear", False, 0.485),
}


@pytest.mark.parametrize("name", PAPER_ROWS)
def test_rows_are_those_of_the_paper(name: str) -> None:
    spec = ENCODERS[name]
    p = spec.preprocess
    assert (spec.dim, p.resize, p.crop, p.filter, p.squash, p.mean[0]) == PAPER_ROWS[name]
    assert spec.input_size == p.crop


def test_clip_uses_the_quickgelu_row() -> None:
    assert (ENCODERS["clip-vit-b32"].model, ENCODERS["clip-vit-b32"].weights) == (
        "ViT-B-32-quickgelu",
        "openai",
    )


@pytest.mark.parametrize(
    ("filter_", "size"), [("bicubic", (300, 200)), ("bilinear", (200, 300)), ("bicubic", (40, 90))]
)
def test_preprocessing_equals_torchvision(filter_: str, size: tuple[int, int]) -> None:
    transforms = pytest.importorskip("torchvision.transforms")
    mode = transforms.InterpolationMode(filter_)
    twin = transforms.Compose(
        [
            transforms.Resize(64, mode),
            transforms.CenterCrop(56),
            transforms.ToTensor(),
            transforms.Normalize(*encoders.IMAGENET),
        ]
    )
    image = Image.effect_noise(size, 80).convert("RGB")
    ours = Preprocess(64, 56, filter_, mean=encoders.IMAGENET[0], std=encoders.IMAGENET[1])
    theirs = twin(image).numpy()
    assert ours(image).shape == theirs.shape == (3, 56, 56)
    # One row or column may differ where the longer side is rounded the other way.
    assert np.abs(ours(image) - theirs).mean() < 0.02
    assert np.array_equal(replace(ours, as_torchvision=True)(image), theirs)


def test_squash_keeps_everything_and_crop_does_not() -> None:
    image = Image.new("RGB", (100, 50), "white")
    image.paste("black", (0, 0, 20, 50))
    assert Preprocess(10, 10, squash=True)(image)[0, 5, 0] == pytest.approx(-1, abs=0.2)
    assert Preprocess(10, 10)(image).min() == pytest.approx(1, abs=0.05)


@given(width=st.integers(1, 400), height=st.integers(1, 400))
def test_any_size_gives_the_input_size(width: int, height: int) -> None:
    assert Preprocess(20, 16)(Image.new("RGB", (width, height))).shape == (3, 16, 16)


def test_a_very_long_image_is_cut_before_it_is_scaled() -> None:
    for size in ((1, 60_000), (60_000, 1), (3, 40_000)):
        image = Image.new("RGB", size, (200, 30, 40))
        tracemalloc.start()
        values = Preprocess(256, 224, as_torchvision=True)(image)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert values.shape == (3, 224, 224) and most < 20e6
        assert (values == values[:, :1, :1]).all()
    long = shape_image(3).resize((40, 400))
    middle = long.crop((0, 40, 40, 360))
    assert (Preprocess(64, 64)(long) == Preprocess(64, 64)(middle)).all()


def test_the_shipped_encoder_gives_the_original_networks_features() -> None:
    """Golden: features by the original network code and weights, written by golden/make.py."""
    golden = np.load(GOLDEN)
    features = load_encoder("efficientnet-lite0", device="cpu").encode(
        [shape_image(i, 128) for i in range(4)]
    )
    assert features.shape == (4, 1280)
    np.testing.assert_allclose(features, golden["features"], rtol=1e-3, atol=1e-4)


def test_features_do_not_depend_on_the_batch() -> None:
    encoder = load_encoder("efficientnet-lite0", device="cpu")
    images = [shape_image(i) for i in range(5)]
    np.testing.assert_allclose(encoder.encode(images, batch_size=2), encoder.encode(images), atol=1e-4)
    assert encoder.encode([]).shape == (0, 1280)
    with pytest.raises(InvalidInputError, match="at least 1"):
        encoder.encode(images, batch_size=0)


def test_batches_are_made_ready_in_order_while_others_are_used() -> None:
    asked: list[tuple[int, bool]] = []

    class Lazy(list):
        def __getitem__(self, i):
            asked.append((i, threading.current_thread() is threading.main_thread()))
            return shape_image(i)

    encoder = load_encoder("rgb-thumbnail")
    features = encoder.encode(Lazy([None] * 23), batch_size=4)
    assert np.array_equal(features, np.concatenate([encoder.encode([shape_image(i)]) for i in range(23)]))
    assert sorted(i for i, _ in asked) == list(range(23)) and not any(here for _, here in asked)


def test_what_goes_wrong_in_a_thread_is_passed_on_and_leaves_none_behind() -> None:
    class Broken(list):
        def __getitem__(self, i):
            if i == 9:
                raise InvalidInputError("the ninth")
            return shape_image(i)

    with pytest.raises(InvalidInputError, match="the ninth"):
        load_encoder("rgb-thumbnail").encode(Broken([None] * 40), batch_size=4)
    spec = EncoderSpec("odd", 5, Preprocess(4, 4), "thumbnail", "", "", "", "")
    with pytest.raises(CheckpointError):
        Encoder(spec, lambda batch: batch.reshape(len(batch), -1), "cpu").encode([shape_image(1)] * 40, 4)
    assert not [t for t in threading.enumerate() if t.name.startswith("preprocess")]


def test_half_precision_keeps_the_features_and_falls_back_where_it_overflows() -> None:
    images = [shape_image(i, 128) for i in range(3)]
    full = load_encoder("pocket-sscd", device="cpu").encode(images)
    half = load_encoder("pocket-sscd", device="cpu", precision="bfloat16").encode(images)
    cosine = (full * half).sum(1) / np.linalg.norm(full, axis=1) / np.linalg.norm(half, axis=1)
    assert half.dtype == np.float32 and not np.array_equal(full, half) and cosine.min() > 0.995
    calls = []

    class Overflowing(torch.nn.Linear):
        def forward(self, pixels):
            calls.append(torch.is_autocast_enabled("cpu"))
            return super().forward(pixels.flatten(1)) * (torch.inf if calls[-1] else 1)

    forward = encoders._forward(Overflowing(12, 5), "cpu", "float16")
    assert np.isfinite(forward(np.ones((2, 3, 2, 2), np.float32))).all() and calls == [True, False]
    with pytest.raises(UnknownNameError, match="did you mean 'bfloat16'"):
        load_encoder("pocket-sscd", precision="bfloat")


@pytest.mark.parametrize(
    ("name", "device", "bf16", "expected"),
    [
        ("clip-vit-b32", "cpu", True, "float32"),
        ("clip-vit-b32", "mps", False, "float32"),
        ("clip-vit-b32", "cuda", True, "float16"),
        ("dinov3-vitb16", "cuda:1", True, "bfloat16"),
        ("dinov3-vitb16", "cuda", False, "float32"),
    ],
)
def test_half_precision_is_chosen_on_cuda_alone(
    name: str, device: str, bf16: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: bf16)
    assert encoders._precision(ENCODERS[name], device, "auto") == expected
    assert encoders._precision(ENCODERS[name], device, "float16") == "float16"


def test_memory_that_runs_out_is_one_sentence() -> None:
    spec = EncoderSpec("large", 5, Preprocess(4, 4), "thumbnail", "", "", "", "")

    def forward(batch):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    with pytest.raises(
        NotEnoughMemoryError, match=r"encoding images with 'large'; give a batch_size below 8"
    ):
        Encoder(spec, forward, "cpu").encode([shape_image(1)])


def test_the_thumbnail_is_sixteen_by_sixteen_pixels() -> None:
    features = load_encoder("rgb-thumbnail").encode([Image.new("RGB", (50, 70), (255, 0, 127))])
    assert features.shape == (1, 768)
    assert np.allclose(features[0].reshape(3, 16, 16).mean((1, 2)), [1, -1, 127 / 127.5 - 1], atol=1e-5)


def test_unknown_names_are_corrected() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'dino-vitb16'"):
        load_encoder("dino-b16")
    with pytest.raises(UnknownNameError, match="device"):
        pick_device("tpu")


def test_a_device_that_is_not_here_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(MissingDependencyError, match="not available"):
        pick_device("cuda:1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pick_device("auto") == "cuda"
    assert pick_device("cuda:1") == "cuda:1"


@pytest.mark.parametrize("name", ["sscd", "aladin", "moco-v3-vitb16"])
def test_rows_without_weights_say_where_to_put_them(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(encoder_loaders, "DOWNLOADED", tmp_path)
    with pytest.raises(CheckpointError, match=r"are missing; run '.* download .*', or put '.*' from .* into"):
        load_encoder(name, device="cpu")


@pytest.mark.parametrize(
    ("name", "library", "maker"),
    [
        ("dino-vitb16", "timm", "create_model"),
        ("vit-b16-384", "timm", "create_model"),
        ("clip-vit-b32", "open_clip", "create_model"),
    ],
)
def test_an_unreachable_hub_is_explained(
    name: str, library: str, maker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(pytest.importorskip(library), maker, fail)
    with pytest.raises(CheckpointError, match="cannot be reached"):
        load_encoder(name, device="cpu")


def test_a_missing_library_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "open_clip", None)
    with pytest.raises(MissingDependencyError, match=r"open_clip; .*attribution-explorer\[encoders\]"):
        load_encoder("clip-vit-b32", device="cpu")


def test_moco_surgery_keeps_the_backbone_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    timm = pytest.importorskip("timm")
    tiny = dict(embed_dim=768, depth=1, num_heads=12)
    network = timm.create_model("vit_base_patch16_224", pretrained=False, num_classes=0, **tiny)
    state = {f"module.base_encoder.{k}": v for k, v in network.state_dict().items()}
    state |= {
        "module.base_encoder.head.0.weight": torch.zeros(1),
        "module.momentum_encoder.cls_token": torch.zeros(1),
    }
    assert set(encoder_loaders.moco_backbone(state)) == set(network.state_dict())
    torch.save({"state_dict": state}, tmp_path / "vit-b-300ep.pth.tar")
    monkeypatch.setattr(encoder_loaders, "DOWNLOADED", tmp_path)
    made = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, **kw: made(name, **kw, **tiny))
    assert load_encoder("moco-v3-vitb16", device="cpu").encode([shape_image(1)]).shape == (1, 768)
    state.pop("module.base_encoder.cls_token")
    torch.save({"state_dict": state}, tmp_path / "vit-b-300ep.pth.tar")
    with pytest.raises(CheckpointError, match="1 keys differ, first: cls_token"):
        load_encoder("moco-v3-vitb16", device="cpu")


def test_torchscript_rows_run_a_file_of_the_right_shape(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Pooled(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.mean((2, 3)).repeat(1, 171)[:, :512]

    torch.jit.script(Pooled()).save(str(tmp_path / "sscd_disc_mixup.torchscript.pt"))
    monkeypatch.setattr(encoder_loaders, "DOWNLOADED", tmp_path)
    assert load_encoder("sscd", device="cpu").encode([shape_image(1)]).shape == (1, 512)
    (tmp_path / "sscd_disc_mixup.torchscript.pt").write_bytes(b"junk")
    with pytest.raises(CheckpointError, match="not a TorchScript file"):
        load_encoder("sscd", device="cpu")


def test_weights_of_another_dimension_are_refused() -> None:
    spec = EncoderSpec("odd", 5, Preprocess(4, 4), "thumbnail", "", "", "", "")
    with pytest.raises(CheckpointError, match=r"shape \(1, 48\), expected \(1, 5\)"):
        Encoder(spec, lambda batch: batch.reshape(len(batch), -1), "cpu").encode([shape_image(1)])


def test_colours_stand_beside_what_the_network_sees() -> None:
    image = shape_image(3)
    beside = load_encoder("pocket-clip-rgb", device="cpu").encode([image])[0]
    network = load_encoder("pocket-clip", device="cpu").encode([image])[0]
    assert beside[:256] == pytest.approx(network / np.linalg.norm(network), abs=1e-5)
    pixels = ENCODERS["pocket-clip"].preprocess(image)  # -1 to 1, so that grey is 0
    colours = pixels.reshape(3, 8, 8, 8, 8).mean(axis=(2, 4)).ravel()
    assert beside[256:] == pytest.approx(colours / np.linalg.norm(colours) * 0.5**0.5, abs=1e-5)


def test_missing_or_changed_shipped_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"python -m pocket.encoders"):
        load_encoder("efficientnet-lite0", device="cpu", checkpoints=tmp_path)
    with pytest.raises(CheckpointError, match=r"python -m pocket.encoders.sscd"):
        load_encoder("pocket-sscd", device="cpu", checkpoints=tmp_path)
