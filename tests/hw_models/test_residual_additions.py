from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from hw_models.errors import MappingError
from hw_models.estimation.estimate import estimate, estimate_designs
from hw_models.simulation.residual_additions import residual_additions
from tests.hw_models.coded_layers import chip, coded_layer


class Shortcut(nn.Module):
    """A convolution with a bias and a batch norm, added to its input; then a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3, padding=1)
        self.inner = nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4, 3)

    def forward(self, images: Tensor) -> Tensor:
        inner = self.stem(images) + 1.0
        inner = self.norm(self.inner(inner)) + inner
        return self.fc(inner.mean((2, 3)))


NAMES = ("stem", "inner", "fc")


def test_only_the_shortcut_is_counted() -> None:
    network = Shortcut().train()
    images = torch.rand(3, 2, 5, 6)
    assert residual_additions(network, images, NAMES) == {"stem": 0, "inner": 4 * 30, "fc": 0}
    assert network.training
    assert not network.inner._forward_hooks


@pytest.mark.parametrize("add", [torch.add, torch.sub, lambda a, b: a.clone().add_(b)])
def test_additions_in_any_form_are_counted(add: object) -> None:
    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 4)

        def forward(self, inputs: Tensor) -> Tensor:
            return add(self.fc(inputs), inputs)  # type: ignore[operator]

    assert residual_additions(Plain(), torch.rand(2, 4), ["fc"]) == {"fc": 4}


def test_names_that_are_not_in_the_network_are_refused() -> None:
    with pytest.raises(MappingError, match=r"counted by the layers on crossbars, got \['conv9'\]"):
        residual_additions(Shortcut(), torch.rand(1, 2, 5, 6), ["stem", "conv9"])
    with pytest.raises(MappingError, match="got no layer"):
        residual_additions(Shortcut(), torch.rand(1, 2, 5, 6), [])


def test_counted_additions_are_a_component_and_uncounted_ones_are_named() -> None:
    layers = [coded_layer(n, positions=30, outputs=4) for n in range(3)]
    without = estimate(layers, chip())
    counted = estimate(layers, chip(), additions=(0, 120, 0))
    each = 0.05e-3 / 1.2e9 + 8 * 20.45e-12 / 256
    assert counted.components["residual_add"] == (pytest.approx(120 * each, rel=1e-12), 0.0)
    assert counted.layers[1].energy_j["residual_add"] == pytest.approx(120 * each, rel=1e-12)
    assert counted.energy_j == pytest.approx(without.energy_j + 120 * each, rel=1e-12)
    assert (counted.area_m2, counted.latency_s) == (without.area_m2, without.latency_s)
    many = estimate_designs(layers, chip(), [(8,) * 4], additions=(0, 120, 0))
    assert many.energy_j[0] == counted.energy_j
    named = "residual additions (their number was not given)"
    assert named in without.to_json()["not_charged"]  # type: ignore[operator]
    assert named not in counted.not_charged
    with pytest.raises(MappingError, match=r"one count of at least 0 per layer, got \[1\] for 3"):
        estimate(layers, chip(), additions=(1,))
