"""What converters cut off, with torch: the reference, and the form for accelerators.

Column sums of a row block are one matrix product per input digit. Only columns whose value can
differ with the driven wordlines of the chunk are computed (they are sorted by that number). On the
CPU three columns whose sums fit a byte share one float32 matrix row, at binary weights 0, 8 and
16: float32 holds 24 bits exactly, so one product yields three sums.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from hw_models.simulation.columns import FLOAT32_EXACT
from hw_models.simulation.table_sums import TableSums, takes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from hw_models.simulation.columns import Columns, RowBlock

FIELD_BITS = 8
FIELDS = 3
LANES = 0x00FF00FF
"""Fields 0 and 2 of a packed sum, as two 16-bit lanes."""

BITS_PER_PASS = 8
"""Input bits accumulated at once: a byte field times 255 still fits a 16-bit lane."""

CPU_CHUNK = 2048
CUDA_CHUNK = 1 << 16
"""MVMs computed together: column sums of a chunk stay in the L2 cache of a CPU core."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Rows:
    """Columns of one row block and one step, sorted by the driven wordlines that they need.

    Attributes:
        operand: float32 (rows, K_block) cells; a row holds one column or three packed ones.
        limit: (rows, 1) largest code, uint8 if packed, int32 if not.
        step_bits: log2 of the converters' step; 0 if packed.
        rows_needed: Driven wordlines from which a row of `operand` can change, ascending.
        merge: (fields, N, rows) the factor where a column belongs to an output, else 0; in a
            type in which the merged sums of a row block are exact.
    """

    operand: Tensor
    limit: Tensor
    step_bits: int
    rows_needed: NDArray[np.int64]
    merge: Tensor

    @property
    def packed(self) -> bool:
        """Whether a row holds three columns."""
        return self.merge.shape[0] == FIELDS

    def to(self, device: torch.device) -> _Rows:
        return _Rows(
            operand=self.operand.to(device),
            limit=self.limit.to(device),
            step_bits=self.step_bits,
            rows_needed=self.rows_needed,
            merge=self.merge.to(
                device, self.merge.dtype if device.type == "cpu" else torch.float64
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Block:
    """Rows of one matrix that are read at once."""

    matrix: int
    rows: slice
    parts: tuple[_Rows, ...]


class TorchSums:
    """A layer's columns as torch operands on one device.

    Attributes:
        name: What results report as the backend.
    """

    name = "torch"

    def __init__(
        self,
        blocks: Sequence[RowBlock],
        *,
        outputs: int,
        input_bits: int,
        dac_bits: int,
        device: torch.device,
    ) -> None:
        """Lay the columns out.

        Args:
            blocks: Columns that a converter can change.
            outputs: Outputs N of one matrix.
            input_bits: Bits of an input code.
            dac_bits: Bits of an input digit.
            device: Where the products run.
        """
        self.outputs = outputs
        self.input_bits = input_bits
        self.dac_bits = dac_bits
        # An accelerator's product may round operands to 10 bits (TF32): no packing there.
        pack = device.type == "cpu"
        self._chunk = CPU_CHUNK if pack else CUDA_CHUNK
        self._tables: dict[int, TableSums] = {}
        if pack:
            blocks = self._take_tables(blocks)
        self._blocks = tuple(
            _Block(
                matrix=block.matrix,
                rows=block.rows,
                parts=tuple(
                    part.to(device) for part in _lay_out(block.columns, outputs, pack=pack)
                ),
            )
            for block in blocks
        )

    def _take_tables(self, blocks: Sequence[RowBlock]) -> list[RowBlock]:
        """Give the matrices for which tables pay to them; the columns that are left."""
        left: list[RowBlock] = []
        for matrix in sorted({block.matrix for block in blocks}):
            own = [block for block in blocks if block.matrix == matrix]
            narrow = [_narrow(block.columns) for block in own]
            tabled = [
                replace(block, columns=block.columns.take(chosen))
                for block, chosen in zip(own, narrow, strict=True)
                if chosen.any()
            ]
            if takes(tabled):
                self._tables[matrix] = TableSums(
                    tabled,
                    outputs=self.outputs,
                    input_bits=self.input_bits,
                    dac_bits=self.dac_bits,
                )
                own = [
                    replace(block, columns=block.columns.take(~chosen))
                    for block, chosen in zip(own, narrow, strict=True)
                    if not chosen.all()
                ]
            left += own
        return left

    def clipped(self, codes: Tensor) -> Tensor:
        """What the converters cut off.

        Shapes:
            codes: (groups, K, M) integers.
            returns: (groups, N, M) float64 integers.
        """
        matrices, _, columns = codes.shape
        lost = torch.zeros(
            matrices, self.outputs, columns, dtype=torch.float64, device=codes.device
        )
        per_pass = BITS_PER_PASS // self.dac_bits * self.dac_bits
        for start in range(0, columns, self._chunk):
            part = slice(start, min(start + self._chunk, columns))
            for block in self._blocks:
                inputs = codes[block.matrix, block.rows, part]
                for low_bit in range(0, self.input_bits, per_pass):
                    bits = range(low_bit, min(low_bit + per_pass, self.input_bits), self.dac_bits)
                    cut = _block_clipped(block, inputs, bits)
                    lost[block.matrix, :, part].add_(cut, alpha=1 << low_bit)
        for matrix, tables in self._tables.items():
            lost[matrix] += tables.clipped(codes[matrix])
        return lost


def _block_clipped(block: _Block, inputs: Tensor, bits: range) -> Tensor:
    """(N, M): what one row block loses over these input digits, in units of the lowest."""
    integers = inputs if inputs.dtype in (torch.uint8, torch.int32) else inputs.to(torch.int32)
    digit = (1 << bits.step) - 1
    sums = [_Sums(part, inputs) for part in block.parts]
    for bit in bits:
        plane = ((integers >> bit) & digit).to(torch.float32)
        driven = int((plane > 0).sum(0).max()) if digit > 1 else int(plane.sum(0).max())
        for accumulated in sums:
            accumulated.add(plane, driven, bit - bits.start)
    lost = sums[0].lost()
    for accumulated in sums[1:]:
        lost = lost + accumulated.lost()
    return lost


class _Sums:
    """Sum over digits of 2**shift * (S - value + T) for some columns, and its merge."""

    def __init__(self, part: _Rows, inputs: Tensor) -> None:
        rows, width = part.operand.shape[0], inputs.shape[1]
        self.part = part
        self.product = torch.empty(rows, width, device=inputs.device)
        self.integers = torch.empty(rows, width, dtype=torch.int32, device=inputs.device)
        self.total = torch.zeros_like(self.integers)
        self.lanes = torch.zeros_like(self.integers) if part.packed else None
        self.bit_weight = torch.zeros(rows, 1, dtype=part.merge.dtype)
        self.used = 0

    def add(self, plane: Tensor, driven: int, shift: int) -> None:
        """One input digit; rows that so few driven wordlines cannot change are left out."""
        rows = int(np.searchsorted(self.part.rows_needed, driven, side="right"))
        if rows == 0:
            return
        self.used = max(self.used, rows)
        self.bit_weight[:rows] += 1 << shift
        product, integers = self.product[:rows], self.integers[:rows]
        torch.mm(self.part.operand[:rows], plane, out=product)
        integers.copy_(product)
        limit = self.part.limit[:rows]
        if self.part.step_bits:
            step = self.part.step_bits
            codes = torch.minimum((integers + (1 << step >> 1)) >> step, limit)
            integers += limit - (codes << step)
        else:
            limited = integers.view(torch.uint8) if self.part.packed else integers
            torch.maximum(limited, limit, out=limited)  # S - min(S, T) + T
        self.total[:rows].add_(integers, alpha=1 << shift)
        if self.lanes is not None:
            integers.bitwise_and_(LANES)
            self.lanes[:rows].add_(integers, alpha=1 << shift)

    def lost(self) -> Tensor:
        """(N, M): T taken off again, weighted by factor, added up per output."""
        merge = self.part.merge[:, :, : self.used]
        limit = self.part.limit[: self.used].to(merge.dtype)
        floor = limit * self.bit_weight[: self.used].to(limit.device)
        lost = merge.sum(0) @ -floor
        for field, weights in enumerate(merge):
            lost = torch.addmm(lost, weights, self._field(field).to(merge.dtype))
        return lost

    def _field(self, field: int) -> Tensor:
        """Accumulated sums of one field."""
        total = self.total[: self.used]  # packed, modulo 2**32: F0 + 2**8 F1 + 2**16 F2 + 2**24 ..
        if self.lanes is None:
            return total
        lanes = self.lanes[: self.used]  # F0 + 2**16 F2
        if field == 0:
            return lanes & 0xFFFF
        if field == 1:
            return ((total - lanes) >> FIELD_BITS).bitwise_and_(0xFFFF)
        return (lanes >> 16).bitwise_and_(0xFFFF)


def _lay_out(columns: Columns, outputs: int, *, pack: bool) -> list[_Rows]:
    """Packed columns first, then those whose sums exceed a byte, then those with a step."""
    plain = columns.step_bits == 0
    narrow = _narrow(columns) & pack
    parts = [(narrow, FIELDS), (plain & ~narrow, 1)]
    parts += [(columns.step_bits == step, 1) for step in np.unique(columns.step_bits[~plain])]
    return [
        _rows(columns.take(chosen), outputs, fields) for chosen, fields in parts if chosen.any()
    ]


def _narrow(columns: Columns) -> NDArray[np.bool_]:
    """Columns of step 1 whose sums fit a byte."""
    chosen: NDArray[np.bool_] = (columns.step_bits == 0) & (columns.largest_sums < 1 << FIELD_BITS)
    return chosen


def _rows(columns: Columns, outputs: int, fields: int) -> _Rows:
    step = int(columns.step_bits[0])
    slots = _slots(columns, fields)
    # What the merge adds up: |S - value| + T, and T again where it is taken off.
    reach = np.maximum(columns.largest_sums, columns.limits << step) * np.abs(columns.factors)
    largest = np.bincount(columns.outputs, reach).max() * ((1 << BITS_PER_PASS) - 1)
    terms = 3 if step else 2
    dtype = torch.float32 if terms * largest <= FLOAT32_EXACT else torch.float64
    merge = torch.zeros(fields, outputs, len(slots), dtype=dtype)
    operand = np.zeros((len(slots), columns.cells.shape[1]), dtype=np.float32)
    for field in range(fields):
        rows = np.flatnonzero(slots[:, field] >= 0)
        held = slots[rows, field]
        operand[rows] += columns.cells[held].astype(np.float32) * 2.0 ** (FIELD_BITS * field)
        factors = torch.from_numpy(columns.factors[held]).to(dtype)
        merge[field, columns.outputs[held], rows] = factors
    first = slots[:, 0]
    limit = columns.limits[first, np.newaxis].astype(np.uint8 if fields == FIELDS else np.int32)
    return _Rows(
        operand=torch.from_numpy(operand),
        limit=torch.from_numpy(limit),
        step_bits=step,
        rows_needed=columns.rows_needed[first],
        merge=merge,
    )


def _slots(columns: Columns, fields: int) -> NDArray[np.int64]:
    """Columns of equal limit side by side, (rows, fields) indices, -1 where a slot stays empty."""
    rows = []
    for limit in np.unique(columns.limits):
        same = np.flatnonzero(columns.limits == limit)
        same = same[np.argsort(columns.rows_needed[same], kind="stable")]
        rows.append(np.concatenate([same, np.full(-len(same) % fields, -1)]).reshape(-1, fields))
    slots = np.concatenate(rows)
    return slots[np.argsort(columns.rows_needed[slots[:, 0]], kind="stable")]
