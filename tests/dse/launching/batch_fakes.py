"""A study in batches: an executor that takes them, and what they leave behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from optuna.trial import FrozenTrial

from dse.database import Database
from dse.evaluation import Evaluation, Job, Outcome
from dse.launching.batches import outcome_of, size_of
from dse.launching.driver import Summary, drive
from dse.resuming import driving, load_optuna
from dse.spec import StudySpec
from dse.trials import DUPLICATE_OF, design_of
from search_spaces.design_point import DesignPoint
from tests.dse.fakes import made_up, small_spec

Evaluate = Callable[[DesignPoint], Outcome]


def quick(point: DesignPoint) -> Evaluation:
    return replace(made_up(point), seconds=0.0001)


class BatchExecutor:
    """Evaluates by a function; `outcome` is asked for every job before it is evaluated."""

    takes_batches = True

    def __init__(
        self,
        evaluate: Evaluate = quick,
        *,
        workers: int = 1,
        before: Callable[[Job], Outcome | None] = lambda job: None,
    ) -> None:
        self._evaluate = evaluate
        self._before = before
        self._queue: list[Job] = []
        self.workers = workers
        self.evaluated: list[str] = []
        self.sizes: list[int] = []

    def outcome(self, point: DesignPoint, **_: Any) -> Outcome:
        self.evaluated.append(point.digest())
        return self._evaluate(point)

    def submit(self, job: Job) -> None:
        self._queue.append(job)

    def wait(self, timeout_s: float) -> Sequence[tuple[Job, Outcome]]:
        job = self._queue.pop(0)
        self.sizes.append(size_of(job))
        return [(job, self._before(job) or outcome_of(self, job))]

    def close(self) -> None:
        self._queue.clear()


SPACE = {"regularizer": ["l1"], "regularizer.l1.strength": "log 0.05..5", "adc.bits": "1..8"}
"""Without conditions: there, qmc proposes the same one by one and in batches."""


def spec_of(sampler: str, trials: int = 40, lane: str = "cheap", **changes: Any) -> StudySpec:
    settings = {"pso": {"particles": 4}, "nsga2": {"population": 4}}.get(sampler, {})
    return small_spec(
        **{
            "sampler": {"name": sampler, "seed": 5, **settings},
            "budget": {"trials": trials, "epochs": 1},
            "launch": {"name": "serial", "lane": lane},
            **changes,
        }
    )


def run(database: Database, spec: StudySpec, executor: Any, **changes: Any) -> Summary:
    with driving(database, spec) as study:
        arguments: dict[str, Any] = {"trials": spec.budget.trials, "timeout_s": None}
        return drive(
            study, executor, **{**arguments, **changes}, progress=lambda job, outcome: None
        )


def trials_in(database: Database) -> list[FrozenTrial]:
    return load_optuna(database, "small").trials


def told(trials: Sequence[FrozenTrial]) -> list[Any]:
    """What trials hold, but for their times."""
    return [(t.number, t.state, t.params, t.values, t.user_attrs, t.system_attrs) for t in trials]


def assert_whole(trials: Sequence[FrozenTrial], designs: int) -> None:
    """Numbers and draws without gaps, every design once, nothing running."""
    assert [t.number for t in trials] == list(range(len(trials)))
    assert [(design_of(t) or {})["draw"] for t in trials] == list(range(len(trials)))
    assert all(t.state.is_finished() for t in trials)
    first = [t for t in trials if DUPLICATE_OF not in t.user_attrs]
    assert len({(design_of(t) or {})["digest"] for t in first}) == len(first) == designs
