"""Bit-serial, bit-sliced matrix-vector products with clipping ADCs, exact to the last bit.

The chip computes, per input bit b, row block, sign and slice group, min(S, T) with S the sum of a
column's cells on driven wordlines and T = 2**adc_bits - 1, then shifts and adds. That equals

    sum(q * w) - sum over (b, block, sign, slice) of 2**b * 2**shift * sign * max(S - T, 0)

so we compute the exact integer product with one matrix product, and column sums only where they
can exceed T:

* never for a column whose cells add up to T or less, whatever the input;
* for a given input bit, only for columns whose `a` largest cells exceed T, where `a` is the
  largest number of driven wordlines in the chunk (columns are sorted by that number).

On the CPU three columns whose sums fit a byte share one float32 matrix row, at binary weights 0,
8 and 16: float32 holds 24 bits exactly, so one product yields three sums.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from hw_models.encodings.bit_slices import SIGNS, row_blocks, slice_magnitudes, slice_shifts
from hw_models.errors import HardwareError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from hw_models.chip import Chip
    from hw_models.layer import CodedLayer

FLOAT32_EXACT = 1 << 24
"""Integers of at most this magnitude are exact in float32."""

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
class _Columns:
    """Columns of one row block that can clip, sorted by the driven rows that this takes.

    Attributes:
        operand: float32 (rows, K_block) cells; a row holds one column or three packed ones.
        limit: (rows, 1) T, uint8 if packed, int32 if not.
        rows_needed: Driven wordlines from which a row of `operand` can clip, ascending.
        merge: (fields, N, rows) sign * 2**shift where a column belongs to an output, else 0; in
            a type in which the merged sums of a row block are exact.
    """

    operand: Tensor
    limit: Tensor
    rows_needed: NDArray[np.int64]
    merge: Tensor

    @property
    def packed(self) -> bool:
        """Whether a row holds three columns."""
        return self.merge.shape[0] == FIELDS

    def to(self, device: torch.device) -> _Columns:
        return _Columns(
            operand=self.operand.to(device),
            limit=self.limit.to(device),
            rows_needed=self.rows_needed,
            merge=self.merge.to(
                device, self.merge.dtype if device.type == "cpu" else torch.float64
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Block:
    """Rows of one matrix that one array holds."""

    matrix: int
    rows: slice
    columns: tuple[_Columns, ...]

    def to(self, device: torch.device) -> _Block:
        columns = tuple(columns.to(device) for columns in self.columns)
        return _Block(matrix=self.matrix, rows=self.rows, columns=columns)


class SlicedWeights:
    """A layer's codes made ready for products, once; reused over batches.

    Attributes:
        input_bits: Bits of an input code.
        signed: int16 (groups, N, K) weight codes with sign.
        can_clip: Whether any column sum can exceed its ADC.
    """

    def __init__(self, layer: CodedLayer, chip: Chip | None) -> None:
        """Slice and sort on the CPU.

        Args:
            layer: Codes.
            chip: Geometry and ADC resolutions; None never clips.
        """
        codes = layer.signed_codes().transpose(0, 2, 1)
        self.input_bits = layer.input_bits
        self.signed = torch.from_numpy(np.ascontiguousarray(codes))
        largest = int(np.abs(codes.astype(np.int64)).sum(axis=2).max()) << layer.input_bits
        self.exact_dtype = torch.float32 if largest <= FLOAT32_EXACT else torch.float64
        self._weights: dict[torch.device, Tensor] = {}
        self._blocks: dict[torch.device, tuple[_Block, ...]] = {}
        self._source = None if chip is None else (layer, chip)
        self.can_clip = bool(self._blocks_on(torch.device("cpu")))

    def _blocks_on(self, device: torch.device) -> tuple[_Block, ...]:
        if self._source is None:
            return ()
        if device not in self._blocks:
            # An accelerator's product may round operands to 10 bits (TF32): no packing there.
            blocks = _blocks(*self._source, pack=device.type == "cpu")
            self._blocks[device] = tuple(block.to(device) for block in blocks)
        return self._blocks[device]

    def weights(self, device: torch.device) -> Tensor:
        """Signed codes (groups, N, K) in a type whose products are exact on that device."""
        if device.type == "cpu" and torch.get_float32_matmul_precision() != "highest":
            raise HardwareError(
                "exact simulation on the CPU needs full float32 products, got float32 matmul "
                f"precision '{torch.get_float32_matmul_precision()}'. "
                "Call torch.set_float32_matmul_precision('highest')."
            )
        if device not in self._weights:
            # float64 on an accelerator: its float32 product may round operands (TF32).
            dtype = self.exact_dtype if device.type == "cpu" else torch.float64
            self._weights[device] = self.signed.to(device=device, dtype=dtype)
        return self._weights[device]

    def product(self, codes: Tensor) -> Tensor:
        """What the chip computes for integer input codes.

        Shapes:
            codes: (groups, K, M), values 0 .. 2**input_bits - 1, of any type.
            returns: (groups, N, M) float64 integers.
        """
        weights = self.weights(codes.device)
        exact = torch.bmm(weights, codes.to(weights.dtype)).double()
        if self.can_clip:
            exact -= self.clipped(codes)
        return exact

    def clipped(self, codes: Tensor) -> Tensor:
        """What the ADCs cut off: exact product minus the chip's, shapes as in `product`."""
        matrices, _, columns = codes.shape
        lost = torch.zeros(
            matrices, self.signed.shape[1], columns, dtype=torch.float64, device=codes.device
        )
        chunk = CPU_CHUNK if codes.device.type == "cpu" else CUDA_CHUNK
        for start in range(0, columns, chunk):
            part = slice(start, min(start + chunk, columns))
            for block in self._blocks_on(codes.device):
                inputs = codes[block.matrix, block.rows, part]
                for low_bit in range(0, self.input_bits, BITS_PER_PASS):
                    bits = range(low_bit, min(low_bit + BITS_PER_PASS, self.input_bits))
                    cut = _block_clipped(block, inputs, bits)
                    lost[block.matrix, :, part].add_(cut, alpha=1 << low_bit)
        return lost


