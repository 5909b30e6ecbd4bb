"""Swarm: particles, their best positions and their leaders, as the results tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution

from dse.samplers.knob_codec import KnobCodec, name_seed
from dse.samplers.leaders import INFEASIBLE, Archive, Score, beats
from dse.samplers.neighbours import neighbours
from dse.samplers.pyswarms_step import step
from dse.samplers.swarm_moves import constriction_factors, polynomial_mutation, redraw
from dse.samplers.swarm_settings import SwarmSettings

Array = NDArray[np.float64]

_STARTS, _MOVES = 1, 2  # streams of random numbers
_ATTEMPTS = 8
_CROSSED, _SWAPPED = 0.8, 0.5
"""Of local moves: how many mix two leaders, and which share of the knobs is the second one's. What
parallel workers found one by one comes together so."""
_FEW_LEADERS = 4
"""A leader and so many others draw half of the local moves that a full archive draws."""
_UNTRIED = Score(INFEASIBLE, ())


@dataclass(frozen=True, slots=True, order=True)
class Move:
    """Where a particle goes next.

    Attributes:
        particle: Which.
        number: The how-manieth of its moves, from 0.
        position: In the unit box, one number for each coordinate known when it was made.
        velocity: Likewise.
    """

    particle: int
    number: int
    position: tuple[float, ...]
    velocity: tuple[float, ...]


class _Result(NamedTuple):
    """What a trial came to; its position is worked out when somebody needs it."""

    score: Score
    params: Mapping[str, Any]
    distributions: Mapping[str, BaseDistribution]
    proposed: tuple[float, ...]


class Swarm:
    """The state of a particle swarm: a function of the seed and of what it was told, in order.

    Args:
        settings: How it moves.
        seed: Of the study.
    """

    def __init__(self, settings: SwarmSettings, *, seed: int) -> None:
        self.settings = settings
        self.codec = KnobCodec()
        self._archive = Archive(settings.archive)
        self._results: list[_Result] = []  # not yet offered to the archive
        self._improved: dict[int, _Result] = {}  # not yet in the best positions, by particle
        self._landed: dict[int, _Result] = {}  # not yet in the positions, by particle
        count = settings.particles
        self._seed = seed
        self._made = np.zeros(count, dtype=np.int64)  # moves
        self._open = np.zeros(count, dtype=np.int64)  # of them, without result
        self._streak = np.zeros(count, dtype=np.int64)  # last results in a row that were known
        self._latest = np.full(count, -1, dtype=np.int64)
        self._positions, self._velocities = np.zeros((count, 0)), np.zeros((count, 0))
        self._bests = np.full((count, 0), np.nan)
        self._scores = [_UNTRIED] * count
        self._returned: list[Move] = []
        self._known: set[int] = set()
        self._starts: dict[str, Array] = {}
        self._origins = np.zeros((count, 0))
        self._decoded: dict[tuple[int, int], tuple[int, dict[str, Any]]] = {}

    def start(self, name: str, particle: int) -> float:
        """Where a particle starts along a knob, 0..1: the swarm covers every knob evenly."""
        if name not in self._starts:
            rng = np.random.default_rng([self._seed, _STARTS, name_seed(name)])
            count = self.settings.particles
            self._starts[name] = (rng.permutation(count) + rng.random(count)) / count
        return float(self._starts[name][particle])

    def begin(self, move: Move) -> None:
        """A move is being evaluated; the same one may begin again after `give_back`."""
        particle, width = move.particle, len(move.position)
        if move in self._returned:
            self._returned.remove(move)
        self._open[particle] += 1
        self._made[particle] = max(self._made[particle], move.number + 1)
        if move.number >= self._latest[particle]:
            if width == self._positions.shape[1]:  # it leaves where it landed
                self._landed.pop(particle, None)
            elif particle in self._landed:
                self._settle()
            self._latest[particle] = move.number
            self._positions[particle, :width] = move.position
            self._velocities[particle, :width] = move.velocity

    def give_back(self, move: Move) -> None:
        """A move ended without a result; it is the next to be made."""
        self._open[move.particle] -= 1
        self._decoded.pop((move.particle, move.number), None)
        if move not in self._returned:
            self._returned.append(move)

    def learn(
        self,
        score: Score,
        params: Mapping[str, Any],
        distributions: Mapping[str, BaseDistribution],
        move: Move | None,
    ) -> None:
        """Take in a result.

        Args:
            score: What the design came to.
            params: Its knobs.
            distributions: Their ranges.
            move: None for a design that no particle proposed.
        """
        self.codec.learn(distributions)
        if self.codec.width > self._positions.shape[1]:
            self._grow()
        result = _Result(score, params, distributions, move.position if move else ())
        key = _key(params)
        if move is not None:
            particle, slot = move.particle, (move.particle, move.number)
            as_proposed = self._decoded.pop(slot, None) == (self.codec.version, params)
            self._open[particle] -= 1
            self._streak[particle] = self._streak[particle] + 1 if key in self._known else 0
            if move.number == self._latest[particle] and not as_proposed:
                self._landed[particle] = result
            if score.violation < INFEASIBLE and not beats(self._scores[particle], score):
                self._scores[particle], self._improved[particle] = score, result
        self._known.add(key)
        self._results.append(result)

    @property
    def archive(self) -> Archive:
        """The positions that lead, of all results so far."""
        if results := self._results:
            self._results = []
            self._archive.offer_many(
                [result.score for result in results], lambda i: self._found(results[i])
            )
        return self._archive

    def _settle(self) -> None:
        """Work out the positions of what came in since the last time."""
        for particle, result in self._improved.items():
            self._bests[particle] = self._found(result)
        for particle, result in self._landed.items():
            found, there = self._found(result), self._positions[particle]
            there[:] = np.where(np.isnan(found), there, found)
        self._improved, self._landed = {}, {}

    def _found(self, result: _Result) -> Array:
        """Position of a result, NaN for the knobs that it did not have."""
        return self.codec.encode(result.params, result.distributions, result.proposed)

    def moves(self, count: int) -> list[Move]:
        """The next moves; of idle particles first, those with the fewest moves first.

        None of them has begun yet: see `begin`.
        """
        self._settle()
        found = sorted(self._returned)[:count]
        made, busy = self._made.copy(), self._open.copy()
        positions, velocities = self._positions, self._velocities
        if len(found) < count:
            positions, velocities = positions.copy(), velocities.copy()
        while (left := count - len(found)) > 0:
            chosen = np.lexsort((made, busy))[:left]
            rng = np.random.default_rng(
                [self._seed, _MOVES, int(chosen[0]), int(made[chosen[0]]), left]
            )
            new_x, new_v = self._advance(chosen, made, positions, velocities, rng)
            for p, params in zip(chosen.tolist(), self._move_on(new_x, rng), strict=True):
                self._decoded[p, int(made[p])] = (self.codec.version, params)
            positions[chosen], velocities[chosen] = new_x, new_v
            found += [
                Move(int(p), int(made[p]), tuple(x), tuple(v))
                for p, x, v in zip(chosen, new_x.tolist(), new_v.tolist(), strict=True)
            ]
            made[chosen] += 1
            busy[chosen] += 1
        return found

    def params(self, moves: Sequence[Move]) -> list[dict[str, Any]]:
        """Values of the known knobs at the moves."""
        found = []
        for move in moves:
            version, params = self._decoded.get((move.particle, move.number), (-1, {}))
            if version != self.codec.version:
                params = self.codec.decode(self.full_position(move))
            found.append(params)
        return found

    def full_position(self, move: Move) -> tuple[float, ...]:
        """Position of a move with the coordinates that it did not know, `width` numbers."""
        known = len(move.position)
        if known == self.codec.width:
            return move.position
        rest: list[float] = self._origins[move.particle, known:].tolist()
        return (*move.position, *rest)

    def _advance(
        self,
        chosen: NDArray[np.int64],
        made: NDArray[np.int64],
        positions: Array,
        velocities: Array,
        rng: np.random.Generator,
    ) -> tuple[Array, Array]:
        settings, x, v = self.settings, positions[chosen], velocities[chosen]
        seed = int(rng.integers(2**32))
        c1 = rng.uniform(*settings.c1, (len(chosen), 1))
        c2 = rng.uniform(*settings.c2, (len(chosen), 1))
        leaders = self._leaders(chosen, x, rng)
        if x.shape[1] == 0:
            return x, v
        shrink = constriction_factors(c1 + c2) if settings.constriction else np.ones_like(c1)
        own = self._bests[chosen]
        new_x, new_v = step(
            x,
            v,
            own_bests=np.where(np.isnan(own), x, own),
            leaders=np.where(np.isnan(leaders), x, leaders),
            inertia=shrink * settings.inertia,
            c1=shrink * c1,
            c2=shrink * c2,
            clamp=settings.clamp,
            seed=seed,
        )
        if settings.rebound:
            new_v = np.where((new_x <= 0) | (new_x >= 1), -new_v, new_v)
        first = made[chosen] == 0
        near = ~first & (rng.random(len(chosen)) < self._local_share())
        if near.any():
            new_x[near] = self._near_leaders(new_x[near], rng)
        new_x[first], new_v[first] = x[first], 0.0
        for row, particle in enumerate(chosen.tolist()):
            if not first[row]:
                self._mutate(new_x[row], particle, rng)
            self._repair(new_x[row])
        return new_x, new_v

    def _local_share(self) -> float:
        """Share of the moves that go near a leader: none to a single one, few to few."""
        if self.settings.topology != "star" or self.archive.violation > 0:
            return 0.0
        others = max(len(self.archive) - 1, 0)
        return self.settings.local * others / (others + _FEW_LEADERS)

    def _near_leaders(self, rows: Array, rng: np.random.Generator) -> Array:
        """Neighbours of leaders; knobs that a leader did not have are those of the rows."""
        first, second = (self.archive.draw(len(rows), rng) for _ in range(2))
        found = neighbours(self.codec, first, second, rng, crossed=_CROSSED, swapped=_SWAPPED)
        return np.where(np.isnan(found), rows, found)

    def _mutate(self, row: Array, particle: int, rng: np.random.Generator) -> None:
        if not len(self.archive):  # nothing but failures: nothing pulls
            redraw(self.codec, row, 1.0, rng)
        elif streak := int(self._streak[particle]):  # it keeps proposing what is known
            redraw(self.codec, row, 1 - 0.5**streak, rng)
        elif rng.random() < self.settings.mutation:
            polynomial_mutation(self.codec, row, rng)

    def _move_on(self, rows: Array, rng: np.random.Generator) -> list[dict[str, Any]]:
        """Move positions away from known designs if a few attempts suffice, in place.

        Returns:
            Values at the positions.
        """
        decoded = [self.codec.decode(row) for row in rows.tolist()]
        for attempt in range(1, _ATTEMPTS + 1):
            known = [i for i, params in enumerate(decoded) if _key(params) in self._known]
            for i in known:
                redraw(self.codec, rows[i], attempt / _ATTEMPTS, rng)
                self._repair(rows[i])
                decoded[i] = self.codec.decode(rows[i].tolist())
            if not known:
                break
        return decoded

    def _repair(self, row: Array) -> None:
        if not self.settings.at_most:
            return
        for name, limit in self._limits():
            knob, place = self.codec.knobs[name], self.codec.columns[name]
            most = self.codec.knobs[limit].decode(row[self.codec.columns[limit]].tolist())
            if knob.decode(row[place].tolist()) > most:
                row[place] = knob.encode(max(most, knob.decode([0.0])))

    def _limits(self) -> list[tuple[str, str]]:
        """Knobs with the knob that each must not exceed: beside it, or else further up."""
        found = []
        for name in self.codec.knobs:
            *path, last = name.split(".")
            if (limit := self.settings.at_most.get(last)) is None:
                continue
            above = [".".join([*path[:depth], limit]) for depth in range(len(path), -1, -1)]
            found += [(name, other) for other in above if other in self.codec.knobs][:1]
        return found

    def _leaders(self, chosen: NDArray[np.int64], x: Array, rng: np.random.Generator) -> Array:
        """Leaders by the topology; the particles themselves where there is none."""
        if self.settings.topology == "star":
            return self.archive.draw(len(chosen), rng) if len(self.archive) else x
        return np.stack([self._neighbour(int(p), x[i], rng) for i, p in enumerate(chosen)])

    def _neighbour(self, particle: int, own: Array, rng: np.random.Generator) -> Array:
        reach, count = self.settings.neighbours, self.settings.particles
        around = dict.fromkeys((particle + d) % count for d in range(-reach, reach + 1))
        tried = [p for p in around if self._scores[p] is not _UNTRIED]
        if not tried:
            return own
        best = tried[0]
        for p in tried[1:]:
            a, b = self._scores[p], self._scores[best]
            if beats(a, b) or (not beats(b, a) and rng.random() < 0.5):
                best = p
        return np.asarray(self._bests[best])

    def _grow(self) -> None:
        known, count = self._positions.shape[1], self.settings.particles
        starts = np.array(
            [
                [c for n, k in self.codec.knobs.items() for c in k.spread(self.start(n, p))]
                for p in range(count)
            ]
        )
        added = starts.shape[1] - known
        self._origins = starts
        self._positions = np.hstack([self._positions, starts[:, known:]])
        self._velocities = np.hstack([self._velocities, np.zeros((count, added))])
        self._bests = np.hstack([self._bests, np.full((count, added), np.nan)])
        self._archive.widen(starts.shape[1])


def _key(params: Mapping[str, Any]) -> int:
    return hash(frozenset(params.items()))
