"""Steps of the converters by what the network makes of them, on training images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from dse.datasets.dataset import ImageDataset
from dse.pipeline.accuracy import network_with
from dse.tasks.task import Task
from hw_models.chip import Chip
from hw_models.layer import CodedLayer
from hw_models.simulation.adc_range import calibrations
from hw_models.simulation.convert import to_crossbars

CALIBRATION_IMAGES = 512
"""Training images on which steps are chosen."""

Steps = Mapping[str, tuple[int, ...]]
"""log2 of the converters' steps per slice group, by layer; 0 where a layer is missing."""


def choose_steps(
    task: Task,
    data: ImageDataset,
    state: Mapping[str, Tensor],
    layers: Sequence[CodedLayer],
    chip: Chip,
    *,
    seed: int,
    also: Iterable[Steps] = (),
    device: str | torch.device = "cpu",
) -> dict[str, tuple[int, ...]]:
    """The candidate with the least cross-entropy of the simulated network.

    Candidates are those given, steps of 1 everywhere, and what both criteria of
    `hw_models.simulation.adc_range` choose. The error of sums or outputs alone is no guide once a
    network was trained with its converters: it may rely on their clipping.

    Args:
        task: Makes the network.
        data: Its training images are used, none that validates.
        state: What stays digital is read.
        layers: Codes of the mapped layers.
        chip: Geometry, encoding and converters.
        seed: Of the inputs that the criteria see.
        also: More candidates, the first to be tried: of equals the earliest wins.
        device: Where to compute.

    Raises:
        MappingError: The network does not fit the chip.
    """
    fit_index, _ = data.fit_and_validation()
    chosen = fit_index[:CALIBRATION_IMAGES]
    images = data.normalised(data.train_images[chosen].to(device))
    labels = data.train_labels[chosen].to(device)
    network = network_with(task, state).to(device)
    codes = {layer.shape.name: layer for layer in layers}
    candidates = [dict(each) for each in also]
    candidates += [{name: (0,) * len(_bits(layer, chip)) for name, layer in codes.items()}]
    candidates += calibrations(network, codes, chip, images, seed=seed).values()
    distinct = {tuple(sorted(each.items())): each for each in candidates}

    def loss(steps: Steps) -> float:
        with torch.no_grad():
            scores = to_crossbars(network, codes, chip, adc_steps=steps).to(device)(images)
        return float(F.cross_entropy(scores, labels))

    return min(distinct.values(), key=loss)


def _bits(layer: CodedLayer, chip: Chip) -> tuple[int, ...]:
    return chip.adc_bits_for(layer.shape.name, layer.weight_bits)
