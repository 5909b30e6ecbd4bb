"""run_tune(): a study under Ray Tune, for its schedulers and for those who run Tune.

Tune asks our study for designs and tells it what came of them. The database is the only truth:
what Tune writes for itself is deleted at the end and never read. A driver that was killed is
followed by another run as with any launcher; trials that it left running are reclaimed.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")  # no CSV, no TensorBoard
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")  # ours puts designs back
os.environ.setdefault("TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S", "1000000")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")

import ray
from ray import tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler
from ray.tune.search import Searcher

from dse.errors import LaunchError, SpecError
from dse.evaluation import Evaluation, Failure, Job, Outcome
from dse.launching.batches import Evaluating
from dse.launching.cpus import usable_cpus
from dse.launching.driver import Progress, Summary
from dse.launching.interrupts import Interrupts
from dse.launching.ray_actors import local_gpus, real_evaluator
from dse.launching.ray_cluster import brief, connect, room_for
from dse.launching.tune_trainable import OUTCOME, RUNG, SCORE, DesignTrainable
from dse.lease import watching
from dse.pipeline.settings import EvaluationSettings
from dse.spec import StudySpec
from dse.spec_sections import Fidelity
from dse.study import Study

_ASHA_LADDER: tuple[Fidelity, ...] = ("post_training", "short", "full")
_HOPELESS_AFTER = 5

_logger = logging.getLogger(__name__)


def run_tune(
    study: Study,
    settings: EvaluationSettings,
    *,
    trials: int,
    timeout_s: float | None,
    progress: Progress,
    make: Callable[[Any], Evaluating] = real_evaluator,
) -> Summary:
    """Evaluate under Tune until the study holds so many designs.

    With one worker the designs are those of every other launcher.

    Args:
        study: Owned by this process.
        settings: What a worker needs to know.
        trials: Different designs that the study shall hold, those of earlier runs included.
        timeout_s: Seconds after which no further design is asked.
        progress: Told what happens.
        make: Makes what evaluates, in the worker's process.

    Raises:
        SpecError: The study climbs rungs of its own, and a scheduler is to do so, too.
        LaunchError: Ray cannot be started or reached, or Tune fails.
    """
    spec = study.spec
    ladder = ladder_of(spec)
    wanted = spec.launch.workers
    here = max(usable_cpus(), (1 if wanted == "auto" else wanted) * spec.launch.cpus_per_trial)
    connect(spec.launch.address, cpus=here, gpus=local_gpus(spec.launch.gpus_per_trial))
    needs = {"CPU": float(spec.launch.cpus_per_trial), **spec.launch.resources}
    if spec.launch.gpus_per_trial > 0:
        needs["GPU"] = spec.launch.gpus_per_trial
    snapshots = study.database.home / "tune" / spec.name
    shutil.rmtree(snapshots, ignore_errors=True)  # of a driver that was killed
    interrupts = Interrupts()
    searcher = StudySearcher(
        study,
        trials=trials,
        workers=room_for(needs) if wanted == "auto" else wanted,
        ladder=ladder,
        deadline=None if timeout_s is None else time.monotonic() + timeout_s,
        progress=progress,
        interrupts=interrupts,
    )
    trainable = tune.with_resources(
        tune.with_parameters(
            DesignTrainable,
            make=make,
            settings=replace(settings, epochs_at={f: spec.budget.epochs_at(f) for f in ladder})
            if isinstance(settings, EvaluationSettings)
            else settings,
            ladder=ladder,
            objective=study.objectives[0],
        ),
        tune.PlacementGroupFactory([needs]),
    )
    tuner = tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=_scheduler(spec, ladder),
            num_samples=-1,
            reuse_actors=True,
            metric=SCORE,
            mode="max",
        ),
        run_config=tune.RunConfig(
            name=spec.name,
            storage_path=str(snapshots),
            verbose=0,
            callbacks=[_Reasons(searcher)],
            failure_config=tune.FailureConfig(max_failures=spec.launch.attempts - 1),
        ),
    )
    try:
        with interrupts.held():
            with watching(study.optuna, interrupts.request, key=study.lease) as reason:
                try:
                    interrupts.allowed(tuner.fit)
                except KeyboardInterrupt:
                    searcher.give_back("interrupted")
                    if not reason:
                        raise
                    searcher.stopped = f"stopped by {reason.cancelled or reason.taken_over}"
            if reason:
                interrupts.forget()
    except (ray.exceptions.RayError, tune.TuneError) as error:
        searcher.give_back("Ray Tune failed")
        raise LaunchError(f"Ray Tune failed: {brief(error)}; go on with `dse resume`") from error
    finally:
        ray.shutdown()
        shutil.rmtree(snapshots, ignore_errors=True)
    if searcher.error is not None:
        raise searcher.error
    return Summary(completed=searcher.completed, failed=searcher.failed, stopped=searcher.stopped)


def ladder_of(spec: StudySpec) -> tuple[Fidelity, ...]:
    """Fidelities at which Tune evaluates a design, one after the other.

    Raises:
        SpecError: The study climbs rungs of its own.
    """
    if spec.launch.scheduler == "fifo":
        return (spec.budget.fidelity,) if not spec.budget.rungs else ()
    if spec.budget.rungs or spec.budget.fidelity != "full":
        raise SpecError(
            "launch.scheduler: asha climbs the fidelities itself; leave budget.rungs and "
            "budget.fidelity out, or use launch.scheduler: fifo"
        )
    return _ASHA_LADDER


def _scheduler(spec: StudySpec, ladder: tuple[Fidelity, ...]) -> Any:
    if spec.launch.scheduler == "fifo":
        return FIFOScheduler()  # type: ignore[no-untyped-call]
    return ASHAScheduler(
        time_attr="training_iteration",
        max_t=len(ladder),
        grace_period=1,
        reduction_factor=spec.budget.reduction,
    )


@dataclass(slots=True)
class _Live:
    """A design that Tune is at, and why its last worker was lost."""

    job: Job
    why_lost: str = "worker lost"


class StudySearcher(Searcher):
    """Tune's view of a study: designs to evaluate, and where outcomes go.

    Args:
        study: Owned by this process.
        trials: Different designs that it shall hold.
        workers: Designs in flight.
        ladder: Fidelities that a design climbs; empty where the study has rungs of its own.
        deadline: When to ask no more, by the monotonic clock.
        progress: Told what happens.
        interrupts: Held back while the study is written.

    Attributes:
        error: What went wrong while the study was read or written; nothing is asked after it.
    """

    def __init__(
        self,
        study: Study,
        *,
        trials: int,
        workers: int,
        ladder: tuple[Fidelity, ...],
        deadline: float | None,
        progress: Progress,
        interrupts: Interrupts,
    ) -> None:
        super().__init__(metric=SCORE, mode="max")
        self._study = study
        self._trials = trials
        self._workers = workers
        self._ladder = ladder
        self._deadline = deadline
        self._progress = progress
        self._interrupts = interrupts
        self._live: dict[str, _Live] = {}
        self.completed = 0
        self.failed = 0
        self.stopped = ""
        self.error: Exception | None = None

    def suggest(self, trial_id: str) -> Any:
        """The next design; None while all workers have one, FINISHED at the end."""
        try:
            return self._interrupts.shielded(lambda: self._suggest(trial_id))
        except Exception as error:
            self.error = self.error or error
            return Searcher.FINISHED

    def _suggest(self, trial_id: str) -> Any:
        self._progress(None, None)
        if self._deadline is not None and time.monotonic() >= self._deadline:
            self.stopped = self.stopped or "time is up"
        if self.completed == 0 and self.failed >= max(_HOPELESS_AFTER, 2 * self._workers):
            self.stopped = self.stopped or f"the first {self.failed} designs failed"
        if self.stopped or self.error is not None:
            return Searcher.FINISHED
        if len(self._live) >= self._workers:
            return None
        if not self._study.wants(self._trials):
            return None if self._live else Searcher.FINISHED
        job = self._study.ask()
        if job is None:
            self.stopped = "the space looks exhausted"
            return Searcher.FINISHED
        self._live[trial_id] = _Live(job)
        return {"job": job}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """What a design has reached is told when Tune is done with it."""

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell the study; a design that was stopped early is told at the fidelity it reached."""
        live = self._live.pop(trial_id, None)
        if live is None:
            return
        try:
            self._interrupts.shielded(lambda: self._tell(live, None if error else result))
        except Exception as problem:
            self.error = self.error or problem

    def _tell(self, live: _Live, result: Mapping[str, Any] | None) -> None:
        job = live.job
        outcome: Outcome
        if result is None or OUTCOME not in result:
            job = replace(job, attempt=self._study.spec.launch.attempts)  # Tune has tried
            outcome = Failure(reason=live.why_lost, lost=True)
        else:
            outcome = result[OUTCOME]
            if self._ladder and isinstance(outcome, Evaluation):
                job = replace(job, fidelity=self._ladder[result[RUNG] - 1])
        self._study.tell(job, outcome)
        self.completed += isinstance(outcome, Evaluation)
        self.failed += isinstance(outcome, Failure)
        self._progress(job, outcome)

    def lost(self, trial_id: str, reason: str) -> None:
        """A worker died under a design; Tune may try it again."""
        if trial_id in self._live:
            self._live[trial_id].why_lost = f"worker lost: {reason}"
            _logger.warning("trial %d: %s", self._live[trial_id].job.number, reason)

    def give_back(self, reason: str) -> None:
        """Put what is in flight back to the queue."""
        for live in self._live.values():
            try:
                self._study.give_back(live.job, reason=reason)
            except Exception as error:  # the next driver finds it running and reclaims it
                _logger.warning("trial %d could not be put back: %s", live.job.number, error)
        self._live.clear()

    def save(self, checkpoint_path: str) -> None:
        """Nothing: all state is in the study."""

    def __getstate__(self) -> dict[str, Any]:
        return {}  # for Tune's snapshots, which are never read

    def __deepcopy__(self, _memo: object) -> StudySearcher:
        return self

    def restore(self, checkpoint_path: str) -> None:
        """Refuse: a run goes on from the database.

        Raises:
            LaunchError: Always.
        """
        raise LaunchError("a study goes on with `dse resume`, not from a snapshot of Ray Tune")


class _Reasons(tune.Callback):
    """Notes why workers were lost."""

    def __init__(self, searcher: StudySearcher) -> None:
        self._searcher = searcher

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def __deepcopy__(self, _memo: object) -> _Reasons:
        return self

    def on_trial_recover(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """One that is tried again."""
        self._note(trial)

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """One that is given up."""
        self._note(trial)

    def _note(self, trial: Trial) -> None:
        error = trial.get_pickled_error()
        if error is None:
            return
        self._searcher.lost(trial.trial_id, brief(error))
