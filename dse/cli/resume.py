"""dse resume: continue a study by its name alone."""

from __future__ import annotations

from typing import Annotated

import typer

from dse.cli.console import make_console
from dse.cli.options import STORAGE_DEFAULT, NameArgument, StorageOption, existing_database
from dse.cli.overrides import Overrides, override
from dse.resuming import load_spec


def resume(
    name: NameArgument,
    trials: Annotated[
        int | None, typer.Option(min=1, help="Designs in all, instead of budget.trials.")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(min=0, help="Seconds after which no design is started.")
    ] = None,
    launch: Annotated[
        str | None, typer.Option(help="serial or ray, instead of launch.name.")
    ] = None,
    address: Annotated[str | None, typer.Option(help="Address of a Ray cluster.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Evaluations at the same time.")
    ] = None,
    storage: StorageOption = STORAGE_DEFAULT,
) -> None:
    """Continue a study: its file is in the database; what a dead run left behind is taken up.

    Example: dse resume quickstart --trials 100
    """
    spec = override(
        load_spec(existing_database(storage), name),
        Overrides(trials=trials, launch=launch, address=address, workers=workers),
    )
    from dse.cli.running import run_spec  # torch takes a second to import

    run_spec(spec, storage=storage, timeout_s=timeout, console=make_console())
