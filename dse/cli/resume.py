"""dse resume: continue a study by its name alone."""

from __future__ import annotations

from dse.cli.console import make_console
from dse.cli.options import (
    STORAGE_DEFAULT,
    AddressOption,
    JoinOption,
    LaunchOption,
    LogFormat,
    LogFormatOption,
    MetricsPortOption,
    NameArgument,
    StorageOption,
    TimeoutOption,
    TrialsOption,
    WorkersOption,
    existing_database,
)
from dse.cli.overrides import Overrides, override
from dse.resuming import load_spec


def resume(
    name: NameArgument,
    trials: TrialsOption = None,
    timeout: TimeoutOption = None,
    launch: LaunchOption = None,
    address: AddressOption = None,
    workers: WorkersOption = None,
    join: JoinOption = None,
    log_format: LogFormatOption = LogFormat.TEXT,
    metrics_port: MetricsPortOption = None,
    storage: StorageOption = STORAGE_DEFAULT,
) -> None:
    """Continue a study: its file is in the database; what a dead run left behind is taken up.

    Example: dse resume quickstart --trials 100
    """
    spec = override(
        load_spec(existing_database(storage), name),
        Overrides(trials=trials, launch=launch, address=address, workers=workers, join=join),
    )
    from dse.cli.running import run_spec  # torch takes a second to import

    run_spec(
        spec,
        storage=storage,
        timeout_s=timeout,
        console=make_console(),
        log_format=log_format,
        metrics_port=metrics_port,
    )
