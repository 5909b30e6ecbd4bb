"""Which design of a rung goes on to the next: non-dominated rank first, then crowding."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dse.dominance import crowding_distances, non_dominated


@dataclass(frozen=True, slots=True, kw_only=True)
class RungResult:
    """What a design came to on a rung.

    Attributes:
        number: Of its trial.
        losses: Objectives, all to be small.
        violations: By constraint; met at or below 0.
        network: What designs have in common that need one training on the next rung; None where
            every design needs its own.
    """

    number: int
    losses: tuple[float, ...]
    violations: Mapping[str, float]
    network: str | None = None


def is_due(
    results: Sequence[RungResult],
    promoted: Container[int],
    *,
    reduction: int,
    first: bool = True,
    in_vain: Container[int] = (),
) -> bool:
    """Whether one more of so many results goes on.

    Those that went on are counted by networks, as far as designs share one; above the first rung
    the results, too.

    Args:
        results: Of the rung.
        promoted: Numbers of trials that went on already.
        reduction: One of so many goes on.
        first: Whether it is the first rung.
        in_vain: Numbers of those that went on and came to nothing; each counts.
    """
    if all(result.number in promoted for result in results):
        return False
    went_on = {
        r.number if r.number in in_vain else _training(r) for r in results if r.number in promoted
    }
    arrived = len(results) if first else len({_training(result) for result in results})
    return len(went_on) < arrived // reduction


def _training(result: RungResult) -> str | int:
    return result.number if result.network is None else result.network


def next_promotion(
    results: Sequence[RungResult],
    promoted: Container[int],
    *,
    gains: Mapping[str, float],
) -> int | None:
    """The best trial that has not gone on to the next rung; None if all have.

    Asynchronous successive halving [Li2020], but a design that went on before better ones came
    keeps its place, so that the number that goes on is exact; see `is_due`.

    Better is who meets the constraints, then who has the lower non-dominated rank, then who is
    less crowded within the rank [Deb2002]; among those that break constraints, who breaks them
    less. More training mends violations, so each is taken for smaller by the largest mend that
    was seen.

    Args:
        results: Of the rung, in the order of their trials.
        promoted: Numbers of trials that went on already.
        gains: By constraint, by how much a violation shrank on the next rung at best; none as
            long as none is known, and every design may meet it then.

    [Li2020] L. Li et al., "A system for massively parallel hyperparameter tuning", MLSys 2020,
        Algorithm 2.
    [Deb2002] K. Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II",
        IEEE Trans. Evol. Comput. 6(2), 2002.
    """
    numbers = [results[index].number for index in _ranked(results, gains)]
    return next((number for number in numbers if number not in promoted), None)


def _ranked(results: Sequence[RungResult], gains: Mapping[str, float]) -> list[int]:
    """Indices, the best first."""
    excess = np.array(
        [
            sum(max(0.0, v - gains.get(name, np.inf)) for name, v in result.violations.items())
            for result in results
        ]
    )
    losses = np.array([result.losses for result in results], dtype=np.float64)
    hopeful = np.flatnonzero(excess == 0)
    order: list[int] = []
    while len(hopeful):
        front = non_dominated(losses[hopeful])
        members = hopeful[front]
        order += members[_least_crowded(losses[members])].tolist()
        hopeful = np.delete(hopeful, front)
    broken = np.flatnonzero(excess > 0)
    order += broken[np.argsort(excess[broken], kind="stable")].tolist()
    return order


def _least_crowded(losses: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.argsort(-crowding_distances(losses), kind="stable")
