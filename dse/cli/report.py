"""dse report: a study as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dse.cli.options import STORAGE_DEFAULT, NameArgument, StorageOption, existing_database
from dse.errors import SpecError


def report(
    name: NameArgument,
    out: Annotated[Path | None, typer.Option(help="File to write; NAME.html if left out.")] = None,
    storage: StorageOption = STORAGE_DEFAULT,
) -> None:
    """Write a study's front, history and designs as one HTML file that needs no network.

    Example: dse report quickstart --out quickstart.html
    """
    from dse.resuming import load_optuna, load_spec

    database = existing_database(storage)
    spec = load_spec(database, name)
    file = out or Path(f"{name}.html")
    if not file.resolve().parent.is_dir():
        raise SpecError(f"--out {file}: the folder does not exist; create it")
    from dse.reporting.html import html_report

    text = html_report(load_optuna(database, name), database, spec)
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SpecError(f"--out {file}: cannot be written: {error}") from None
    typer.echo(f"Report: {file.resolve()}")
