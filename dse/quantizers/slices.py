"""Bit slices of magnitude codes, as tables over all codes."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil

import torch
from torch import Tensor

from dse.quantizers.quantizer import Codes


def slice_count(bits: int, slice_bits: int) -> int:
    """Slices that hold a magnitude, `ceil(bits / slice_bits)`."""
    if slice_bits < 1:
        raise ValueError(f"a slice has at least 1 bit, got {slice_bits=}")
    return ceil(bits / slice_bits)


def slice_table(bits: int, slice_bits: int) -> Tensor:
    """All magnitudes cut into slices.

    Shapes:
        output: `(slices, 2**bits)`, int64; the most significant slice first.
    """
    magnitudes = torch.arange(2**bits)
    count = slice_count(bits, slice_bits)
    shifts = [slice_bits * (count - 1 - group) for group in range(count)]
    return torch.stack([(magnitudes >> shift) % 2**slice_bits for shift in shifts])


def nonzero_slice_ratios(
    magnitudes: Iterable[Tensor], *, bits: int, slice_bits: int
) -> tuple[float, ...]:
    """Share of cells that are not zero, per slice, over all tensors together.

    Args:
        magnitudes: Codes, uint8, of any shapes.
        bits: Bits of a magnitude.
        slice_bits: Bits of a slice.

    Returns:
        One ratio per slice, the most significant first.
    """
    counts = torch.zeros(2**bits, dtype=torch.int64)
    for codes in magnitudes:
        counts += torch.bincount(codes.reshape(-1), minlength=2**bits).cpu()
    nonzero = (slice_table(bits, slice_bits) > 0).long() @ counts
    return tuple((nonzero.double() / counts.sum().clamp(min=1)).tolist())


def nonzero_ratios_of(codes: Iterable[Codes], *, slice_bits: int) -> tuple[float, ...]:
    """Share of cells that are not zero, per slice, over tensors whose codes may differ in width.

    Slices of the same significance count together; a narrow code has no cells in the high ones.

    Returns:
        One ratio per slice of the widest code, the most significant first.
    """
    nonzero: list[int] = []
    cells: list[int] = []
    for each in codes:
        counts = torch.bincount(each.magnitudes.reshape(-1), minlength=2**each.bits).cpu()
        found = ((slice_table(each.bits, slice_bits) > 0).long() @ counts).tolist()[::-1]
        grown = max(len(found) - len(cells), 0)
        nonzero += [0] * grown
        cells += [0] * grown
        for significance, count in enumerate(found):
            nonzero[significance] += count
            cells[significance] += each.magnitudes.numel()
    return tuple(n / max(c, 1) for n, c in zip(nonzero[::-1], cells[::-1], strict=True))
