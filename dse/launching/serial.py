"""SerialExecutor: evaluates in this process, one design after the other."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from dse.evaluation import Job, Outcome
from dse.launching.batches import outcome_of, size_of
from dse.launching.executor import too_slow
from dse.pipeline.evaluate import Evaluator
from dse.pipeline.settings import EvaluationSettings


class SerialExecutor:
    """One worker: this process. Results equal those of one Ray worker with the same threads.

    Args:
        settings: What an evaluation needs to know.
        trial_timeout_s: An evaluation that takes longer is stopped between two steps of Python
            and fails; a call into a library that never returns is not, and outside the main
            thread nothing is.
    """

    takes_batches = True

    def __init__(
        self, settings: EvaluationSettings, *, trial_timeout_s: float | None = None
    ) -> None:
        self._evaluator = Evaluator(settings)
        self._limit_s = trial_timeout_s
        self._queue: list[Job] = []

    @property
    def workers(self) -> int:
        """One."""
        return 1

    def submit(self, job: Job) -> None:
        """Keep the design until `wait` is called."""
        self._queue.append(job)

    def wait(self, timeout_s: float) -> Sequence[tuple[Job, Outcome]]:
        """Evaluate the next design, however long it takes or may take."""
        job = self._queue.pop(0)
        try:
            with _limited(None if self._limit_s is None else self._limit_s * size_of(job)):
                outcome = outcome_of(self._evaluator, job)
        except _TooSlowError:
            outcome = too_slow(self._limit_s or 0.0)
        return [(job, outcome)]

    def close(self) -> None:
        """Drop what waits."""
        self._queue.clear()


class _TooSlowError(BaseException):
    """Passes through `except Exception`, as an interrupt does."""


@contextmanager
def _limited(limit_s: float | None) -> Iterator[None]:
    """Raise in the middle of the block once it has taken so long."""
    if limit_s is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise _TooSlowError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
