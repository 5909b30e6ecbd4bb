"""What `dse run` and `dse resume` share: checks first, then the study, then its front."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import typer
from rich.console import Console

from dse.cli.options import LogFormat
from dse.database import open_database, storage_errors
from dse.evaluation import Job, Outcome
from dse.front_view import view_columns
from dse.launching.driver import Progress, Summary
from dse.launching.launch import evaluation_settings, launch
from dse.launching.metrics_server import RunMetrics
from dse.logs import LoggedRun, configure_logging
from dse.pipeline.evaluate import Evaluator
from dse.reporting.front import front_table
from dse.reporting.progress import RunProgress
from dse.reporting.status import saved_training
from dse.resuming import driving
from dse.samplers.auto import choose_sampler
from dse.samplers.make import make_sampler
from dse.spec import StudySpec
from dse.study import Study


def run_spec(
    spec: StudySpec,
    *,
    storage: str,
    timeout_s: float | None,
    console: Console,
    log_format: LogFormat = LogFormat.TEXT,
    metrics_port: int | None = None,
) -> None:
    """Run a study to the end of its budget and print its front.

    Whatever is wrong with the input shows before the database is touched.

    Args:
        spec: What is run.
        storage: URL of the database.
        timeout_s: Seconds after which no further design is asked.
        console: Where to print; with logs as JSON nothing is printed.
        log_format: How to log.
        metrics_port: Where to serve metrics; nowhere if left out.

    Raises:
        DseError: Bad input.
        typer.Exit: With code 1 if no design could be evaluated.
    """
    configure_logging(spec.name, json_lines=log_format == LogFormat.JSON)
    console.quiet = log_format == LogFormat.JSON
    make_sampler(choose_sampler(spec).spec)
    Evaluator(evaluation_settings(spec, store=Path())).check(spec.design_space().layers())
    database = open_database(storage, write=True)
    with storage_errors(database), driving(database, spec) as study:
        try:
            with _watching(study, console, log_format, metrics_port) as progress:
                summary = launch(study, timeout_s=timeout_s, progress=progress)
        except KeyboardInterrupt:
            console.print(f"Interrupted; continue with: dse resume {spec.name}")
            raise
        columns = study.columns
        columns.refresh()
        view = view_columns(columns, study.objectives, points=spec.points)
        console.print(front_table(view))
        _tell_end(spec, summary, console)
        if (saved := saved_training(columns, spec.budget)) is not None:
            console.print(f"Saved about {saved['saved_seconds']:.0f} s of training.")
    if summary.failed and not summary.completed:
        console.print("No design could be evaluated; `dse status` shows why.")
        raise typer.Exit(1)


@contextmanager
def _watching(
    study: Study, console: Console, log_format: LogFormat, metrics_port: int | None
) -> Iterator[Progress]:
    """Whoever wants to know what happens in a run."""
    with ExitStack() as stack:
        watchers: list[Progress] = []
        if metrics_port is not None:
            watchers.append(stack.enter_context(RunMetrics(study, metrics_port)))
        if log_format == LogFormat.JSON:
            watchers.append(stack.enter_context(LoggedRun(study)))
        else:
            watchers.append(stack.enter_context(RunProgress(study, console)))

        def tell(job: Job | None, outcome: Outcome | None) -> None:
            for watcher in watchers:
                watcher(job, outcome)

        yield tell


def _tell_end(spec: StudySpec, summary: Summary, console: Console) -> None:
    if summary.stopped:
        console.print(f"Stopped: {summary.stopped}.")
    if summary.failed:
        console.print(f"{summary.failed} designs failed: dse status {spec.name}")
    console.print(f"One design: dse explain {spec.name} TRIAL")
