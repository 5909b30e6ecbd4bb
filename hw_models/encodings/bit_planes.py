"""Which columns of each plane hold anything: what the bit-plane engine maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hw_models.encodings.bit_slices import SIGNS, row_blocks, slice_magnitudes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hw_models.crossbar import Crossbar
    from hw_models.layer import CodedLayer


def nonempty_columns(layer: CodedLayer, crossbar: Crossbar) -> NDArray[np.int64]:
    """Columns with at least one non-zero cell.

    A plane is a slice group: a single bit with 1-bit cells.

    Shapes:
        output: `(groups, row blocks, signs, slice groups)`, planes most significant first.
    """
    cells = slice_magnitudes(layer.magnitudes, layer.weight_bits, crossbar.bits_per_cell)
    starts = [rows.start for rows in row_blocks(layer.shape.wordlines, crossbar.wordlines)]
    counts = [
        np.maximum.reduceat(cells * (layer.signs == sign), starts, axis=2)  # (G, groups, B, N)
        .astype(np.bool_)
        .sum(axis=-1)
        for sign in SIGNS
    ]
    return np.stack(counts).transpose(2, 3, 0, 1).astype(np.int64)


def footprint(layer: CodedLayer, crossbar: Crossbar, *, packed: bool = False) -> int:
    """Arrays for the non-empty columns of a layer.

    Args:
        layer: Codes.
        crossbar: Geometry.
        packed: Whether the planes of one tile and sign may share an array.
    """
    counts = nonempty_columns(layer, crossbar)
    if packed:
        counts = counts.sum(axis=-1)
    return int((-(-counts // crossbar.bitlines)).sum())
