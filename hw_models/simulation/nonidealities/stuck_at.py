"""Cells that cannot be programmed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hw_models.errors import HardwareError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class StuckAt:
    """Cells stuck at the smallest or the largest conductance, independent of each other.

    The fault model of [Chen2015], who measured 1.75 % of one and 9.04 % of the other kind.

    Attributes:
        off_share: Probability of a cell stuck at the smallest conductance.
        on_share: Probability of a cell stuck at the largest conductance.

    [Chen2015] C.-Y. Chen et al., "RRAM Defect Modeling and Failure Analysis Based on March Test
        and a Novel Squeeze-Search Scheme", IEEE Transactions on Computers 64(1), 2015.
    """

    off_share: float = 0.0
    on_share: float = 0.0

    def __post_init__(self) -> None:
        shares = (self.off_share, self.on_share)
        if not (min(shares) >= 0.0 and sum(shares) <= 1.0):
            raise HardwareError(
                "stuck cells: off_share and on_share must be at least 0 and at most 1 together, "
                f"got {self.off_share} and {self.on_share}. They are fractions, not percent."
            )

    def program(
        self,
        conductances: NDArray[np.float64],
        smallest: float,
        largest: float,
        rng: np.random.Generator,
    ) -> NDArray[np.float64]:
        """What the cells hold, `smallest` and `largest` in the unit of the conductances."""
        drawn = rng.random(conductances.shape)
        held = np.where(drawn < self.off_share, smallest, conductances)
        return np.where(drawn >= 1.0 - self.on_share, largest, held)
