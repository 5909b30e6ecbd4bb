"""Which of two trials is better (Deb's rules), and a bounded archive of the best."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dse.dominance import crowding_distances

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


_BLOCK = 64
"""Trials that are compared with the members at once."""


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
        self._sources = np.full(size + 1, -1)  # places in `offer_many` that await positions
        self._crowding: Array | None = None
        self._dropped: Array | None = None

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
        if score.violation == self._violation == 0 and not self._free(np.array([score.losses]))[0]:
            return False
        return self._offer(score, position, -1)

    def _offer(self, score: Score, position: Array | float, source: int) -> bool:
        """`offer` for what no member is as good as, if both are feasible."""
        if score.violation == INFEASIBLE or score.violation > self._violation:
            return False
        losses = np.array(score.losses)
        if score.violation < self._violation:
            self._violation, self._n = score.violation, 0
            self._losses = np.empty((self._size + 1, len(losses)))
        elif score.violation > 0:
            return False
        else:
            stays = np.flatnonzero((losses > self.losses).any(axis=1))
            if len(stays) < self._n:
                self._losses[: len(stays)] = self._losses[stays]
                self._positions[: len(stays)] = self._positions[stays]
                self._sources[: len(stays)] = self._sources[stays]
                self._n = len(stays)
        self._crowding = None
        last = self._n
        self._put(last, losses, position, source)
        self._n += 1
        if self._n <= self._size:
            return True
        dropped = int(np.argmin(crowding_distances(self.losses)))
        self._dropped = self._losses[dropped].copy()
        self._put(dropped, losses, position, source)
        self._n = last
        return dropped != last

    def offer_many(self, scores: Sequence[Score], position: Callable[[int], Array]) -> None:
        """As `offer` for one after the other, without looking at most of them one by one.

        Args:
            scores: What the trials came to.
            position: Position of a trial by its place among the scores; asked for few of them.
        """
        done = 0
        while done < len(scores) and self._violation > 0:
            self._offer(scores[done], 0.0, done)
            done += 1
        left = [i for i in range(done, len(scores)) if scores[i].violation == 0]
        for begin in range(0, len(left), _BLOCK):
            block = left[begin : begin + _BLOCK]
            losses = np.array([scores[i].losses for i in block])
            free, row = self._free(losses), 0
            while free[row:].any():
                row += int(np.argmax(free[row:]))
                self._dropped = None
                self._offer(scores[block[row]], 0.0, block[row])
                free[row:] &= (losses[row] > losses[row:]).any(axis=1)
                row += 1
                if self._dropped is not None:  # what it held off may get in now
                    again = row + np.flatnonzero((self._dropped <= losses[row:]).all(axis=1))
                    free[again] = self._free(losses[again])
        for member in np.flatnonzero(self._sources[: self._n] >= 0).tolist():
            self._positions[member] = position(int(self._sources[member]))
        self._sources[:] = -1

    def _put(self, member: int, losses: Array, position: Array | float, source: int) -> None:
        self._losses[member], self._positions[member] = losses, position
        self._sources[member] = source

    def _free(self, losses: Array) -> NDArray[np.bool_]:
        """Whether no member is as good; for `(trials, objectives)`."""
        return np.asarray(~(self.losses[:, None] <= losses).all(axis=2).any(axis=0))

    def draw(self, count: int, rng: np.random.Generator) -> Array:
        """Positions by binary tournaments on crowding; `(count, width)`, the archive not empty."""
        if self._crowding is None:
            self._crowding = crowding_distances(self.losses)
        first, second = rng.integers(len(self), size=(2, count))
        chosen = np.where(self._crowding[second] > self._crowding[first], second, first)
        return np.asarray(self.positions[chosen])
