"""A LoRA or a textual inversion of somebody's, put into a diffusers pipeline as it loads.

Files are read as safetensors only, since a pickle could run code. A LoRA's products are added to the weights
themselves, so that no other package (peft) is needed; diffusers converts the names of other trainers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attribution_core.common.files import sha256_file
from attribution_core.common.text import first_line
from attribution_core.errors import CheckpointError, CollectionMismatchError, InvalidInputError

if TYPE_CHECKING:
    import torch

_SUFFIX = ".safetensors"
_DOWN, _UP = ".lora_A.weight", ".lora_B.weight"
_EMBEDDING = "emb_params"
_PARAMETERS = frozenset({"weight", "bias", "tensor"})
_MOST_ROWS = 75  # words of a prompt that CLIP reads
_OWN_OPTIONS = ("alpha_pattern", "use_rslora", "use_dora")


class AdapterKind(StrEnum):
    """What a file changes: weights of the networks, or the words that the text encoder knows."""

    LORA = "LoRA"
    TEXTUAL_INVERSION = "textual inversion"


@dataclass(frozen=True)
class Adapter:
    """One file. sha256: of it. token: the word that a textual inversion adds; "" for a LoRA."""

    path: Path
    kind: AdapterKind
    sha256: str
    token: str = ""

    @classmethod
    def open(cls, path: Path | str) -> Adapter:
        """Read the names in a file, or in a folder's only safetensors file.

        Raises `CheckpointError` for a file of another kind, damaged or missing.
        """
        file = _file(Path(path))
        tensors = _read(file)[0]
        if any("lora" in name for name in tensors):
            return cls(file, AdapterKind.LORA, sha256_file(file))
        if len(tensors) == 1 and _is_embedding(*next(iter(tensors.items()))):
            # Some trainers name the tensor alike in every file; there the file's name is the word.
            (name,) = tensors
            token = file.stem if name == _EMBEDDING else name
            return cls(file, AdapterKind.TEXTUAL_INVERSION, sha256_file(file), token)
        raise CheckpointError(
            f"'{file}' holds neither a LoRA nor a textual inversion, but {_content(tensors)}; give one of these, or "
            "the folder of a whole diffusers pipeline."
        )

    @property
    def name(self) -> str:
        """The file's name without its suffix."""
        return self.path.stem

    def apply(self, pipeline: Any) -> None:
        """Change a pipeline, which must still be on the CPU.

        Raises `CollectionMismatchError` where the file was made for another generator, `CheckpointError` for a file
        that cannot be used, `InvalidInputError` for a pipeline that takes none; the pipeline is then of no use.
        """
        tensors, metadata = _read(self.path)
        if any(
            not tensor.float().isfinite().all() for tensor in tensors.values()
        ):  # 8-bit floats have no isfinite
            raise CheckpointError(f"'{self.path}' holds numbers that are not finite; get the file again.")
        if self.kind is AdapterKind.LORA:
            self._add_lora(pipeline, tensors, metadata)
        else:
            self._add_token(pipeline, next(iter(tensors.values())))

    def _add_token(self, pipeline: Any, rows: torch.Tensor) -> None:
        _check_takes(pipeline, "load_textual_inversion", self.kind)
        if getattr(pipeline, "text_encoder_2", None) is not None:
            raise InvalidInputError(
                f"'{self.path}' is a {self.kind} for one text encoder, and this generator has several; choose another "
                "base."
            )
        width = pipeline.text_encoder.get_input_embeddings().weight.shape[1]
        if rows.ndim not in (1, 2) or rows.shape[-1] != width:
            raise CollectionMismatchError(
                f"'{self.path}' was made for another generator: its rows are {_size(rows)}, expected {width} long; "
                "name the generator that it belongs to as the base."
            )
        try:
            pipeline.load_textual_inversion({self.token: rows.float()})
        except ValueError as error:
            raise CheckpointError(
                f"the textual inversion '{self.path}' cannot be used ({first_line(error)})."
            ) from error

    def _add_lora(self, pipeline: Any, tensors: dict[str, torch.Tensor], metadata: Mapping[str, str]) -> None:
        import torch

        _check_takes(pipeline, "lora_state_dict", self.kind)
        changes = []
        for name, (down, up, factor) in self._products(pipeline, tensors, metadata).items():
            weight = _weight(pipeline, name)
            if weight is None or not _fits(weight, down, up):
                has = "has no such part" if weight is None else f"has {_size(weight)} there"
                raise CollectionMismatchError(
                    f"'{self.path}' was made for another generator: it changes {name} by {_size(up)} times "
                    f"{_size(down)}, and this one {has}; name the generator that it belongs to as the base."
                )
            change = factor * (up.float().flatten(1) @ down.float().flatten(1))
            changes.append((weight, change.reshape(weight.shape)))
        if not any(change.any() for _, change in changes):
            raise CheckpointError(f"the LoRA '{self.path}' changes nothing; it was not trained.")
        with torch.no_grad():
            for weight, change in changes:
                weight.add_(change.to(weight))

    def _products(
        self, pipeline: Any, tensors: dict[str, torch.Tensor], metadata: Mapping[str, str]
    ) -> dict[str, tuple[torch.Tensor, torch.Tensor, float]]:
        """By name of the changed layer: the two matrices, and the factor of their product."""
        try:
            # Some pipelines return the tensors alone, some with their scales, and one only where it is asked.
            answer = pipeline.lora_state_dict(dict(tensors), return_alphas=True)
            named, alphas = answer if isinstance(answer, tuple) else (answer, {})
            left = _as_peft(named)
            factors = _as_peft({key.removesuffix(".alpha"): value for key, value in (alphas or {}).items()})
            options = {
                key: value
                for key, value in json.loads(metadata.get("lora_adapter_metadata", "{}")).items()
                if value
            }
        except Exception as error:  # diffusers' converters raise all kinds of errors
            raise CheckpointError(f"the LoRA '{self.path}' cannot be read ({first_line(error)}).") from error
        odd = [key for key in options if key.rsplit(".", 1)[-1] in _OWN_OPTIONS]
        products = {}
        for key in sorted(k for k in left if k.endswith(_DOWN)):
            name = key.removesuffix(_DOWN)
            if name + _UP in left:
                down, up = left.pop(key), left.pop(name + _UP)
                alpha = factors.get(key, options.get(f"{name.split('.')[0]}.lora_alpha", len(down)))
                products[name] = (down, up, float(alpha) / max(len(down), 1))
        odd += list(left)
        if odd or not products:
            raise CheckpointError(
                f"'{self.path}' is a LoRA of a kind that cannot be checked here"
                f"{f' ({odd[0]})' if odd else ''}; give a plain one."
            )
        return products


