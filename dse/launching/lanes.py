"""Lanes: whether a study's trials are told one by one or in batches, decided by measuring."""

from __future__ import annotations

import logging
import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from dse.errors import SpecError
from dse.launching.executor import Executor
from dse.samplers.batch import BatchSampler, batch_sampler
from dse.study import Study
from dse.trials import DUPLICATE_OF, SECONDS, STAGES

LANE = "dse:lane"
"""Study attribute: the lane, as it was decided; a study that goes on keeps it."""

CHEAP, EXPENSIVE = "cheap", "expensive"

MEASURED = 16
"""So many evaluations decide."""
CHEAP_S = 0.020
"""Median seconds below which an evaluation is cheap: what telling one by one costs."""
AT_RISK_S = 0.2
"""Seconds of evaluating that one batch stands for, and that a crash may cost."""
MOST = 256
"""Designs in the largest batch."""
_ALWAYS_COMPUTED = ("estimate",)
"""Stages that are not kept, and say nothing about the others."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Which lane, and why.

    Attributes:
        asked: `launch.lane` when it was decided.
        lane: `cheap` or `expensive`.
        why: For a person.
        batch: Designs in the largest batch of the cheap lane, a power of two.
    """

    asked: str
    lane: str
    why: str
    batch: int = 1


class Lanes:
    """The lane of a study.

    Args:
        study: Owned by this process.
        executor: Evaluates.
    """

    def __init__(self, study: Study, executor: Executor) -> None:
        self._study = study
        self._asked = study.spec.launch.lane
        self.sampler: BatchSampler | None = batch_sampler(
            study._sampler, seed=study.spec.sampler.seed, domains=study.space.free()
        )
        self._obstacle = self._find_obstacle(executor)
        if self._asked == CHEAP and self._obstacle:
            raise SpecError(f"launch.lane: cheap is not possible: {self._obstacle}")
        self.decision = self._stored()
        self._seconds: dict[int, float] = {}
        if self.decision is None:
            if self._asked == EXPENSIVE or self._obstacle:
                self._decide(EXPENSIVE, self._obstacle or "launch.lane says so")
            else:
                for trial in study.trials():
                    self._note(trial)
                self._look()

    @property
    def is_cheap(self) -> bool:
        """Whether new designs are asked in batches."""
        return self.decision is not None and self.decision.lane == CHEAP

    def told(self, number: int) -> None:
        """Look at a trial that was told."""
        if self.decision is None:
            self._note(self._study.trials()[number])
            self._look()

    def slowed(self, seconds: float) -> None:
        """Note how long the designs of a batch took each, if that was far too long."""
        before = self.decision
        assert before is not None, "there was a batch"
        took = f"a batch of the cheap lane took {1e3 * seconds:.3g} ms per design"
        if seconds >= CHEAP_S and self._asked != CHEAP:
            self._decide(EXPENSIVE, took)
        elif (size := batch_for(seconds)) < before.batch:
            self._decide(CHEAP, f"{before.why}; {took}", size)

    def _note(self, trial: FrozenTrial) -> None:
        attributes = trial.user_attrs
        if trial.state == TrialState.COMPLETE and DUPLICATE_OF not in attributes:
            stages: Mapping[str, Any] = attributes.get(STAGES, {})
            if not is_from_cache(stages):
                self._seconds[trial.number] = attributes[SECONDS]

    def _look(self) -> None:
        """Decide, once enough was measured."""
        needed = 1 if self._asked == CHEAP else MEASURED
        if len(self._seconds) < needed:
            return
        first = [self._seconds[number] for number in sorted(self._seconds)[:needed]]
        median_s = statistics.median(first)
        measured = f"median of the first {len(first)} evaluations {1e3 * median_s:.3g} ms"
        if self._asked == CHEAP or median_s < CHEAP_S:
            self._decide(CHEAP, measured, batch_for(median_s))
        else:
            self._decide(EXPENSIVE, measured)

    def _decide(self, lane: str, why: str, batch: int = 1) -> None:
        self.decision = Decision(asked=self._asked, lane=lane, why=why, batch=batch)
        self._study.optuna.set_user_attr(LANE, asdict(self.decision))
        _logger.info("%s lane: %s", lane, why)

    def _stored(self) -> Decision | None:
        stored = self._study.optuna.user_attrs.get(LANE)
        if stored is None or stored["asked"] != self._asked:
            return None
        found = Decision(**stored)
        return None if found.lane == CHEAP and self._obstacle else found

    def _find_obstacle(self, executor: Executor) -> str:
        """Why trials cannot be told in batches; empty if they can."""
        spec = self._study.spec
        if spec.launch.join:
            return "several drivers share the study"
        if spec.search.name == "nested":
            return "a nested search tells the designs of a network together"
        if len(spec.budget.ladder()) > 1:
            return "with rungs every result decides what is evaluated next"
        if self.sampler is None:
            return f"sampler {spec.sampler.name} proposes one design at a time"
        if not getattr(executor, "takes_batches", False):
            return f"{type(executor).__name__} evaluates one design at a time"
        return ""


def batch_for(seconds: float) -> int:
    """Designs of so many seconds in the largest batch: a power of two, worth `AT_RISK_S`."""
    size = MOST
    while size > 1 and size * seconds > AT_RISK_S:
        size //= 2
    return size


def is_from_cache(stages: Mapping[str, Any]) -> bool:
    """Whether every stage of an evaluation was found in the store."""
    kept = [trace for stage, trace in stages.items() if stage not in _ALWAYS_COMPUTED]
    return bool(kept) and all(trace["cached"] for trace in kept)
