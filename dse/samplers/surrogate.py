"""Surrogate: what Gaussian processes make of the trials, and the design that promises most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr  # type: ignore[import-untyped]

from dse.dominance import non_dominated
from dse.samplers.activity import Activity
from dse.samplers.climbing_guess import ClimbingGuess
from dse.samplers.improvement import HypervolumeImprovement
from dse.samplers.knob_codec import KnobCodec
from dse.samplers.neighbours import neighbours, snapped
from dse.samplers.told import Reached, Told

Array = NDArray[np.float64]

_CANDIDATES = 200
_ROUNDS = (3.0, 6.0, 10.0, 20.0)
"""Distribution index of the steps around the most promising candidates, by round."""
_KEPT = 10
_MARGIN = 0.05
"""Share of the range of an objective that the reference point lies beyond the worst design."""
_DIGITS = 9
_LEAST_SCALE = 1e-12


class Surrogate:
    """Gaussian processes of all objectives and constraints, and a search where they promise most.

    * Losses and violations are compressed above their median, by a logarithm: a network that
      guesses, or a huge energy, says no more than that it is bad. Losses on the front are good:
      at least half of those are not compressed.
    * The value of a design is its expected hypervolume improvement over the feasible front,
      times its probability to meet the constraints; before anything is feasible, that alone.
    * A running trial counts as what is expected of it; one that failed as bad as the worst.
    * Candidates are drawn evenly and near the front, then near the best of them, in rounds. They
      stand for the values that their knobs can have; known designs are left out.
    * Where designs climb, what is guessed is what they come to on the last rung (see
      `ClimbingGuess`), and a proposal has to add to what those that wait may come to.
    * A knob that a design does not have stands at the middle of its range.

    Args:
        told: Designs, in order.
        objectives: Number of them.

    Attributes:
        codec: Knobs.
        finished: Designs that have losses.
    """

    def __init__(self, told: Sequence[Told], objectives: int) -> None:
        self.codec = KnobCodec()
        for each in told:
            self.codec.learn(each.distributions)
        self._told = told
        self._objectives = objectives
        self.finished = sum(any(_has_losses(r) for r in each.rungs) for each in told)

    def propose(self, rng: np.random.Generator) -> dict[str, Any]:
        """Values of all known knobs of the most promising design."""
        codec = self.codec
        self._learn(rng)
        self._expect([place for place, each in enumerate(self._told) if _may_climb(each)])
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

    def promises(self, designs: Sequence[int], rng: np.random.Generator) -> Array:
        """How much each of some designs promises on the last rung, given its results below.

        Args:
            designs: Places in `told`.
            rng: Chooses the designs of the fit if there are many.
        """
        self._learn(rng)
        climbing = [
            place
            for place, each in enumerate(self._told)
            if each.last.running and any(_has_losses(reached) for reached in each.rungs)
        ]
        self._expect(climbing, aside=designs)
        return self._values(self._positions[designs], list(designs))

    def _learn(self, rng: np.random.Generator) -> None:
        codec, told = self.codec, self._told
        found = np.array([codec.encode(t.params, t.distributions, ()) for t in told])
        self._activity = Activity(codec, found)
        self._positions = self._activity.settled(snapped(codec, np.nan_to_num(found, nan=0.5)))
        self._known = {row.tobytes() for row in _rounded(self._positions)}
        self._fit(rng)

    def _fresh(self, designs: Array) -> Array:
        """Those that are not known, each once."""
        rows = np.unique(_rounded(self._activity.settled(snapped(self.codec, designs))), axis=0)
        return rows[[row.tobytes() not in self._known for row in rows]]

    def _fit(self, rng: np.random.Generator) -> None:
        told, positions = self._told, self._positions
        knob_of = np.empty(self.codec.width, dtype=np.int64)
        for number, place in enumerate(self.codec.columns.values()):
            knob_of[place] = number
        running = np.array([[r is not None and r.running for r in each.rungs] for each in told])
        raw = _losses(told, self._objectives)  # (designs, rungs, objectives)
        done = ~np.isnan(raw[:, -1, 0])
        last = [each.rungs[-1] for each in told]
        meets = np.array([r is not None and _excess(r) == 0 for r in last])
        feasible = np.flatnonzero(done & meets)
        best = feasible[non_dominated(raw[feasible, -1])]
        losses = _compressed(raw, done, best)
        worst = np.maximum(np.nanmax(losses, axis=(0, 1)), 1.0)
        for design, each in enumerate(told):
            for rung, reached in enumerate(each.rungs):
                if reached is not None and _failed(reached):
                    losses[design, rung] = worst
        self._guesses = [
            ClimbingGuess(positions, losses[:, :, objective], knob_of, rng)
            for objective in range(self._objectives)
        ]
        names = dict.fromkeys(n for r in last if r is not None for n in r.constraints)
        self._limits = [self._limit(name, knob_of, rng) for name in names]
        for guess in (*self._guesses, *(limit for limit, _ in self._limits)):
            guess.believe(running)

        self._gain: HypervolumeImprovement | None = None
        self._reached = losses[feasible, -1]
        if len(feasible):
            self._aim(self._reached, self._reached)
            self._front = best
        else:
            broken = np.array([_excess(each.last) for each in told])
            known = [each.last.losses is not None for each in told]
            violated = np.where(known | (broken > 0), broken, np.inf)
            self._front = np.argsort(violated, kind="stable")[:_KEPT]

    def _limit(
        self, name: str, knob_of: NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[ClimbingGuess, float]:
        """A guess of a violation, compressed, and where its limit lies then."""
        excess = np.array(
            [
                [np.nan if r is None else r.constraints.get(name, np.nan) for r in each.rungs]
                for each in self._told
            ]
        )
        full = excess[:, -1][~np.isnan(excess[:, -1])]
        _, with_zero = compress(full, np.append(excess.ravel(), 0.0))
        low, scale = _range(with_zero[:-1].reshape(excess.shape))
        scaled = (with_zero - low) / scale
        numbers = scaled[:-1].reshape(excess.shape)
        return ClimbingGuess(self._positions, numbers, knob_of, rng), float(scaled[-1])

    def _expect(self, places: Sequence[int], *, aside: Sequence[int] = ()) -> None:
        """Take designs that climb for as good as guessed on the last rung, also on the front.

        Else one proposal after the other would be the same but for a hair: what a design comes to
        below says little of what climbing adds. Where designs do not climb, nothing is done.

        Args:
            places: Of the designs in `told`.
            aside: Designs that are not taken for anything, but shall find room beyond the front.
        """
        if len(self._told[0].rungs) == 1 or not (len(places) or len(aside)):
            return
        reached = np.vstack([self._reached, self._guessed(places)])
        if len(reached):
            wide = np.vstack([reached, self._guessed(aside)])
            self._aim(reached, np.vstack([self._reached, wide[non_dominated(wide)]]))
        to_come = np.zeros((len(self._told), len(self._told[0].rungs)), dtype=bool)
        for place in places:
            to_come[place] = [reached is None for reached in self._told[place].rungs]
        for guess in (*self._guesses, *(limit for limit, _ in self._limits)):
            guess.believe(to_come)

    def _guessed(self, places: Sequence[int]) -> Array:
        """Losses that are guessed of those designs that are guessed to meet the constraints."""
        if not len(places):
            return np.empty((0, self._objectives))
        positions = self._positions[places]
        means = np.column_stack([g.predict(positions, places)[0] for g in self._guesses])
        meets = np.ones(len(places), dtype=bool)
        for limit, zero in self._limits:
            meets &= limit.predict(positions, places)[0] <= zero
        return means[meets]

    def _aim(self, reached: Array, wide: Array) -> None:
        """What none of these losses dominates is a gain, as far as a little beyond the worst."""
        self._gain = HypervolumeImprovement(reached, wide.max(axis=0) + _MARGIN)

    def _values(self, positions: Array, designs: Sequence[int] | None = None) -> Array:
        """How much each design promises, `(designs,)`; told ones if their places are given."""
        found = np.ones(len(positions))
        if self._gain is not None:
            guessed = [guess.predict(positions, designs) for guess in self._guesses]
            means = np.column_stack([mean for mean, _ in guessed])
            deviations = np.column_stack([deviation for _, deviation in guessed])
            found = self._gain.expected(means, deviations)
        for limit, zero in self._limits:
            mean, deviation = limit.predict(positions, designs)
            found = found * ndtr((zero - mean) / deviation)
        return np.asarray(found)


def compress(numbers: Array, others: Array, middle: float | None = None) -> tuple[Array, Array]:
    """Numbers, logarithmic above a middle, and others on the same scale; order stays.

    Args:
        numbers: From whose least the scale runs to the middle.
        others: Anything.
        middle: The median of the numbers if left out.
    """
    middle = float(np.median(numbers)) if middle is None else middle
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


def _losses(told: Sequence[Told], objectives: int) -> Array:
    """Of all designs on all rungs, `(designs, rungs, objectives)`; NaN where there are none."""
    found = np.full((len(told), len(told[0].rungs), objectives), np.nan)
    for design, each in enumerate(told):
        for rung, reached in enumerate(each.rungs):
            if reached is not None and reached.losses is not None:
                found[design, rung] = reached.losses
    return found


def _compressed(raw: Array, done: NDArray[np.bool_], best: NDArray[np.int64]) -> Array:
    """Losses of all rungs, compressed; between 0 and 1 on the last.

    Args:
        raw: Losses, NaN where there are none.
        done: Which designs have been on the last rung.
        best: Those on the front.

    Shapes:
        raw: `(designs, rungs, objectives)`, as the output.
        done: `(designs,)`.
        best: `(members,)`.
    """
    found = np.empty_like(raw)
    for objective in range(raw.shape[2]):
        full = raw[done, -1, objective]
        middle = float(np.median(full))
        if len(best):
            middle = max(middle, float(np.median(raw[best, -1, objective])))
        _, squeezed = compress(full, raw[:, :, objective], middle)
        low, scale = _range(squeezed)
        found[:, :, objective] = (squeezed - low) / scale
    return found


def _range(numbers: Array) -> tuple[float, float]:
    """The least number on the last rung, and how far they spread there; or, at least, anywhere.

    Shapes:
        numbers: `(designs, rungs)`, NaN where there are none.
    """
    low = float(np.nanmin(numbers[:, -1]))
    spread = float(np.nanmax(numbers[:, -1])) - low
    return low, spread or float(np.nanmax(numbers) - np.nanmin(numbers)) or 1.0


def _has_losses(reached: Reached | None) -> bool:
    return reached is not None and reached.losses is not None


def _may_climb(told: Told) -> bool:
    """Whether a full result of the design may come; not if it failed or was ruled out."""
    return not _has_losses(told.rungs[-1]) and (told.last.running or _has_losses(told.last))


def _excess(reached: Reached) -> float:
    return sum(max(0.0, violation) for violation in reached.constraints.values())


def _failed(reached: Reached) -> bool:
    """Whether nothing came of the evaluation, not even which constraints the design breaks."""
    return not reached.running and reached.losses is None and not reached.constraints
