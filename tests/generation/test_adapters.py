"""LoRAs and textual inversions: what they change in a pipeline, and what is refused."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from attribution_core.errors import (
    AttributionError,
    CheckpointError,
    CollectionMismatchError,
    InvalidInputError,
)
from attribution_core.generation.adapters import Adapter, AdapterKind
from attribution_core.generation.generator import Generator
from tests.support.adapters import LAYER, LORA_RANK, lora_tensors, save_lora
from tests.support.tiny_large_pipelines import make_flux, make_sd3, make_xl
from tests.support.tiny_pipeline import make_clip_like, make_pocket_like


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip_like(tmp_path_factory.mktemp("clip") / "tiny")


def weight(folder: Path, lora: Path | None = None, part: str = "unet", layer: str = LAYER) -> torch.Tensor:
    generator = Generator.open(folder, "cpu", None if lora is None else Adapter.open(lora))
    return getattr(generator.pipeline, part).get_submodule(layer).weight.detach()


def test_a_lora_adds_its_product_to_the_weight_and_to_no_other(folder: Path, tmp_path: Path) -> None:
    before, tensors = weight(folder), lora_tensors()
    product = tensors[f"unet.{LAYER}.lora_B.weight"] @ tensors[f"unet.{LAYER}.lora_A.weight"]
    lora = save_lora(tmp_path / "a.safetensors")
    assert torch.allclose(weight(folder, lora) - before, product, atol=1e-6)
    other = LAYER.replace("to_k", "to_q")
    assert torch.equal(weight(folder, lora, layer=other), weight(folder, layer=other))


def test_alpha_scales_the_product_in_both_ways_of_writing_it(folder: Path, tmp_path: Path) -> None:
    before, tensors = weight(folder), lora_tensors()
    down, up = (tensors[f"unet.{LAYER}.lora_{side}.weight"] for side in "AB")
    options = {"lora_adapter_metadata": json.dumps({"unet.lora_alpha": 2 * LORA_RANK, "unet.r": LORA_RANK})}
    save_file(tensors, tmp_path / "peft.safetensors", metadata=options)
    name = f"lora_unet_{LAYER.replace('.', '_')}"
    kohya = {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up}
    save_file({**kohya, f"{name}.alpha": torch.tensor(2.0 * LORA_RANK)}, tmp_path / "kohya.safetensors")
    for file in ("peft.safetensors", "kohya.safetensors"):
        assert torch.allclose(weight(folder, tmp_path / file) - before, 2 * up @ down, atol=1e-6), file


def test_a_lora_of_the_text_encoder_is_applied(folder: Path, tmp_path: Path) -> None:
    layer = "text_model.encoder.layers.0.self_attn.q_proj"
    down, up = torch.ones(1, 32), torch.ones(32, 1)
    names = {f"text_encoder.{layer}.lora_A.weight": down, f"text_encoder.{layer}.lora_B.weight": up}
    save_file(names, tmp_path / "peft.safetensors")
    kohya = f"lora_te_{layer.replace('.', '_')}"
    save_file(
        {f"{kohya}.lora_down.weight": down, f"{kohya}.lora_up.weight": up}, tmp_path / "kohya.safetensors"
    )
    modules = dict(Generator.open(folder, "cpu").pipeline.text_encoder.named_modules())
    known = layer if layer in modules else layer.removeprefix("text_model.")
    before = weight(folder, None, "text_encoder", known)
    for file in ("peft.safetensors", "kohya.safetensors"):
        change = weight(folder, tmp_path / file, "text_encoder", known) - before
        assert torch.allclose(change, torch.ones(32, 32), atol=1e-6), file


@pytest.mark.parametrize("make", [make_xl, make_sd3, make_flux])
def test_large_pipelines_take_a_lora_and_no_textual_inversion(make: Any, tmp_path: Path) -> None:
    folder = make(tmp_path / "large")
    pipeline = Generator.open(folder, "cpu").pipeline
    part = "unet" if hasattr(pipeline, "unet") else "transformer"
    name, layer = next((n, m) for n, m in getattr(pipeline, part).named_modules() if n.endswith("to_k"))
    rows, columns = layer.weight.shape
    ones = {f"{part}.{name}.lora_A.weight": torch.ones(1, columns)}
    save_file({**ones, f"{part}.{name}.lora_B.weight": torch.ones(rows, 1)}, tmp_path / "a.safetensors")
    change = weight(folder, tmp_path / "a.safetensors", part, name) - layer.weight
    assert torch.allclose(change, torch.ones(rows, columns), atol=1e-6)
    save_file({"<toy>": torch.ones(32)}, tmp_path / "toy.safetensors")
    with pytest.raises(InvalidInputError, match="choose another base"):
        Generator.open(folder, "cpu", Adapter.open(tmp_path / "toy.safetensors")).load()


def test_an_adapter_is_part_of_what_made_an_image(folder: Path, tmp_path: Path) -> None:
    plain = Generator.open(folder, "cpu")
    with_lora = Generator.open(
        folder, "cpu", Adapter.open(save_lora(tmp_path / "mine.safetensors", scale=5.0))
    )
    first, second = plain.generate("cat", 1, 2), with_lora.generate("cat", 1, 2)
    assert second.recipe.generator == f"{plain.name} + mine"
    assert second.recipe.generator_sha256 not in ("", first.recipe.generator_sha256)
    assert second.image.tobytes() != first.image.tobytes()


@pytest.mark.parametrize("kind", ["lora", "textual inversion"])
def test_a_file_of_8_bit_floats_is_applied(folder: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "toy.safetensors"
    if kind == "lora":
        save_lora(path)
    else:
        save_file({"<toy>": torch.ones(32)}, path)
    save_file({name: tensor.to(torch.float8_e4m3fn) for name, tensor in load_file(path).items()}, path)
    Generator.open(folder, "cpu", Adapter.open(path)).load()


def test_a_textual_inversion_adds_its_word(folder: Path, tmp_path: Path) -> None:
    save_file({"<toy>": torch.full((32,), 3.0)}, tmp_path / "toy.safetensors")
    save_file({"emb_params": torch.full((2, 32), 3.0)}, tmp_path / "zz.safetensors")
    adapter = Adapter.open(tmp_path / "toy.safetensors")
    assert (adapter.kind, adapter.token) == (AdapterKind.TEXTUAL_INVERSION, "<toy>")
    save_file({"<my.toy>": torch.ones(32)}, tmp_path / "dot.safetensors")
    assert Adapter.open(tmp_path / "dot.safetensors").token == "<my.toy>"
    assert Adapter.open(tmp_path / "zz.safetensors").token == "zz"
    generator = Generator.open(folder, "cpu", adapter)
    token = generator.pipeline.tokenizer.convert_tokens_to_ids("<toy>")
    row = generator.pipeline.text_encoder.get_input_embeddings().weight[token]
    assert torch.equal(row, torch.full((32,), 3.0))
    plain = Generator.open(folder, "cpu").generate("a <toy> cat", 1, 2).image
    assert generator.generate("a <toy> cat", 1, 2).image.tobytes() != plain.tobytes()


def _bad(path: Path, tensors: dict[str, Any], **metadata: str) -> Path:
    save_file(tensors, path, metadata=metadata or None)
    return path


def _pickle(path: Path) -> Path:
    path.write_bytes(pickle.dumps({"a": 1}))
    return path


def _of_another_base(path: Path) -> Path:
    return save_lora(path, width=48)


def _untrained(path: Path) -> Path:
    return save_lora(path, scale=0.0)


def _not_finite(path: Path) -> Path:
    return save_lora(path, scale=float("nan"))


def _unknown_layer(path: Path) -> Path:
    return _bad(path, {k.replace("down_blocks.1", "down_blocks.7"): v for k, v in lora_tensors().items()})


def _half(path: Path) -> Path:
    return _bad(path, dict([next(iter(lora_tensors().items()))]))


def _dora(path: Path) -> Path:
    return _bad(path, {**lora_tensors(), f"unet.{LAYER}.lora_magnitude_vector": torch.ones(16)})


def _rank_stable(path: Path) -> Path:
    options = json.dumps({"unet.use_rslora": True, "unet.r": LORA_RANK})
    return _bad(path, lora_tensors(), lora_adapter_metadata=options)


def _whole_model(path: Path) -> Path:
    return _bad(path, {"a.weight": torch.ones(2), "b.weight": torch.ones(2)})


def _one_tensor(name: str, *shape: int, dtype: torch.dtype = torch.float32) -> Any:
    return lambda path: _bad(path, {name: torch.ones(shape, dtype=dtype)})


def _short_word(path: Path) -> Path:
    return _bad(path, {"<toy>": torch.ones(768)})


def _noise(path: Path) -> Path:
    path.write_bytes(b"no tensors at all")
    return path


@pytest.mark.parametrize(
    ("make", "name", "words"),
    [
        (_pickle, "a.bin", "may hold code"),
        (_pickle, "a.pt", "may hold code"),
        (_noise, "a.safetensors", "cannot be read as safetensors"),
        (lambda path: path, "none.safetensors", "does not exist"),
        (_of_another_base, "a.safetensors", "made for another generator"),
        (_unknown_layer, "a.safetensors", "has no such part"),
        (_untrained, "a.safetensors", "changes nothing"),
        (_not_finite, "a.safetensors", "not finite"),
        (_half, "a.safetensors", "of a kind that cannot be checked"),
        (_dora, "a.safetensors", "of a kind that cannot be checked"),
        (_rank_stable, "a.safetensors", "use_rslora"),
        (
            _whole_model,
            "a.safetensors",
            r"textual inversion, but 2 tensors, such as 'a.weight' \(2, float32\)",
        ),
        (
            _one_tensor("conv.weight", 8, 3, 3, 3),
            "a.safetensors",
            r"'conv.weight' \(8 x 3 x 3 x 3, float32\)",
        ),
        (_one_tensor("proj.weight", 32), "a.safetensors", "neither a LoRA nor a textual inversion"),
        (_one_tensor("weight", 32), "a.safetensors", "neither a LoRA nor a textual inversion"),
        (_one_tensor("rows", 768, 32), "a.safetensors", r"the tensor 'rows' \(768 x 32, float32\)"),
        (_one_tensor("<toy>", 32, dtype=torch.int64), "a.safetensors", r"\(32, int64\)"),
        (_one_tensor("<toy>"), "a.safetensors", r"\(one number, float32\)"),
        (_one_tensor("<toy>", 0), "a.safetensors", "neither a LoRA nor a textual inversion"),
        (lambda path: _bad(path, {}), "a.safetensors", "but no tensor"),
        (_short_word, "a.safetensors", "made for another generator"),
    ],
)
def test_bad_files_are_refused_in_one_sentence(
    folder: Path, tmp_path: Path, make: Any, name: str, words: str
) -> None:
    file = make(tmp_path / name)
    with pytest.raises(AttributionError, match=words) as caught:
        Generator.open(folder, "cpu", Adapter.open(file)).load()
    assert isinstance(caught.value, (CheckpointError, CollectionMismatchError))
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def test_a_folder_with_several_files_is_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_lora(tmp_path / f"{name}.safetensors")
    with pytest.raises(CheckpointError, match="holds 2 files"):
        Adapter.open(tmp_path)


def test_the_pocket_kind_of_generator_takes_both(tmp_path: Path) -> None:
    folder = make_pocket_like(tmp_path / "pocket")
    assert not torch.equal(weight(folder, save_lora(tmp_path / "a.safetensors")), weight(folder))
    save_file({"<toy>": torch.ones(32)}, tmp_path / "toy.safetensors")
    Generator.open(folder, "cpu", Adapter.open(tmp_path / "toy.safetensors")).generate("<toy> cat", 1, 2)
