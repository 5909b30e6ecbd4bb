"""Executor: evaluates designs somewhere, and hands outcomes back as they come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from dse.evaluation import Failure, Job, Outcome


class Executor(Protocol):
    """Evaluates designs; never touches the database.

    A worker that dies surfaces as a lost `Failure`; the driver decides what happens to its
    design.
    """

    @property
    def workers(self) -> int:
        """Evaluations that run at the same time."""
        ...

    def submit(self, job: Job) -> None:
        """Take a design; at most `workers` are in flight."""
        ...

    def wait(self, timeout_s: float) -> Sequence[tuple[Job, Outcome]]:
        """What is finished, after at most so many seconds; perhaps nothing."""
        ...

    def close(self) -> None:
        """Stop; designs in flight are dropped."""
        ...


def too_slow(limit_s: float) -> Failure:
    """The outcome of an evaluation that was stopped for its time.

    It is no lost one: the same design would take as long again.
    """
    return Failure(reason=f"took longer than launch.trial_timeout_s = {limit_s:g} s; stopped")
