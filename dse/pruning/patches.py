"""Classes of patches from real weights, and the grid of the weak ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from dse.errors import StageError
from hw_models.patches import FULL, REMOVED, WEAK, WEAK_MAGNITUDE_BITS


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PatchPlan:
    """What becomes of the patches of one layer.

    A weight of shape (C_out, ...) is C_out rows of K weights, in the order of
    `weight.reshape(C_out, -1)`; row f is cut into ceil(K / n) patches of n.

    Attributes:
        name: Of the layer.
        shape: Of its weight.
        size: Weights of a patch, n.
        bits: int8 (C_out, ceil(K / n)) with 8 full, 4 weak and 0 removed, on the CPU.
        weak_input_share: T_act; None keeps all inputs at full precision.
        small_input: Largest 8-bit input code that counts as small.
    """

    name: str
    shape: tuple[int, ...]
    size: int
    bits: Tensor
    weak_input_share: float | None = None
    small_input: int = 15

    def by_weight(self) -> Tensor:
        """Bits of the patch that each weight belongs to, int8 in the shape of the weight."""
        rows = self.bits.repeat_interleave(self.size, dim=1)
        return rows[:, : _row_length(self.shape)].reshape(self.shape)

    def mask(self) -> Tensor:
        """1 where a weight is kept, float32 in the shape of the weight."""
        return (self.by_weight() != REMOVED).float()

    def weak(self) -> Tensor:
        """Whether a weight has 4 bits, in the shape of the weight."""
        return self.by_weight() == WEAK

    def kept(self) -> int:
        """Patches that are not removed."""
        return int((self.bits != REMOVED).sum())


def plan_layer(
    name: str,
    weight: Tensor,
    *,
    size: int,
    small: float,
    t_prune: float,
    t_quant: float,
    removable: bool = True,
    weak_input_share: float | None = None,
) -> PatchPlan:
    """Sort the patches of a layer by their share of small weights ([PQPIM], Figure 2).

        PSV = |{w in patch : |w| <= small}| / |patch|
        PSV >= t_prune              removed
        t_quant < PSV < t_prune     weak, 4 bits
        PSV <= t_quant              important, 8 bits

    A short last patch counts its true length. A `t_quant` above `t_prune` counts as `t_prune`.

    Args:
        name: Of the layer.
        weight: Real weights, (C_out, ...).
        size: Weights of a patch, n.
        small: TSV, a magnitude in the unit of the weights.
        t_prune: In 0 .. 1.
        t_quant: In 0 .. 1.
        removable: Whether patches may be removed; else those are weak.
        weak_input_share: T_act, kept in the plan.

    [PQPIM] "PQ-PIM: a pruning-quantization joint optimization framework for ReRAM-based
        processing-in-memory DNN accelerator".
    """
    if size < 1 or not small >= 0:
        raise StageError(
            f"{name}: patches have at least 1 weight and small magnitudes end at 0 or above, got "
            f"size {size} and {small}. Correct the knobs"
        )
    rows = weight.detach().cpu().reshape(len(weight), -1)
    length = rows.shape[1]
    is_small = F.pad((rows.abs() <= small).double(), (0, -length % size))
    lengths = torch.full((is_small.shape[1] // size,), float(size), dtype=torch.float64)
    lengths[-1] = length - size * (len(lengths) - 1)
    share = is_small.reshape(len(rows), -1, size).sum(2) / lengths
    bits = torch.where(share <= min(t_quant, t_prune), FULL, WEAK)
    bits = bits.masked_fill(share >= t_prune, REMOVED if removable else WEAK)
    return PatchPlan(
        name=name,
        shape=tuple(weight.shape),
        size=size,
        bits=bits.to(torch.int8),
        weak_input_share=weak_input_share,
    )


class PatchGrid:
    """Moves levels to what their patches hold: 0 in removed ones, a 4-bit grid in weak ones.

    The step of that grid is 2**k levels, with the smallest k for which the largest weak level
    still rounds to at most 7, and the same for all weak patches of the layer; k ends at bits - 3,
    where 7 * 2**k is the layer's own range, and larger levels become 7. With 7-bit magnitudes (8
    bits in two's complement) k is 0 to 4. Ties round to even. Our decision: [PQPIM] does not say
    how 4-bit weights are scaled, and the top 4 bits of 8 would be zero in most weak patches.

    [PQPIM] "PQ-PIM: a pruning-quantization joint optimization framework for ReRAM-based
        processing-in-memory DNN accelerator".
    """

    def __init__(self, plan: PatchPlan, *, bits: int) -> None:
        """Find the weak weights.

        Args:
            plan: Of the layer.
            bits: Bits of a magnitude of the layer's grid.
        """
        self.bits = bits
        self._mask = plan.mask()
        self._weak = plan.weak().reshape(-1).nonzero().reshape(-1)

    def shift(self, levels: Tensor) -> int:
        """k for these weak levels."""
        largest = 0.0 if levels.numel() == 0 else float(levels.abs().max())
        top = (1 << WEAK_MAGNITUDE_BITS) - 1
        for k in range(self.bits - WEAK_MAGNITUDE_BITS):
            if 2 * largest < (2 * top + 1) << k:
                return k
        return max(0, self.bits - WEAK_MAGNITUDE_BITS)

    @torch.no_grad()
    def __call__(self, levels: Tensor) -> Tensor:
        """Signed whole levels as they are held, floats in the shape of the weight."""
        if self._mask.device != levels.device:
            self._mask, self._weak = self._mask.to(levels.device), self._weak.to(levels.device)
        held = levels * self._mask
        weak = held.view(-1)[self._weak]
        top, step = (1 << WEAK_MAGNITUDE_BITS) - 1, 1 << self.shift(weak)
        held.view(-1)[self._weak] = (weak / step).round_().clamp_(-top, top).mul_(step)
        return held


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressionRatios:
    """How much smaller the kept patches are than the dense network.

    [PQPIM] never defines its ratio; its published 91 only makes sense against 32-bit weights.

    Attributes:
        cr32: 32 bits per weight over n * bits per kept patch.
        cr32i: The same with one flag bit per patch, M / n in all, in the denominator (WPIT).
        cr32_apib: With the index of the input patch besides, ceil(log2(ceil(K / n))) bits per
            kept patch, which the paper leaves out.
        cr8: Against 8-bit weights, without indices.
    """

    cr32: float
    cr32i: float
    cr32_apib: float
    cr8: float


def compression_ratios(plans: Iterable[PatchPlan]) -> CompressionRatios:
    """Ratios over all layers that are planned.

    Raises:
        StageError: Nothing is planned, or nothing kept.
    """
    weights = stored = flags = index = 0.0
    for plan in plans:
        size = float(torch.Size(plan.shape).numel())
        weights += size
        flags += size / plan.size
        stored += plan.size * float(plan.bits.sum(dtype=torch.int64))
        index += plan.kept() * (plan.bits.shape[1] - 1).bit_length()
    if stored == 0:
        raise StageError(
            "a compression ratio needs at least one kept patch, got none. Lower the TSV"
        )
    return CompressionRatios(
        cr32=32 * weights / stored,
        cr32i=32 * weights / (stored + flags),
        cr32_apib=32 * weights / (stored + flags + index),
        cr8=8 * weights / stored,
    )


def _row_length(shape: tuple[int, ...]) -> int:
    return torch.Size(shape[1:]).numel()
