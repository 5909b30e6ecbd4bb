"""Study: ask for designs, tell results; an Optuna study that holds all of the state."""

from __future__ import annotations

import json
import logging
import math
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import optuna
from optuna.artifacts import FileSystemArtifactStore, get_all_artifact_meta, upload_artifact
from optuna.trial import FrozenTrial, TrialState

from dse.database import Database
from dse.errors import StageError, StudyError
from dse.evaluation import Evaluation, Failure, Job, Outcome
from dse.samplers.counter_seeded import DESIGN, CounterSeededSampler
from dse.spec import StudySpec
from dse.trials import (
    DUPLICATE_OF,
    ERROR,
    LOST,
    METRICS,
    SECONDS,
    STAGES,
    design_of,
    fail,
    requeue,
)
from search_spaces.domains import Choice, Domain, FloatRange, IntRange, Value
from search_spaces.draw import draw_design

MAX_KNOWN_IN_A_ROW = 50
"""So many proposals of known designs in a row, and the space counts as exhausted."""

_REPORT = "report.json"
_logger = logging.getLogger(__name__)


class Study:
    """Asks a sampler for designs and tells it results; no state outside the database.

    A trial that was drawn to its end carries the attribute `design`: `draw` (it is the
    how-manieth design of the study), `digest`, `attempt`, and `retry_of` where an earlier trial
    of the same design was lost. A design that is known already is never evaluated again: its
    trial takes the known result and the attribute `duplicate_of`.

    Args:
        study: Optuna's study; `sampler` is its sampler.
        spec: What is searched.
        sampler: Where proposals come from.
        database: Where the study lives.
    """

    def __init__(
        self,
        study: optuna.Study,
        *,
        spec: StudySpec,
        sampler: CounterSeededSampler,
        database: Database,
    ) -> None:
        self.optuna = study
        self.spec = spec
        self.database = database
        self.space = spec.design_space()
        self.objectives = spec.parsed_objectives()
        self.constraints = spec.parsed_constraints()
        self.n_designs = 0
        """Different designs asked so far."""
        self.n_waiting = 0
        """Designs that were given, or lost, and wait for a worker."""
        self._sampler = sampler
        self._next_draw = 0
        self._open: dict[int, optuna.Trial] = {}
        self._known: dict[str, int] = {}
        self._running: set[str] = set()
        self._followers: dict[str, list[int]] = {}
        for trial in self.trials():
            self._remember(trial)

    def trials(self) -> list[FrozenTrial]:
        """All trials, in order; not to be changed."""
        return self.optuna.get_trials(deepcopy=False)

    @property
    def n_done(self) -> int:
        """Different designs that completed or failed for good."""
        return len(self._known)

    def ask(self) -> Job | None:
        """The next design that is not known yet; None when the space looks exhausted."""
        for _ in range(MAX_KNOWN_IN_A_ROW):
            if (job := self._ask_once()) is not None:
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
        digest = job.point.digest()
        if isinstance(outcome, Evaluation):
            try:
                values = [_finite(o.name, o.metric.of, outcome) for o in self.objectives]
                broken = {str(c): _finite(str(c), c.violation, outcome) for c in self.constraints}
            except StageError as error:
                outcome = Failure(reason=str(error))
            else:
                self._tell_result(job.number, outcome, values, broken)
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
        design: dict[str, Any] | None = trial.user_attrs.get(DESIGN)
        if design is not None:
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
        if design is None:
            design = {"draw": self._next_draw, "digest": digest, "attempt": 1}
            self._next_draw += 1
            trial.set_user_attr(DESIGN, design)
        if (known := self._known.get(digest)) is not None:
            self._copy(known, trial.number)
            return None
        if digest in self._running:
            trial.set_user_attr(DUPLICATE_OF, -1)  # until the design's own trial is told
            self._followers.setdefault(digest, []).append(trial.number)
            return None
        self._running.add(digest)
        self.n_designs += "retry_of" not in design
        return Job(number=trial.number, point=point, attempt=design["attempt"])

    def _tell_result(
        self,
        number: int,
        outcome: Evaluation,
        values: list[float],
        violations: Mapping[str, float],
    ) -> None:
        trial = self._open[number]
        for name, violation in violations.items():
            trial.set_constraint(name, violation)
        trial.set_user_attr(METRICS, dict(outcome.metrics))
        trial.set_user_attr(STAGES, {stage: dict(t) for stage, t in outcome.stages.items()})
        trial.set_user_attr(SECONDS, outcome.seconds)
        _upload(self.optuna, self.database, trial, outcome.report)
        self.optuna.tell(trial, values)

    def _copy(self, known: int, number: int) -> None:
        """Give a trial the outcome of an earlier one of the same design."""
        trial, original = self._open.pop(number), self.trials()[known]
        trial.set_user_attr(DUPLICATE_OF, known)
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

    def _remember(self, trial: FrozenTrial) -> None:
        design = design_of(trial)
        if design is None:
            return
        self._next_draw = max(self._next_draw, design["draw"] + 1)
        if trial.state == TrialState.WAITING:
            self.n_waiting += 1
            return
        if DUPLICATE_OF in trial.user_attrs:
            return
        self.n_designs += "retry_of" not in design
        if trial.state.is_finished() and LOST not in trial.user_attrs:
            self._known[design["digest"]] = trial.number


def artifact_store(database: Database) -> FileSystemArtifactStore:
    """Where large results lie."""
    folder = database.home / "artifacts"
    folder.mkdir(parents=True, exist_ok=True)
    return FileSystemArtifactStore(folder)


def read_report(study: optuna.Study, database: Database, trial: FrozenTrial) -> Mapping[str, Any]:
    """Costs of a trial's design by layer and component.

    Raises:
        StudyError: The trial has no report, or its file is gone.
    """
    if (original := trial.user_attrs.get(DUPLICATE_OF)) is not None:
        trial = study.get_trials(deepcopy=False)[original]
    number = trial.number
    for meta in get_all_artifact_meta(trial, storage=study._storage):
        if meta.filename == _REPORT:
            try:
                with artifact_store(database).open_reader(meta.artifact_id) as stream:
                    report: Mapping[str, Any] = json.load(stream)
                    return report
            except optuna.artifacts.exceptions.ArtifactNotFound:
                raise StudyError(
                    f"the report of trial {number} is not under {database.home / 'artifacts'}; "
                    "move that folder along with the database, or point DSE_HOME to it"
                ) from None
    raise StudyError(
        f"trial {number} of study {study.study_name!r} has no report: it is {trial.state.name}"
        + (f" ({trial.user_attrs[ERROR]})" if ERROR in trial.user_attrs else "")
    )


def _upload(
    study: optuna.Study, database: Database, trial: optuna.Trial, report: Mapping[str, Any]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / _REPORT
        file.write_text(json.dumps(report))
        upload_artifact(
            artifact_store=artifact_store(database),
            file_path=str(file),
            study_or_trial=trial,
            storage=study._storage,
            mimetype="application/json",
        )


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
