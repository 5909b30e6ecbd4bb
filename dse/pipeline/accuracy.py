"""Accuracy on the test set: of the fp32 network, of its codes, and with the ADCs in the loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from dse.datasets.dataset import ImageDataset
from dse.tasks.task import Task
from dse.training.accuracy import accuracy
from hw_models.chip import Chip
from hw_models.layer import CodedLayer
from hw_models.simulation.convert import to_crossbars
from hw_models.simulation.nonidealities.nonidealities import Nonidealities


def float_accuracy(
    task: Task,
    data: ImageDataset,
    state: Mapping[str, Tensor],
    *,
    batch_size: int = 1000,
    device: str | torch.device = "cpu",
) -> float:
    """Test accuracy of the network with real weights, a fraction.

    Args:
        task: Makes the network.
        data: Its test images are used.
        state: What `pretrain` gives.
        batch_size: Images at once.
        device: Where to compute.
    """
    network = network_with(task, state)
    return _on_test_set(network.to(device), data, batch_size=batch_size, device=device)


def simulated_accuracy(
    task: Task,
    data: ImageDataset,
    state: Mapping[str, Tensor],
    layers: Sequence[CodedLayer],
    *,
    chip: Chip | None,
    adc_steps: Mapping[str, tuple[int, ...]] | None = None,
    effects: Nonidealities | None = None,
    seed: int = 0,
    batch_size: int = 500,
    device: str | torch.device = "cpu",
) -> float:
    """Test accuracy of the integer codes on crossbars, a fraction.

    Args:
        task: Makes the network.
        data: Its test images are used.
        state: What `compress` gives; only what stays digital (batch norm, ...) is read.
        layers: Codes of the mapped layers.
        chip: Its ADCs clip every column sum; None computes with unlimited ADCs.
        adc_steps: log2 of the ADCs' steps by layer and slice group; 1 LSB if left out.
        effects: Device and wire effects; None is ideal cells.
        seed: Of the effects.
        batch_size: Images at once.
        device: Where to compute.
    """
    codes = {layer.shape.name: layer for layer in layers}
    network = to_crossbars(
        network_with(task, state), codes, chip, adc_steps=adc_steps, effects=effects, seed=seed
    )
    return _on_test_set(network.to(device), data, batch_size=batch_size, device=device)


def network_with(task: Task, state: Mapping[str, Tensor]) -> nn.Module:
    """The task's network with trained parameters, in evaluation mode."""
    network = task.build(seed=0)
    network.load_state_dict(dict(state))
    return network.eval()


def _on_test_set(
    network: nn.Module, data: ImageDataset, *, batch_size: int, device: str | torch.device
) -> float:
    return accuracy(
        network,
        data,
        data.test_images,
        data.test_labels,
        batch_size=batch_size,
        device=device,
    )
