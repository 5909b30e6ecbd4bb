"""Study: ask for designs, tell results; an Optuna study that holds all of the state."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any, cast

import optuna
from optuna.trial import FrozenTrial, TrialState

from dse.database import Database
from dse.errors import StageError
from dse.evaluation import Evaluation, Failure, Job, Outcome, RuledOut
from dse.lease import ATTRIBUTE
from dse.nesting import Nesting
from dse.reading.columns import TrialColumns
from dse.reading.lazy_trials import open_lazily
from dse.reading.trials import marked_trials
from dse.rungs import rungs_of
from dse.samplers.counter_seeded import DESIGN, CounterSeededSampler
from dse.spec import StudySpec
from dse.storing.quick_storage import QuickStorage
from dse.trial_attributes import RUNNING, ResultTrial
from dse.trial_reports import read_report, upload_report
from dse.trials import (
    DRIVER,
    DUPLICATE_OF,
    ERROR,
    LOST,
    METRICS,
    NESTED_IN,
    PROMOTED_FROM,
    RETRY_OF,
    RULED_OUT,
    RUNG,
    RUNG_RESULT,
    SECONDS,
    STAGES,
    SWEEP,
    design_of,
    fail,
    requeue,
)
from search_spaces.design_point import DesignPoint
from search_spaces.domains import Choice, Domain, FloatRange, IntRange, Value
from search_spaces.draw import draw_design

MAX_KNOWN_IN_A_ROW = 50
"""So many proposals of known designs in a row, and the space counts as exhausted."""

_TOLD = (DESIGN, DUPLICATE_OF, LOST, RULED_OUT, RUNG_RESULT)

_logger = logging.getLogger(__name__)


class Study:
    """Asks a sampler for designs and tells it results; no state outside the database.

    A trial that was drawn to its end carries the attribute `design`: `draw` (it is the
    how-manieth design of the study), `digest`, `attempt`, and `retry_of` where an earlier trial
    of the same design was lost. A design that is known already is never evaluated again: its
    trial takes the known result and the attribute `duplicate_of`.

    On a ladder of fidelities every rung of a design is a trial: those below the last rung end
    PRUNED, with their result in the attribute `rung`, and the next one says `promoted_from`. A
    design that is found to break a constraint before its evaluation is over ends PRUNED, too,
    with the attribute `ruled_out`. In a nested search the further designs of a network are trials
    with `nested_in`.

    Args:
        study: Optuna's study; `sampler` is its sampler.
        spec: What is searched.
        sampler: Where proposals come from.
        database: Where the study lives.
        columns: Of its trials, if they were read already.
    """

    def __init__(
        self,
        study: optuna.Study,
        *,
        spec: StudySpec,
        sampler: CounterSeededSampler,
        database: Database,
        columns: TrialColumns | None = None,
    ) -> None:
        self.optuna = study
        self.spec = spec
        self.database = database
        self.space = spec.design_space()
        self.objectives = spec.parsed_objectives()
        self.constraints = spec.parsed_constraints()
        self.ruled_out_in_a_row = 0
        """Of the last designs told, how many were ruled out before any training."""
        self.n_waiting = 0
        """Designs that were given, or lost, and wait for a worker."""
        self.lease = ATTRIBUTE
        """Attribute of the Optuna study that holds the lease of this driver."""
        self._marks: dict[str, Any] = {}
        storage = database.storage
        self._together = storage.together if isinstance(storage, QuickStorage) else nullcontext
        self._sampler = sampler
        self._next_draw = 0
        self._open: dict[int, optuna.Trial] = {}
        self._counted: set[str] = set()
        self._known: dict[str, int] = {}
        self._running: set[str] = set()
        self._followers: dict[str, list[int]] = {}
        self.columns = open_lazily(study, database.url) if columns is None else columns
        self._rungs = rungs_of(spec, self.space, study)
        self._nesting = Nesting(spec, self.space)
        self.columns.refresh()
        climbs = len(self._rungs.ladder) > 1
        told = (*_TOLD, STAGES) if climbs else _TOLD
        for trial in marked_trials(self.columns, told, results=climbs):
            self._remember(trial)

    def trials(self) -> list[FrozenTrial]:
        """All trials, in order; not to be changed."""
        return self.optuna.get_trials(deepcopy=False)

    @property
    def n_designs(self) -> int:
        """Different designs asked so far; different networks, where hardware is swept.

        Those that were ruled out before any training do not count.
        """
        return len(self._counted)

    @property
    def n_done(self) -> int:
        """Different designs that completed or failed for good."""
        return self.n_designs - len(self._running)

    def wants(self, trials: int) -> bool:
        """Whether there is something to evaluate, in a study of so many designs."""
        return self.n_waiting > 0 or self.n_designs < trials or self._rungs.due() is not None

    def ask(self) -> Job | None:
        """The next design that is not known yet; None when the space looks exhausted.

        Designs that are due for the next rung come before new ones.
        """
        if self.n_waiting <= 0 and (number := self._rungs.due()) is not None:
            self._promote(number)
        for _ in range(MAX_KNOWN_IN_A_ROW):
            if self._nesting.n_known_in_a_row >= MAX_KNOWN_IN_A_ROW:
                break
            with self._together():
                job = self._ask_once()
            if job is not None:
                return job
        _logger.warning(
            "%d proposals in a row were known designs: the space looks exhausted",
            MAX_KNOWN_IN_A_ROW,
        )
        return None

    def tell(self, job: Job, outcome: Outcome) -> None:
        """Store the outcome of a design, once.

        A result with a missing or non-finite objective or constraint fails its trial with that
        reason; a lost design goes back to the queue up to `launch.attempts`.
        """
        with self._together():
            self._tell(job, outcome)

    def _tell(self, job: Job, outcome: Outcome) -> None:
        digest = job.point.digest()
        untrained = isinstance(outcome, RuledOut) and not outcome.trained
        self.ruled_out_in_a_row = self.ruled_out_in_a_row + 1 if untrained else 0
        if isinstance(outcome, RuledOut):
            _logger.info("trial %d was ruled out: %s", job.number, outcome.reason)
            self._tell_ruled_out(job, outcome)
        if isinstance(outcome, Evaluation):
            try:
                values, broken = self._numbers(outcome)
            except StageError as error:
                outcome = Failure(reason=str(error))
            else:
                self._tell_result(job, outcome, values, broken)
        if isinstance(outcome, Failure):
            if outcome.lost and job.attempt < self.spec.launch.attempts:
                _logger.warning("trial %d was lost: %s; trying again", job.number, outcome.reason)
                self._requeue(job, reason=outcome.reason, attempt=job.attempt + 1)
                return
            reason = outcome.reason
            if outcome.lost:
                reason = f"lost {job.attempt} times, given up: {reason}"
            _logger.warning("trial %d failed: %s", job.number, reason)
            fail(self.optuna, job.number, reason=reason)
        if not isinstance(outcome, Evaluation) and len(self._rungs.ladder) > 1:
            self._rungs.note(self.trials()[job.number])
        del self._open[job.number]
        self._running.discard(digest)
        self._known[digest] = job.number
        for follower in self._followers.pop(digest, []):
            self._copy(job.number, follower)

    def give_back(self, job: Job, *, reason: str) -> None:
        """Put a design whose evaluation was interrupted back to the queue."""
        self._requeue(job, reason=reason, attempt=job.attempt)
        for follower in self._followers.pop(job.point.digest(), []):
            fail(self.optuna, follower, reason=f"proposed twice; trial {job.number} was stopped")
            del self._open[follower]

    def report(self, number: int) -> Mapping[str, Any]:
        """Costs of a trial's design by layer and component.

        Raises:
            StudyError: The trial has no report, or its file is gone.
        """
        return read_report(self.optuna, self.database, self.trials()[number])

    def _ask_once(self) -> Job | None:
        self._sampler.next_draw = self._next_draw
        trial = self.optuna.ask()
        self._open[trial.number] = trial
        given: dict[str, Any] | None = trial.user_attrs.get(DESIGN)
        if given is not None:
            self.n_waiting -= 1
        # Also for given and lost designs: NSGA-II numbers the generations while it samples.
        _ = trial.relative_params
        try:
            point = draw_design(self.space, lambda path, domain: _suggest(trial, path, domain))
        except ValueError as error:  # enqueued by another program, outside the space
            _logger.warning("trial %d is outside the study's space: %s", trial.number, error)
            fail(self.optuna, trial.number, reason=f"outside the study's space: {error}")
            del self._open[trial.number]
            return None
        digest = point.digest()
        design = given
        if design is None:
            design = {"draw": self._next_draw, "digest": digest, "attempt": 1}
            self._next_draw += 1
        if SWEEP not in design:
            design = {**design, **self._nesting.mark(point)}
        design = {**design, **self._marks}
        if design != given:
            trial.set_user_attr(DESIGN, design)
        if (known := self._known.get(digest)) is not None and PROMOTED_FROM not in design:
            self._copy(known, trial.number)
            return None
        if digest in self._running:
            trial.set_user_attr(DUPLICATE_OF, -1)  # until the design's own trial is told
            self._followers.setdefault(digest, []).append(trial.number)
            return None
        self._running.add(digest)
        if _counts(design):
            self._counted.add(digest)
        return Job(
            number=trial.number,
            point=point,
            attempt=design["attempt"],
            fidelity=self._rungs.fidelity_of(design),
            sweep=design.get(SWEEP, False) and self._rungs.is_last(design),
        )

    def _promote(self, number: int) -> None:
        """Put a design in the queue for the next rung."""
        trial = self.trials()[number]
        before = design_of(trial)
        assert before is not None, "it has a result"
        design = {key: value for key, value in before.items() if key not in (RETRY_OF, DRIVER)}
        design |= {"attempt": 1, RUNG: before.get(RUNG, 0) + 1, PROMOTED_FROM: number}
        if self._rungs.is_last(design):
            design |= self._nesting.mark_climbing(design)
        self.optuna.enqueue_trial(trial.params, user_attrs={DESIGN: design})
        self._rungs.promoted(number)
        self.n_waiting += 1

    def _tell_result(
        self,
        job: Job,
        outcome: Evaluation,
        values: list[float],
        violations: Mapping[str, float],
    ) -> None:
        trial = self._open[job.number]
        design: dict[str, Any] = trial.user_attrs[DESIGN]
        for point, evaluation in outcome.nested:
            self._add_nested(job, design, point, evaluation)
        for name, violation in violations.items():
            trial.set_constraint(name, violation)
        trial.set_user_attr(METRICS, dict(outcome.metrics))
        trial.set_user_attr(STAGES, {stage: dict(t) for stage, t in outcome.stages.items()})
        trial.set_user_attr(SECONDS, outcome.seconds)
        upload_report(self.optuna, self.database, trial, outcome.report)
        # Ray Tune may stop a design below its rung's fidelity.
        if self._rungs.is_last(design) and job.fidelity == self._rungs.ladder[-1]:
            told = self.optuna.tell(trial, values)
        else:
            trial.set_user_attr(RUNG_RESULT, {"fidelity": job.fidelity, "values": values})
            told = self.optuna.tell(trial, state=TrialState.PRUNED)
        self._rungs.note(told)

    def _numbers(self, evaluation: Evaluation) -> tuple[list[float], dict[str, float]]:
        """Objectives and violations of a result.

        Raises:
            StageError: One is missing or not finite.
        """
        return (
            [_finite(o.name, o.metric.of, evaluation) for o in self.objectives],
            {str(c): _finite(str(c), c.violation, evaluation) for c in self.constraints},
        )

    def _tell_ruled_out(self, job: Job, outcome: RuledOut) -> None:
        trial = self._open[job.number]
        for name, violation in outcome.violations.items():
            trial.set_constraint(name, violation)
        trial.set_user_attr(SECONDS, outcome.seconds)
        trial.set_user_attr(RULED_OUT, {"reason": outcome.reason, "trained": outcome.trained})
        self.optuna.tell(trial, state=TrialState.PRUNED)
        if not outcome.trained:
            self._counted.discard(job.point.digest())

    def _add_nested(
        self, job: Job, design: Mapping[str, Any], point: DesignPoint, evaluation: Evaluation
    ) -> None:
        """A further design of a network, unless it is known (from a sweep that was cut short)."""
        digest = point.digest()
        if digest in self._known or digest in self._running:
            return
        nested = {"draw": design["draw"], "digest": digest, "attempt": 1, NESTED_IN: job.number}
        try:
            values, broken = self._numbers(evaluation)
        except StageError as error:
            _logger.warning("a nested design of trial %d is left out: %s", job.number, error)
            return
        self._known[digest] = self._nesting.add_trial(
            self.optuna,
            self.database,
            point,
            values=values,
            violations=broken,
            attributes={
                DESIGN: nested,
                METRICS: dict(evaluation.metrics),
                STAGES: {stage: dict(t) for stage, t in evaluation.stages.items()},
                SECONDS: evaluation.seconds,
            },
            report=evaluation.report,
        )

    def _copy(self, known: int, number: int) -> None:
        """Give a trial the outcome of an earlier one of the same design."""
        trial, original = self._open.pop(number), self.trials()[known]
        trial.set_user_attr(DUPLICATE_OF, known)
        if original.state == TrialState.PRUNED:
            for name, violation in original.constraints.items():
                trial.set_constraint(name, violation)
            for name in (RUNG_RESULT, RULED_OUT):
                if name in original.user_attrs:
                    trial.set_user_attr(name, original.user_attrs[name])
            trial.set_user_attr(SECONDS, 0.0)
            self.optuna.tell(trial, state=TrialState.PRUNED)
            return
        if original.state != TrialState.COMPLETE:
            fail(self.optuna, number, reason=f"as trial {known}: {original.user_attrs[ERROR]}")
            return
        for name, violation in original.constraints.items():
            trial.set_constraint(name, violation)
        trial.set_user_attr(METRICS, original.user_attrs[METRICS])
        trial.set_user_attr(SECONDS, 0.0)
        self.optuna.tell(trial, original.values)

    def _requeue(self, job: Job, *, reason: str, attempt: int) -> None:
        requeue(self.optuna, job.number, reason=reason, attempt=attempt)
        del self._open[job.number]
        self._running.discard(job.point.digest())
        self.n_waiting += 1

    def _remember(self, trial: ResultTrial) -> None:
        design = design_of(trial)
        if design is None:
            return
        if DUPLICATE_OF in trial.user_attrs and LOST in trial.user_attrs:
            return  # the driver died while copying: the same draw comes again
        self._next_draw = max(self._next_draw, design["draw"] + 1)
        self._rungs.note(trial)
        self._nesting.note(design)
        if trial.state == TrialState.WAITING:
            self.n_waiting += 1
            return
        if DUPLICATE_OF in trial.user_attrs:
            return
        ruled_out = trial.user_attrs.get(RULED_OUT)
        untrained = ruled_out is not None and not ruled_out["trained"]
        if untrained:
            self._counted.discard(design["digest"])
        elif _counts(design) and design["digest"] not in self._known:
            self._counted.add(design["digest"])
        if trial.state != RUNNING and LOST not in trial.user_attrs:
            self.ruled_out_in_a_row = self.ruled_out_in_a_row + 1 if untrained else 0
            self._known[design["digest"]] = trial.number


def _counts(design: Mapping[str, Any]) -> bool:
    """Whether the budget counts the design of a trial."""
    own = not {NESTED_IN, PROMOTED_FROM} & design.keys()
    return own and bool(design.get(SWEEP, True))


def _suggest(trial: optuna.Trial, path: str, domain: Domain) -> Value:
    if isinstance(domain, Choice):
        return cast("Value", trial.suggest_categorical(path, domain.values))
    if isinstance(domain, IntRange):
        return trial.suggest_int(path, domain.low, domain.high)
    assert isinstance(domain, FloatRange), "a free text is listed"
    return trial.suggest_float(path, domain.low, domain.high, log=domain.log)


def _finite(
    name: str, read: Callable[[Mapping[str, float]], float], evaluation: Evaluation
) -> float:
    try:
        value = read(evaluation.metrics)
    except KeyError as error:
        raise StageError(f"{name}: the evaluation gave no {error.args[0]}") from None
    if not math.isfinite(value):
        raise StageError(f"{name}: must be a finite number, the evaluation gave {value}")
    return value
