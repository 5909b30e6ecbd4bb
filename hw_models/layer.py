"""A layer as hardware sees it: its shape, and the integer codes of its weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hw_models.errors import MappingError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hw_models.patches import Patches

MAX_WEIGHT_BITS = 8
MAX_INPUT_BITS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerShape:
    """A layer as `groups` matrices of `wordlines` inputs by `outputs` outputs.

    Attributes:
        name: Name of the module in its network.
        wordlines: Inputs K of one matrix; the order is (C_in, kernel rows, kernel columns).
        outputs: Outputs N of one matrix.
        groups: Independent matrices (grouped convolution).
        positions: Matrix-vector multiplications V per image, for each of the matrices.
    """

    name: str
    wordlines: int
    outputs: int
    groups: int = 1
    positions: int

    def __post_init__(self) -> None:
        for field in ("wordlines", "outputs", "groups", "positions"):
            if getattr(self, field) < 1:
                raise MappingError(
                    f"{self.name}: {field} must be at least 1, got {getattr(self, field)}. "
                    "Trace the network with an input that reaches this layer."
                )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CodedLayer:
    """A layer in integer codes: the only thing that compression hands to hardware.

    A weight is `sign * magnitude * weight_step`, an input `input_step * q + input_offset` with
    `q` in 0 .. 2**input_bits - 1. A tap in the zero padding is a true zero: it has neither code
    nor offset. The layer computes, per output,

        input_step * weight_step * sum(q * sign * magnitude)
            + input_offset * weight_step * sum(sign * magnitude) + bias

    where the second sum runs over the taps inside the image.

    Attributes:
        shape: Sizes; K, N and groups below are its `wordlines`, `outputs` and `groups`.
        magnitudes: uint8 (groups, K, N), each at most 2**weight_bits - 1.
        signs: int8 (groups, K, N), each -1, 0 or 1; a magnitude above zero has a sign.
        weight_bits: Bits of a magnitude; the sign is separate.
        weight_step: Real value of magnitude 1.
        input_bits: Bits of an input code, fed one at a time.
        input_step: Real distance of two neighbouring input codes.
        input_offset: Real value of input code 0.
        bias: float64 (groups * N,) in real units, added digitally; None where there is none.
        patches: Precisions of patches of weights, and whether weak input patches are rounded
            before the product; None where every weight and input has all its bits.
    """

    shape: LayerShape
    magnitudes: NDArray[np.uint8]
    signs: NDArray[np.int8]
    weight_bits: int = 8
    weight_step: float
    input_bits: int = 8
    input_step: float
    input_offset: float = 0.0
    bias: NDArray[np.float64] | None = None
    patches: Patches | None = None

    def __post_init__(self) -> None:
        name = self.shape.name
        _check_range(name, "weight_bits", self.weight_bits, MAX_WEIGHT_BITS)
        _check_range(name, "input_bits", self.input_bits, MAX_INPUT_BITS)
        for field in ("weight_step", "input_step"):
            step = getattr(self, field)
            if not (math.isfinite(step) and step > 0.0):
                raise MappingError(
                    f"{name}: {field} must be a positive finite number, got {step}. "
                    "A range of zero width needs a smallest step."
                )
        if not math.isfinite(self.input_offset):
            raise MappingError(
                f"{name}: input_offset must be finite, got {self.input_offset}. "
                "Calibrate the input range on finite inputs."
            )
        matrix = (self.shape.groups, self.shape.wordlines, self.shape.outputs)
        _check_array(name, "magnitudes", self.magnitudes, np.dtype(np.uint8), matrix)
        _check_array(name, "signs", self.signs, np.dtype(np.int8), matrix)
        if self.bias is not None:
            outputs = (self.shape.groups * self.shape.outputs,)
            _check_array(name, "bias", self.bias, np.dtype(np.float64), outputs)
            if not np.isfinite(self.bias).all():
                raise MappingError(f"{name}: bias must be finite. Training may have diverged.")
        largest = int(self.magnitudes.max())
        if largest >= 1 << self.weight_bits:
            raise MappingError(
                f"{name}: magnitudes must be at most 2**weight_bits - 1 = "
                f"{(1 << self.weight_bits) - 1}, got {largest}. Clamp the codes after rounding."
            )
        if int(self.signs.min()) < -1 or int(self.signs.max()) > 1:
            raise MappingError(
                f"{name}: signs must be -1, 0 or 1, got {int(self.signs.min())} .. "
                f"{int(self.signs.max())}. Magnitudes belong into `magnitudes`."
            )
        if bool(np.any((self.signs == 0) & (self.magnitudes > 0))):
            raise MappingError(
                f"{name}: a magnitude above zero needs a sign of -1 or 1, got sign 0. "
                "Set the magnitude of a zero weight to 0."
            )
        if self.patches is not None:
            self.patches.check(name, self.magnitudes, self.weight_bits, self.input_bits)

    def signed_codes(self) -> NDArray[np.int16]:
        """Weights in units of `weight_step`, shape (groups, K, N)."""
        return self.magnitudes.astype(np.int16) * self.signs


def _check_range(name: str, field: str, value: int, largest: int) -> None:
    if not 1 <= value <= largest:
        raise MappingError(
            f"{name}: {field} must be 1 to {largest}, got {value}. Quantise to fewer bits."
        )


def _check_array(
    name: str, field: str, array: NDArray[np.generic], dtype: np.dtype[np.generic], shape: object
) -> None:
    if array.dtype != dtype or array.shape != shape:
        raise MappingError(
            f"{name}: {field} must be {dtype} of shape {shape}, got {array.dtype} of shape "
            f"{array.shape}. Lower the layer with the shape it was traced with."
        )