def _file(path: Path) -> Path:
    if path.is_dir():
        files = sorted(path.glob(f"*{_SUFFIX}"))
        if len(files) != 1:
            raise CheckpointError(
                f"'{path}' holds {len(files)} files ending in {_SUFFIX}; expected a diffusers pipeline "
                "(model_index.json), or one LoRA or textual inversion."
            )
        return files[0]
    if path.suffix.lower() != _SUFFIX:
        raise CheckpointError(
            f"'{path}' is no {_SUFFIX} file; others may hold code and are not opened, so convert it first."
        )
    return path


def _read(file: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "pt") as opened:
            return {name: opened.get_tensor(name) for name in opened.keys()}, opened.metadata() or {}
    except FileNotFoundError as error:
        raise CheckpointError(f"'{file}' does not exist; check the path.") from error
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"'{file}' cannot be read as safetensors ({first_line(error)}); get the file again."
        ) from error


def _is_embedding(name: str, tensor: torch.Tensor) -> bool:
    """Whether a tensor can be the rows of a word: named like one, not like a layer's weight, and few."""
    is_layer = "." in name and not (name.startswith("<") and name.endswith(">"))
    return (
        not is_layer
        and name not in _PARAMETERS
        and tensor.is_floating_point()
        and tensor.ndim in (1, 2)
        and tensor.numel() > 0
        and (tensor.ndim == 1 or len(tensor) <= _MOST_ROWS)
    )


def _content(tensors: Mapping[str, torch.Tensor]) -> str:
    """What a file holds: its first tensor by name, shape and kind of numbers."""
    if not tensors:
        return "no tensor"
    name, tensor = next(iter(tensors.items()))
    what = f"'{name:.80}' ({_size(tensor) or 'one number'}, {str(tensor.dtype).removeprefix('torch.')})"
    return f"the tensor {what}" if len(tensors) == 1 else f"{len(tensors):,} tensors, such as {what}"


def _as_peft(named: Mapping[str, Any]) -> dict[str, Any]:
    """The same under the names of PEFT: "unet. ... .to_k.lora_A.weight"."""
    from diffusers.utils import state_dict_utils as convert

    text = {key: value for key, value in named.items() if key.startswith("text_encoder")}
    rest = {key: value for key, value in named.items() if key not in text}
    for way in (convert.StateDictType.DIFFUSERS_OLD, convert.StateDictType.DIFFUSERS):
        text = convert.convert_state_dict_to_peft(text, way)
    renamed = convert.convert_unet_state_dict_to_peft({**rest, **text})
    return {key.replace(".processor.", "."): value for key, value in renamed.items()}


def _check_takes(pipeline: Any, method: str, kind: AdapterKind) -> None:
    if not hasattr(pipeline, method):
        raise InvalidInputError(f"a {type(pipeline).__name__} takes no {kind}; choose another base.")


def _weight(pipeline: Any, name: str) -> Any:
    """The weight of a layer, named with or without its network; None if there is none."""
    denoiser = "transformer" if getattr(pipeline, "unet", None) is None else "unet"
    part, _, inner = name.partition(".")
    if part not in pipeline.components:
        part, inner = denoiser, name
    network = pipeline.components[part]
    for path in (inner, inner.removeprefix("text_model.")):
        try:
            return network.get_submodule(path).weight
        except AttributeError:
            continue
    return None


def _fits(weight: torch.Tensor, down: torch.Tensor, up: torch.Tensor) -> bool:
    """Whether up times down has as many rows and columns as a weight, with one rank between them."""
    rank = len(down)
    return (
        down.ndim == up.ndim == weight.ndim
        and up[0].numel() == rank
        and len(up) == len(weight)
        and down[0].numel() == weight[0].numel()
    )


def _size(tensor: torch.Tensor) -> str:
    return " x ".join(str(n) for n in tensor.shape)
