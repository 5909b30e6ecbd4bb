"""DesignTrainable: one design as Ray Tune runs it, in an actor; a step is one fidelity."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ray import tune

from dse.evaluation import Evaluation, Failure, Job, Outcome
from dse.launching.batches import Evaluating
from dse.objectives import Objective
from dse.spec_sections import Fidelity

SCORE, OUTCOME, RUNG = "score", "outcome", "rung"
"""Entries of a step's result: what a scheduler compares, what our study is told, steps taken."""


@dataclass(slots=True)
class _LostError(Exception):
    """A design that may succeed in another worker."""

    reason: str = field(default="")

    def __str__(self) -> str:
        return self.reason


class DesignTrainable(tune.Trainable):
    """One design in an actor; a step is one fidelity. Actors are reused, and warm."""

    def setup(self, config: dict[str, Any], **given: Any) -> None:
        """Make what evaluates.

        Args:
            config: Holds the job.
            given: `make` and its `settings`; the `ladder` of fidelities, and the `objective` that
                a scheduler compares.
        """
        self._evaluator: Evaluating = given["make"](given["settings"])
        self._ladder: tuple[Fidelity, ...] = given["ladder"]
        self._objective: Objective = given["objective"]
        self._job: Job = config["job"]
        self._rung = 0

    def step(self) -> dict[str, Any]:
        """Evaluate at the next fidelity."""
        fidelity = self._ladder[self._rung] if self._ladder else self._job.fidelity
        last = self._rung >= len(self._ladder) - 1
        outcome = self._evaluator.outcome(
            self._job.point, fidelity=fidelity, sweep=self._job.sweep and last
        )
        if isinstance(outcome, Failure) and outcome.lost:
            raise _LostError(outcome.reason)
        self._rung += 1
        return {
            OUTCOME: outcome,
            RUNG: self._rung,
            SCORE: self._score(outcome),
            tune.result.DONE: last or not isinstance(outcome, Evaluation),
        }

    def _score(self, outcome: Outcome) -> float:
        """The first objective, the larger the better; what has none is worst."""
        if not isinstance(outcome, Evaluation):
            return -math.inf
        value = outcome.metrics.get(self._objective.metric.si, math.nan)
        if not math.isfinite(value):
            return -math.inf
        return value if self._objective.direction == "maximize" else -value

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take another design without a new process."""
        self._job = new_config["job"]
        self._rung = 0
        return True

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """How far the design has climbed; its stages are in the stage store."""
        (Path(checkpoint_dir) / "rung.json").write_text(json.dumps(self._rung))

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Go on from there."""
        self._rung = json.loads((Path(checkpoint) / "rung.json").read_text())
