"""Add to a gradient what a table holds for every level: one pass on the CPU."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor


def add_from_table_(gradient: Tensor, table: Tensor, signed: Tensor) -> None:
    """`gradient += table[signed + limit]`, with the middle of the table for level 0.

    Compiled and torch paths give the same bits: one addition per element.

    Args:
        gradient: float32 or float64, changed in place.
        table: `(2 * limit + 1,)`, of the type and on the device of `gradient`.
        signed: Whole levels in the shape of `gradient`, int16 or of any float type.
    """
    if (
        gradient.device.type == "cpu"
        and gradient.numel() > 0
        and signed.dtype in (torch.int16, gradient.dtype)
        and gradient.is_contiguous()
        and signed.is_contiguous()
    ):
        _kernel()(gradient.view(-1).numpy(), table.numpy(), signed.view(-1).numpy())
    else:
        add_from_table_by_torch_(gradient, table, signed)


def add_from_table_by_torch_(gradient: Tensor, table: Tensor, signed: Tensor) -> None:
    """The same with torch alone, for other devices and layouts."""
    index = signed.to(torch.int32).add_((len(table) - 1) // 2).reshape(-1)
    gradient.add_(table.index_select(0, index).view_as(gradient))


@cache
def _kernel() -> Any:
    from dse.regularizers.table_kernel import add_from_table

    return add_from_table
