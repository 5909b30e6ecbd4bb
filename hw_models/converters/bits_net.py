"""The converter in BitS-Net's accounting: one energy per 2-bit cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hw_models.converters.converter import checked_bits
from hw_models.published import bits_net, isaac_2016

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class BitsNetAdc:
    """0.208 pJ per converted cell, whatever the resolution says.

    The paper senses one 2-bit cell per conversion and prints its energy only. Rate and area are
    ISAAC's 8-bit converter, which is our choice. Use it with the `bits_net` engine: for column
    sums of more than one cell the energy is far too small.

    Attributes:
        name: Name under which results report the model.
        energy_j: Energy of one conversion, [BitSNet].
        rate_hz: Conversions per second.
        reference_area_m2: Area of one converter.

    [BitSNet] "BitS-Net: Bit-Sparse Deep Neural Network for Energy-Efficient RRAM-Based
        Compute-In-Memory", IEEE TCAS-I 69(5), 2022.
    """

    name: str = "bits_net"
    energy_j: float = bits_net.ADC_ENERGY_J
    rate_hz: float = isaac_2016.ADC_RATE_HZ
    reference_area_m2: float = isaac_2016.ADC.area_each_m2

    def power_w(self, bits: ArrayLike) -> NDArray[np.float64]:
        """Energy times rate."""
        return self.energy_per_conversion_j(bits) * self.rate_hz

    def energy_per_conversion_j(self, bits: ArrayLike) -> NDArray[np.float64]:
        """The same at every resolution."""
        return np.full(checked_bits(self.name, bits).shape, self.energy_j)

    def conversion_time_s(self, bits: ArrayLike) -> NDArray[np.float64]:
        """1 / `rate_hz`."""
        return np.full(checked_bits(self.name, bits).shape, 1.0 / self.rate_hz)

    def area_m2(self, bits: ArrayLike) -> NDArray[np.float64]:
        """The reference area."""
        return np.full(checked_bits(self.name, bits).shape, self.reference_area_m2)


BITS_NET = BitsNetAdc()
