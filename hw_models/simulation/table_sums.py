"""Column sums from tables, with torch on the CPU: eight rows at a time ("four Russians").

Eight rows of cells have 256 partial column sums, one per pattern of driven wordlines. A column sum
over R rows and one input bit is then R / 8 table rows added up, which is what `embedding_bag`
does: an eighth of the additions of a matrix product. Three columns whose sums fit a byte share a
float32, at binary weights 0, 8 and 16; where the sums of the third stay below 128, 2**23 is added,
and the low bits of the number are those of an integer without a conversion. All row blocks of a
matrix have the same columns in the same places, so what is converted adds up over them before it
is merged into outputs.

[Warren2012] H. S. Warren, "Hacker's Delight", 2nd ed.,
2012.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F

from hw_models.simulation.columns import FLOAT32_EXACT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from hw_models.simulation.columns import Columns, RowBlock

FIELDS = 3
FIELD_BITS = 8
LANES = 0x00FF00FF
"""Fields 0 and 2 of a packed word, as two 16-bit lanes."""

GROUP = 8
PATTERNS = 1 << GROUP
BITS_PER_PASS = 8
"""Input bits whose patterns come out of one transposition."""

LANE_LARGEST = (1 << 16) - 1
BYTE_LARGEST = 255
INTEGER_BITS = 1 << 23
"""A float32 of at least this, below 2**24, has its distance from it in its lowest 23 bits."""

MVMS = 2048
"""Computed together: their words stay in the cache of a core."""

WORDS = 192
"""Widest table; 16 groups of patterns then take 3 MB."""

KEPT_BYTES = 32 << 20
"""Tables of a layer up to this size are kept, larger ones built again for every batch."""

LEAST_COLUMNS = 32
LEAST_SHARE = 0.5
"""Of the columns that some row block needs, those that the mean block must need."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Block:
    """Rows that are read at once.

    Attributes:
        rows: Of the matrix.
        packed: float32 (8 * row groups, words) three cells to a number.
        signed: (N, K_block) factors times cells, in a type in which its product is exact.
        needed: Driven wordlines from which any column can change.
    """

    rows: slice
    packed: Tensor
    signed: Tensor
    needed: int


