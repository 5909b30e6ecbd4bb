"""dse score: evaluate an exported design again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from dse.cli.console import make_console
from dse.cli.options import TextFormat


def score(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="What dse export wrote.")],
    data: Annotated[
        Path | None, typer.Option("--data", metavar="FOLDER", help="Where the images lie.")
    ] = None,
    format_: Annotated[TextFormat, typer.Option("--format", help="How to print.")] = (
        TextFormat.TABLE
    ),
) -> None:
    """Evaluate an exported design again, from its codes alone; exit code 1 if anything differs.

    Example: dse score quickstart-3
    """
    from dse.exporting.design import score as evaluate  # torch takes a second to import
    from dse.plugins import search_here

    search_here((Path.cwd(),))
    found = evaluate(folder, data_folder=data)
    design = found.design
    if format_ == TextFormat.JSON:
        typer.echo(
            json.dumps(
                {
                    "study": design.study,
                    "trial": design.trial,
                    "exported": design.metrics,
                    "now": dict(found.metrics),
                    "differing": list(found.differing),
                },
                indent=2,
            )
        )
    else:
        table = Table(title=f"Trial {design.trial} of {design.study}, evaluated again")
        for column in ("metric", "exported", "now", ""):
            table.add_column(column, justify="left" if column in ("metric", "") else "right")
        for name, value in design.metrics.items():
            same = "" if name not in found.differing else "DIFFERS"
            now = found.metrics.get(name)
            table.add_row(name, f"{value:.9g}", "none" if now is None else f"{now:.9g}", same)
        make_console().print(table)
    if found.differing:
        raise typer.Exit(1)
