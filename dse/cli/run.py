"""dse run: run a study file, or continue it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dse.cli.console import make_console
from dse.cli.options import (
    STORAGE_DEFAULT,
    AddressOption,
    JoinOption,
    LaunchOption,
    LogFormat,
    LogFormatOption,
    MetricsPortOption,
    StorageOption,
    TimeoutOption,
    TrialsOption,
    WorkersOption,
)
from dse.cli.overrides import Overrides, override
from dse.cli.study_files import read_study_file
from dse.reporting.describe import describe_spec


def run(
    study_file: Annotated[Path, typer.Argument(metavar="STUDY.yaml", help="Study file.")],
    trials: TrialsOption = None,
    timeout: TimeoutOption = None,
    launch: LaunchOption = None,
    address: AddressOption = None,
    workers: WorkersOption = None,
    join: JoinOption = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Change an entry of the study file."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the study and its space, and stop.")
    ] = False,
    log_format: LogFormatOption = LogFormat.TEXT,
    metrics_port: MetricsPortOption = None,
    storage: StorageOption = STORAGE_DEFAULT,
) -> None:
    """Run a study; one whose database already holds trials continues.

    Example: dse run studies/quickstart.yaml --trials 20
    """
    console = make_console()
    spec = override(
        read_study_file(study_file, set_ or ()),
        Overrides(trials=trials, launch=launch, address=address, workers=workers, join=join),
    )
    if dry_run:
        console.print(describe_spec(spec))
        return
    from dse.cli.running import run_spec  # torch takes a second to import

    run_spec(
        spec,
        storage=storage,
        timeout_s=timeout,
        console=console,
        log_format=log_format,
        metrics_port=metrics_port,
    )
