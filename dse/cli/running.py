"""What `dse run` and `dse resume` share: checks first, then the study, then its front."""

from __future__ import annotations

import logging
from pathlib import Path

import typer
from rich.console import Console

from dse.database import open_database, storage_errors
from dse.launching.driver import Summary
from dse.launching.launch import evaluation_settings, launch
from dse.pareto import pareto_front
from dse.pipeline.evaluate import Evaluator
from dse.reporting.front import front_table
from dse.reporting.progress import RunProgress
from dse.resuming import driving
from dse.samplers.auto import choose_sampler
from dse.samplers.make import make_sampler
from dse.savings import savings
from dse.spec import StudySpec


def run_spec(spec: StudySpec, *, storage: str, timeout_s: float | None, console: Console) -> None:
    """Run a study to the end of its budget and print its front.

    Whatever is wrong with the input shows before the database is touched.

    Raises:
        DseError: Bad input.
        typer.Exit: With code 1 if no design could be evaluated.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    make_sampler(choose_sampler(spec).spec)
    Evaluator(evaluation_settings(spec, store=Path())).check(spec.design_space().layers())
    database = open_database(storage, write=True)
    with storage_errors(database), driving(database, spec) as study:
        try:
            with RunProgress(study, console) as progress:
                summary = launch(study, timeout_s=timeout_s, progress=progress)
        except KeyboardInterrupt:
            console.print(f"Interrupted; continue with: dse resume {spec.name}")
            raise
        front = pareto_front(study.trials(), study.objectives)
        console.print(front_table(spec.name, front, study.trials(), n_given=len(spec.points)))
        _tell_end(spec, summary, console)
        if (saved := savings(study.trials(), spec)) is not None:
            console.print(f"Saved about {saved['saved_seconds']:.0f} s of training.")
    if summary.failed and not summary.completed:
        console.print("No design could be evaluated; `dse status` shows why.")
        raise typer.Exit(1)


def _tell_end(spec: StudySpec, summary: Summary, console: Console) -> None:
    if summary.stopped:
        console.print(f"Stopped: {summary.stopped}.")
    if summary.failed:
        console.print(f"{summary.failed} designs failed: dse status {spec.name}")
    console.print(f"One design: dse explain {spec.name} TRIAL")
