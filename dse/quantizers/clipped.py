"""Normalised weights on a set of levels below a trainable clipping threshold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from dse.quantizers.fixed_point import FixedPointGrid, largest_magnitude
from dse.quantizers.quantizer import Grid, Levels, Place, short
from hw_models.published.bits_net import CODE_BITS, FRACTION_BITS, code

WEIGHT_THRESHOLD = 3.0
"""Start of the clipping threshold, in standard deviations ([APoT], public code)."""

SMALLEST_SPREAD = 1e-8
"""Floor of the standard deviation: all weights may be equal."""

SMALLEST_THRESHOLD = 1e-3
"""Floor of the threshold: an optimiser may push it to zero or beyond."""

END_LEVELS = 127
"""Magnitudes of first and last layer: 8 bits with the sign."""


class ClippedGrid(Grid):
    """Weights on a level set [APoT]:

        w_hat = (w - mean(w)) / std(w)
        w_q   = a * sign(w_hat) * nearest level to min(|w_hat| / a, 1)

    Levels are stored in unsigned Q2.6, `code = round(64 * level)`, and training computes with
    `code / 64`, so that a level that Q2.6 does not hold exactly is rounded in training too. Ties
    go to the smaller level. `mean` and `std` (n - 1) are constants of the gradient.

    Neither is put back where a batch norm follows, which absorbs them. Elsewhere `std` is
    multiplied back and the mean stays dropped, as in the papers: to put it back, the crossbar
    would have to add `mean * sum(inputs)` to every output. A batch norm scales out `std` and its
    gradient, so the two forms train alike.

    A weight that is exactly 0 (pruned) has code 0, and `mean` and `std` are those of the others:
    without pruning this is the papers' rule, with it a mask stays a hole in the crossbar.

    The gradients of [APoT] and its public code: 1 to `w_hat`, also outside the threshold; to the
    threshold `sign(w_hat)` outside and `level - w_hat / a` (signed) inside.

    [APoT] Y. Li et al., "Additive Powers-of-Two Quantization: An Efficient Non-uniform
        Discretization for Neural Networks", ICLR 2020.

    Attributes:
        threshold: `a`, in standard deviations, `()`.
    """

    def __init__(self, levels: Sequence[float], *, normalised: bool) -> None:
        super().__init__(CODE_BITS)
        self.normalised = normalised
        self.threshold = nn.Parameter(torch.tensor(WEIGHT_THRESHOLD))
        held = torch.tensor(sorted(set(code(levels).tolist())), dtype=torch.float64)
        self.register_buffer("_codes", held, persistent=False)
        self.register_buffer("_borders", (held[1:] + held[:-1]) / 2, persistent=False)

    _codes: Tensor
    _borders: Tensor

    def levels(self, real: Tensor) -> Levels:
        """Signed codes in Q2.6."""
        mean, spread = self.normalisation(real)
        clip = self.clip()
        borders = self._borders * (clip * spread / 2**FRACTION_BITS)
        centred = real - mean
        index = torch.bucketize(centred.abs(), borders.to(real.dtype))
        magnitudes = self._codes.to(real.dtype)[index] * (real != 0)
        return Levels(
            signed=magnitudes.copysign_(centred),
            step=short(clip * (1.0 if self.normalised else spread) / 2**FRACTION_BITS),
            per_unit=2**FRACTION_BITS / (clip * spread),
        )

    def show(self, real: Tensor, levels: Levels) -> Tensor:
        """The weights on the grid, with gradients to the real weights and to the threshold."""
        mean, spread = self.normalisation(real.detach())
        scale = 1.0 if self.normalised else spread
        shown: Tensor = _Clip.apply(  # type: ignore[no-untyped-call]
            real, self.threshold, levels.signed, levels.step, mean, spread, scale, self.clip()
        )
        return shown

    def clip(self) -> float:
        """The threshold, above zero."""
        return max(float(self.threshold.detach()), SMALLEST_THRESHOLD)

    def normalisation(self, real: Tensor) -> tuple[float, float]:
        """Mean and standard deviation of the weights that are not exactly zero."""
        wide = real.double()
        count = int(torch.count_nonzero(real))
        if count < 2:
            return 0.0, max(largest_magnitude(real), SMALLEST_SPREAD)
        mean = float(wide.sum()) / count
        squares = float(wide.square().sum()) - count * mean * mean
        return mean, max(math.sqrt(max(squares, 0.0) / (count - 1)), SMALLEST_SPREAD)


class _Clip(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        real: Tensor,
        threshold: Tensor,
        signed: Tensor,
        step: float,
        mean: float,
        spread: float,
        scale: float,
        clip: float,
    ) -> Tensor:
        ctx.save_for_backward(real, signed)
        ctx.numbers = (mean, spread, scale, clip)
        return signed * step

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        real, signed = ctx.saved_tensors
        mean, spread, scale, clip = ctx.numbers
        to_threshold = None
        if ctx.needs_input_grad[1]:
            ratio = (real - mean) / (spread * clip)
            inside = signed.to(ratio.dtype) / 2**FRACTION_BITS - ratio
            slope = torch.where(ratio.abs() > 1, ratio.sign(), inside)
            to_threshold = (gradient * slope).sum() * scale
        to_real = gradient if scale == spread else gradient * (scale / spread)
        return (to_real, to_threshold, *(None,) * 6)


class LargestGrid(Grid):
    """8 bits with the sign, uniform up to the largest magnitude: both ends of a network [APoT].

        code = round(127 |w| / max|w|),   step = max|w| / 127

    The public code divides by `max(w)`, which lets a more negative weight leave the range.

    [APoT] Y. Li et al., "Additive Powers-of-Two Quantization: An Efficient Non-uniform
        Discretization for Neural Networks", ICLR 2020.
    """

    def __init__(self) -> None:
        super().__init__(CODE_BITS)

    def levels(self, real: Tensor) -> Levels:
        """Signed levels, -127 to 127."""
        step = short(max(largest_magnitude(real), SMALLEST_SPREAD) / END_LEVELS)
        signed = (real / step).round_().clamp_(-END_LEVELS, END_LEVELS)
        return Levels(signed=signed, step=step, per_unit=1 / step)


def level_set_grid(levels: Sequence[float], place: Place) -> Grid:
    """The grid of a parameter of a network on a level set: by its place, as in [APoT].

    [APoT] Y. Li et al., "Additive Powers-of-Two Quantization: An Efficient Non-uniform
        Discretization for Neural Networks", ICLR 2020.
    """
    if place.parameter == "bias":
        return FixedPointGrid(CODE_BITS)
    if place.first or place.last:
        return LargestGrid()
    return ClippedGrid(levels, normalised=place.normalised)
