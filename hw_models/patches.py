"""Patches: runs of consecutive weights of one filter with a precision of their own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hw_models.errors import MappingError

if TYPE_CHECKING:
    from numpy.typing import NDArray

FULL, WEAK, REMOVED = 8, 4, 0
"""Precisions of a patch, in columns of 7-bit magnitudes and a sign."""

WEAK_MAGNITUDE_BITS = WEAK - 1
"""Magnitude bits of a weak weight; the sign takes the fourth column."""

WEAK_INPUT_BITS = 4
"""Bits of an input code of a weak input patch."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Patches:
    """How the weights of a layer are cut into patches, and how precise each is ([PQPIM]).

    Row `f` of the N x K matrix is cut into ceil(K / n) patches of n consecutive weights; the last
    may be shorter. Weights of a weak patch are multiples m * 2**weak_shift of the layer's step
    with m in -7 .. 7: four columns in two's complement.

    The inputs that meet patch j, for one window, are an input patch. With `weak_input_share` it
    is weak if at least that share of its codes is at most `small_input`; the codes of a weak one
    are rounded to their top 4 bits. A tap in the zero padding counts as a code of 0.

    Attributes:
        size: Weights of a patch, n.
        bits: int8 (groups, ceil(K / n), N) with 8 full, 4 weak and 0 removed.
        weak_shift: log2 of a weak step over the layer's step, one for all weak patches.
        weak_input_share: T_act; None keeps all inputs at full precision.
        small_input: Largest input code that counts as small.

    [PQPIM] "PQ-PIM: a pruning-quantization joint optimization framework for ReRAM-based
        processing-in-memory DNN accelerator".
    """

    size: int
    bits: NDArray[np.int8]
    weak_shift: int = 0
    weak_input_share: float | None = None
    small_input: int = 15

    def starts(self, wordlines: int) -> NDArray[np.int64]:
        """First row of every patch of a column of that many rows."""
        return np.arange(0, wordlines, self.size)

    def index_of(self, rows: slice) -> int | None:
        """The patch that holds all these rows; None if they belong to several."""
        first, last = rows.start // self.size, (rows.stop - 1) // self.size
        return first if first == last else None

    def check(
        self, name: str, magnitudes: NDArray[np.uint8], weight_bits: int, input_bits: int
    ) -> None:
        """Refuse patches that do not fit the codes of a layer.

        Args:
            name: Of the layer, for messages.
            magnitudes: uint8 (groups, K, N).
            weight_bits: Bits of a magnitude.
            input_bits: Bits of an input code.

        Raises:
            MappingError: What does not fit.
        """
        if self.size < 1:
            raise MappingError(
                f"{name}: a patch has at least 1 weight, got {self.size}. PQ-PIM takes 4 to 32."
            )
        groups, wordlines, outputs = magnitudes.shape
        shape = (groups, -(-wordlines // self.size), outputs)
        values = (REMOVED, WEAK, FULL)
        if self.bits.dtype != np.int8 or self.bits.shape != shape:
            raise MappingError(
                f"{name}: bits of patches of {self.size} must be int8 of shape {shape}, got "
                f"{self.bits.dtype} of shape {self.bits.shape}. Plan them for this layer."
            )
        if not np.isin(self.bits, values).all():
            raise MappingError(
                f"{name}: a patch has 8, 4 or 0 bits, got {np.unique(self.bits)[:4].tolist()}. "
                "Plan the patches of this layer again."
            )
        self._check_inputs(name, input_bits)
        self._check_weak(name, magnitudes, weight_bits)

    def _check_inputs(self, name: str, input_bits: int) -> None:
        share = self.weak_input_share
        if share is not None and not (math.isfinite(share) and 0.0 < share <= 1.0):
            raise MappingError(
                f"{name}: a patch of inputs is weak from a share above 0 to 1 of small codes, "
                f"got {share}. Use None to keep all inputs at full precision."
            )
        if not 0 <= self.small_input < 1 << input_bits:
            raise MappingError(
                f"{name}: small_input must be an input code, 0 to {(1 << input_bits) - 1}, got "
                f"{self.small_input}. PQ-PIM's weak inputs use 15 of 255."
            )

    def check_digits(self, name: str, input_bits: int, dac_bits: int) -> None:
        """Refuse digits that hold bits on both sides of the cut of weak inputs.

        Args:
            name: Of the layer, for messages.
            input_bits: Bits of an input code.
            dac_bits: Bits of an input digit.

        Raises:
            MappingError: A digit of a full code is not a digit of the rounded one.
        """
        dropped = max(0, input_bits - WEAK_INPUT_BITS)
        if self.weak_input_share is not None and dropped % dac_bits:
            raise MappingError(
                f"{name}: weak inputs leave out {dropped} of {input_bits} bits in whole digits, "
                f"got digits of {dac_bits}. Choose a DAC whose bits divide {dropped}."
            )

    def _check_weak(self, name: str, magnitudes: NDArray[np.uint8], weight_bits: int) -> None:
        widest = max(0, weight_bits - WEAK_MAGNITUDE_BITS)
        if not 0 <= self.weak_shift <= widest:
            raise MappingError(
                f"{name}: weak_shift must be 0 to {widest} for {weight_bits}-bit magnitudes, got "
                f"{self.weak_shift}. A wider shift leaves the layer's own range."
            )
        by_row = self.by_row(magnitudes.shape[1])
        if bool((magnitudes[by_row == REMOVED] > 0).any()):
            raise MappingError(
                f"{name}: a removed patch must have no weight, got one with a magnitude of "
                f"{int(magnitudes[by_row == REMOVED].max())}. Mask the weights of removed patches."
            )
        weak = magnitudes[by_row == WEAK]
        units = weak >> np.uint8(self.weak_shift)
        off_grid = (units << np.uint8(self.weak_shift)) != weak
        if bool((off_grid | (units >= 1 << WEAK_MAGNITUDE_BITS)).any()):
            raise MappingError(
                f"{name}: weights of weak patches must be 0 to 7 times {1 << self.weak_shift} "
                f"steps, got magnitudes {np.unique(weak)[-4:].tolist()}. Round them to their "
                "own grid before lowering."
            )

    def by_row(self, wordlines: int) -> NDArray[np.int8]:
        """Bits of the patch that each weight belongs to, (groups, K, N)."""
        return np.repeat(self.bits, self.size, axis=1)[:, :wordlines]


def weak_inputs(
    codes: NDArray[np.integer], size: int, share: float, small_input: int
) -> NDArray[np.bool_]:
    """Which input patches are weak.

    Args:
        codes: (..., K) input codes.
        size: Inputs of a patch.
        share: Of small codes in the patch's true length, from which it is weak.
        small_input: Largest small code.

    Returns:
        (..., ceil(K / size)).
    """
    starts = np.arange(0, codes.shape[-1], size)
    small = np.add.reduceat((codes <= small_input).astype(np.int64), starts, axis=-1)
    weak: NDArray[np.bool_] = small >= small_needed(codes.shape[-1], size, share)
    return weak


def small_needed(wordlines: int, size: int, share: float) -> NDArray[np.int64]:
    """Small codes from which each input patch is weak, (ceil(K / size),)."""
    lengths = np.minimum(size, wordlines - np.arange(0, wordlines, size))
    return np.ceil(share * lengths).astype(np.int64)


def rounded_inputs(codes: NDArray[np.integer], input_bits: int) -> NDArray[np.integer]:
    """Input codes rounded to their top 4 bits, halves up; the largest stays in range."""
    drop = max(0, input_bits - WEAK_INPUT_BITS)
    kept = (codes.astype(np.int64) + (1 << drop >> 1)) >> drop
    top = (1 << (input_bits - drop)) - 1
    rounded: NDArray[np.integer] = (np.minimum(kept, top) << drop).astype(codes.dtype)
    return rounded
