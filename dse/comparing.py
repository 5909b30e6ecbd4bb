"""compare(): fronts of several studies, measured against one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dse.dominance import non_dominated
from dse.errors import StudyError
from dse.hypervolume import hypervolume
from dse.objectives import Objective
from dse.pareto import FrontOf, stored_front
from dse.reading.columns import TrialColumns

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedStudy:
    """One study among others.

    Attributes:
        name: Of the study.
        results: Designs with a result.
        front: Rows of its columns; reference point and hypervolume are common to all studies.
        best: Of every objective, on its front; empty without a front.
        kept: Designs of its front that no design of another study beats.
        beaten: Designs of the others' fronts that one of its designs beats, over their number;
            0 where there are none.
    """

    name: str
    results: int
    front: FrontOf[int]
    best: tuple[float, ...]
    kept: int
    beaten: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Studies with the same objectives.

    Attributes:
        objectives: Of all of them.
        reference_point: Worst value of every objective among the results of all studies.
        hypervolume: Of the front of all studies together.
        studies: In the order given.
    """

    objectives: tuple[Objective, ...]
    reference_point: tuple[float, ...]
    hypervolume: float
    studies: tuple[ComparedStudy, ...]


def compare(studies: Sequence[tuple[TrialColumns, tuple[Objective, ...]]]) -> Comparison:
    """Compare the fronts of studies.

    "Beats" is at least as good in every objective and better in one (the coverage of E. Zitzler
    and L. Thiele, "Multiobjective Evolutionary Algorithms: A Comparative Case Study and the
    Strength Pareto Approach", IEEE Trans. Evol. Comput. 3(4), 1999).

    Args:
        studies: Columns and objectives of each.

    Raises:
        StudyError: They do not have the same objectives.
    """
    objectives = studies[0][1]
    for columns, own in studies[1:]:
        if own != objectives:
            raise StudyError(
                "studies compare under the same objectives in the same order; "
                f"{studies[0][0].study.name!r} has {_written(objectives)}, "
                f"{columns.study.name!r} has {_written(own)}"
            )
    signs = np.array([1.0 if o.direction == "minimize" else -1.0 for o in objectives])
    losses = [columns.values()[columns.results()] * signs for columns, _ in studies]
    there = np.concatenate(losses)
    worst = there.max(axis=0) if len(there) else np.zeros(len(signs))
    reference = tuple((worst * signs).tolist())
    fronts = [stored_front(columns, own, reference_point=reference) for columns, own in studies]
    points = [
        columns.values()[np.array(front.trials, dtype=np.int64)] * signs
        for (columns, _), front in zip(studies, fronts, strict=True)
    ]
    union = np.concatenate(points)
    return Comparison(
        objectives=objectives,
        reference_point=reference,
        hypervolume=hypervolume(union[non_dominated(union)], worst) if len(union) else 0.0,
        studies=tuple(
            _compared(columns, front, number, points, signs)
            for number, ((columns, _), front) in enumerate(zip(studies, fronts, strict=True))
        ),
    )


def _compared(
    columns: TrialColumns,
    front: FrontOf[int],
    number: int,
    points: Sequence[Array],
    signs: Array,
) -> ComparedStudy:
    own = points[number]
    others = np.concatenate([each for i, each in enumerate(points) if i != number] or [own[:0]])
    return ComparedStudy(
        name=columns.study.name,
        results=len(columns.results()),
        front=front,
        best=tuple((own.min(axis=0) * signs).tolist()) if len(own) else (),
        kept=int((~_beaten(own, others)).sum()),
        beaten=float(_beaten(others, own).mean()) if len(others) else 0.0,
    )


def _beaten(points: Array, by: Array) -> NDArray[np.bool_]:
    """Which points one of the others dominates."""
    return np.array(
        [bool(((by <= p).all(axis=1) & (by < p).any(axis=1)).any()) for p in points], dtype=bool
    )


def _written(objectives: Sequence[Objective]) -> str:
    return ", ".join(map(str, objectives))
