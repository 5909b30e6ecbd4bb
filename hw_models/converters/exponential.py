"""A converter whose energy doubles with every bit, anchored at ISAAC's 8-bit ADC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hw_models.converters.converter import checked_bits
from hw_models.published import isaac_2016

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

REFERENCE_BITS = 8
"""Resolution of ISAAC's converter, at which the model is anchored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExponentialAdc:
    """Energy per conversion E(8) * 2^(N - 8), time as N, one area for all.

    The energy law is the capacitor array's part of [Saberi2011]: power 2^N / (N + 1) at a fixed
    clock, over N + 1 clocks. The model says nothing about area; we hold the 8-bit one at every
    resolution, so that area comparisons under this model show arrays and periphery only.

    Attributes:
        name: Name under which results report the model.
        rate_hz: Conversions per second of the 8-bit converter.
        reference_energy_j: Energy of one 8-bit conversion: 1.56 pJ, [Shafiee2016] Table I.
        reference_area_m2: Area of the 8-bit converter, likewise.

    [Saberi2011] M. Saberi et al., "Analysis of Power Consumption and Linearity in Capacitive
        Digital-to-Analog Converters Used in Successive Approximation ADCs", TCAS-I 58(8), 2011.
    [Shafiee2016] A. Shafiee et al., "ISAAC", ISCA 2016, Table I.
    """

    name: str = "exponential"
    rate_hz: float = isaac_2016.ADC_RATE_HZ
    reference_energy_j: float = isaac_2016.ADC.power_each_w / isaac_2016.ADC_RATE_HZ
    reference_area_m2: float = isaac_2016.ADC.area_each_m2

    def power_w(self, bits: ArrayLike) -> NDArray[np.float64]:
        """Energy of a conversion over its time."""
        return self.energy_per_conversion_j(bits) / self.conversion_time_s(bits)

    def energy_per_conversion_j(self, bits: ArrayLike) -> NDArray[np.float64]:
        """Twice as much for every bit."""
        n = checked_bits(self.name, bits)
        return np.asarray(self.reference_energy_j * np.exp2(n - REFERENCE_BITS))

    def conversion_time_s(self, bits: ArrayLike) -> NDArray[np.float64]:
        """One step per bit; 8 bits take 1 / `rate_hz`."""
        return checked_bits(self.name, bits) / (REFERENCE_BITS * self.rate_hz)

    def area_m2(self, bits: ArrayLike) -> NDArray[np.float64]:
        """The 8-bit area."""
        return np.full(checked_bits(self.name, bits).shape, self.reference_area_m2)


EXPONENTIAL = ExponentialAdc()
