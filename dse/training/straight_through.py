"""Straight-through estimators [Bengio2013]: values on a grid, gradients as if there were none.

[Bengio2013] Y. Bengio et al., "Estimating or Propagating Gradients Through Stochastic Neurons
    for Conditional Computation", arXiv:1308.3432, 2013.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _Replace(torch.autograd.Function):
    """Shows `quantised` forward, hands the gradient to `real` backward.

    Unlike `real + (quantised - real).detach()` it does not leave the grid by a rounding error.
    """

    @staticmethod
    def forward(ctx: Any, real: Tensor, quantised: Tensor) -> Tensor:
        return quantised

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


def replace_straight_through(real: Tensor, quantised: Tensor) -> Tensor:
    """`quantised`, with the gradient of `real`; both of one shape."""
    replaced: Tensor = _Replace.apply(real, quantised)  # type: ignore[no-untyped-call]
    return replaced
