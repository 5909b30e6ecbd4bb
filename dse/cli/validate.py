"""dse validate: every published number, and what our models give."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from dse.cli.console import make_console
from dse.cli.options import TextFormat
from dse.errors import SpecError
from dse.reporting.validation import OFF, validate_rows, validation_page, validation_table


def validate(
    format_: Annotated[TextFormat, typer.Option("--format", help="How to print.")] = (
        TextFormat.TABLE
    ),
    write: Annotated[
        Path | None, typer.Option("--write", metavar="FILE.md", help="Write the page of docs.")
    ] = None,
) -> None:
    """Compare every published number with ours: paper, ours, ratio, verdict.

    Analytic numbers are computed now; ends with exit code 1 if one of them is off.

    Example: dse validate --format json
    """
    rows = validate_rows()
    if write is not None:
        try:
            write.write_text(validation_page(rows), encoding="utf-8")
        except OSError as error:
            raise SpecError(
                f"--write {write}: cannot be written ({error.strerror}); name a file in a folder "
                "that exists"
            ) from None
    if format_ == TextFormat.JSON:
        typer.echo(json.dumps([row.to_json() for row in rows], indent=2))
    else:
        make_console().print(validation_table(rows))
    if any(row.verdict == OFF for row in rows):
        raise typer.Exit(1)
