"""The cheap lane: designs asked, evaluated and stored in batches."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from dse.batches import Asked, StudyBatches
from dse.evaluation import Batch, Failure, Job, Outcome, Outcomes
from dse.launching.executor import Executor
from dse.launching.interrupts import Interrupts
from dse.launching.lanes import Lanes
from dse.study import MAX_KNOWN_IN_A_ROW, Study

_POLL_S = 1.0
_FIRST = 8
"""A batch of a sampler that learns is at most an eighth of the designs before it."""
_MUCH_TOO_LONG_S = 2.0

Told = Callable[[Job, Outcome], None]


@dataclass(slots=True)
class _InFlight:
    designs: list[Asked]
    began: datetime
    since: float


class CheapLane:
    """Runs a study in batches until its budget is spent.

    One transaction for every batch: a crash loses the batches in flight and leaves nothing half
    written. With one worker, a batch is asked when the one before is stored, so that the sequence
    of designs depends on the seed and on the sizes of the batches alone; these depend on the
    number of proposals and on what `Lanes` has decided, both of which the database holds.

    A batch whose worker dies, or which takes longer than its time limit, is evaluated again
    design by design, so that only the guilty one fails.

    Args:
        study: Owned by this process.
        executor: Takes batches.
        lanes: Has decided for this lane.
    """

    def __init__(self, study: Study, executor: Executor, lanes: Lanes) -> None:
        assert lanes.sampler is not None, "the lane is possible"
        self._study = study
        self._executor = executor
        self._lanes = lanes
        self._learns = lanes.sampler.learns
        self._batches = StudyBatches(study, lanes.sampler)
        self._again: list[Asked] = []
        self._in_flight: dict[int, _InFlight] = {}
        self._last_key = 0
        self._is_exhausted = False

    @property
    def is_idle(self) -> bool:
        """Whether nothing is in flight."""
        return not self._in_flight

    def feed(self, trials: int) -> str:
        """Keep the workers busy.

        Args:
            trials: Designs that the study shall hold.

        Returns:
            Why no more designs are asked; empty if there is no such reason.
        """
        deep = 1 if self._executor.workers == 1 else 2  # the next batch waits beside its worker
        while len(self._in_flight) < deep * self._executor.workers:
            if self._again:
                designs = [self._again.pop(0)]
            elif not (designs := self._next(trials)):
                break
            self._submit(designs)
        return "the space looks exhausted" if self._is_exhausted else ""

    def collect(self, interrupts: Interrupts, told: Told) -> None:
        """Wait for results, and store them."""
        for job, outcome in interrupts.allowed(lambda: self._executor.wait(_POLL_S)):
            batch = self._in_flight.pop(job.number)
            if isinstance(outcome, Outcomes):
                took_s = time.monotonic() - batch.since
                if took_s > _MUCH_TOO_LONG_S and len(batch.designs) > 1:
                    self._lanes.slowed(took_s / len(batch.designs))
                ends = self._ends(batch, outcome.each)
            elif len(batch.designs) == 1:
                ends = self._ends(batch, (outcome,))
            else:
                ends = []
                self._again += [
                    replace(asked, attempt=asked.attempt + 1) for asked in batch.designs
                ]
            self._batches.tell(ends, since=batch.began)
            for _, end in ends:
                told(job, end)

    def _ends(self, batch: _InFlight, outcomes: Sequence[Outcome]) -> list[tuple[Asked, Outcome]]:
        """Outcomes to be stored; those that were lost are evaluated again, up to a limit."""
        ends: list[tuple[Asked, Outcome]] = []
        for asked, outcome in zip(batch.designs, outcomes, strict=True):
            if isinstance(outcome, Failure) and outcome.lost:
                if asked.attempt < self._study.spec.launch.attempts:
                    self._again.append(replace(asked, attempt=asked.attempt + 1))
                    continue
                reason = f"lost {asked.attempt} times, given up: {outcome.reason}"
                outcome = Failure(reason=reason)
            ends.append((asked, outcome))
        return ends

    def _next(self, trials: int) -> list[Asked]:
        """A batch of designs that are not known; none when the budget is spent."""
        while (left := trials - self._study.n_designs) > 0 and not self._is_exhausted:
            found = self._batches.ask(min(self._size(), left))
            if self._batches.n_known_in_a_row >= MAX_KNOWN_IN_A_ROW:
                self._is_exhausted = True
            if found:
                return found
            self._batches.tell([], since=datetime.now())  # nothing but copies
        return []

    def _size(self) -> int:
        decision = self._lanes.decision
        assert decision is not None
        size = decision.batch
        while self._learns and size > 1 and size * _FIRST > self._batches.next_draw:
            size //= 2
        return size

    def _submit(self, designs: list[Asked]) -> None:
        self._last_key += 1
        self._in_flight[self._last_key] = _InFlight(designs, datetime.now(), time.monotonic())
        first = designs[0]
        self._executor.submit(
            Batch(
                number=self._last_key,
                point=self._batches.point(first),
                attempt=first.attempt,
                fidelity=self._study.spec.budget.fidelity,
                params=tuple([asked.params for asked in designs]),
                space=self._batches.space,
            )
        )
