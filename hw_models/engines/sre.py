"""SRE: rows of zero cells dropped per column group, wordlines of zero input bits not driven."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from hw_models.encodings.offset import unit_columns
from hw_models.engines.crmp import require_ou_bitlines
from hw_models.engines.observed import Observed, active_digits, driven_codes, observed_of
from hw_models.engines.walk import (
    LayerWalk,
    array_rows,
    cell_planes,
    charge,
    require_layers,
)
from hw_models.errors import HardwareError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hw_models.chip import Chip
    from hw_models.crossbar import Crossbar
    from hw_models.engines.engine import CostTerms
    from hw_models.layer import CodedLayer

INDEX_BITS = 5
"""Bits of the delta-coded input index of one kept row; quoted for [Yang2019] at second hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SreEngine:
    """Row compression and dynamic operation units ([Yang2019]).

    The cells of a weight lie side by side. Within an array, bitlines form groups of
    `ou_bitlines`; wordlines whose cells are all zero in a group are dropped from it. For each
    input digit, the kept wordlines with a non-zero digit are driven, as many at a time as an
    operation unit has rows:

        reads = sum over positions, groups, input digits of ceil(active kept rows / h)

    The counts come from real input codes (`Observed.input_codes`). Cells fill arrays without
    gaps, and reads spread evenly over the arrays of a layer: latency is reads over arrays. Every
    kept row has an index that is read with every MVM.

    Attributes:
        name: Name under which results report the engine.
        ou_wordlines: Rows h of an operation unit; the crossbar's, if that has fewer.
        ou_bitlines: Bitlines w of an operation unit (16 x 16 in the original).

    [Yang2019] T.-H. Yang et al., "Sparse ReRAM Engine: Joint Exploration of Activation and
        Weight Sparsity in Compressed Neural Networks", ISCA 2019.
    """

    name: str = "sre"
    ou_wordlines: int = 16
    ou_bitlines: int = 16

    def rows_per_read(self, crossbar: Crossbar) -> int:
        """Rows of an operation unit."""
        return min(self.ou_wordlines, crossbar.rows_per_read)

    def cost_terms(
        self,
        layers: Sequence[CodedLayer],
        chip: Chip,
        observed: Sequence[Observed] | None = None,
    ) -> CostTerms:
        """Count from the codes of weights and inputs."""
        require_layers(layers)
        require_ou_bitlines(self.name, self.ou_bitlines, chip)
        if unit_columns(chip.encoding):
            raise HardwareError(
                f"{self.name}: rows of zero cells are dropped, and an offset leaves none, got "
                f"encoding '{chip.encoding.name}'. Choose differential or two's complement."
            )
        seen = observed_of(observed, layers)
        walks = [self._walk(*each, chip) for each in zip(layers, seen, strict=True)]
        return charge(layers, walks, chip, shared_adc=True)

    def _walk(self, layer: CodedLayer, observed: Observed, chip: Chip) -> LayerWalk:
        codes = driven_codes(self.name, layer, observed)
        shape, crossbar = layer.shape, chip.crossbar
        height = self.rows_per_read(crossbar)
        slices = chip.encoding.slice_groups(layer.weight_bits, crossbar.bits_per_cell)
        starts = group_starts(shape.outputs * slices, crossbar.bitlines, self.ou_bitlines)
        columns = np.arange(shape.outputs * slices) % slices
        one_hot = (columns[:, np.newaxis] == np.arange(slices)).astype(np.float64)
        widths = np.add.reduceat(one_hot, starts, axis=0)  # (column groups, slice groups)

        conversions = np.zeros(slices)
        reads = driven = read_cells = 0.0
        kept_rows, kept_cells = 0, 0
        for matrix in range(shape.groups):
            for rows in array_rows(layer, chip):
                kept = _kept_rows(layer, matrix, rows, chip, starts)
                copies = kept.shape[0]
                per_group = kept.sum(axis=1)
                kept_rows += int(per_group.sum())
                kept_cells += int((per_group @ widths).sum())
                group_reads, group_active = _count(
                    codes[matrix][:, rows], layer.input_bits, chip.dac_bits, kept, height
                )
                scale = shape.positions / codes.shape[1]
                by_group = group_reads.reshape(copies, -1) * scale
                active = group_active.reshape(copies, -1) * scale
                reads += float(by_group.sum())
                conversions += (by_group @ widths).sum(axis=0)
                driven += float(active.sum())
                read_cells += float((active @ widths).sum())
        arrays = ceil(kept_cells / (crossbar.wordlines * crossbar.bitlines))
        return LayerWalk(
            conversions=tuple(int(count) for count in np.rint(conversions)),
            adcs=(0,) * (slices - 1) + (arrays,),
            crossbars=arrays,
            serial_reads=ceil(reads / arrays) if arrays else 0,
            columns_per_adc=int(widths.sum(axis=1).max()),
            driven_rows=driven,
            held_columns=float(conversions.sum()),
            read_cells=read_cells,
            partial_sums=float(conversions.sum() / slices),
            index_bits=float(shape.positions * kept_rows * INDEX_BITS),
        )


def group_starts(width: int, bitlines: int, ou_bitlines: int) -> list[int]:
    """First column of every column group; a group never crosses into the next array."""
    return [
        start
        for array in range(0, width, bitlines)
        for start in range(array, min(array + bitlines, width), ou_bitlines)
    ]


def _kept_rows(
    layer: CodedLayer, matrix: int, rows: slice, chip: Chip, starts: list[int]
) -> NDArray[np.bool_]:
    """(copies, K_block, column groups) whether a row has a non-zero cell in the group."""
    cells = cell_planes(layer, matrix, rows, chip)
    side_by_side = cells.reshape(*cells.shape[:2], -1)
    return np.maximum.reduceat(side_by_side, starts, axis=2) > 0


def _count(
    codes: NDArray[np.integer],
    input_bits: int,
    dac_bits: int,
    kept: NDArray[np.bool_],
    height: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Reads and driven rows of (copies * column groups,), over all sampled positions."""
    matrix = kept.transpose(1, 0, 2).reshape(kept.shape[1], -1).astype(np.float32)
    reads = np.zeros(matrix.shape[1])
    active = np.zeros(matrix.shape[1])
    for digits in active_digits(codes, input_bits, dac_bits):
        rows = digits @ matrix  # integers below 2**24: exact
        active += rows.sum(axis=0, dtype=np.float64)
        reads += np.ceil(rows / height).sum(axis=0, dtype=np.float64)
    return reads, active


SRE = SreEngine()