def _block_clipped(block: _Block, inputs: Tensor, bits: range) -> Tensor:
    """(N, M): what one row block loses over these input bits, in units of the lowest."""
    integers = inputs if inputs.dtype in (torch.uint8, torch.int32) else inputs.to(torch.int32)
    sums = [_Sums(columns, inputs) for columns in block.columns]
    for bit in bits:
        plane = (integers & (1 << bit)).to(torch.float32)  # 0 or 2**bit
        driven = int(plane.sum(0).max()) >> bit
        for accumulated in sums:
            accumulated.add(plane, driven, bit, bit - bits.start)
    lost = sums[0].lost()
    for accumulated in sums[1:]:
        lost = lost + accumulated.lost()
    return lost


class _Sums:
    """Sum over input bits of 2**bit * max(S, T) for some columns, and its merge into outputs."""

    def __init__(self, columns: _Columns, inputs: Tensor) -> None:
        rows, width = columns.operand.shape[0], inputs.shape[1]
        self.columns = columns
        self.product = torch.empty(rows, width, device=inputs.device)
        self.integers = torch.empty(rows, width, dtype=torch.int32, device=inputs.device)
        self.total = torch.zeros_like(self.integers)
        self.lanes = torch.zeros_like(self.integers) if columns.packed else None
        self.bit_weight = torch.zeros(rows, 1, dtype=columns.merge.dtype)
        self.used = 0

    def add(self, plane: Tensor, driven: int, bit: int, shift: int) -> None:
        """One input bit; rows that cannot clip with so few driven wordlines are left out."""
        rows = int(np.searchsorted(self.columns.rows_needed, driven, side="right"))
        if rows == 0:
            return
        self.used = max(self.used, rows)
        self.bit_weight[:rows] += 1 << shift
        product, integers = self.product[:rows], self.integers[:rows]
        product.addmm_(self.columns.operand[:rows], plane, beta=0, alpha=2.0**-bit)
        integers.copy_(product)
        limited = integers.view(torch.uint8) if self.columns.packed else integers
        torch.maximum(limited, self.columns.limit[:rows], out=limited)
        self.total[:rows].add_(integers, alpha=1 << shift)
        if self.lanes is not None:
            integers.bitwise_and_(LANES)
            self.lanes[:rows].add_(integers, alpha=1 << shift)

    def lost(self) -> Tensor:
        """(N, M): T taken off again, weighted by sign and slice, added up per output."""
        merge = self.columns.merge[:, :, : self.used]
        limit = self.columns.limit[: self.used].to(merge.dtype)
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