class TableSums:
    """Columns of one matrix that a converter of step 1 can change and whose sums fit a byte."""

    def __init__(
        self, blocks: Sequence[RowBlock], *, outputs: int, input_bits: int, dac_bits: int
    ) -> None:
        """Lay the columns out.

        Args:
            blocks: Row blocks of one matrix, with such columns only.
            outputs: Outputs N of the matrix.
            input_bits: Bits of an input code.
            dac_bits: Bits of an input digit.
        """
        slots, places = _slots([block.columns for block in blocks])
        count = slots.shape[1]
        words = -(-count // FIELDS)
        sums = np.zeros(count, dtype=np.int64)
        for block, place in zip(blocks, places, strict=True):
            np.maximum.at(sums, place, block.columns.largest_sums)
        order = np.argsort(-sums, kind="stable")  # small sums into the third fields
        field = np.empty(count, dtype=np.int64)
        field[order] = np.arange(count) % words * FIELDS + np.arange(count) // words
        self._biased = bool((sums[order[2 * words :]] < 1 << FIELD_BITS - 1).all())
        limits = np.zeros((words, 4), dtype=np.uint8)
        spread = np.zeros(words * FIELDS, dtype=np.uint8)
        spread[field] = slots[2]
        limits[:, :FIELDS] = spread.reshape(words, FIELDS)
        self.outputs = outputs
        self.input_bits = input_bits
        self.dac_bits = dac_bits
        self._limits = torch.from_numpy(limits.reshape(1, -1))
        self._largest = int(slots[2].max())
        self._merge = _merging(slots, field, outputs, words)
        self._blocks = [
            _block(block, field[place], outputs, words)
            for block, place in zip(blocks, places, strict=True)
        ]
        size = sum(4 * PATTERNS // GROUP * block.packed.numel() for block in self._blocks)
        self._kept: dict[tuple[int, int], Tensor] | None = (
            {} if size * dac_bits <= KEPT_BYTES else None
        )

    def clipped(self, codes: Tensor) -> Tensor:
        """What the converters cut off.

        Shapes:
            codes: (K, M) integers.
            returns: (N, M) float64 integers.
        """
        lost = torch.zeros(self.outputs, codes.shape[1], dtype=torch.float64)
        words = self._merge.shape[1]
        per_pass = BITS_PER_PASS // self.dac_bits * self.dac_bits
        for low_bit in range(0, self.input_bits, per_pass):
            bits = min(per_pass, self.input_bits - low_bit)
            digits = -(-bits // self.dac_bits)
            shifted = codes
            if codes.dtype != torch.uint8 or bits < self.input_bits:
                shifted = (codes >> low_bit).bitwise_and_((1 << bits) - 1).to(torch.uint8)
            part = torch.zeros_like(lost)
            for first in range(0, words, WORDS):
                chosen = slice(first, min(first + WORDS, words))
                self._add_up(shifted, digits, chosen, part)
            lost.add_(part, alpha=1 << low_bit)
        return lost

    def _add_up(self, codes: Tensor, digits: int, words: slice, lost: Tensor) -> None:
        """lost += sum over columns of some words, blocks and digits of factor * (S - value)."""
        width = words.stop - words.start
        lanes = [
            torch.zeros(codes.shape[1], width, dtype=torch.int32) for _ in range(2)
        ]  # fields 0 and 2, field 1
        reached = 0
        per_block = self._largest * ((1 << digits * self.dac_bits) - 1)
        for number, block in enumerate(self._blocks):
            if reached + per_block > LANE_LARGEST:
                self._merge_lanes(lanes, words, lost)
                reached = 0
            reached += per_block
            table = self._table(number, words)
            for start in range(0, codes.shape[1], MVMS):
                mvms = slice(start, min(start + MVMS, codes.shape[1]))
                inputs = codes[block.rows, mvms]
                patterns, driven = _patterns(inputs, self.dac_bits)
                used = self._convert(
                    table, patterns, driven, block.needed, digits, words, [x[mvms] for x in lanes]
                )
                if words.start == 0 and used is not None:
                    # S of the digits that were converted, for all words at once.
                    held = (inputs & used).to(block.signed.dtype)
                    lost[:, mvms] += block.signed @ held
        self._merge_lanes(lanes, words, lost)

    def _convert(
        self,
        table: Tensor,
        patterns: Tensor,
        driven: Tensor,
        needed: int,
        digits: int,
        words: slice,
        lanes: list[Tensor],
    ) -> Tensor | None:
        """lanes += converted sums of a row block; input bits (M,) that were converted, or None."""
        dac = self.dac_bits
        limits = self._limits[:, 4 * words.start : 4 * words.stop]
        by_digit = driven[:, : digits * dac].reshape(len(driven), digits, dac).sum(2)
        can_change = by_digit >= needed
        counts = can_change.sum(0).tolist()
        if not any(counts):
            return None
        for digit, count in enumerate(counts):
            if 2 * count > len(driven):
                can_change[:, digit] = True
        masks = torch.tensor([((1 << dac) - 1) << digit * dac for digit in range(digits)])
        used = (can_change * masks).sum(1).to(torch.uint8)
        total = torch.zeros(len(driven), words.stop - words.start, dtype=torch.int32)
        room, base = 0, 0
        for digit, count in enumerate(counts):
            if not count:
                continue
            if room + (self._largest << (digit * dac - base)) > BYTE_LARGEST:
                if room:
                    _widen(total, base, lanes)
                    total.zero_()
                room, base = 0, digit * dac
            room += self._largest << (digit * dac - base)
            rows = patterns[digit * dac : (digit + 1) * dac].transpose(0, 1).flatten(1)
            if 2 * count > len(driven):
                total.add_(self._converted(table, rows, limits), alpha=1 << (digit * dac - base))
            else:
                some = can_change[:, digit].nonzero().flatten()
                part = self._converted(table, rows[some], limits)
                total.index_add_(0, some, part, alpha=1 << (digit * dac - base))
        if room:
            _widen(total, base, lanes)
        return used

    def _converted(self, table: Tensor, rows: Tensor, limits: Tensor) -> Tensor:
        """Packed sums of the table rows of each MVM, every field limited."""
        sums = F.embedding_bag(rows, table, mode="sum")
        words = sums.view(torch.int32) if self._biased else sums.to(torch.int32)
        fields = words.view(torch.uint8)
        torch.minimum(fields, limits, out=fields)  # the fourth byte, not of a sum, becomes 0
        return words

    def _merge_lanes(self, lanes: list[Tensor], words: slice, lost: Tensor) -> None:
        """Take the lanes off the outputs that they belong to, and empty them."""
        low, middle = lanes
        fields = (low & LANE_LARGEST, middle, (low >> 16) & LANE_LARGEST)
        merged = torch.zeros(len(low), lost.shape[0], dtype=self._merge.dtype)
        for field, weights in zip(fields, self._merge[:, words], strict=True):
            merged.addmm_(field.to(weights.dtype), weights)
        lost -= merged.t()
        for each in lanes:
            each.zero_()

    def _table(self, number: int, words: slice) -> Tensor:
        """(digit bits * row groups * 256, words) partial sums, for bit j of a digit times 2**j."""
        key = (number, words.start)
        if self._kept is not None and key in self._kept:
            return self._kept[key]
        cells = self._blocks[number].packed[:, words]
        groups, width = len(cells) // GROUP, words.stop - words.start
        cells = cells.reshape(groups, GROUP, width)
        table = torch.zeros(self.dac_bits, groups, PATTERNS, width)
        for row in range(GROUP):
            size = 1 << row
            torch.add(
                table[0, :, :size], cells[:, row : row + 1], out=table[0, :, size : 2 * size]
            )
        for bit in range(1, self.dac_bits):
            torch.mul(table[0], 1 << bit, out=table[bit])
        if self._biased:
            table[0, 0] += INTEGER_BITS
        flat = table.reshape(-1, width)
        if self._kept is not None:
            self._kept[key] = flat
        return flat


def takes(blocks: Sequence[RowBlock]) -> bool:
    """Whether tables pay for these columns of one matrix: most row blocks need most of them."""
    if not blocks:
        return False
    slots, _ = _slots([block.columns for block in blocks])
    held = sum(len(block.columns) for block in blocks)
    needed = slots.shape[1]
    return bool(needed >= LEAST_COLUMNS and held >= LEAST_SHARE * needed * len(blocks))


def _slots(parts: Sequence[Columns]) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
    """Distinct (output, factor, limit, which of equal ones) (4, slots), and each part's slots."""
    keys = []
    for part in parts:
        key = np.stack([part.outputs, part.factors, part.limits, np.zeros_like(part.limits)])
        order = np.lexsort(key[:3])
        same = np.concatenate([[False], (np.diff(key[:3, order]) == 0).all(axis=0)])
        starts = np.flatnonzero(~same)
        rank = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))
        key[3, order] = rank
        keys.append(key)
    distinct, place = np.unique(np.concatenate(keys, axis=1), axis=1, return_inverse=True)
    ends = np.cumsum([len(part) for part in parts])
    return distinct, np.split(place.reshape(-1), ends[:-1])


def _merging(
    slots: NDArray[np.int64], field: NDArray[np.int64], outputs: int, words: int
) -> Tensor:
    """(fields, words, N) factors, in a type in which merged lanes are exact."""
    reach = np.bincount(slots[0], np.abs(slots[1])).max() * LANE_LARGEST
    weights = np.zeros((words * FIELDS, outputs))
    weights[field, slots[0]] = slots[1]
    merge = torch.from_numpy(weights.reshape(words, FIELDS, outputs).transpose(1, 0, 2).copy())
    return merge.float() if reach <= FLOAT32_EXACT else merge


def _block(block: RowBlock, place: NDArray[np.int64], outputs: int, words: int) -> _Block:
    columns = block.columns
    rows = columns.cells.shape[1]
    cells = np.zeros((words * FIELDS, -(-rows // GROUP) * GROUP), dtype=np.float32)
    cells[place, :rows] = columns.cells
    weights = 2.0 ** (FIELD_BITS * np.arange(FIELDS, dtype=np.float32))
    packed = (cells.reshape(words, FIELDS, -1) * weights[:, np.newaxis]).sum(axis=1).T
    signed = np.zeros((outputs, rows), dtype=np.int64)
    np.add.at(signed, columns.outputs, columns.factors[:, np.newaxis] * columns.cells)
    reach = int(np.abs(signed).sum(axis=1).max()) * ((1 << BITS_PER_PASS) - 1)
    dtype = torch.float32 if reach <= FLOAT32_EXACT else torch.float64
    return _Block(
        rows=block.rows,
        packed=torch.from_numpy(np.ascontiguousarray(packed, dtype=np.float32)),
        signed=torch.from_numpy(signed).to(dtype),
        needed=int(columns.rows_needed.min()),
    )


def _widen(total: Tensor, shift: int, lanes: list[Tensor]) -> None:
    """Byte fields to 16-bit lanes."""
    lanes[0].add_(total & LANES, alpha=1 << shift)
    lanes[1].add_((total >> FIELD_BITS).bitwise_and_(BYTE_LARGEST), alpha=1 << shift)


def _patterns(codes: Tensor, dac_bits: int) -> tuple[Tensor, Tensor]:
    """Table rows (8, M, groups) int32 of every input bit, and driven wordlines (M, 8).

    Args:
        codes: uint8 (K_block, M).
        dac_bits: Bits of a digit; each has tables of its own.
    """
    rows, mvms = codes.shape
    groups = -(-rows // GROUP)
    lines = torch.zeros(mvms, groups * GROUP, dtype=torch.uint8)
    lines[:, :rows] = codes.t()
    word = lines.view(torch.int64)  # little-endian, as every platform of torch
    # Transpose of an 8 x 8 bit matrix: [Warren2012], section 7-3.
    for shift, mask in (
        (7, 0x00AA00AA00AA00AA),
        (14, 0x0000CCCC0000CCCC),
        (28, 0x00000000F0F0F0F0),
    ):
        swap = (word ^ (word >> shift)).bitwise_and_(mask)
        word = word.bitwise_xor_(swap).bitwise_xor_(swap << shift)
    counts = word - ((word >> 1) & 0x5555555555555555)
    counts = (counts & 0x3333333333333333) + ((counts >> 2) & 0x3333333333333333)
    counts = (counts + (counts >> 4)) & 0x0F0F0F0F0F0F0F0F
    driven = counts.view(torch.uint8).reshape(mvms, groups, 8).sum(1, dtype=torch.int32)
    found = word.view(torch.uint8).reshape(mvms, groups, 8).permute(2, 0, 1)
    found = found.to(torch.int32, memory_format=torch.contiguous_format)
    place = torch.arange(8)[:, None] % dac_bits * groups + torch.arange(groups)
    found += (place * PATTERNS).to(torch.int32)[:, None]
    return found, driven
