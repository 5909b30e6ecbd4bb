"""dse list: the studies in a database."""

from __future__ import annotations

import json
from typing import Annotated, Any

import optuna
import typer
from rich.table import Table

from dse.cli.console import make_console
from dse.cli.options import STORAGE_DEFAULT, StorageOption, TextFormat, existing_database
from dse.lease import ATTRIBUTE, is_live
from dse.pareto import count_states


def list_studies(
    format_: Annotated[TextFormat, typer.Option("--format", help="How to print.")] = (
        TextFormat.TABLE
    ),
    storage: StorageOption = STORAGE_DEFAULT,
) -> None:
    """List the studies of a database.

    Example: dse list --storage sqlite:///dse.db
    """
    database = existing_database(storage)
    rows: list[dict[str, Any]] = []
    for name in sorted(optuna.get_all_study_names(database.storage)):
        study = optuna.load_study(study_name=name, storage=database.storage)
        trials = study.get_trials(deepcopy=False)
        rows.append(
            {
                "study": name,
                "objectives": study.metric_names or [d.name.lower() for d in study.directions],
                "n_trials": count_states(trials),
                "running": is_live(study.user_attrs.get(ATTRIBUTE) or {}),
            }
        )
    if format_ == TextFormat.JSON:
        typer.echo(json.dumps(rows, indent=2))
        return
    table = Table(title=f"Studies in {database.url}")
    for column in ("study", "objectives", "complete", "failed", "waiting", "running now"):
        table.add_column(column)
    for row in rows:
        counts = row["n_trials"]
        table.add_row(
            row["study"],
            ", ".join(row["objectives"]),
            str(counts["complete"]),
            str(counts["failed"]),
            str(counts["waiting"]),
            "yes" if row["running"] else "no",
        )
    make_console().print(table)
