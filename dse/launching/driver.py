"""drive(): ask, evaluate, tell, until the budget is spent."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from dse.errors import StudyError
from dse.evaluation import Evaluation, Failure, Job, Outcome
from dse.launching.cheap_lane import CheapLane
from dse.launching.executor import Executor
from dse.launching.interrupts import Interrupts
from dse.launching.lanes import Lanes
from dse.lease import EXPIRES_S, watching
from dse.patience import PatientStorage
from dse.study import Study

_POLL_S = 1.0
_HOPELESS_AFTER = 5
_HOPELESS_SPACE = 200

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a run did.

    Attributes:
        completed: Designs evaluated in this run.
        failed: Designs that failed in this run.
        stopped: Why it ended before the budget was spent; empty if it did not.
    """

    completed: int
    failed: int
    stopped: str


Progress = Callable[[Job | None, Outcome | None], None]
"""Called with every design told, and with None about once a second."""


def drive(
    study: Study,
    executor: Executor,
    *,
    trials: int,
    timeout_s: float | None,
    progress: Progress,
) -> Summary:
    """Run a study until it holds so many designs.

    With one worker the sequence of designs depends on the study's seed alone: a design is asked
    when the one before is told.

    Args:
        study: Owned by this process.
        executor: Evaluates.
        trials: Different designs that the study shall hold, those of earlier runs included.
        timeout_s: Seconds after which no further design is asked; those running end.
        progress: Told what happens.

    Interrupts take effect while it waits for results, never while a trial is written.

    Raises:
        BaseException: Whatever interrupts it; designs in flight are back in the queue then.
    """
    interrupts = Interrupts()
    if isinstance(storage := study.database.storage, PatientStorage):
        storage.interrupted = lambda: interrupts.is_waiting
    counts = _Counts()
    with interrupts.held():
        with watching(study.optuna, interrupts.request, key=study.lease) as reason:
            try:
                stopped = _drive(study, executor, trials, timeout_s, progress, interrupts, counts)
            except KeyboardInterrupt:
                if not reason:
                    raise
                stopped = f"cancelled by {reason.cancelled}; continue with: "
                stopped += f"dse resume {study.spec.name}"
        if reason:
            interrupts.forget()
    if reason.taken_over:
        raise StudyError(
            f"study {study.spec.name!r} was taken over by {reason.taken_over}, for this driver "
            f"was not heard of for {EXPIRES_S:g} s; what it had not told is dropped"
        )
    return Summary(completed=counts.completed, failed=counts.failed, stopped=stopped)


@dataclass(slots=True)
class _Counts:
    completed: int = 0
    failed: int = 0


def _drive(
    study: Study,
    executor: Executor,
    trials: int,
    timeout_s: float | None,
    progress: Progress,
    interrupts: Interrupts,
    counts: _Counts,
) -> str:
    """Why it ended before the budget was spent; empty if it did not."""
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    running: dict[int, Job] = {}
    stopped = ""
    lanes = Lanes(study, executor)
    cheap: CheapLane | None = None

    def told(job: Job, outcome: Outcome) -> None:
        counts.completed += isinstance(outcome, Evaluation)
        counts.failed += isinstance(outcome, Failure) and (
            not outcome.lost or job.attempt >= study.spec.launch.attempts
        )
        progress(job, outcome)

    try:
        while True:
            if deadline is not None and time.monotonic() >= deadline:
                stopped = stopped or f"time is up after {timeout_s:g} s"
            hopeless = max(_HOPELESS_AFTER, 2 * executor.workers)
            if counts.completed == 0 and counts.failed >= hopeless:
                stopped = stopped or f"the first {counts.failed} designs failed; see `dse status`"
            if study.ruled_out_in_a_row >= _HOPELESS_SPACE:
                stopped = stopped or (
                    f"{study.ruled_out_in_a_row} designs in a row break constraints whatever "
                    "their network; see `dse status`, and loosen the constraints or narrow the "
                    "space"
                )
            in_batches = lanes.is_cheap and not running and study.n_waiting <= 0
            if in_batches and not stopped:
                cheap = cheap or CheapLane(study, executor, lanes)
                stopped = cheap.feed(trials)
            if cheap is not None and not cheap.is_idle:
                cheap.collect(interrupts, told)
                progress(None, None)
                continue
            while not stopped and len(running) < executor.workers:
                if not study.wants(trials) or (lanes.is_cheap and study.n_waiting <= 0):
                    break
                job = study.ask()
                if job is None:
                    if study.wants(trials):  # and other drivers did not take the rest
                        stopped = "the space looks exhausted"
                    break
                running[job.number] = job
                executor.submit(job)
            if not running:
                return stopped
            for job, outcome in interrupts.allowed(lambda: executor.wait(_POLL_S)):
                study.tell(job, outcome)
                del running[job.number]
                lanes.told(job.number)
                told(job, outcome)
            progress(None, None)
    except BaseException:
        for job in running.values():
            try:
                study.give_back(job, reason="interrupted")
            except Exception as error:  # the next driver finds it running and reclaims it
                _logger.warning("trial %d could not be put back: %s", job.number, error)
        raise
