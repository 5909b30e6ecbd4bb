"""What the shortcuts of the residual networks would cost, which studies do not charge."""

from __future__ import annotations

import pytest
import torch

from dse.pipeline.hardware import empty_layer
from dse.pipeline.tracing import trace
from dse.plugins import load
from dse.tasks.task import Task
from hw_models.estimation.estimate import estimate
from hw_models.simulation.residual_additions import residual_additions
from tests.hw_models.coded_layers import chip


@pytest.mark.parametrize(
    ("name", "additions"),
    [("resnet20_cifar10", 86_016), ("resnet20a_cifar10", 86_016), ("resnet18_cifar10", 245_760)],
)
def test_additions_are_less_than_a_thousandth_of_the_energy(name: str, additions: int) -> None:
    """As docs/cost_model.md says; few bits make the rest cheap, and so their part large."""
    task: Task = load("dse.tasks", name)
    network, images = task.build(seed=0), torch.zeros(1, 3, 32, 32)
    shapes = [layer.shape for layer in trace(network, images)]
    counts = tuple(residual_additions(network, images, [s.name for s in shapes]).values())
    assert sum(counts) == additions
    layers = [empty_layer(shape, weight_bits=8) for shape in shapes]
    for bits in ((8, 8, 8, 8), (3, 3, 3, 1)):
        without = estimate(layers, chip(bits))
        charged = estimate(layers, chip(bits), additions=counts)
        share = (charged.energy_j - without.energy_j) / without.energy_j
        assert 1e-4 < share < 1e-3
        assert charged.latency_s == without.latency_s
        assert charged.area_m2 == pytest.approx(without.area_m2, rel=1e-12)
