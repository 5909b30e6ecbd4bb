"""What every ADC model answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from hw_models.errors import HardwareError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

MIN_ADC_BITS = 1
MAX_ADC_BITS = 14


class AdcModel(Protocol):
    """Cost of one converter as a function of its resolution.

    Every method takes an array of integer resolutions of any shape, 1 to 14 bits, and returns an
    array of that shape; a HardwareError names a resolution outside the domain.
    """

    @property
    def name(self) -> str:
        """Name under which results report the model."""
        ...

    def power_w(self, bits: ArrayLike) -> NDArray[np.float64]:
        """Power while converting without a pause."""
        ...

    def energy_per_conversion_j(self, bits: ArrayLike) -> NDArray[np.float64]:
        """Energy of one sample of one bitline."""
        ...

    def conversion_time_s(self, bits: ArrayLike) -> NDArray[np.float64]:
        """Time of one sample of one bitline."""
        ...

    def area_m2(self, bits: ArrayLike) -> NDArray[np.float64]:
        """Silicon area of one converter."""
        ...


def checked_bits(model: str, bits: ArrayLike) -> NDArray[np.float64]:
    """`bits` as floats, or a HardwareError that names what is not an integer of 1 to 14."""
    values = np.asarray(bits)
    if not np.issubdtype(values.dtype, np.integer):
        raise HardwareError(
            f"{model}: an ADC resolution is an integer, got {values.dtype}. Round it up first."
        )
    outside = (values < MIN_ADC_BITS) | (values > MAX_ADC_BITS)
    if outside.any():
        raise HardwareError(
            f"{model}: an ADC resolves {MIN_ADC_BITS} to {MAX_ADC_BITS} bits, got "
            f"{int(values[outside].flat[0])}. Choose adc.bits inside that range."
        )
    return values.astype(np.float64)
