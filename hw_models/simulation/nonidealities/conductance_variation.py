"""Cells that are not programmed to the conductance that was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from hw_models.errors import HardwareError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class ConductanceVariation:
    """A random factor per cell, drawn once, when the array is programmed.

    `lognormal` is G * exp(sigma * N(0, 1)), the model of [Liu2015]; `gaussian` is
    G * max(0, 1 + sigma * N(0, 1)), the proportional error of [Xiao2022].

    Attributes:
        sigma: Spread, a fraction.
        kind: Which of the two.

    [Liu2015] B. Liu et al., "Vortex: Variation-aware Training for Memristor X-bar", DAC 2015.
    [Xiao2022] T. P. Xiao et al., "On the Accuracy of Analog Neural Network Inference
        Accelerators", IEEE Circuits and Systems Magazine 22(4), 2022.
    """

    sigma: float
    kind: Literal["lognormal", "gaussian"] = "lognormal"

    def __post_init__(self) -> None:
        if not self.sigma >= 0.0:
            raise HardwareError(
                f"conductance variation: sigma must be at least 0, got {self.sigma}. "
                "0.05 is a spread of 5 %."
            )
        if self.kind not in ("lognormal", "gaussian"):
            raise HardwareError(
                f"conductance variation: kind must be lognormal or gaussian, got '{self.kind}'."
            )

    def program(
        self, conductances: NDArray[np.float64], rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """What the cells hold, in the shape and unit of what was asked for."""
        drawn = self.sigma * rng.standard_normal(conductances.shape)
        factors = np.exp(drawn) if self.kind == "lognormal" else np.maximum(1.0 + drawn, 0.0)
        programmed: NDArray[np.float64] = conductances * factors
        return programmed
