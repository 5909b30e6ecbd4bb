"""SerialExecutor: evaluates in this process, one design after the other."""

from __future__ import annotations

from collections.abc import Sequence

from dse.evaluation import Job, Outcome
from dse.pipeline.evaluate import Evaluator
from dse.pipeline.settings import EvaluationSettings


class SerialExecutor:
    """One worker: this process. Results equal those of one Ray worker with the same threads."""

    def __init__(self, settings: EvaluationSettings) -> None:
        self._evaluator = Evaluator(settings)
        self._queue: list[Job] = []

    @property
    def workers(self) -> int:
        """One."""
        return 1

    def submit(self, job: Job) -> None:
        """Keep the design until `wait` is called."""
        self._queue.append(job)

    def wait(self, timeout_s: float) -> Sequence[tuple[Job, Outcome]]:
        """Evaluate the next design, however long it takes."""
        job = self._queue.pop(0)
        return [(job, self._evaluator.outcome(job.point, fidelity=job.fidelity, sweep=job.sweep))]

    def close(self) -> None:
        """Drop what waits."""
        self._queue.clear()
