"""Knobs of the device and wire effects that accuracy is measured under."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from search_spaces.domains import FloatRange


@dataclass(frozen=True, slots=True, kw_only=True)
class NonidealityKnobs:
    """Effects as `hw_models.simulation.nonidealities` defines them; at the defaults none acts.

    Attributes:
        variation_sigma: Spread of programmed conductances, lognormal.
        stuck_off_share: Probability of a cell stuck at the smallest conductance.
        stuck_on_share: Probability of a cell stuck at the largest conductance.
        read_noise_sigma: Spread of a cell's current from read to read.
        drift_exponent: Exponent of the decay of conductance with time.
        drift_time_s: Seconds since programming.
        wire_resistance: Of a bitline between two cells, times the conductance of one cell level.
        on_off_ratio: Largest over smallest conductance; 0 is cells that can be off.
    """

    variation_sigma: Annotated[float, FloatRange(0.0, 1.0)] = 0.0
    stuck_off_share: Annotated[float, FloatRange(0.0, 0.5)] = 0.0
    stuck_on_share: Annotated[float, FloatRange(0.0, 0.5)] = 0.0
    read_noise_sigma: Annotated[float, FloatRange(0.0, 1.0)] = 0.0
    drift_exponent: Annotated[float, FloatRange(0.0, 0.2)] = 0.0
    drift_time_s: Annotated[float, FloatRange(1.0, 1e9, log=True)] = 1.0
    wire_resistance: Annotated[float, FloatRange(0.0, 0.01)] = 0.0
    on_off_ratio: Annotated[float, FloatRange(0.0, 1e6)] = 0.0