def _blocks(layer: CodedLayer, chip: Chip, *, pack: bool) -> tuple[_Block, ...]:
    """Row blocks with at least one column that can clip."""
    adc_bits = chip.adc_bits_for(layer.shape.name, layer.weight_bits)
    limits = [(1 << bits) - 1 for bits in adc_bits]
    bits_per_cell = chip.crossbar.bits_per_cell
    shifts = slice_shifts(layer.weight_bits, bits_per_cell)
    cells = slice_magnitudes(layer.magnitudes, layer.weight_bits, bits_per_cell)
    wordlines = chip.engine.rows_per_read(chip.crossbar)
    largest = wordlines * ((1 << layer.weight_bits) - 1) * ((1 << BITS_PER_PASS) - 1)
    merge_dtype = torch.float32 if largest <= FLOAT32_EXACT else torch.float64
    blocks = []
    for matrix in range(layer.shape.groups):
        for rows in row_blocks(layer.shape.wordlines, wordlines):
            found = _Found(layer.shape.outputs, merge_dtype)
            for sign in SIGNS:
                mask = layer.signs[matrix, rows] == sign
                for group, limit in enumerate(limits):
                    column_cells = cells[group, matrix, rows] * mask
                    found.add(column_cells, limit, sign << shifts[group])
            columns = found.columns(pack=pack)
            if columns:
                blocks.append(_Block(matrix=matrix, rows=rows, columns=columns))
    return tuple(blocks)


class _Found:
    """Columns of a row block that can clip, as they are found."""

    def __init__(self, outputs: int, merge_dtype: torch.dtype) -> None:
        self.n_outputs = outputs
        self.merge_dtype = merge_dtype
        self._parts: list[tuple[NDArray[np.int64], ...]] = []

    def add(self, cells: NDArray[np.uint8], limit: int, factor: int) -> None:
        """Keep the columns of (K_block, N) cells whose sum exceeds `limit`."""
        outputs = np.flatnonzero(cells.sum(axis=0, dtype=np.int64) > limit)
        one = np.ones_like(outputs)
        self._parts.append(
            (cells[:, outputs].T.astype(np.int64), limit * one, factor * one, outputs)
        )

    def columns(self, *, pack: bool) -> tuple[_Columns, ...]:
        """Packed columns first, then those whose sums exceed a byte."""
        cells, limits, factors, outputs = (
            np.concatenate(parts) for parts in zip(*self._parts, strict=True)
        )
        descending = -np.sort(-cells, axis=1)
        needed = 1 + (np.cumsum(descending, axis=1) <= limits[:, np.newaxis]).sum(axis=1)
        narrow = (cells.sum(axis=1) < 1 << FIELD_BITS) & pack
        made = []
        for chosen, fields in ((narrow, FIELDS), (~narrow, 1)):
            if not chosen.any():
                continue
            slots = _slots(np.flatnonzero(chosen), limits, needed, fields)
            merge = torch.zeros(fields, self.n_outputs, len(slots), dtype=self.merge_dtype)
            operand = np.zeros((len(slots), cells.shape[1]), dtype=np.float32)
            for field in range(fields):
                rows = np.flatnonzero(slots[:, field] >= 0)
                held = slots[rows, field]
                operand[rows] += cells[held].astype(np.float32) * 2.0 ** (FIELD_BITS * field)
                merge[field, outputs[held], rows] = torch.from_numpy(factors[held]).to(merge.dtype)
            first = slots[:, 0]
            limit = limits[first, np.newaxis].astype(np.uint8 if fields == FIELDS else np.int32)
            made.append(
                _Columns(
                    operand=torch.from_numpy(operand),
                    limit=torch.from_numpy(limit),
                    rows_needed=needed[first],
                    merge=merge,
                )
            )
        return tuple(made)


def _slots(
    columns: NDArray[np.int64], limits: NDArray[np.int64], needed: NDArray[np.int64], fields: int
) -> NDArray[np.int64]:
    """Columns of equal limit side by side, (rows, fields) indices, -1 where a slot stays empty."""
    rows = []
    for limit in np.unique(limits[columns]):
        same = columns[limits[columns] == limit]
        same = same[np.argsort(needed[same], kind="stable")]
        rows.append(np.concatenate([same, np.full(-len(same) % fields, -1)]).reshape(-1, fields))
    slots = np.concatenate(rows)
    return slots[np.argsort(needed[slots[:, 0]], kind="stable")]


def clipping_possible(layer: CodedLayer, chip: Chip) -> bool:
    """Whether any input can drive a column sum of the layer above its ADC's range."""
    return bool(_blocks(layer, chip, pack=False))
