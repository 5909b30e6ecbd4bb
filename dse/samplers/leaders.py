"""Which of two trials is better (Deb's rules), and a bounded archive of the best."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dse.pareto import crowding_distances

Array = NDArray[np.float64]

INFEASIBLE = float("inf")
"""Violation of a trial that failed: worse than any that was measured."""


class Score(NamedTuple):
    """What a trial came to.

    Attributes:
        violation: Sum of what each constraint is exceeded by; 0 where all are met.
        losses: Objectives, all to be small.
    """

    violation: float
    losses: tuple[float, ...]


def beats(a: Score, b: Score) -> bool:
    """Whether `a` is better by Deb's feasibility rules [Deb2000].

    Less violation wins, so the feasible one beats the infeasible one; between two feasible ones
    the one that dominates wins.

    [Deb2000] K. Deb, "An efficient constraint handling method for genetic algorithms", Comput.
        Methods Appl. Mech. Eng. 186, 2000, section 3.
    """
    if a.violation != b.violation:
        return a.violation < b.violation
    if a.violation > 0:
        return False
    return a.losses != b.losses and all(x <= y for x, y in zip(a.losses, b.losses, strict=True))


class Archive:
    """The best positions met so far: feasible ones that no other dominates, the least crowded.

    Before anything feasible is met it holds the one position of least violation. Of equal losses
    the first stays.

    Args:
        size: Most positions that are kept.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._n = 0
        self._violation = INFEASIBLE
        self._losses: Array = np.empty((size + 1, 0))
        self._positions: Array = np.empty((size + 1, 0))
        self._crowding: Array | None = None

    def __len__(self) -> int:
        return self._n

    @property
    def positions(self) -> Array:
        """`(members, width)`; NaN where a member had no such knob."""
        return self._positions[: self._n]

    @property
    def losses(self) -> Array:
        """Objectives of the members, `(members, objectives)`."""
        return self._losses[: self._n]

    @property
    def violation(self) -> float:
        """Violation of every member; infinite while there is none."""
        return self._violation

    def widen(self, width: int) -> None:
        """Add coordinates that no member has."""
        missing = np.full((len(self._positions), width - self._positions.shape[1]), np.nan)
        self._positions = np.hstack([self._positions, missing])

    def offer(self, score: Score, position: Array) -> bool:
        """Take a position in if it belongs here.

        Args:
            score: What the trial came to.
            position: `(width,)`.

        Returns:
            Whether it is a member now.
        """
        if score.violation == INFEASIBLE or score.violation > self._violation:
            return False
        losses = np.array(score.losses)
        if score.violation < self._violation:
            self._violation, self._n = score.violation, 0
            self._losses = np.empty((self._size + 1, len(losses)))
        elif score.violation > 0 or bool((self.losses <= losses).all(axis=1).any()):
            return False
        else:
            stays = np.flatnonzero((losses > self.losses).any(axis=1))
            if len(stays) < self._n:
                self._losses[: len(stays)] = self._losses[stays]
                self._positions[: len(stays)] = self._positions[stays]
                self._n = len(stays)
        self._crowding = None
        last = self._n
        self._losses[last], self._positions[last] = losses, position
        self._n += 1
        if self._n <= self._size:
            return True
        dropped = int(np.argmin(crowding_distances(self.losses)))
        self._losses[dropped], self._positions[dropped] = losses, position
        self._n = last
        return dropped != last

    def draw(self, count: int, rng: np.random.Generator) -> Array:
        """Positions by binary tournaments on crowding; `(count, width)`, the archive not empty."""
        if self._crowding is None:
            self._crowding = crowding_distances(self.losses)
        first, second = rng.integers(len(self), size=(2, count))
        chosen = np.where(self._crowding[second] > self._crowding[first], second, first)
        return np.asarray(self.positions[chosen])
