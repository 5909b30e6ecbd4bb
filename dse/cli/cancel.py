"""dse cancel: ask the driver of a study to stop, wherever it runs."""

from __future__ import annotations

import time
from typing import Annotated

import optuna
import typer

from dse.cli.console import make_console
from dse.cli.options import STORAGE_DEFAULT, NameArgument, StorageOption
from dse.database import Database, open_database, storage_errors
from dse.errors import StorageError
from dse.lease import ask_to_stop, live_leases, whose
from dse.resuming import load_optuna, load_spec

_LOOK_EVERY_S = 0.5


def cancel(
    name: NameArgument,
    wait: Annotated[bool, typer.Option("--wait", help="Return once the driver has stopped.")] = (
        False
    ),
    timeout: Annotated[
        float, typer.Option("--timeout", min=0, help="With --wait: at most so many seconds.")
    ] = 600.0,
    storage: StorageOption = STORAGE_DEFAULT,
) -> None:
    """Stop the run of a study: designs that are being evaluated go back to the queue.

    The driver sees it in the database within a second or two, on whatever machine it is.

    Example: dse cancel quickstart --wait
    """
    console = make_console(wrap=False)
    open_database(storage, write=False)  # one that does not exist is not made
    database = open_database(storage, write=True)
    load_spec(database, name)
    with storage_errors(database):
        study = load_optuna(database, name)
        held = ask_to_stop(study)
        if not held:
            console.print(f"Nobody runs study {name!r}: there is nothing to cancel.")
            _tell_left_behind(study, name)
            return
        console.print(f"Asked {', '.join(map(whose, held))} to stop.")
        if wait:
            _wait(database, study, timeout)
            console.print(f"It has stopped; continue with: dse resume {name}")


def _wait(database: Database, study: optuna.Study, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while live_leases(study.user_attrs):
        if time.monotonic() > deadline:
            raise StorageError(
                f"{database.url}: the driver of {study.study_name!r} still runs after "
                f"{timeout_s:g} s; it stops when the design under way is told, or look at its host"
            )
        time.sleep(_LOOK_EVERY_S)


def _tell_left_behind(study: optuna.Study, name: str) -> None:
    running = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,))
    if running:
        make_console(wrap=False).print(
            f"{len(running)} trials were left running by a driver that died; "
            f"`dse resume {name}` takes them up."
        )
