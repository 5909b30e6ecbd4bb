"""Compiled column sums for weights that change with every product: bit planes and popcounts.

A column sum of 1-bit digits over a row block is the number of rows where both an input bit and a
weight bit are set, summed over the bits of a cell with their binary weight. 64 rows are one word,
so nothing is sorted or tabulated beforehand (`lookup_kernel.py` does, and is faster once weights
stay as they are).

numba and llvmlite ship no types; what is compiled here is called only by `trainable.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

WORD_ROWS = 64
"""Rows of a block that share a word."""


@intrinsic
def _popcount(typing_context: Any, word: Any) -> Any:
    """Set bits of a 64-bit word."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return types.uint64(types.uint64), codegen


@njit(nogil=True, cache=True)
def pack_inputs(codes: Any, start: Any, stop: Any, first: Any, words: Any) -> None:
    """Bit planes of the input codes of a row block.

    Args:
        codes: (K, M) integers.
        start: First row of the block.
        stop: Row behind its last.
        first: First MVM.
        words: uint64 (bits, words, MVMs), overwritten.
    """
    bits, _, mvms = words.shape
    words[...] = 0
    for row in range(stop - start):
        word, place = row // WORD_ROWS, np.uint64(row % WORD_ROWS)
        for bit in range(bits):
            for m in range(mvms):
                code = np.uint64(codes[start + row, first + m])
                held = (code >> np.uint64(bit)) & np.uint64(1)
                words[bit, word, m] |= held << place


@njit(nogil=True, cache=True)
def pack_weights(levels: Any, start: Any, stop: Any, planes: Any) -> None:
    """Bit planes of the magnitudes of a row block, apart by sign.

    Args:
        levels: int16 (N, K) signed codes.
        start: First row of the block.
        stop: Row behind its last.
        planes: uint64 (2, N, bits, words), overwritten; positive weights first.
    """
    _, outputs, bits, _ = planes.shape
    planes[...] = 0
    for output in range(outputs):
        for row in range(start, stop):
            level = levels[output, row]
            if level == 0:
                continue
            sign = 0 if level > 0 else 1
            magnitude = np.uint64(abs(level))
            word, place = (row - start) // WORD_ROWS, np.uint64((row - start) % WORD_ROWS)
            for bit in range(bits):
                held = (magnitude >> np.uint64(bit)) & np.uint64(1)
                planes[sign, output, bit, word] |= held << place


@njit(nogil=True, cache=True)
def add_cut(
    inputs: Any, planes: Any, cell_bits: Any, limits: Any, steps: Any, dac_bits: Any, lost: Any
) -> None:
    """lost += what the converters of one row block cut off.

    Args:
        inputs: uint64 (input bits, words, M), whole digits.
        planes: uint64 (2, N, weight bits, words).
        cell_bits: Bits of a cell.
        limits: int64 (G,) largest code of a converter, most significant slice group first.
        steps: int64 (G,) log2 of its step.
        dac_bits: Bits of an input digit.
        lost: int64 (N, M).
    """
    input_bits, words, mvms = inputs.shape
    _, outputs, weight_bits, _ = planes.shape
    groups = limits.shape[0]
    sums = np.empty(mvms, np.int64)
    largest_digit = (1 << dac_bits) - 1
    for output in range(outputs):
        for sign in range(2):
            for group in range(groups):
                low = cell_bits * (groups - 1 - group)
                high = min(low + cell_bits, weight_bits)
                largest = 0
                for bit in range(low, high):
                    for word in range(words):
                        # numba passes the typing context itself.
                        held = np.int64(_popcount(planes[sign, output, bit, word]))  # type: ignore[call-arg]
                        largest += (held << (bit - low)) * largest_digit
                limit, step = limits[group], steps[group]
                if largest == 0 or (step == 0 and largest <= limit):
                    continue
                half = (1 << step) >> 1
                for digit in range(0, input_bits, dac_bits):
                    sums[:] = 0
                    for bit in range(low, high):
                        for word in range(words):
                            held_word = planes[sign, output, bit, word]
                            if held_word == 0:
                                continue
                            for place in range(min(dac_bits, input_bits - digit)):
                                shift = bit - low + place
                                for m in range(mvms):
                                    driven = inputs[digit + place, word, m] & held_word
                                    sums[m] += np.int64(_popcount(driven)) << shift  # type: ignore[call-arg]
                    factor = (1 - 2 * sign) << (low + digit)
                    for m in range(mvms):
                        value = min((sums[m] + half) >> step, limit) << step
                        lost[output, m] += (sums[m] - value) * factor
