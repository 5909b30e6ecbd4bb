"""Logs of a run: text for a person, or one JSON object per line for a program."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from dse.evaluation import Evaluation, Failure, Job, Outcome, RuledOut
from dse.study import Study

_TRIAL = "trial %d"
_logger = logging.getLogger("dse.run")


def configure_logging(study: str, *, json_lines: bool) -> None:
    """Log to standard error; warnings as text, or whatever happens to trials as JSON.

    Args:
        study: Its name, which every JSON line has.
        json_lines: Which of both.
    """
    if not json_lines:
        logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
        return
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines(study))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("dse").setLevel(logging.INFO)
    logging.captureWarnings(capture=True)


class JsonLines(logging.Formatter):
    """`time` (ISO 8601, UTC), `level`, `study`, `trial` (or null), `event`, and what else is told.

    Args:
        study: Name of the study.
    """

    def __init__(self, study: str) -> None:
        super().__init__()
        self._study = study

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        trial = getattr(record, "trial", None)
        if trial is None and str(record.msg).startswith(_TRIAL) and isinstance(record.args, tuple):
            trial = record.args[0]
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "study": self._study,
            "trial": trial,
            "event": record.getMessage(),
            **getattr(record, "told", {}),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class LoggedRun:
    """Logs every design that is told, and how a run began and ended.

    Args:
        study: Being run.
    """

    def __init__(self, study: Study) -> None:
        self._study = study

    def __enter__(self) -> LoggedRun:
        self._log(logging.INFO, "run started")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._log(logging.INFO, "run finished")
        else:
            why = str(error) or type(error).__name__
            self._log(logging.WARNING, "run stopped", reason=why)

    def __call__(self, job: Job | None, outcome: Outcome | None) -> None:
        """Log an outcome."""
        if job is None:
            return
        told: dict[str, Any] = {"attempt": job.attempt, "fidelity": job.fidelity}
        if isinstance(outcome, Evaluation):
            values = {o.name: o.metric.of(outcome.metrics) for o in self._study.objectives
                      if o.metric.si in outcome.metrics}  # fmt: skip
            self._log(
                logging.INFO,
                "trial evaluated",
                job.number,
                values=values,
                seconds=outcome.seconds,
                **told,
            )
        elif isinstance(outcome, RuledOut):
            self._log(logging.INFO, "trial ruled out", job.number, reason=outcome.reason, **told)
        elif isinstance(outcome, Failure):
            event = "worker lost" if outcome.lost else "trial failed"
            self._log(logging.WARNING, event, job.number, reason=outcome.reason, **told)

    def _log(self, level: int, event: str, trial: int | None = None, **told: Any) -> None:
        if trial is None:
            told |= {"designs": self._study.n_done, "budget": self._study.spec.budget.trials}
        _logger.log(level, event, extra={"trial": trial, "told": told})
