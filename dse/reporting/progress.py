"""Progress of a run: a live line on a terminal, plain lines in a log."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from dse.evaluation import Evaluation, Failure, Job, Outcome
from dse.study import Study

_LOG_EVERY_S = 10.0


class RunProgress:
    """Shows designs done of the budget, best values so far, and the time that is left.

    Args:
        study: Being run.
        console: A terminal gets a live line, anything else a plain line about every ten seconds.
    """

    def __init__(self, study: Study, console: Console) -> None:
        self._study = study
        self._console = console
        self._total = study.spec.budget.trials
        self._failed = 0
        self._began = time.monotonic()
        self._done_before = study.n_done
        self._last_line = 0.0
        self._best: dict[str, float] = {}
        columns = study.columns
        results = columns.results()
        for values in columns.values()[results[~columns.broken()[results]]].tolist():
            self._note(values)
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> RunProgress:
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("ETA"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[best]}"),
                console=self._console,
            )
            self._task = self._bar.add_task(
                self._study.spec.name,
                total=self._total,
                completed=self._study.n_done,
                best=self._text(),
            )
            self._bar.start()
        else:
            self._line("started")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        else:
            self._line("stopped" if error else "finished")

    def __call__(self, job: Job | None, outcome: Outcome | None) -> None:
        """Take note of an outcome, or of the passing of time."""
        if isinstance(outcome, Evaluation):
            constraints = self._study.constraints
            if all(c.violation(outcome.metrics) <= 0 for c in constraints):
                self._note([o.metric.of(outcome.metrics) for o in self._study.objectives])
        elif isinstance(outcome, Failure) and not outcome.lost:
            self._failed += 1
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self._study.n_done, best=self._text())
        elif time.monotonic() - self._last_line >= _LOG_EVERY_S:
            self._line("running")

    def _note(self, values: list[float]) -> None:
        for objective, value in zip(self._study.objectives, values, strict=True):
            better = min if objective.direction == "minimize" else max
            best = self._best.get(objective.name, value)
            self._best[objective.name] = better(best, value)

    def _text(self) -> str:
        words = [f"best {name} {value:.4g}" for name, value in self._best.items()]
        if self._failed:
            words.append(f"{self._failed} failed")
        return ", ".join(words)

    def _line(self, state: str) -> None:
        self._last_line = time.monotonic()
        elapsed = self._last_line - self._began
        done = self._study.n_done
        fresh = done - self._done_before
        left = elapsed / fresh * max(0, self._total - done) if fresh else None
        eta = f", about {left:.0f} s left" if left and state == "running" else ""
        best = f", {text}" if (text := self._text()) else ""
        self._console.print(
            f"{self._study.spec.name}: {state}, {done}/{self._total} designs, "
            f"{elapsed:.0f} s{eta}{best}",
            soft_wrap=True,
            highlight=False,
        )
