"""ClimbingGuess: what designs come to on the last rung, by Gaussian processes of all rungs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dse.samplers.gaussian_process import GaussianProcess

Array = NDArray[np.float64]

_EQUAL = 1e-9
_SURE = 1e-6


class ClimbingGuess:
    """A number of a design on the last rung: a process of the first rung, and one for every step.

    A step adds what climbing adds, by the knobs and the number on the rung below: recursive
    co-kriging [LeGratiet2014] with a factor of 1 and the lower number among the inputs
    [Perdikaris2017]. A step that has added the same to all adds it to everyone. On a single rung
    it is one process.

    Args:
        positions: Of the designs, in the unit box.
        numbers: On all rungs, about 0..1 on the last; NaN where they are not known.
        knob_of: Number of the knob of every coordinate.
        rng: Chooses the designs of a fit if there are many.

    Shapes:
        positions: `(designs, width)`.
        numbers: `(designs, rungs)`.
        knob_of: `(width,)`.

    [LeGratiet2014] L. Le Gratiet, J. Garnier, "Recursive co-kriging model for design of computer
        experiments with multiple levels of fidelity", Int. J. Uncertainty Quantification 4, 2014.
    [Perdikaris2017] P. Perdikaris et al., "Nonlinear information fusion algorithms for
        data-efficient multi-fidelity modelling", Proc. R. Soc. A 473, 2017.
    """

    def __init__(
        self,
        positions: Array,
        numbers: Array,
        knob_of: NDArray[np.int64],
        rng: np.random.Generator,
    ) -> None:
        self._positions, self._numbers = positions, numbers
        known = ~np.isnan(numbers)
        has = known[:, 0]
        self._first = GaussianProcess(positions[has], numbers[has, 0], knob_of, rng)
        self._steps: list[GaussianProcess | float] = []
        with_below = np.append(knob_of, knob_of.max() + 1)
        for rung in range(1, numbers.shape[1]):
            has = known[:, rung]
            below = self._climb(positions[has], numbers[has, :rung])[0]
            gains = numbers[has, rung] - below
            if np.ptp(gains) <= _EQUAL:
                self._steps.append(float(gains.mean()))
            else:
                rows = np.column_stack([positions[has], below])
                self._steps.append(GaussianProcess(rows, gains, with_below, rng))

    def predict(
        self, positions: Array, designs: Sequence[int] | None = None
    ) -> tuple[Array, Array]:
        """Means and standard deviations on the last rung, `(designs,)` both.

        Args:
            positions: Of the designs.
            designs: Which of the known ones they are, if they are; their results count.
        """
        known = self._numbers[:0, :0] if designs is None else self._numbers[designs]
        return self._climb(positions, known, to=len(self._steps))

    def believe(self, running: NDArray[np.bool_]) -> None:
        """Take designs that are being evaluated for as good as guessed; `(designs, rungs)`."""
        for rung in range(running.shape[1]):
            which = np.flatnonzero(running[:, rung])
            if not len(which):
                continue
            rows = self._positions[which]
            if rung == 0:
                self._first.believe(rows)
            elif isinstance(step := self._steps[rung - 1], GaussianProcess):
                below = self._climb(rows, self._numbers[which, :rung])[0]
                step.believe(np.column_stack([rows, below]))

    def _climb(self, positions: Array, known: Array, to: int | None = None) -> tuple[Array, Array]:
        """From the highest known rung up to a rung; by default that of the last known column."""
        to = known.shape[1] - 1 if to is None else to
        mean, deviation = self._first.predict(positions)
        for rung in range(to + 1):
            if rung:
                step = self._steps[rung - 1]
                if isinstance(step, float):
                    mean = mean + step
                else:
                    more, doubt = step.predict(np.column_stack([positions, mean]))
                    mean, deviation = mean + more, np.hypot(deviation, doubt)
            if rung < known.shape[1]:
                there = ~np.isnan(known[:, rung])
                mean = np.where(there, known[:, rung], mean)
                deviation = np.where(there, _SURE, deviation)
        return mean, deviation
