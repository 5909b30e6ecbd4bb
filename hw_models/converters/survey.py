"""The regression over the ADC survey, with a stated rule below its 4-bit domain."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hw_models.converters.converter import checked_bits
from hw_models.errors import HardwareError
from hw_models.published import isaac_2016
from hw_models.units import NANO, PICO, UM2

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

FITTED_BITS = 4
"""Smallest resolution of the regression; its authors refuse less, where it is not monotone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyAdc:
    """Energy and area of an average converter of the survey, by rate, node and resolution.

    With f in Hz, the node in nm, SNDR = 6.02 N + 1.76 dB and natural logarithms
    ([Andrulis], as in the Accelergy ADC plug-in, hwcomponents_adc/adc_data/model.yaml):

        FOM  = min(213.7807 - 2.871903 ln f, 128.3068 + 3.220512 N)
        E_pJ = 0.5 * 10^((SNDR - FOM) / 10)
               * exp(26.04962 + 1.880037 ln node - 2.829126 ln N - 1.470202)
        A_um2 = exp(1.346192 + 0.993279 ln node + 0.180715 ln f + 0.299124 ln E_pJ)

    The released package multiplies the energy by 0.8 besides; we do not. Below 4 bits the fit
    rises again (1 bit: 6.7 pJ), so we use E(4) * 2^(N - 4) and A(4) there; that rule is ours. The
    rate is held at every resolution: a conversion takes 1 / f. The area is about five times
    what ISAAC prints for the same converter: do not mix area sources in one comparison.

    Attributes:
        name: Name under which results report the model.
        rate_hz: Conversions per second.
        node_m: Feature size.

    [Andrulis] T. Andrulis et al., "Modeling Analog-Digital-Converter Energy and Area for
        Compute-In-Memory Accelerator Design", 2024.
    """

    name: str = "survey"
    rate_hz: float = isaac_2016.ADC_RATE_HZ
    node_m: float = 32 * NANO

    def __post_init__(self) -> None:
        for field in ("rate_hz", "node_m"):
            value = getattr(self, field)
            if not (math.isfinite(value) and value > 0.0):
                raise HardwareError(
                    f"survey: {field} must be a positive finite number, got {value}. "
                    "The survey covers 1 kHz to 10 GHz and 5 to 350 nm."
                )

    def power_w(self, bits: ArrayLike) -> NDArray[np.float64]:
        """Energy per conversion times the rate."""
        return self.energy_per_conversion_j(bits) * self.rate_hz

    def energy_per_conversion_j(self, bits: ArrayLike) -> NDArray[np.float64]:
        """The fit from 4 bits on, half of it for every bit below."""
        n = checked_bits(self.name, bits)
        return self._fitted_pj(n) * np.exp2(np.minimum(n - FITTED_BITS, 0.0)) * PICO

    def conversion_time_s(self, bits: ArrayLike) -> NDArray[np.float64]:
        """1 / `rate_hz`, whatever the resolution."""
        return np.full(checked_bits(self.name, bits).shape, 1.0 / self.rate_hz)

    def area_m2(self, bits: ArrayLike) -> NDArray[np.float64]:
        """The fit from 4 bits on, its 4-bit value below."""
        energy_pj = self._fitted_pj(checked_bits(self.name, bits))
        log_area = (
            1.346192
            + 0.993279 * math.log(self.node_m / NANO)
            + 0.180715 * math.log(self.rate_hz)
            + 0.299124 * np.log(energy_pj)
        )
        return np.asarray(np.exp(log_area) * UM2)

    def _fitted_pj(self, n: NDArray[np.float64]) -> NDArray[np.float64]:
        """Picojoules of max(n, 4) bits."""
        n = np.maximum(n, FITTED_BITS)
        sndr_db = 6.02 * n + 1.76
        fom_db = np.minimum(213.7807 - 2.871903 * math.log(self.rate_hz), 128.3068 + 3.220512 * n)
        scale = 26.04962 + 1.880037 * math.log(self.node_m / NANO) - 1.470202
        return np.asarray(
            0.5 * 10.0 ** ((sndr_db - fom_db) / 10.0) * np.exp(scale - 2.829126 * np.log(n))
        )


SURVEY = SurveyAdc()
