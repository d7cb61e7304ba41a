"""Edits of a Stable Diffusion pipeline that can be undone exactly: cross-attention and one new token."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from attribution_core.errors import AttributionError, InvalidInputError

if TYPE_CHECKING:
    import torch

TOKEN = "<v*>"


def key_value_weights(unet: Any) -> dict[str, torch.nn.Parameter]:
    """The cross-attention key and value weights by name. Raises `AttributionError` where there are none."""
    weights = {
        name: weight
        for name, weight in unet.named_parameters()
        if ".attn2.to_k." in name or ".attn2.to_v." in name
    }
    if not weights:
        raise AttributionError(
            "the generator's UNet has no cross-attention (attn2.to_k, attn2.to_v) to tune; "
            "expected a text-to-image UNet2DConditionModel."
        )
    return weights


def restore(weights: Mapping[str, torch.nn.Parameter], before: Mapping[str, torch.Tensor]) -> None:
    """Freeze the weights again and write back the values of before, bit by bit."""
    import torch

    with torch.no_grad():
        for name, weight in weights.items():
            weight.requires_grad_(False)
            weight.grad = None
            weight.copy_(before[name])


def initial_row(pipeline: Any, category: str) -> torch.Tensor:
    """(d,) the mean input embedding of the pieces of the category's last word.

    Raises `InvalidInputError` where the tokenizer finds nothing to read in that word.
    """
    import torch

    pieces = pipeline.tokenizer(category.split()[-1], add_special_tokens=False)["input_ids"]
    if not pieces:
        raise InvalidInputError(f"the generator reads nothing in the category '{category}'; give a word.")
    table = pipeline.text_encoder.get_input_embeddings()
    return table(torch.tensor(pieces, device=pipeline.device)).detach().mean(0)


@contextmanager
def many_weights(unet: Any, count: int) -> Iterator[dict[str, torch.nn.Parameter]]:
    """Let the UNet hold `count` copies of its cross-attention key and value weights, to be tuned side by side.

    Gives them by name, (count, out, in) each. A batch of count * b samples meets them in turn, b samples each. The
    weights of before are out of the way meanwhile, and back afterwards.
    """
    layers = {name: unet.get_submodule(name.removesuffix(".weight")) for name in key_value_weights(unet)}
    copies = {name: _side_by_side(layer, count) for name, layer in layers.items()}
    try:
        for name, copy_ in copies.items():
            _put(unet, name, copy_)
        yield {name: copy_.weight for name, copy_ in copies.items()}
    finally:
        for name, layer in layers.items():
            _put(unet, name, layer)


def _put(unet: Any, name: str, layer: torch.nn.Module) -> None:
    parent, child = name.removesuffix(".weight").rsplit(".", 1)
    setattr(unet.get_submodule(parent), child, layer)


def _side_by_side(layer: Any, count: int) -> Any:
    import torch

    class SideBySide(torch.nn.Module):
        """A linear layer with a weight for each of `count` parts of the batch."""

        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(layer.weight.detach().repeat(count, 1, 1))

        def forward(self, states: torch.Tensor) -> torch.Tensor:
            parts = states.reshape(count, -1, states.shape[-1]) @ self.weight.transpose(1, 2)
            parts = parts.reshape(*states.shape[:-1], -1)
            return parts if layer.bias is None else parts + layer.bias

    return SideBySide()


@contextmanager
def new_token(pipeline: Any, row: torch.Tensor) -> Iterator[None]:
    """Let the text encoder know `TOKEN` as `row`; tokenizer and embedding table are put back after.

    row: (d,), or (n, d) where each of n texts has a meaning of its own for it.
    """
    tokenizer, table = pipeline.tokenizer, pipeline.text_encoder.get_input_embeddings()
    # A copy, because a tokenizer cannot forget a token again.
    extended = copy.deepcopy(tokenizer)
    if extended.add_tokens([TOKEN]) != 1:
        raise AttributionError(
            f"the generator already knows the token {TOKEN}; leave the other customization "
            "before this one begins."
        )
    pipeline.tokenizer = extended
    pipeline.text_encoder.set_input_embeddings(
        _table_with_row(table, extended.convert_tokens_to_ids(TOKEN), row)
    )
    try:
        yield
    finally:
        pipeline.text_encoder.set_input_embeddings(table)
        pipeline.tokenizer = tokenizer


def _table_with_row(table: torch.nn.Embedding, token_id: int, row: torch.Tensor) -> torch.nn.Module:
    import torch

    class TableWithRow(torch.nn.Module):
        """The frozen table and one row beside it: no gradient the size of the table, nothing to undo."""

        weight = table.weight

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            new = ids == token_id
            meaning = row.to(table.weight.dtype).unsqueeze(-2)  # the same at every place of a text
            return torch.where(new[..., None], meaning, table(ids.masked_fill(new, 0)))

    return TableWithRow()
