"""Gradients of a diffusion model, one short row for each image.

Each linear and convolutional layer is projected at random on both sides, as in LoGRA (Choe et al., *What is Your Data
Worth to GPT?*, 2024): the gradient of a weight is a sum of products of the layer's inputs with the gradients of its
outputs, so that projecting both factors projects the gradient, and no gradient is ever whole in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


class GradientProjector:
    """Projects the gradients of all linear and convolutional weights of a network, image by image."""

    def __init__(self, network: torch.nn.Module, side: int = 4, seed: int = 0) -> None:
        """Draw the projections. side: of each layer's projected gradient, a square."""
        import torch

        drawing = torch.Generator().manual_seed(seed)
        self._network, self._side = network, side
        self._layers: list[tuple[torch.nn.Module, torch.Tensor, torch.Tensor]] = []
        for layer in network.modules():
            ungrouped = isinstance(layer, torch.nn.Conv2d) and layer.groups == 1
            if isinstance(layer, torch.nn.Linear) or ungrouped:
                weight: Any = layer.weight
                incoming = torch.randn((side, *weight.shape[1:]), generator=drawing) / side**0.5
                outgoing = torch.randn((side, len(weight)), generator=drawing) / side**0.5
                self._layers.append((layer, incoming.to(weight), outgoing.to(weight)))

    @property
    def dim(self) -> int:
        """Length of a row."""
        return len(self._layers) * self._side**2

    def rows(self, objective: Callable[[], torch.Tensor]) -> torch.Tensor:
        """Return the projected gradients of each image's objective, (b, dim) float32.

        objective: runs the network once on b images and returns (b,), one value an image.
        """
        import torch

        with _all_trainable(self._network), torch.enable_grad(), self._recorded() as calls:
            value = objective()
            gradients = torch.autograd.grad(
                value.sum(), [output for _, output, _ in calls], allow_unused=True
            )
        found = torch.zeros(len(value), len(self._layers), self._side, self._side, device=value.device)
        for (number, _, projected), gradient in zip(calls, gradients, strict=True):
            if gradient is not None:
                outgoing = _tokens(gradient, self._layers[number][0]) @ self._layers[number][2].T
                found[:, number] += torch.einsum("blo,bli->boi", outgoing.float(), projected.float())
        return found.flatten(1)

    @contextmanager
    def _recorded(self) -> Iterator[list[tuple[int, torch.Tensor, torch.Tensor]]]:
        """Yield a list of each layer's calls: its number, its output, and its projected input (b, l, side)."""
        import torch

        calls: list[tuple[int, torch.Tensor, torch.Tensor]] = []

        def hook(number: int, incoming: torch.Tensor) -> Callable[..., None]:
            def record(layer: Any, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
                x = inputs[0].detach()
                if isinstance(layer, torch.nn.Conv2d):
                    projected = torch.nn.functional.conv2d(
                        x, incoming.to(x), stride=layer.stride, padding=layer.padding, dilation=layer.dilation
                    )
                else:
                    projected = x @ incoming.to(x).T
                calls.append((number, output, _tokens(projected, layer)))

            return record

        handles = [
            layer.register_forward_hook(hook(number, incoming))
            for number, (layer, incoming, _) in enumerate(self._layers)
        ]
        try:
            yield calls
        finally:
            for handle in handles:
                handle.remove()


def _tokens(values: torch.Tensor, layer: torch.nn.Module) -> torch.Tensor:
    """Reshape what a layer takes or gives to (b, l, channels)."""
    import torch

    if isinstance(layer, torch.nn.Conv2d):
        return values.flatten(2).transpose(1, 2)
    return values.reshape(len(values), -1, values.shape[-1])


@contextmanager
def _all_trainable(network: torch.nn.Module) -> Iterator[None]:
    """A context in which outputs of all layers have gradients."""
    before = [(weight, weight.requires_grad) for weight in network.parameters()]
    for weight, _ in before:
        weight.requires_grad_(True)
    try:
        yield
    finally:
        for weight, needed in before:
            weight.requires_grad_(needed)
