"""Rows of encoders whose weights are fetched: inputs against the documented transforms, networks without weights.

No weights are at hand here. The networks are those of the libraries, mostly on "meta", where shapes and keys are known
and nothing is computed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from attribution_core.encoding import loaders as encoder_loaders
from attribution_core.encoding.encoders import ENCODERS, load_encoder
from attribution_core.encoding.spec import HALF, IMAGENET, OPENAI
from attribution_core.errors import CheckpointError
from tests.support.fakes import shape_image

timm = pytest.importorskip("timm")
open_clip = pytest.importorskip("open_clip")

BICUBIC, BILINEAR = transforms.InterpolationMode.BICUBIC, transforms.InterpolationMode.BILINEAR
IMAGES = [
    Image.effect_noise(size, 90).convert("RGB") for size in ((301, 201), (203, 305), (97, 40), (400, 400))
]
ROWS = {name: spec for name, spec in ENCODERS.items() if not spec.offline}
TIMM = {name: spec for name, spec in ROWS.items() if spec.loader == "timm"}
OPEN_CLIP = {name: spec for name, spec in ROWS.items() if spec.loader == "open_clip"}


def documented(
    resize: int | tuple[int, int],
    crop: int,
    mode: transforms.InterpolationMode,
    normal: tuple[tuple[float, ...], tuple[float, ...]],
) -> transforms.Compose:
    return transforms.Compose(
        [
            transforms.Resize(resize, mode),
            transforms.CenterCrop(crop),
            transforms.ToTensor(),
            transforms.Normalize(*normal),
        ]
    )


# As the evaluation code of their authors writes them; for DINO, DINOv2 and MoCo: resize 256, crop 224.
DOCUMENTED = {
    "dino-vitb16": documented(256, 224, BICUBIC, IMAGENET),
    "moco-v3-vitb16": documented(256, 224, BILINEAR, IMAGENET),
    "vit-b16-384": documented(384, 384, BILINEAR, HALF),
    "aladin": documented((224, 224), 224, BILINEAR, HALF),
    "sscd": documented(288, 288, BILINEAR, IMAGENET),
    "dinov2-vitb14": documented(256, 224, BICUBIC, IMAGENET),
    "csd-vitl14": documented(224, 224, BICUBIC, OPENAI),
}


def library_transform(name: str):
    spec = ROWS[name]
    if spec.loader == "open_clip":
        cfg = open_clip.get_pretrained_cfg(spec.model, spec.weights)
        return open_clip.image_transform(
            spec.input_size,
            is_train=False,
            mean=cfg["mean"],
            std=cfg["std"],
            interpolation=cfg["interpolation"],
            resize_mode=cfg["resize_mode"],
        )
    cfg = timm.models.get_pretrained_cfg(spec.model)
    return timm.data.create_transform(
        cfg.input_size, mean=cfg.mean, std=cfg.std, crop_pct=cfg.crop_pct, interpolation=cfg.interpolation
    )


@pytest.mark.parametrize("name", ROWS)
def test_inputs_equal_those_of_the_documented_transform(name: str) -> None:
    twin = DOCUMENTED.get(name) or library_transform(name)
    for image in IMAGES:
        ours, theirs = ROWS[name].preprocess(image), twin(image).numpy()
        assert ours.shape == theirs.shape
        # timm and open_clip divide by 255 in another order: one rounding of float32.
        assert np.abs(ours - theirs).max() < 1e-6, f"{name} differs from its documented transform"


@pytest.mark.parametrize("name", TIMM)
def test_timm_knows_the_name_and_normalises_alike(name: str) -> None:
    spec = TIMM[name]
    assert spec.model in timm.list_pretrained()
    cfg = timm.models.get_pretrained_cfg(spec.model)
    assert (cfg.mean, cfg.std) == (spec.preprocess.mean, spec.preprocess.std)
    # The paper took bilinear for ViT, where timm writes bicubic.
    assert cfg.interpolation == "bicubic" and (spec.preprocess.filter == "bicubic" or name == "vit-b16-384")
    assert {"dinov3-license": "DINOv3 License", "apache-2.0": "Apache-2.0"}[cfg.license] == spec.licence


@pytest.mark.parametrize("name", [*OPEN_CLIP, "csd-vitl14"])
def test_open_clip_knows_the_name_and_activates_alike(name: str) -> None:
    spec = ROWS[name]
    pretrained = spec.weights if spec.loader == "open_clip" else "openai"
    assert (spec.model, pretrained) in open_clip.list_pretrained()
    cfg = open_clip.get_pretrained_cfg(spec.model, pretrained)
    # Weights that were trained with the quick GELU give wrong features in a network with the exact one.
    assert cfg.get("quick_gelu", False) == open_clip.get_model_config(spec.model).get("quick_gelu", False)


def without_weights(name: str, device: str = "meta") -> torch.nn.Module:
    """The row's own architecture, with random weights."""
    spec = ROWS[name]
    with torch.device(device):
        if spec.loader in ("open_clip", "csd"):
            return open_clip.create_model(spec.model, load_weights=False, device=device).visual.eval()
        return timm.create_model(spec.model.split(".")[0], num_classes=0, **dict(spec.options)).eval()


