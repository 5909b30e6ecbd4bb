"""L1 norm of the weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from dse.quantizers.quantizer import Grid
from search_spaces.regularizer import L1Knobs


@dataclass(frozen=True, slots=True)
class L1Penalty:
    """`strength * |W|_1 / N` over `N` real weights and biases, as in the code of [Zhang2019]."""

    strength: float

    @torch.no_grad()
    def add_gradient_(self, parameters: Sequence[nn.Parameter]) -> None:
        """Add `strength / N * sign(w)`."""
        factor = self.strength / sum(parameter.numel() for parameter in parameters)
        for parameter in parameters:
            assert parameter.grad is not None
            parameter.grad.add_(torch.sign(parameter), alpha=factor)

    @torch.no_grad()
    def value(self, parameters: Sequence[nn.Parameter]) -> float:
        """The term itself."""
        total = sum(float(parameter.abs().sum(dtype=torch.float64)) for parameter in parameters)
        return self.strength * total / sum(parameter.numel() for parameter in parameters)


class L1Regularizer:
    """The baseline of [Zhang2019], and its penalty while pre-training.

    [Zhang2019] J. Zhang et al., "Exploring Bit-Slice Sparsity in Deep Neural Networks for
        Efficient ReRAM-Based Deployment", EMC2 workshop, 2019.
    """

    knobs: type[L1Knobs] = L1Knobs

    def penalty(self, knobs: L1Knobs, *, grids: Sequence[Grid], slice_bits: int) -> L1Penalty:
        """The penalty; grids and slices do not enter."""
        return L1Penalty(knobs.strength)


L1 = L1Regularizer()
