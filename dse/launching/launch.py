"""launch(): run a study where its spec says."""

from __future__ import annotations

from pathlib import Path

from dse.launching.driver import Progress, Summary, drive
from dse.launching.executor import Executor
from dse.launching.ray_environment import prepare_ray
from dse.pipeline.hardware_choices import swept_values
from dse.pipeline.settings import EvaluationSettings
from dse.spec import StudySpec
from dse.study import Study


def launch(study: Study, *, timeout_s: float | None, progress: Progress) -> Summary:
    """Evaluate until the budget of the study's spec is spent.

    Args:
        study: Owned by this process.
        timeout_s: Seconds after which no further design is asked.
        progress: Told what happens.
    """
    trials = study.spec.budget.trials
    if not study.wants(trials):
        return Summary(completed=0, failed=0, stopped="")
    settings = evaluation_settings(study.spec, store=study.database.home / "stages")
    if study.spec.launch.name == "tune":
        prepare_ray(local=study.spec.launch.address is None)
        from dse.launching.tune import run_tune  # after its environment is set

        return run_tune(study, settings, trials=trials, timeout_s=timeout_s, progress=progress)
    executor = make_executor(study.spec, settings)
    try:
        return drive(
            study,
            executor,
            trials=trials,
            timeout_s=timeout_s,
            progress=progress,
        )
    finally:
        executor.close()


def evaluation_settings(spec: StudySpec, *, store: Path) -> EvaluationSettings:
    """What a worker needs to know; nothing of the database."""
    budget = spec.budget
    return EvaluationSettings(
        task=spec.task,
        epochs=budget.epochs_at(budget.fidelity),
        fidelity=budget.fidelity,
        training=spec.training,
        threads=spec.launch.cpus_per_trial,
        store=store,
        shared_store=spec.launch.store,
        folders=spec.folders,
        epochs_at={fidelity: budget.epochs_at(fidelity) for fidelity in budget.ladder()},
        objectives=spec.parsed_objectives(),
        constraints=spec.parsed_constraints(),
        stop_hopeless=budget.stop_hopeless,
        swept=swept_values(spec.design_space()) if spec.search.name == "nested" else {},
        simulations=spec.search.simulations,
    )


def make_executor(spec: StudySpec, settings: EvaluationSettings) -> Executor:
    """The executor that `launch.name` stands for."""
    if spec.launch.name == "serial":
        from dse.launching.serial import SerialExecutor

        return SerialExecutor(settings, trial_timeout_s=spec.launch.trial_timeout_s)
    prepare_ray(local=spec.launch.address is None)
    from dse.launching.ray_actors import RayExecutor  # after its environment is set

    workers = spec.launch.workers
    return RayExecutor(
        settings,
        workers=None if workers == "auto" else workers,
        cpus_per_trial=spec.launch.cpus_per_trial,
        gpus_per_trial=spec.launch.gpus_per_trial,
        resources=spec.launch.resources,
        trial_timeout_s=spec.launch.trial_timeout_s,
        address=spec.launch.address,
    )
