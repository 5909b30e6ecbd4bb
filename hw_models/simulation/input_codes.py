"""From real activations to the integer codes that drive the wordlines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from hw_models.patches import WEAK_INPUT_BITS, small_needed

if TYPE_CHECKING:
    from torch import Tensor

    from hw_models.layer import CodedLayer


def input_codes(inputs: Tensor, *, step: float, offset: float, bits: int) -> Tensor:
    """clamp(round_half_even((x - offset) / step), 0, 2**bits - 1).

    Shapes:
        inputs: any.
        returns: the same, integers in the type of the inputs.
    """
    shifted = inputs if offset == 0.0 else inputs - offset
    return (shifted / step).round_().clamp_(0, (1 << bits) - 1)


def rounds_inputs(layer: CodedLayer) -> bool:
    """Whether weak input patches of the layer are rounded before its product."""
    return layer.patches is not None and layer.patches.weak_input_share is not None


def driven_columns(layer: CodedLayer, columns: Tensor) -> Tensor:
    """Input codes with those of weak input patches rounded to their top 4 bits.

    `hw_models.patches` has the rule; an input patch is the patch of one window.

    Shapes:
        columns: (groups, K, M) integers.
        returns: the same, of the same type.
    """
    patches = layer.patches
    if patches is None or patches.weak_input_share is None:
        return columns
    groups, wordlines, windows = columns.shape
    needed = torch.from_numpy(small_needed(wordlines, patches.size, patches.weak_input_share))
    small = columns.new_zeros(groups, len(needed) * patches.size, windows, dtype=torch.int32)
    small[:, :wordlines] = columns <= patches.small_input
    counts = small.view(groups, len(needed), patches.size, windows).sum(2)
    weak = counts >= needed.to(columns.device)[:, None]
    by_row = weak.repeat_interleave(patches.size, dim=1)[:, :wordlines]
    drop = max(0, layer.input_bits - WEAK_INPUT_BITS)
    top = (1 << (layer.input_bits - drop)) - 1
    rounded = ((columns.int() + (1 << drop >> 1)) >> drop).clamp_(max=top) << drop
    return torch.where(by_row, rounded.to(columns.dtype), columns)