@pytest.mark.parametrize(
    "name", [name for name, spec in ROWS.items() if spec.loader not in ("torchscript", "aladin")]
)
def test_the_architecture_gives_the_rows_dimension(name: str) -> None:
    size = ROWS[name].input_size
    assert without_weights(name)(torch.empty(2, 3, size, size, device="meta")).shape == (2, ROWS[name].dim)


@pytest.mark.parametrize("name", TIMM)
def test_timm_rows_ask_for_what_the_row_says(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made, asked = timm.create_model, {}

    def small(model: str, pretrained: bool, **options: object) -> torch.nn.Module:
        asked.update(options, model=model, pretrained=pretrained)
        return made(model.split(".")[0], pretrained=False, depth=1, **options)

    monkeypatch.setattr(timm, "create_model", small)
    features = load_encoder(name, device="cpu").encode([shape_image(2)])
    assert features.shape == (1, ROWS[name].dim) and features.std() > 0
    assert asked == {
        "model": ROWS[name].model,
        "pretrained": True,
        "num_classes": 0,
        **dict(ROWS[name].options),
    }


@pytest.mark.parametrize("name", OPEN_CLIP)
def test_open_clip_rows_keep_the_image_tower_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec, asked = ROWS[name], []

    class Both(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.visual = torch.nn.Sequential(
                torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten(), torch.nn.Linear(12, spec.dim)
            )

    monkeypatch.setattr(open_clip, "create_model", lambda *a, **k: asked.append((a, k)) or Both())
    assert load_encoder(name, device="cpu").encode([shape_image(2)]).shape == (1, spec.dim)
    assert asked == [((spec.model,), {"pretrained": spec.weights})]


def test_weights_of_another_version_are_told_from_an_unreachable_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    def differ(*args: object, **kwargs: object) -> None:
        torch.nn.Linear(2, 2).load_state_dict({"weight": torch.zeros(2, 2)})

    monkeypatch.setattr(timm, "create_model", differ)
    with pytest.raises(CheckpointError, match="do not fit its network"):
        load_encoder("dinov2-vitb14", device="cpu")


def csd_checkpoint(tower: dict[str, torch.Tensor]) -> dict[str, object]:
    """As its authors saved it: a whole training state, the two heads beside a tower without a projection."""
    state = {f"module.backbone.{key}": value for key, value in tower.items() if key != "proj"}
    state["module.last_layer_style"] = tower["proj"]
    state["module.last_layer_content"] = torch.zeros_like(tower["proj"])
    return {
        "model_state_dict": state,
        "opt_bb": {"state": {}},
        "opt_proj": {},
        "iter": 80000,
        "fp16_scaler": None,
        "args": argparse.Namespace(arch="vit_large", lam_sup=np.float64(5.0)),
    }


def test_csd_keeps_the_style_head_of_its_whole_tower() -> None:
    tower = without_weights("csd-vitl14").state_dict()
    saved = csd_checkpoint(tower)["model_state_dict"]
    assert len(saved) == 297, "as many keys as the released checkpoint has"
    assert tower["proj"].shape == (1024, 768)
    found = encoder_loaders.csd_style_tower(saved)
    assert {key: value.shape for key, value in found.items()} == {
        key: value.shape for key, value in tower.items()
    }
    assert found["proj"] is saved["module.last_layer_style"]


def test_csd_gives_unit_style_features_from_the_file_of_its_authors(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    small = dict(image_size=224, patch_size=56, width=64, layers=1, heads=1, mlp_ratio=2, output_dim=768)
    tower = open_clip.transformer.VisionTransformer(**small).state_dict()

    def made(model: str, **options: object) -> object:
        with torch.device(options["device"]):
            return argparse.Namespace(visual=open_clip.transformer.VisionTransformer(**small))

    monkeypatch.setattr(open_clip, "create_model", made)
    monkeypatch.setattr(encoder_loaders, "DOWNLOADED", tmp_path)
    file = tmp_path / ROWS["csd-vitl14"].file
    checkpoint = csd_checkpoint(tower)
    torch.save(checkpoint, file)
    image = shape_image(4)
    features = load_encoder("csd-vitl14", device="cpu").encode([image])
    network = open_clip.transformer.VisionTransformer(**small).eval()
    network.load_state_dict(tower)
    expected = network(torch.from_numpy(ROWS["csd-vitl14"].preprocess(image)[None])).detach().numpy()
    np.testing.assert_allclose(features, expected / np.linalg.norm(expected), atol=1e-6)
    assert np.linalg.norm(features) == pytest.approx(1, abs=1e-5)
    checkpoint["model_state_dict"]["module.another_head"] = torch.zeros(1)
    torch.save(checkpoint, file)
    with pytest.raises(CheckpointError, match="1 keys differ, first: another_head"):
        load_encoder("csd-vitl14", device="cpu")
    torch.save({"weights": {}}, file)
    with pytest.raises(CheckpointError, match="has no 'model_state_dict'"):
        load_encoder("csd-vitl14", device="cpu")


def test_a_csd_file_that_would_run_code_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    monkeypatch.setattr(encoder_loaders, "DOWNLOADED", tmp_path)
    torch.save({"model_state_dict": {}, "args": Harm()}, tmp_path / ROWS["csd-vitl14"].file)
    with pytest.raises(CheckpointError, match="not allowed"):
        load_encoder("csd-vitl14", device="cpu")
    assert not (tmp_path / "ran").exists()


def aladin_by_hand(state: dict[str, torch.Tensor], pixels: torch.Tensor) -> torch.Tensor:
    """ALADIN's forward pass in the words of its own checkpoint, of any width and depth."""
    functional, at = torch.nn.functional, "enc_style.transformer."

    def linear(name: str, x: torch.Tensor) -> torch.Tensor:
        return functional.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])

    def norm(name: str, x: torch.Tensor) -> torch.Tensor:
        return functional.layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"], 1e-6)

    patches = state[f"{at}embeddings.patch_embeddings.weight"]
    x = functional.conv2d(
        pixels, patches, state[f"{at}embeddings.patch_embeddings.bias"], stride=patches.shape[-1]
    )
    x = torch.cat([state[f"{at}embeddings.cls_token"], x.flatten(2).transpose(1, 2)], dim=1)
    x = x + state[f"{at}embeddings.position_embeddings"]
    for k in range(sum(key.endswith("attn.out.bias") for key in state)):
        block = f"{at}encoder.layer.{k}"
        y = norm(f"{block}.attention_norm", x)
        heads = [
            linear(f"{block}.attn.{part}", y).unflatten(2, (-1, 64)).transpose(1, 2)
            for part in ("query", "key", "value")
        ]
        weight = (heads[0] @ heads[1].transpose(2, 3) / 8).softmax(-1)
        x = x + linear(f"{block}.attn.out", (weight @ heads[2]).transpose(1, 2).flatten(2))
        y = functional.gelu(linear(f"{block}.ffn.fc1", norm(f"{block}.ffn_norm", x)))
        x = x + linear(f"{block}.ffn.fc2", y)
    code = functional.leaky_relu(norm(f"{at}encoder.encoder_norm", x)[:, 0])
    return linear("enc_style.proj_head.fc2", functional.leaky_relu(linear("enc_style.proj_head.fc1", code)))


def test_aladin_computes_what_its_own_code_computes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    torch.manual_seed(0)
    made, spec = timm.create_model, ROWS["aladin"]
    tiny = made(spec.model, num_classes=0, depth=2).state_dict()
    tiny |= {
        "head.1.weight": torch.empty(512, 768),
        "head.1.bias": torch.empty(512),
        "head.3.weight": torch.empty(256, 512),
        "head.3.bias": torch.empty(256),
    }
    back = [(ours, theirs) for theirs, ours in encoder_loaders._ALADIN if ours]
    state = {}
    for key, value in tiny.items():
        values = torch.randn_like(value) * 0.05
        for ours, theirs in back:
            key = (
                key.replace(ours, theirs)
                if ours != "norm"
                else key.replace("norm", theirs)
                if key.startswith("norm.")
                else key
            )
        parts = (
            zip(("query", "key", "value"), values.chunk(3), strict=True) if ".qkv." in key else [("", values)]
        )
        state |= {f"enc_style.{key.replace('qkv', part)}": chunk for part, chunk in parts}
    layer = "enc_style.transformer.encoder.layer"
    assert {
        "enc_style.transformer.embeddings.position_embeddings",
        "enc_style.transformer.encoder.encoder_norm.bias",
        f"{layer}.1.attn.key.weight",
        f"{layer}.0.ffn.fc2.bias",
        f"{layer}.0.attention_norm.weight",
        "enc_style.proj_head.fc2.weight",
    } <= set(state)
    torch.save(state, tmp_path / spec.file)
    monkeypatch.setattr(encoder_loaders, "DOWNLOADED", tmp_path)
    monkeypatch.setattr(timm, "create_model", lambda *a, **k: made(*a, **k, depth=2))
    features = load_encoder("aladin", device="cpu").encode([shape_image(5)])
    expected = aladin_by_hand(state, torch.from_numpy(spec.preprocess(shape_image(5))[None]))
    np.testing.assert_allclose(features, expected.numpy(), rtol=1e-3, atol=1e-4)
    state.pop(f"{layer}.1.attn.key.weight")
    torch.save(state, tmp_path / spec.file)
    with pytest.raises(CheckpointError, match="do not fit its network"):
        load_encoder("aladin", device="cpu")


def test_moco_surgery_fits_the_whole_network() -> None:
    own = without_weights("moco-v3-vitb16").state_dict()
    state = {f"module.base_encoder.{key}": value for key, value in own.items()}
    state |= {
        "module.base_encoder.head.0.weight": torch.zeros(4096, 768),
        "module.predictor.0.weight": torch.zeros(1),
    }
    assert encoder_loaders.moco_backbone(state).keys() == own.keys()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["clip-vit-b32", "dinov3-vitb16"])
def test_random_weights_run_at_full_size(name: str) -> None:
    torch.manual_seed(0)
    network = without_weights(name, "cpu")
    with torch.inference_mode():
        features = network(torch.from_numpy(ROWS[name].preprocess(shape_image(1))[None]))
    assert features.shape == (1, ROWS[name].dim) and bool(torch.isfinite(features).all())
