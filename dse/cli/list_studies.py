"""dse list: the studies in a database."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from dse.cli.options import STORAGE_DEFAULT, StorageOption, TextFormat


def list_studies(
    format_: Annotated[TextFormat, typer.Option("--format", help="How to print.")] = (
        TextFormat.TABLE
    ),
    storage: StorageOption = STORAGE_DEFAULT,
) -> None:
    """List the studies of a database.

    Example: dse list --storage sqlite:///dse.db
    """
    from rich.table import Table

    from dse.cli.console import make_console
    from dse.lease import live_leases
    from dse.reading.columns import TrialColumns
    from dse.reading.source import open_source
    from dse.reading.studies import read_study, study_names

    rows: list[dict[str, Any]] = []
    with open_source(storage) as source:
        for name in study_names(source):
            study = read_study(source, name)
            rows.append(
                {
                    "study": name,
                    "objectives": list(study.metric_names or study.directions),
                    "n_trials": TrialColumns(source, study).counts(),
                    "running": bool(live_leases(study.user_attrs)),
                }
            )
        if format_ == TextFormat.JSON:
            typer.echo(json.dumps(rows, indent=2))
            return
        table = Table(title=f"Studies in {source.url}")
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
