"""Compiled column sums: tables of partial sums of four rows ("four Russians"), with numba.

Four rows of cells have 16 partial column sums, one per pattern of driven wordlines. A table holds
them for a vector of columns, so that a column sum over R rows and one input bit is R / 4 vector
additions, picked by nibbles of the packed input bits. 64 columns whose sums fit a byte share a
vector of bytes; other columns, and converters with a step, come 32 to a vector of 16-bit lanes.
The vectors are LLVM's, which makes of them what the processor has.

[Warren2012] H. S. Warren, "Hacker's Delight", 2nd ed., 2012.

numba and llvmlite ship no types; what is compiled here is called only by `lookup.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

BYTE_LANES = 64
WORD_LANES = 32
"""Columns per vector with byte and with 16-bit sums: a table row is 64 bytes, a cache line."""

ROW_BYTES = 64
TABLE_BYTES = 16 * ROW_BYTES
UNROLL = 16
"""Tables per step of the inner loop; their nibbles are one 64-bit load."""

TILE = 512
"""MVMs that share the tables of a block before the next columns come."""

_I8, _I16, _I32, _I64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))


@intrinsic
def _add_up(
    typing_context: Any,
    table: Any,
    nibbles: Any,
    driven: Any,
    limits: Any,
    factors: Any,
    lost: Any,
    at: Any,
    counts: Any,
) -> Any:
    """lost[.] += factors * sum over digits of 2**(digit * dac_bits) * (S - value), for one MVM.

    Lanes are bytes or 16-bit words by the type of `limits`.

    Args:
        typing_context: numba's.
        table: (tables, 16, lanes) partial sums.
        nibbles: uint8 (M, bits, tables / 2) driven patterns, the first of two in the low nibble.
        driven: int32 (M, bits) set input bits.
        limits: (lanes,) largest codes.
        factors: int32 (lanes,).
        lost: int32 (M', W), its lanes.
        at: (MVM in `nibbles`, first lane in the flat `lost`).
        counts: (tables, digits, dac_bits, rows needed, step_bits).
    """
    signature = types.void(table, nibbles, driven, limits, factors, lost, at, counts)
    lane_bits = limits.dtype.bitwidth

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointers = [
            context.make_array(kind)(context, builder, value).data
            for kind, value in zip(signature.args[:6], args[:6], strict=True)
        ]
        places = cgutils.unpack_tuple(builder, args[6])
        numbers = cgutils.unpack_tuple(builder, args[7])
        _emit(builder, lane_bits, pointers, places, numbers)
        return context.get_dummy_value()

    return signature, codegen


def _emit(builder: Any, lane_bits: int, pointers: Any, places: Any, numbers: Any) -> None:
    table, nibbles, driven, limits, factors, lost = pointers
    mvm, place = places
    tables, digits, dac_bits, needed, step_bits = numbers
    lanes = 8 * ROW_BYTES // lane_bits
    lane, wide = ir.IntType(lane_bits), ir.IntType(2 * lane_bits)
    vector, wide_vector = ir.VectorType(lane, lanes), ir.VectorType(wide, lanes)
    words = ir.VectorType(_I32, lanes)
    table, nibbles = (builder.bitcast(p, _I8.as_pointer()) for p in (table, nibbles))
    limit = builder.load(builder.bitcast(limits, vector.as_pointer()), align=1)
    least = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(vector, [vector, vector]),
        f"llvm.umin.v{lanes}i{lane_bits}",
    )
    row_bytes = builder.lshr(tables, ir.Constant(_I64, 1))
    zero = ir.Constant(vector, None)
    summed = cgutils.alloca_once(builder, vector)
    added = cgutils.alloca_once(builder, wide_vector)
    builder.store(ir.Constant(wide_vector, None), added)
    digit_shift = _splat(builder, dac_bits, wide_vector)
    planes = builder.mul(digits, dac_bits)
    first = builder.gep(nibbles, [builder.mul(builder.mul(mvm, planes), row_bytes)])
    first_driven = builder.gep(driven, [builder.mul(mvm, digits)])
    last_digit = builder.sub(digits, ir.Constant(_I64, 1))
    last_bit = builder.sub(dac_bits, ir.Constant(_I64, 1))
    with cgutils.for_range(builder, digits) as digit_loop:  # from the most significant digit down
        digit = builder.sub(last_digit, digit_loop.index)
        builder.store(builder.shl(builder.load(added), digit_shift), added)
        rows = builder.zext(builder.load(builder.gep(first_driven, [digit])), _I64)
        with builder.if_then(builder.icmp_unsigned(">=", rows, needed)):
            builder.store(zero, summed)
            with cgutils.for_range(builder, dac_bits) as bit_loop:
                bit = builder.sub(last_bit, bit_loop.index)
                plane = builder.add(builder.mul(digit, dac_bits), bit)
                doubled = builder.load(summed)
                builder.store(builder.add(doubled, doubled), summed)
                patterns = builder.gep(first, [builder.mul(plane, row_bytes)])
                _emit_plane(builder, vector, table, patterns, tables, summed)
            held = builder.load(summed)
            cut = _emit_lost(builder, held, limit, least, step_bits, wide_vector)
            builder.store(builder.add(builder.load(added), cut), added)
    total = builder.load(added)
    total = builder.zext(total, words) if wide.width < _I32.width else total
    factor = builder.load(builder.bitcast(factors, words.as_pointer()), align=1)
    target = builder.bitcast(builder.gep(lost, [place]), words.as_pointer())
    sums = builder.add(builder.load(target, align=1), builder.mul(factor, total))
    builder.store(sums, target, align=1)


def _emit_plane(
    builder: Any, vector: Any, table: Any, patterns: Any, tables: Any, summed: Any
) -> None:
    """summed += the rows of all tables that the patterns pick."""

    def pick(base: Any, offset: Any) -> Any:
        pointer = builder.bitcast(builder.gep(base, [offset]), vector.as_pointer())
        return builder.load(pointer, align=1)

    def constant(value: int) -> Any:
        return ir.Constant(_I64, value)

    def nibble(word: Any, index: int) -> Any:
        """Nibble `index` of the word times ROW_BYTES = 2**6."""
        shift = 4 * index - 6
        moved = (
            builder.lshr(word, constant(shift))
            if shift > 0
            else builder.shl(word, constant(-shift))
        )
        return builder.and_(moved, constant(15 * ROW_BYTES))

    steps = builder.udiv(tables, constant(UNROLL))
    with cgutils.for_range(builder, steps) as loop:
        first = builder.mul(loop.index, constant(UNROLL))
        byte = builder.lshr(first, constant(1))
        word_at = builder.bitcast(builder.gep(patterns, [byte]), _I64.as_pointer())
        word = builder.load(word_at, align=1)
        base = builder.gep(table, [builder.mul(first, constant(TABLE_BYTES))])
        running = builder.load(summed)
        for index in range(UNROLL):
            offset = builder.add(nibble(word, index), constant(index * TABLE_BYTES))
            running = builder.add(running, pick(base, offset))
        builder.store(running, summed)
    done = builder.mul(steps, constant(UNROLL))
    pairs = builder.lshr(builder.sub(tables, done), constant(1))
    with cgutils.for_range(builder, pairs) as loop:
        first = builder.add(done, builder.mul(loop.index, constant(2)))
        byte = builder.gep(patterns, [builder.lshr(first, constant(1))])
        word = builder.zext(builder.load(byte), _I64)
        base = builder.gep(table, [builder.mul(first, constant(TABLE_BYTES))])
        running = builder.load(summed)
        for index in range(2):
            offset = builder.add(nibble(word, index), constant(index * TABLE_BYTES))
            running = builder.add(running, pick(base, offset))
        builder.store(running, summed)


def _emit_lost(
    builder: Any, held: Any, limit: Any, least: Any, step_bits: Any, wide_vector: Any
) -> Any:
    """S - value in the wide type; bytes have a step of 1."""
    vector = held.type
    if vector.element.width == 8:
        return builder.zext(builder.sub(held, builder.call(least, [held, limit])), wide_vector)
    half = builder.lshr(builder.shl(ir.Constant(_I64, 1), step_bits), ir.Constant(_I64, 1))
    step = _splat(builder, step_bits, vector)
    rounded = builder.lshr(builder.add(held, _splat(builder, half, vector)), step)
    value = builder.shl(builder.call(least, [rounded, limit]), step)
    return builder.sub(builder.zext(held, wide_vector), builder.zext(value, wide_vector))


def _splat(builder: Any, value: Any, vector: Any) -> Any:
    """A vector with the integer in every lane."""
    lane = builder.trunc(value, vector.element)
    undefined = ir.Constant(vector, ir.Undefined)
    single = builder.insert_element(undefined, lane, ir.Constant(_I32, 0))
    mask = ir.Constant(ir.VectorType(_I32, vector.count), None)
    return builder.shuffle_vector(single, undefined, mask)


@njit(nogil=True, cache=True)
def _pack(
    codes: Any, low_bit: Any, start: Any, offsets: Any, words: Any, nibbles: Any, driven: Any
) -> None:
    """Bit planes of one MVM, eight rows to a byte, and how many bits each digit has set.

    Rows with several bits of a digit set count once per bit: at least as many as are driven.
    """
    planes, groups = nibbles.shape
    dac_bits = planes // driven.shape[0]
    rows = words.view(np.uint8)  # little-endian, as every platform of numba
    for row in range(offsets.shape[0]):
        rows[row] = (codes[start + offsets[row]] >> low_bit) & 255
    even, odd = np.uint64(0), np.uint64(0)  # set bits of planes 0, 2, .. and 1, 3, ..
    for group in range(groups):
        word = words[group]
        # Transpose of an 8 x 8 bit matrix: [Warren2012], section 7-3.
        swap = (word ^ (word >> np.uint64(7))) & np.uint64(0x00AA00AA00AA00AA)
        word ^= swap ^ (swap << np.uint64(7))
        swap = (word ^ (word >> np.uint64(14))) & np.uint64(0x0000CCCC0000CCCC)
        word ^= swap ^ (swap << np.uint64(14))
        swap = (word ^ (word >> np.uint64(28))) & np.uint64(0x00000000F0F0F0F0)
        word ^= swap ^ (swap << np.uint64(28))
        for plane in range(planes):
            nibbles[plane, group] = (word >> np.uint64(8 * plane)) & np.uint64(255)
        pairs = word - ((word >> np.uint64(1)) & np.uint64(0x5555555555555555))
        fours = np.uint64(0x3333333333333333)
        pairs = (pairs & fours) + ((pairs >> np.uint64(2)) & fours)
        pairs = (pairs + (pairs >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
        even += pairs & np.uint64(0x00FF00FF00FF00FF)
        odd += (pairs >> np.uint64(8)) & np.uint64(0x00FF00FF00FF00FF)
    driven[:] = 0
    for plane in range(planes):
        counts = odd if plane & 1 else even
        count = (counts >> np.uint64(16 * (plane // 2))) & np.uint64(0xFFFF)
        driven[plane // dac_bits] += np.int32(count)


@njit(nogil=True, cache=True)
def _fill(cells: Any, table: Any) -> None:
    """Partial sums of four rows for each of the 16 patterns."""
    for index in range(cells.shape[0]):
        for pattern in range(16):
            for lane in range(cells.shape[2]):
                value = 0
                for row in range(4):
                    value += ((pattern >> row) & 1) * cells[index, row, lane]
                table[index, pattern, lane] = value


@njit(nogil=True, cache=True)
def add_clipped(
    codes: Any,
    low_bit: Any,
    starts: Any,
    offsets: Any,
    cells: Any,
    limits: Any,
    factors: Any,
    needed: Any,
    first_lanes: Any,
    step_bits: Any,
    planes: Any,
    dac_bits: Any,
    lost: Any,
) -> None:
    """lost[m, lane] += what the converters of one row block cut off over one pass of input bits.

    Args:
        codes: Input codes, flat; MVM m reads codes[starts[m] + offsets[k]] on wordline k.
        low_bit: Lowest input bit of the pass.
        starts: uint64 (M,).
        offsets: uint64 (K_block,).
        cells: (chunks, tables, 4, lanes), uint8 or uint16; an even number of tables.
        limits: (chunks, lanes), the type of the cells.
        factors: int32 (chunks, lanes).
        needed: int64 (chunks,) driven wordlines from which a chunk can lose anything.
        first_lanes: int64 (chunks,) lane of `lost` that lane 0 of a chunk adds to.
        step_bits: int64 (chunks,).
        planes: Input bits of the pass, whole digits, at most 8.
        dac_bits: Bits of a digit.
        lost: int32 (M, W).
    """
    chunks, tables, _, lanes = cells.shape
    digits = planes // dac_bits
    nibbles = np.empty((min(TILE, starts.shape[0]), planes, tables // 2), np.uint8)
    driven = np.empty((nibbles.shape[0], digits), np.int32)
    words = np.zeros(tables // 2, np.uint64)
    table = np.empty((tables, 16, lanes), cells.dtype)
    for tile in range(0, starts.shape[0], TILE):
        count = min(TILE, starts.shape[0] - tile)
        most = 0
        for m in range(count):
            _pack(codes, low_bit, starts[tile + m], offsets, words, nibbles[m], driven[m])
            for digit in range(digits):
                most = max(most, driven[m, digit])
        for chunk in range(chunks):
            if most < needed[chunk]:
                continue
            _fill(cells[chunk], table)
            counts = (tables, digits, dac_bits, needed[chunk], step_bits[chunk])
            limit, factor = limits[chunk], factors[chunk]
            for m in range(count):
                place = (m, (tile + m) * lost.shape[1] + first_lanes[chunk])
                # numba passes the typing context itself.
                _add_up(table, nibbles, driven, limit, factor, lost, place, counts)  # type: ignore[call-arg]
