"""Conductances that decay after programming."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hw_models.errors import HardwareError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """G(t) = G(t0) * (t / t0)**-nu with an exponent of its own for each cell.

    The power law of [Joshi2020], nu normal with the given mean and spread.

    Attributes:
        time_s: Time t since programming.
        exponent: Mean of nu; 0 is no drift.
        exponent_sigma: Standard deviation of nu between cells.
        reference_s: t0, when the programmed value was verified.

    [Joshi2020] V. Joshi et al., "Accurate deep neural network inference using computational
        phase-change memory", Nature Communications 11, 2020.
    """

    time_s: float
    exponent: float
    exponent_sigma: float = 0.0
    reference_s: float = 1.0

    def __post_init__(self) -> None:
        if not (self.reference_s > 0.0 and self.time_s >= self.reference_s):
            raise HardwareError(
                "drift: reference_s must be above 0 and time_s at least reference_s, got "
                f"{self.reference_s} and {self.time_s}. Both are seconds since programming."
            )
        if not self.exponent_sigma >= 0.0:
            raise HardwareError(
                f"drift: exponent_sigma must be at least 0, got {self.exponent_sigma}."
            )

    def program(
        self, conductances: NDArray[np.float64], rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """What the cells hold at time t, in the shape and unit of what they held at t0."""
        exponents = self.exponent + self.exponent_sigma * rng.standard_normal(conductances.shape)
        drifted: NDArray[np.float64] = (
            conductances * (self.time_s / self.reference_s) ** -exponents
        )
        return drifted
