"""Magnitude pruning by one threshold for all tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from dse.errors import StageError


@torch.no_grad()
def prune_below_(parameters: Mapping[str, nn.Parameter], threshold: float) -> dict[str, Tensor]:
    """Set magnitudes below the threshold to 0, in place.

    [Zhang2019] prunes every parameter tensor, biases included, at 0.01 and keeps the masks while
    fine-tuning.

    Args:
        parameters: Real weights and biases by name.
        threshold: A magnitude in the unit of the weights; 0 prunes nothing.

    Returns:
        Masks by name, 1 where a weight is kept, of its shape; none for tensors that keep all.

    [Zhang2019] J. Zhang et al., "Exploring Bit-Slice Sparsity in Deep Neural Networks for
        Efficient ReRAM-Based Deployment", EMC2 workshop, 2019.
    """
    if not (math.isfinite(threshold) and threshold >= 0):
        raise StageError(
            f"a pruning threshold is a number from 0 on, got {threshold}. Use 0 for none"
        )
    masks: dict[str, Tensor] = {}
    for name, parameter in parameters.items():
        kept = parameter.abs() >= threshold
        if not bool(kept.all()):
            masks[name] = kept.to(parameter.dtype)
            parameter.mul_(masks[name])
    return masks
