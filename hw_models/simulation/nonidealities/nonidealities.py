"""The effects that a simulation includes, and the order in which they act."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hw_models.errors import HardwareError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hw_models.simulation.nonidealities.conductance_variation import ConductanceVariation
    from hw_models.simulation.nonidealities.drift import Drift
    from hw_models.simulation.nonidealities.ir_drop import IrDrop
    from hw_models.simulation.nonidealities.read_noise import ReadNoise
    from hw_models.simulation.nonidealities.stuck_at import StuckAt


@dataclass(frozen=True, slots=True, kw_only=True)
class Nonidealities:
    """Device and wire effects; None is without.

    When an array is programmed: variation, then stuck cells, then drift. In every read: IR drop,
    then read noise. Conductances are in units of one cell level. A cell of value 0 conducts
    `largest / (on_off_ratio - 1)` levels, the same current is taken off each column for every
    driven row (an ideal dummy column), so that without other effects a finite ratio changes
    nothing.

    Attributes:
        variation: Programming error.
        stuck_at: Cells that cannot be programmed.
        drift: Decay since programming.
        read_noise: Noise of every read.
        ir_drop: Voltage lost along the bitline.
        on_off_ratio: Largest over smallest conductance; inf is cells that can be off.
    """

    variation: ConductanceVariation | None = None
    stuck_at: StuckAt | None = None
    drift: Drift | None = None
    read_noise: ReadNoise | None = None
    ir_drop: IrDrop | None = None
    on_off_ratio: float = float("inf")

    def __post_init__(self) -> None:
        if not self.on_off_ratio > 1.0:
            raise HardwareError(
                f"on_off_ratio must be above 1, got {self.on_off_ratio}. "
                "It is the largest over the smallest conductance."
            )

    def smallest(self, largest_level: int) -> float:
        """Conductance of a cell of value 0, in levels."""
        return largest_level / (self.on_off_ratio - 1.0)

    def programmed(
        self, cells: NDArray[np.uint8], largest_level: int, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Conductances in levels, of the shape of the cell values asked for."""
        smallest = self.smallest(largest_level)
        held = cells.astype(np.float64) + smallest
        if self.variation is not None:
            held = self.variation.program(held, rng)
        if self.stuck_at is not None:
            held = self.stuck_at.program(held, smallest, smallest + largest_level, rng)
        if self.drift is not None:
            held = self.drift.program(held, rng)
        return held
