"""Exactly reversible edits of a Stable Diffusion pipeline: cross-attention weights and one new token."""

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
    """Return the cross-attention key and value weights by name. Raises `AttributionError` if there are none."""
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
    """Freeze the weights and restore their earlier values exactly."""
    import torch

    with torch.no_grad():
        for name, weight in weights.items():
            weight.requires_grad_(False)
            weight.grad = None
            weight.copy_(before[name])


def initial_row(pipeline: Any, category: str) -> torch.Tensor:
    """Return the mean input embedding (d,) of the tokens of the category's last word.

    Raises `InvalidInputError` if the tokenizer finds no token in it.
    """
    import torch

    pieces = pipeline.tokenizer(category.split()[-1], add_special_tokens=False)["input_ids"]
    if not pieces:
        raise InvalidInputError(f"the generator's tokenizer finds no word in the category '{category}'.")
    table = pipeline.text_encoder.get_input_embeddings()
    return table(torch.tensor(pieces, device=pipeline.device)).detach().mean(0)


@contextmanager
def many_weights(unet: Any, count: int) -> Iterator[dict[str, torch.nn.Parameter]]:
    """Replace the UNet's cross-attention key and value weights by `count` copies within the context.

    Yields the copies by name, (count, out, in) each, to be tuned independently. In a batch of count * b samples, each
    run of b samples uses the next copy. The original weights are restored afterwards.
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
    """Add `TOKEN` with the embedding `row` to the text encoder within the context, then restore it.

    row: (d,), or (n, d) with a different embedding for each of n texts.
    """
    tokenizer, table = pipeline.tokenizer, pipeline.text_encoder.get_input_embeddings()
    # A copy, because a token cannot be removed from a tokenizer.
    extended = copy.deepcopy(tokenizer)
    if extended.add_tokens([TOKEN]) != 1:
        raise AttributionError(
            f"the generator already knows the token {TOKEN}; exit the other customization before applying this one."
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
        """The frozen table plus one extra row, so that no gradient has the size of the table."""

        weight = table.weight

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            new = ids == token_id
            embedding = row.to(table.weight.dtype).unsqueeze(-2)  # the same at every position of a text
            return torch.where(new[..., None], embedding, table(ids.masked_fill(new, 0)))

    return TableWithRow()
