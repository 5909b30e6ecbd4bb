"""Surrogate: what Gaussian processes make of the trials, and the design that promises most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from scipy.special import ndtr  # type: ignore[import-untyped]

from dse.dominance import non_dominated
from dse.samplers.activity import Activity
from dse.samplers.gaussian_process import GaussianProcess
from dse.samplers.improvement import HypervolumeImprovement
from dse.samplers.knob_codec import KnobCodec
from dse.samplers.neighbours import neighbours, snapped

Array = NDArray[np.float64]

_CANDIDATES = 200
_ROUNDS = (3.0, 6.0, 10.0, 20.0)
"""Distribution index of the steps around the most promising candidates, by round."""
_KEPT = 10
_MARGIN = 0.05
"""Share of the range of an objective that the reference point lies beyond the worst design."""
_DIGITS = 9
_LEAST_SCALE = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Told:
    """What a trial says.

    Attributes:
        params: Its knobs.
        distributions: Their ranges.
        running: Whether it has not finished.
        losses: Objectives, all to be small; None where there are none (yet).
        constraints: Met at or below 0, by name; none if nothing is known of them.
    """

    params: Mapping[str, Any]
    distributions: Mapping[str, BaseDistribution]
    running: bool
    losses: Array | None
    constraints: Mapping[str, float]


class Surrogate:
    """Gaussian processes of all objectives and constraints, and a search where they promise most.

    * Losses and violations are compressed above their median, by a logarithm: a network that
      guesses, or a huge energy, says no more than that it is bad.
    * The value of a design is its expected hypervolume improvement over the feasible front,
      times its probability to meet the constraints; before anything is feasible, that alone.
    * A running trial counts as what is expected of it; one that failed as bad as the worst.
    * Candidates are drawn evenly and near the front, then near the best of them, in rounds. They
      stand for the values that their knobs can have; known designs are left out.
    * A knob that a design does not have stands at the middle of its range.

    Args:
        told: Trials, in order.
        objectives: Number of them.

    Attributes:
        codec: Knobs.
        finished: Trials that have losses.
    """

    def __init__(self, told: Sequence[Told], objectives: int) -> None:
        self.codec = KnobCodec()
        for each in told:
            self.codec.learn(each.distributions)
        self._told = told
        self._objectives = objectives
        self.finished = sum(each.losses is not None for each in told)

    def propose(self, rng: np.random.Generator) -> dict[str, Any]:
        """Values of all known knobs of the most promising design."""
        codec, told = self.codec, self._told
        found = np.array([codec.encode(t.params, t.distributions, ()) for t in told])
        self._activity = Activity(codec, found)
        self._positions = self._activity.settled(snapped(codec, np.nan_to_num(found, nan=0.5)))
        self._known = {row.tobytes() for row in _rounded(self._positions)}
        self._fit(rng)
        front = self._positions[self._front]

        def near(parents: Array, count: int, **settings: float) -> Array:
            first, second = parents[rng.integers(len(parents), size=(2, count))]
            return neighbours(codec, first, second, rng, **settings)

        even = rng.random((_CANDIDATES, codec.width))
        designs = self._fresh(np.vstack([even, near(front, 2 * _CANDIDATES)]))
        if not len(designs):
            return codec.decode(even[0].tolist())
        values = self._values(designs)
        for eta in _ROUNDS:
            best = np.argsort(-values, kind="stable")[:_KEPT]
            designs, values = designs[best], values[best]
            more = self._fresh(near(designs, _CANDIDATES, more=0.5, eta=eta))
            if len(more):
                designs = np.vstack([designs, more])
                values = np.concatenate([values, self._values(more)])
        return codec.decode(designs[int(np.argmax(values))].tolist())

    def _fresh(self, designs: Array) -> Array:
        """Those that are not known, each once."""
        rows = np.unique(_rounded(self._activity.settled(snapped(self.codec, designs))), axis=0)
        return rows[[row.tobytes() not in self._known for row in rows]]

    def _fit(self, rng: np.random.Generator) -> None:
        told, positions = self._told, self._positions
        knob_of = np.empty(self.codec.width, dtype=np.int64)
        for number, place in enumerate(self.codec.columns.values()):
            knob_of[place] = number
        done = np.array([each.losses is not None for each in told])
        running = positions[[each.running for each in told]]
        raw = np.array([each.losses for each in told if each.losses is not None])
        names = dict.fromkeys(name for each in told for name in each.constraints)
        meets = np.array([all(v <= 0 for v in each.constraints.values()) for each in told])

        compressed = np.column_stack([compress(column, column)[0] for column in raw.T])
        low, high = compressed.min(axis=0), compressed.max(axis=0)
        losses = (compressed - low) / np.where(high > low, high - low, 1.0)
        failed = ~done & ~np.array([each.running or bool(each.constraints) for each in told])
        rows = np.vstack([positions[done], positions[failed]])
        worst = np.ones((int(failed.sum()), self._objectives))
        targets = np.vstack([losses, worst])
        self._guesses = [GaussianProcess(rows, each, knob_of, rng) for each in targets.T]
        self._limits: list[tuple[GaussianProcess, float]] = []
        for name in names:
            has = np.array([name in each.constraints for each in told])
            excess = np.array([e.constraints[name] for e in told if name in e.constraints])
            shown, zero = compress(excess, np.zeros(1))
            self._limits.append(
                (GaussianProcess(positions[has], shown, knob_of, rng), float(zero[0]))
            )
        if len(running):
            for guess in (*self._guesses, *(limit for limit, _ in self._limits)):
                guess.believe(running)

        feasible = np.flatnonzero(done & meets)
        self._gain = None
        if len(feasible):
            reached = losses[meets[done]]
            reference = np.minimum(reached.max(axis=0) + _MARGIN, 1.0 + _MARGIN)
            self._gain = HypervolumeImprovement(reached, reference)
            self._front = feasible[non_dominated(reached)]
        else:
            broken = [sum(max(0.0, v) for v in each.constraints.values()) for each in told]
            violated = np.where(done | (np.array(broken) > 0), broken, np.inf)
            self._front = np.argsort(violated, kind="stable")[:_KEPT]

    def _values(self, designs: Array) -> Array:
        """How much each design promises, `(designs,)`."""
        found = np.ones(len(designs))
        if self._gain is not None:
            guessed = [guess.predict(designs) for guess in self._guesses]
            means = np.column_stack([mean for mean, _ in guessed])
            deviations = np.column_stack([deviation for _, deviation in guessed])
            found = self._gain.expected(means, deviations)
        for limit, zero in self._limits:
            mean, deviation = limit.predict(designs)
            found = found * ndtr((zero - mean) / deviation)
        return np.asarray(found)


def compress(numbers: Array, others: Array) -> tuple[Array, Array]:
    """Numbers, logarithmic above their median, and others on the same scale; order stays."""
    middle = float(np.median(numbers))
    scale, spread = middle - float(numbers.min()), float(np.ptp(numbers))
    if scale <= _LEAST_SCALE * spread:  # the better half is one value, as far as it matters
        scale = spread or 1.0

    def squeezed(values: Array) -> Array:
        return np.asarray(
            np.where(
                values > middle,
                middle + scale * np.log1p(np.maximum(values - middle, 0.0) / scale),
                values,
            )
        )

    return squeezed(numbers), squeezed(others)


def _rounded(positions: Array) -> Array:
    return np.asarray(np.round(positions, _DIGITS) + 0.0)
