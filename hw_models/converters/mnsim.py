"""The converters that MNSIM 2.0 tabulates, at 4, 6, 8 and 10 bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hw_models.converters.converter import checked_bits
from hw_models.errors import HardwareError
from hw_models.units import GIGA, MILLI, UM2

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

TABLE_BITS = (4, 6, 8, 10)
TABLE_POWER_W = (0.7 * MILLI, 1.26 * MILLI, 2.0 * MILLI, 6.92 * MILLI)
TABLE_RATE_HZ = (1.0 * GIGA, 1.0 * GIGA, 1.28 * GIGA, 1.5 * GIGA)
TABLE_AREA_M2 = (500 * UM2, 580 * UM2, 1200 * UM2, 1600 * UM2)
"""thu-nics/MNSIM-2.0, MNSIM/Hardware_Model/ADC.py: choices 7, 4, 2 and 1. Of the two 8-bit
converters it is ISAAC's; the other one (choice 3: 4 mW, 1.1 GS/s, 1650 um2) is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MnsimAdc:
    """Four published converters; what lies between them is interpolated.

    Rates are conversions per second. MNSIM reads "GS/s" as a bit clock instead, a conversion of
    N bits taking N + 2 clocks, which makes the 8-bit converter 15.6 pJ where its designers have
    1.56 pJ. The four converters are different circuits, so faster ones are larger ones: the time
    of a conversion falls with the resolution.

    Between two converters, power, rate and area are interpolated geometrically in N, which is our
    choice; with `interpolate` off, and outside 4 to 10 bits always, there is an error instead.

    Attributes:
        name: Name under which results report the model.
        interpolate: Whether resolutions between the tabulated ones have a cost.
    """

    name: str = "mnsim"
    interpolate: bool = True

    def power_w(self, bits: ArrayLike) -> NDArray[np.float64]:
        """The table's power."""
        return self._look_up(bits, TABLE_POWER_W)

    def energy_per_conversion_j(self, bits: ArrayLike) -> NDArray[np.float64]:
        """Power over rate."""
        return self._look_up(bits, TABLE_POWER_W) / self._look_up(bits, TABLE_RATE_HZ)

    def conversion_time_s(self, bits: ArrayLike) -> NDArray[np.float64]:
        """One over the rate."""
        return 1.0 / self._look_up(bits, TABLE_RATE_HZ)

    def area_m2(self, bits: ArrayLike) -> NDArray[np.float64]:
        """The table's area."""
        return self._look_up(bits, TABLE_AREA_M2)

    def _look_up(self, bits: ArrayLike, column: tuple[float, ...]) -> NDArray[np.float64]:
        n = checked_bits(self.name, bits)
        known = np.isin(n, TABLE_BITS)
        if self.interpolate:
            known |= (n >= TABLE_BITS[0]) & (n <= TABLE_BITS[-1])
        if not known.all():
            domain = "4 to 10" if self.interpolate else "4, 6, 8 and 10"
            raise HardwareError(
                f"{self.name}: the table has converters of {domain} bits, got "
                f"{int(n[~known].flat[0])}. Choose adc.bits among them, or the saberi model."
            )
        return np.asarray(np.exp(np.interp(n, TABLE_BITS, np.log(column))))


MNSIM = MnsimAdc()
