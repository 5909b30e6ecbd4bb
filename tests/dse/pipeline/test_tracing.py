from __future__ import annotations

import logging

import pytest
import torch
from torch import Tensor, nn

from dse.errors import TaskError
from dse.pipeline.tracing import trace, trace_task
from tests.dse.tiny import STRIPES, stripes

IMAGES = torch.zeros(2, 3, 8, 8)


class Reused(nn.Module):
    """The second layer is made first, the first is used twice, a third never."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(6, 4)
        self.twice = nn.Conv2d(3, 3, 3, padding=1)
        self.idle = nn.Linear(2, 2)
        self.head = nn.Conv2d(3, 6, 8)

    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = self.last(self.head(self.twice(self.twice(images))).flatten(1))
        return out


def test_layers_come_in_order_of_execution_with_all_their_positions(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        traced = trace(Reused(), IMAGES)
    found = [
        (t.name, t.kind, t.shape.wordlines, t.shape.outputs, t.shape.positions) for t in traced
    ]
    assert found == [
        ("twice", "conv2d", 27, 3, 2 * 64),
        ("head", "conv2d", 192, 6, 1),
        ("last", "linear", 6, 4, 1),
    ]
    assert "idle is never reached" in caplog.text


def test_grouped_and_strided_convolutions_are_counted_per_group() -> None:
    conv1, conv2, fc = trace_task(STRIPES, stripes())
    assert (conv1.shape.wordlines, conv1.shape.outputs, conv1.shape.positions) == (9, 8, 36)
    assert (conv2.shape.wordlines, conv2.shape.outputs, conv2.shape.groups) == (36, 4, 2)
    assert conv2.shape.positions == 9
    assert (fc.shape.wordlines, fc.shape.outputs, fc.shape.positions) == (72, 8, 1)


def test_a_linear_layer_on_a_sequence_has_a_position_per_token() -> None:
    network = nn.Sequential(nn.Flatten(2), nn.Linear(64, 5), nn.Flatten(), nn.Linear(15, 2))
    first, second = trace(network, IMAGES)
    assert (first.shape.positions, second.shape.positions) == (3, 1)


def test_tracing_leaves_the_network_as_it_is() -> None:
    network = STRIPES.build(0).train()
    trace(network, torch.zeros(2, 1, 6, 6))
    assert network.training
    assert all(not module._forward_hooks for module in network.modules())
    assert float(network.bn1.running_mean.abs().sum()) == 0


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv1d(3, 3, 1),
        nn.Conv3d(1, 1, 1),
        nn.ConvTranspose2d(3, 3, 1),
        nn.LSTM(4, 4),
        nn.GRUCell(4, 4),
        nn.Bilinear(2, 2, 2),
        nn.MultiheadAttention(4, 2),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_a_layer_that_cannot_be_mapped_is_named(layer: nn.Module) -> None:
    network = nn.Sequential(nn.Sequential(layer), nn.Flatten(), nn.Linear(192, 10))
    kind = type(layer).__name__
    with pytest.raises(TaskError, match=rf"net: layers with weights .* got 0\.0 of type {kind}"):
        trace(network, IMAGES, name="net")


def test_a_weight_outside_of_layers_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.matrix = nn.Parameter(torch.zeros(192, 192))
            self.fc = nn.Linear(192, 10)

        def forward(self, images: Tensor) -> Tensor:
            out: Tensor = self.fc(images.flatten(1) @ self.matrix)
            return out

    with caplog.at_level(logging.WARNING):
        assert len(trace(Odd(), IMAGES)) == 1
    assert "parameter matrix of the network (Odd) is no layer and stays digital" in caplog.text


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (nn.Flatten(), "reaches at least one nn.Linear or nn.Conv2d, got none"),
        (nn.Linear(5, 5), r"takes images of shape \(2, 3, 8, 8\), got RuntimeError"),
        (nn.Conv2d(3, 10, 1), r"scores of shape \(images, classes\), got \(2, 10, 8, 8\)"),
        (nn.Sequential(nn.Flatten(), nn.Linear(192, 9)), "each of 10 classes, got 9"),
    ],
)
def test_a_network_that_does_not_fit_is_refused(network: nn.Module, message: str) -> None:
    with pytest.raises(TaskError, match=message):
        trace(network, IMAGES, classes=10)


def test_two_layers_with_one_weight_tensor_are_refused() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 192), nn.Linear(192, 192))
    network[2].weight = network[1].weight
    with pytest.raises(TaskError, match="got one tensor in 1 and 2"):
        trace(network, IMAGES)


def test_a_parametrised_layer_is_refused() -> None:
    network = nn.Sequential(nn.Flatten(), nn.utils.parametrizations.weight_norm(nn.Linear(192, 9)))
    with pytest.raises(TaskError, match="plain weights, got a parametrisation on 1"):
        trace(network, IMAGES)
