"""Population: survivors and their children, as the results tell."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution

from dse.samplers.knob_codec import KnobCodec, name_seed
from dse.samplers.known_designs import KnownDesigns
from dse.samplers.leaders import INFEASIBLE, Score
from dse.samplers.survivors import constrained_ranks, crowding_by_rank, survivors
from dse.samplers.swarm_moves import redraw
from dse.samplers.variation import numbers_per_child, vary

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

_STARTS, _CHILDREN, _REDRAWS = 1, 2, 4  # streams of random numbers
_BLOCK = 64  # children whose random numbers are drawn together
_PARENTS_DRAWN = 4  # two for each tournament
_ATTEMPTS = 16


@dataclass(frozen=True, slots=True, order=True)
class Child:
    """A design to be evaluated.

    Attributes:
        number: The how-manieth of all, from 0.
        position: In the unit box, one number for each coordinate known when it was made.
    """

    number: int
    position: tuple[float, ...]


class _Member(NamedTuple):
    """A result; its position is worked out when it becomes a parent."""

    score: Score
    params: Mapping[str, Any]
    distributions: Mapping[str, BaseDistribution]
    proposed: tuple[float, ...]


class Population:
    """The state of an evolution: a function of the seed and of what it was told, in order.

    The first `size` children cover every knob evenly. After every quarter generation the best
    `size` of survivors and results survive, by rank and crowding [Deb2002]; later children have
    their parents among them, by binary tournament. One selection for each result [Durillo2009]
    finds no more than that, and one for each generation, as printed, less in small budgets; from
    `12 size` results on selections come later, and after `50 size` by generation.

    Random numbers come from the number of the child alone, so that children are the same whether
    they are asked for one by one or together.

    Args:
        size: Survivors.
        seed: Of the study.

    [Deb2002] K. Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II",
        IEEE Trans. Evol. Comput. 6(2), 2002.
    [Durillo2009] J. J. Durillo et al., "On the effect of the steady-state selection scheme in
        multi-objective genetic algorithms", EMO 2009.
    """

    def __init__(self, size: int, *, seed: int) -> None:
        self.codec = KnobCodec()
        self._size = size
        self._seed = seed
        self._n_results = 0
        self._next = 0
        self._returned: list[Child] = []
        self._pending: dict[int, Child] = {}
        self._known = KnownDesigns()
        self._pool: list[_Member] = []
        self._alive: list[_Member] = []
        self._violations: Array = np.empty(0)  # of those alive
        self._losses: Array = np.empty((0, 0))
        self._is_front = False  # whether they are as many as may be, and none dominates another
        self._parents: tuple[int, Array, Indices, Array] | None = None
        self._starts: dict[tuple[str, int], Array] = {}
        self._random: dict[tuple[int, int], Array] = {}
        self._decoded: dict[int, tuple[int, dict[str, Any]]] = {}

    @property
    def alive(self) -> tuple[Array, Array]:
        """Violations `(survivors,)` and losses `(survivors, objectives)`."""
        return self._violations, self._losses

    def start(self, name: str, number: int) -> float:
        """Where a child without parents lies along a knob, 0..1: `size` in a row evenly."""
        block, row = divmod(number, self._size)
        if (name, block) not in self._starts:
            rng = np.random.default_rng([self._seed, _STARTS, name_seed(name), block])
            cells = rng.permutation(self._size)
            self._starts[name, block] = (cells + rng.random(self._size)) / self._size
        return float(self._starts[name, block][row])

    def begin(self, move: Child) -> None:
        """A child is being evaluated; the same one may begin again after `give_back`."""
        if move in self._returned:
            self._returned.remove(move)
        self._next = max(self._next, move.number + 1)
        self._pending[move.number] = move

    def give_back(self, move: Child) -> None:
        """A child ended without a result; it is the next to be evaluated."""
        self._pending.pop(move.number, None)
        if move not in self._returned:
            self._returned.append(move)

    def learn(
        self,
        score: Score,
        params: Mapping[str, Any],
        distributions: Mapping[str, BaseDistribution],
        move: Child | None,
    ) -> None:
        """Take in a result; a design that has one already teaches nothing.

        Args:
            score: What the design came to.
            params: Its knobs.
            distributions: Their ranges.
            move: None for a design that came from elsewhere.
        """
        self.codec.learn(distributions)
        if move is not None:
            self._pending.pop(move.number, None)
            self._decoded.pop(move.number, None)
        failed = score.violation == INFEASIBLE
        if not self._known.note(params, free=self.codec.columns, failed=failed) or failed:
            return
        self._pool.append(_Member(score, params, distributions, move.position if move else ()))
        self._n_results += 1
        often, rarely = math.ceil(self._size / 4), self._size
        if len(self._pool) >= min(max(often, self._n_results // 50), rarely):
            self._select()

    def moves(self, count: int) -> list[Child]:
        """The next children, those given back first; none of them has begun yet."""
        found = sorted(self._returned)[:count]
        numbers = np.arange(self._next, self._next + count - len(found))
        rows = self._positions(numbers)
        decoded = self._move_on(numbers, rows)
        for number, row, params in zip(numbers.tolist(), rows.tolist(), decoded, strict=True):
            self._decoded[number] = (self.codec.version, params)
            found.append(Child(number, tuple(row)))
        return found

    def params(self, moves: Sequence[Child]) -> list[dict[str, Any]]:
        """Values of the known knobs of the children."""
        found = []
        for move in moves:
            version, params = self._decoded.get(move.number, (-1, {}))
            if version != self.codec.version:
                params = self.codec.decode(self.full_position(move))
            found.append(params)
        return found

    def full_position(self, move: Child) -> Sequence[float]:
        """Position of a child with the coordinates that it did not know, `width` numbers."""
        known = len(move.position)
        if known == self.codec.width:
            return move.position
        return (*move.position, *self._start_position(move.number)[known:])

    def _start_position(self, number: int) -> list[float]:
        return [c for n, k in self.codec.knobs.items() for c in k.spread(self.start(n, number))]

    def _positions(self, numbers: Indices) -> Array:
        """Positions of children, `(children, width)`."""
        found = np.empty((len(numbers), self.codec.width))
        first = len(numbers) if len(self._alive) < 2 else np.searchsorted(numbers, self._size)
        for row in range(int(first)):
            found[row] = self._start_position(int(numbers[row]))
        if first < len(numbers) and self.codec.width:
            later = numbers[first:]
            columns = _PARENTS_DRAWN + numbers_per_child(len(self.codec.knobs))
            random = np.stack([self._random_row(n, columns) for n in later.tolist()])
            positions, ranks, crowding = self._ranked_parents()
            drawn = (random[:, :_PARENTS_DRAWN] * len(positions)).astype(np.int64)
            one, two = (
                positions[_winners(drawn[:, i], drawn[:, i + 1], ranks, crowding)] for i in (0, 2)
            )
            found[first:] = vary(self.codec, one, two, random[:, _PARENTS_DRAWN:])
        return found

    def _random_row(self, number: int, columns: int) -> Array:
        block, row = divmod(number, _BLOCK)
        if (block, columns) not in self._random:
            rng = np.random.default_rng([self._seed, _CHILDREN, block])
            near = {key: rows for key, rows in self._random.items() if key[0] >= block - 1}
            self._random = {**near, (block, columns): rng.random((_BLOCK, columns))}
        return np.asarray(self._random[block, columns][row])

    def _ranked_parents(self) -> tuple[Array, Indices, Array]:
        """Positions, ranks and crowding of the survivors."""
        if self._parents is None or self._parents[0] != self.codec.width:
            encode = self.codec.encode
            rows = [encode(m.params, m.distributions, m.proposed) for m in self._alive]
            ranks = constrained_ranks(self._violations, self._losses)
            crowding = crowding_by_rank(ranks, self._violations, self._losses)
            self._parents = self.codec.width, np.stack(rows), ranks, crowding
        return self._parents[1:]

    def _select(self) -> None:
        """The best of survivors and pool survive."""
        pool, self._pool = self._pool, []
        n_objectives = max(self._losses.shape[1], max(len(m.score.losses) for m in pool))
        blank = (math.nan,) * n_objectives
        new = np.array([m.score.losses or blank for m in pool])
        new = new.reshape(len(pool), n_objectives)
        broken = np.array([m.score.violation for m in pool])
        old = self._losses
        if old.shape[1] != n_objectives:  # nothing but designs without values so far
            old = np.full((len(old), n_objectives), math.nan)
        elif self._is_front and ((broken > 0) | _dominated(new, old)).all():
            return
        violations = np.concatenate([self._violations, broken])
        losses, everyone = np.concatenate([old, new]), self._alive + pool
        kept = survivors(violations, losses, self._size)
        self._alive, self._parents = [everyone[i] for i in kept.tolist()], None
        self._violations, self._losses = violations[kept], losses[kept]
        self._is_front = (
            len(kept) == self._size
            and not self._violations.any()
            and not _dominated(self._losses, self._losses).any()
        )

    def _move_on(self, numbers: Indices, rows: Array) -> list[dict[str, Any]]:
        """Move positions away from designs met, or being evaluated, if a few attempts suffice.

        Returns:
            Values at the positions, which change in place.
        """
        decode = self.codec.decode
        if not self.codec.knobs:
            return [{} for _ in numbers]
        pending = self.params(list(self._pending.values()))
        taken = {tuple(params.values()) for params in pending}
        found = []
        for number, row in zip(numbers.tolist(), rows, strict=True):
            params, rng = decode(row.tolist()), None
            for attempt in range(1, _ATTEMPTS + 1):
                if tuple(params.values()) not in taken and params not in self._known:
                    break
                rng = rng or np.random.default_rng([self._seed, _REDRAWS, number])
                redraw(self.codec, row, min(1.0, 2 * attempt / _ATTEMPTS), rng)
                params = decode(row.tolist())
            taken.add(tuple(params.values()))
            found.append(params)
        return found


def _dominated(losses: Array, by: Array) -> NDArray[np.bool_]:
    """Which rows another set dominates, `(rows,)`."""
    no_better = (by[:, None] <= losses).all(axis=2)
    return np.asarray((no_better & (by[:, None] < losses).any(axis=2)).any(axis=0))


def _winners(one: Indices, other: Indices, ranks: Indices, crowding: Array) -> Indices:
    """Of two the one of lower rank; of equal ones the less crowded, else the first."""
    better = ranks[other] < ranks[one]
    better |= (ranks[other] == ranks[one]) & (crowding[other] > crowding[one])
    return np.where(better, other, one)
