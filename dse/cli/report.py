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

    Front in two and three dimensions, parallel coordinates and table, linked by selection; how
    the hypervolume grew, which knobs matter, and designs in full. Of a large study the front and
    a sample of the other designs are drawn.

    Example: dse report quickstart --out quickstart.html
    """
    from dse.reading.source import open_source

    file = out or Path(f"{name}.html")
    if not file.resolve().parent.is_dir():
        raise SpecError(f"--out {file}: the folder does not exist; create it")
    from dse.reporting.html import html_report

    with open_source(storage) as source:
        text = html_report(source, existing_database(storage), name)
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SpecError(f"--out {file}: cannot be written: {error}") from None
    typer.echo(f"Report: {file.resolve()}")
