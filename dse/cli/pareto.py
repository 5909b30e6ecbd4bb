"""dse pareto: the feasible Pareto front."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from dse.cli.console import make_console
from dse.cli.options import (
    STORAGE_DEFAULT,
    FrontFormat,
    NameArgument,
    StorageOption,
    existing_database,
)
from dse.pareto import pareto_front
from dse.reporting.front import front_csv, front_json, front_table
from dse.resuming import load_optuna, load_spec


def pareto(
    name: NameArgument,
    format_: Annotated[FrontFormat, typer.Option("--format", help="How to print.")] = (
        FrontFormat.TABLE
    ),
    storage: StorageOption = STORAGE_DEFAULT,
) -> None:
    """Print the designs that no other beats in every objective, among those that are feasible.

    Example: dse pareto quickstart --format json
    """
    database = existing_database(storage)
    spec = load_spec(database, name)
    trials = load_optuna(database, name).get_trials(deepcopy=False)
    front = pareto_front(trials, spec.parsed_objectives())
    if format_ == FrontFormat.JSON:
        typer.echo(json.dumps(front_json(name, front, trials), indent=2))
    elif format_ == FrontFormat.CSV:
        typer.echo(front_csv(front), nl=False)
    else:
        make_console().print(front_table(name, front, trials, n_given=len(spec.points)))
