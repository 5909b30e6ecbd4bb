"""A worker's side of batches: one call, many designs."""

from __future__ import annotations

import pickle
from functools import lru_cache
from typing import Protocol, cast

from dse.evaluation import Batch, Evaluation, Failure, Job, Outcome, Outcomes, RuledOut
from dse.spec_sections import Fidelity
from search_spaces.design_point import DesignPoint
from search_spaces.repeated_draw import RepeatedDraw


class Evaluating(Protocol):
    """What a worker does; `dse.pipeline.evaluate.Evaluator` is one."""

    def outcome(
        self, point: DesignPoint, *, fidelity: Fidelity | None = None, sweep: bool = False
    ) -> Outcome:
        """The outcome of a design."""
        ...


def outcome_of(evaluator: Evaluating, job: Job) -> Outcome:
    """The outcome of a job; of a batch, `Outcomes` for its designs."""
    if not isinstance(job, Batch):
        return evaluator.outcome(job.point, fidelity=job.fidelity, sweep=job.sweep)
    designs = _designs(job.space)
    each = [
        evaluator.outcome(designs.point(params), fidelity=job.fidelity) for params in job.params
    ]
    return Outcomes(each=cast("tuple[Evaluation | RuledOut | Failure, ...]", tuple(each)))


def size_of(job: Job) -> int:
    """How many designs a job stands for."""
    return len(job.params) if isinstance(job, Batch) else 1


@lru_cache(maxsize=4)
def _designs(space: bytes) -> RepeatedDraw:
    return RepeatedDraw(pickle.loads(space))  # noqa: S301 # from our own driver
