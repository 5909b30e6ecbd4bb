"""What converters cut off, with the compiled kernel: columns laid out, calls made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hw_models.simulation.lookup_kernel import BYTE_LANES, WORD_LANES, add_clipped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hw_models.simulation.columns import Columns, RowBlock

BITS_PER_PASS = 8
INT32_LARGEST = (1 << 31) - 1
WORD_LARGEST = (1 << 16) - 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Chunks:
    """Columns of a row block in vectors of lanes; fields as `lookup_kernel.add_clipped` says."""

    cells: NDArray[np.unsignedinteger[Any]]
    limits: NDArray[np.unsignedinteger[Any]]
    factors: NDArray[np.int32]
    needed: NDArray[np.int64]
    first_lanes: NDArray[np.int64]
    step_bits: NDArray[np.int64]

    @property
    def lanes(self) -> int:
        """Columns per vector."""
        return int(self.limits.shape[1])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Block:
    """Rows of one matrix that are read at once; `largest` bounds what one pass can add."""

    matrix: int
    rows: slice
    parts: tuple[_Chunks, ...]
    largest: int


class LookupSums:
    """A layer's columns as tables for the compiled kernel.

    Attributes:
        name: What results report as the backend.
    """

    name = "numba"

    def __init__(
        self, blocks: Sequence[RowBlock], *, outputs: int, input_bits: int, dac_bits: int
    ) -> None:
        """Lay the columns out; `can_hold` says beforehand whether the kernel's integers suffice.

        Args:
            blocks: Columns that a converter can change.
            outputs: Outputs N of one matrix.
            input_bits: Bits of an input code.
            dac_bits: Bits of an input digit.
        """
        self.outputs = outputs
        self.input_bits = input_bits
        self.dac_bits = dac_bits
        self._blocks = [_lay_out(block, outputs) for block in blocks]

    def clipped(
        self,
        codes: NDArray[np.generic],
        starts: NDArray[np.integer[Any]],
        offsets: NDArray[np.integer[Any]],
    ) -> NDArray[np.float64]:
        """What the converters cut off, where MVM m reads codes[starts[m] + offsets[g, k]].

        Shapes:
            codes: flat, unsigned or non-negative integers.
            starts: (M,).
            offsets: (groups, K).
            returns: (groups, M, N) float64 integers.
        """
        matrices = offsets.shape[0]
        starts, offsets = starts.astype(np.uint64), offsets.astype(np.uint64)
        lost = np.zeros((matrices, len(starts), self.outputs))
        lanes = {
            count: np.zeros((len(starts), _padded(self.outputs, count)), dtype=np.int32)
            for count in {chunks.lanes for block in self._blocks for chunks in block.parts}
        }
        per_pass = BITS_PER_PASS // self.dac_bits * self.dac_bits
        for low_bit in range(0, self.input_bits, per_pass):
            bits = min(per_pass, self.input_bits - low_bit)
            for matrix in range(matrices):
                reached = 0
                for block in self._blocks:
                    if block.matrix != matrix:
                        continue
                    if reached + block.largest > INT32_LARGEST:
                        self._flush(lanes, lost[matrix], low_bit)
                        reached = 0
                    reached += block.largest
                    for chunks in block.parts:
                        add_clipped(
                            codes,
                            low_bit,
                            starts,
                            offsets[matrix, block.rows],
                            chunks.cells,
                            chunks.limits,
                            chunks.factors,
                            chunks.needed,
                            chunks.first_lanes,
                            chunks.step_bits,
                            -(-bits // self.dac_bits) * self.dac_bits,
                            self.dac_bits,
                            lanes[chunks.lanes],
                        )
                if reached:
                    self._flush(lanes, lost[matrix], low_bit)
        return lost

    def _flush(
        self, lanes: dict[int, NDArray[np.int32]], lost: NDArray[np.float64], low_bit: int
    ) -> None:
        """Add the lanes of each output to it, start the lanes again at zero."""
        for count, part in lanes.items():
            width = _width(self.outputs, count)
            copies = part.reshape(len(part), -1, count // width, width)
            summed = copies[:, :, 0].astype(np.float64)
            for copy in range(1, count // width):
                summed += copies[:, :, copy]
            lost += summed.reshape(len(part), -1)[:, : self.outputs] * float(1 << low_bit)
            part[...] = 0


def _width(outputs: int, lanes: int) -> int:
    """Outputs side by side in a vector; the lanes hold each lanes / width times."""
    return min(lanes, 1 << (outputs - 1).bit_length())


def _padded(outputs: int, lanes: int) -> int:
    """Lanes for all outputs."""
    return -(-outputs // _width(outputs, lanes)) * lanes


def can_hold(blocks: Sequence[RowBlock]) -> bool:
    """Whether 16-bit column sums and 32-bit outputs suffice for every row block."""
    return all(
        int(_reach(block.columns).max()) <= WORD_LARGEST
        and _largest(block.columns) <= INT32_LARGEST
        for block in blocks
    )


def _reach(columns: Columns) -> NDArray[np.int64]:
    """What a column sum can be before its step is divided out."""
    return columns.largest_sums + (1 << columns.step_bits >> 1)


def _largest(columns: Columns) -> int:
    """Bound of |what one pass adds to an output|."""
    per_output = np.bincount(columns.outputs, _reach(columns) * np.abs(columns.factors))
    return int(per_output.max()) * ((1 << BITS_PER_PASS) - 1)


def _lay_out(block: RowBlock, outputs: int) -> _Block:
    columns = block.columns
    narrow = (columns.step_bits == 0) & (columns.largest_sums < 256)
    parts = [
        _chunks(columns.take(chosen), outputs, lanes, dtype)
        for chosen, lanes, dtype in (
            (narrow, BYTE_LANES, np.uint8),
            (~narrow, WORD_LANES, np.uint16),
        )
        if chosen.any()
    ]
    return _Block(
        matrix=block.matrix, rows=block.rows, parts=tuple(parts), largest=_largest(columns)
    )


def _chunks(
    columns: Columns, outputs: int, lanes: int, dtype: type[np.uint8] | type[np.uint16]
) -> _Chunks:
    """Each lane takes columns of one output, those that change first, first."""
    width = _width(outputs, lanes)
    order = np.lexsort((columns.rows_needed, columns.outputs, columns.step_bits))
    columns = columns.take(order)
    step, output = columns.step_bits, columns.outputs
    new = np.flatnonzero(np.diff(output, prepend=-1) | np.diff(step, prepend=-1))
    rank = np.arange(len(columns)) - np.repeat(new, np.diff(new, append=len(columns)))
    copies = lanes // width
    key = np.stack([step, output // width, rank // copies])
    distinct, chunk = np.unique(key, axis=1, return_inverse=True)
    chunk = chunk.reshape(-1)
    lane = rank % copies * width + output % width
    count, rows = distinct.shape[1], columns.cells.shape[1]
    tables = 2 * -(-rows // 8)
    cells = np.zeros((count, 4 * tables, lanes), dtype=dtype)
    cells[chunk, :rows, lane] = columns.cells
    limits = np.full((count, lanes), np.iinfo(dtype).max, dtype=dtype)
    limits[chunk, lane] = columns.limits
    factors = np.zeros((count, lanes), dtype=np.int32)
    factors[chunk, lane] = columns.factors
    needed = np.full(count, np.iinfo(np.int64).max)
    np.minimum.at(needed, chunk, columns.rows_needed)
    return _Chunks(
        cells=cells.reshape(count, tables, 4, lanes),
        limits=limits,
        factors=factors,
        needed=needed,
        first_lanes=distinct[1] * lanes,
        step_bits=distinct[0],
    )
