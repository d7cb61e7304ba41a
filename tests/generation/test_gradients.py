"""Projected gradients, compared with whole ones."""

from __future__ import annotations

import torch
from torch import nn

from attribution_core.generation.gradients import GradientProjector


class Small(nn.Module):
    """A convolution with stride, a linear layer on tokens that is called twice, and one that nothing uses."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, stride=2, padding=1)
        self.linear = nn.Linear(6, 6)
        self.unused = nn.Linear(2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.conv(x).flatten(2).transpose(1, 2)
        return self.linear(torch.relu(self.linear(tokens)))


def whole_gradients(network: Small, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    network.zero_grad()
    network(x).square().sum().backward()
    assert network.conv.weight.grad is not None and network.linear.weight.grad is not None
    return network.conv.weight.grad.clone(), network.linear.weight.grad.clone()


def test_rows_are_projections_of_each_images_whole_gradients() -> None:
    torch.manual_seed(0)
    network, x, side = Small(), torch.randn(3, 3, 8, 8), 4
    network.requires_grad_(False)
    projector = GradientProjector(network, side, seed=5)
    rows = projector.rows(lambda: network(x).square().sum((1, 2)))
    assert rows.shape == (3, projector.dim) == (3, 3 * side**2)
    assert not any(weight.requires_grad for weight in network.parameters())
    network.requires_grad_(True)
    for number, image in enumerate(x):
        again = torch.Generator().manual_seed(5)
        for layer, whole in enumerate(whole_gradients(network, image[None])):
            incoming = torch.randn((side, *whole.shape[1:]), generator=again) / side**0.5
            outgoing = torch.randn((side, len(whole)), generator=again) / side**0.5
            expected = outgoing @ whole.flatten(1) @ incoming.flatten(1).T
            part = rows[number, layer * side**2 : (layer + 1) * side**2]
            torch.testing.assert_close(part, expected.flatten(), rtol=1e-4, atol=1e-4)
        assert (rows[number, 2 * side**2 :] == 0).all()


def test_the_same_seed_gives_the_same_rows_and_another_one_others() -> None:
    torch.manual_seed(0)
    network, x = Small(), torch.randn(2, 3, 8, 8)

    def rows(seed: int) -> torch.Tensor:
        return GradientProjector(network, 4, seed).rows(lambda: network(x).square().sum((1, 2)))

    assert torch.equal(rows(1), rows(1))
    assert not torch.allclose(rows(1), rows(2))


def test_inner_products_are_kept_on_average() -> None:
    torch.manual_seed(0)
    network, x = Small(), torch.randn(2, 3, 8, 8)
    products = [
        torch.prod(GradientProjector(network, 4, seed).rows(lambda: network(x).square().sum((1, 2))), 0).sum()
        for seed in range(300)
    ]
    one, other = (whole_gradients(network, image[None]) for image in x)
    expected = sum((a * b).sum() for a, b in zip(one, other, strict=True))
    spread = torch.stack(products).std() / len(products) ** 0.5
    assert abs(torch.stack(products).mean() - expected) < 4 * spread
    assert abs(expected) > 6 * spread
