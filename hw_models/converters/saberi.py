"""The capacitive SAR converter model of the bit-slice paper, anchored at ISAAC's 8-bit ADC."""

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

SMALL_BITS = 6
"""[Zhang2019], section 4: a 6-bit ADC has half the area of an 8-bit one, flat below."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SaberiAdc:
    """Power as 2^N / (N + 1), time as N, half the area at 6 bits and below.

    The power law is [Saberi2011] as [Zhang2019] uses it; 8 bits cost what [Shafiee2016] prints:
    2 mW and 0.0012 mm2 at 1.28 GS/s (128 bitlines in 100 ns). Energy per conversion is power over
    that fixed rate. The time of a conversion is N/8 of the 8-bit one.

    Attributes:
        name: Name under which results report the model.
        rate_hz: Conversions per second that the power refers to.
        reference_power_w: Power of the 8-bit converter.
        reference_area_m2: Area of the 8-bit converter.
        fixed_rate: Whether every resolution converts at `rate_hz`; time does not go as N then.

    [Saberi2011] M. Saberi et al., "Analysis of Power Consumption and Linearity in Capacitive
        Digital-to-Analog Converters Used in Successive Approximation ADCs", TCAS-I 58(8), 2011.
    [Shafiee2016] A. Shafiee et al., "ISAAC", ISCA 2016, Table I.
    [Zhang2019] J. Zhang et al., "Exploring Bit-Slice Sparsity in Deep Neural Networks for
        Efficient ReRAM-Based Deployment", 2019.
    """

    name: str = "saberi"
    rate_hz: float = isaac_2016.ADC_RATE_HZ
    reference_power_w: float = isaac_2016.ADC.power_each_w
    reference_area_m2: float = isaac_2016.ADC.area_each_m2
    fixed_rate: bool = False

    def power_w(self, bits: ArrayLike) -> NDArray[np.float64]:
        """Power while converting at `rate_hz`."""
        n = checked_bits(self.name, bits)
        return self.reference_power_w * _power_law(n) / _power_law(np.float64(REFERENCE_BITS))

    def energy_per_conversion_j(self, bits: ArrayLike) -> NDArray[np.float64]:
        """Power over the fixed rate."""
        return self.power_w(bits) / self.rate_hz

    def conversion_time_s(self, bits: ArrayLike) -> NDArray[np.float64]:
        """One SAR step per bit, 8 bits taking 1 / `rate_hz`; or 1 / `rate_hz` for all."""
        n = checked_bits(self.name, bits)
        return (np.full(n.shape, REFERENCE_BITS) if self.fixed_rate else n) / (
            REFERENCE_BITS * self.rate_hz
        )

    def area_m2(self, bits: ArrayLike) -> NDArray[np.float64]:
        """Half of the 8-bit area up to 6 bits, the whole of it above."""
        n = checked_bits(self.name, bits)
        return self.reference_area_m2 * np.where(n <= SMALL_BITS, 0.5, 1.0)


SABERI = SaberiAdc()


def adc_power_ratio(bits: ArrayLike) -> NDArray[np.float64]:
    """How many times less power than 8 bits: 28.4 at 1 bit, 14.2 at 3.

    [Zhang2019] Table 3 prints this number as "energy saving". It is a ratio of powers at a fixed
    clock, and must not be multiplied with the speed-up as if it were an energy.
    """
    return SABERI.power_w(REFERENCE_BITS) / SABERI.power_w(bits)


def adc_time_ratio(bits: ArrayLike) -> NDArray[np.float64]:
    """How many times faster than 8 bits: 8 / N, Table 3's "speedup"."""
    return REFERENCE_BITS / checked_bits(SABERI.name, bits)


def adc_energy_per_conversion_ratio(bits: ArrayLike) -> NDArray[np.float64]:
    """How many times less energy per conversion than 8 bits: 2^(8 - N); not in the paper.

    In [Saberi2011] 2^N / (N + 1) is the power at a fixed clock and one conversion takes N + 1
    clocks, so the energy of a conversion goes as 2^N: 128 at 1 bit, 32 at 3.
    """
    return np.exp2(REFERENCE_BITS - checked_bits(SABERI.name, bits))


def adc_area_ratio(bits: ArrayLike) -> NDArray[np.float64]:
    """How many times smaller than 8 bits: Table 3's "area saving"."""
    return SABERI.area_m2(REFERENCE_BITS) / SABERI.area_m2(bits)


def _power_law(n: NDArray[np.float64] | np.float64) -> NDArray[np.float64]:
    return np.asarray(np.exp2(n) / (n + 1.0))
