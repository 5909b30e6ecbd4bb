"""dse status: how far a study is, and what failed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from dse.cli.options import STORAGE_DEFAULT, NameArgument, StorageOption, TextFormat

_FOLLOW_EVERY_S = 2.0


def status(
    name: NameArgument,
    follow: Annotated[
        bool,
        typer.Option("--follow", help="Show every change until nobody runs the study, or Ctrl-C."),
    ] = False,
    format_: Annotated[TextFormat, typer.Option("--format", help="How to print.")] = (
        TextFormat.TABLE
    ),
    storage: StorageOption = STORAGE_DEFAULT,
) -> None:
    """Show a study's trials by state, its best values, its hypervolume and its failures.

    With --follow: live on a terminal, else a line for every change (JSON: an object a line).

    Example: dse status quickstart --follow
    """
    if format_ == TextFormat.JSON:
        for now in _statuses(name, storage, follow=follow):
            typer.echo(json.dumps(now, indent=None if follow else 2))
        return
    from dse.cli.console import make_console
    from dse.reporting.status import status_line, status_lines

    console = make_console(wrap=False)
    if follow and console.is_terminal:
        from rich.live import Live
        from rich.text import Text

        with Live(console=console, auto_refresh=False) as live:
            for now in _statuses(name, storage, follow=True):
                live.update(Text("\n".join(status_lines(now))), refresh=True)
        return
    for now in _statuses(name, storage, follow=follow):
        if now["running_now"] and follow:
            console.print(f"{time.strftime('%H:%M:%S')} {status_line(now)}")
        else:
            for line in status_lines(now):
                console.print(line)


def _statuses(name: str, storage: str, *, follow: bool) -> Iterator[dict[str, Any]]:
    """The status now; to be followed, whenever it differs, until nobody runs the study."""
    from dse.reading.columns import TrialColumns
    from dse.reading.source import open_source
    from dse.reading.studies import read_study
    from dse.reporting.status import study_status

    with open_source(storage) as source:
        study = read_study(source, name)
        columns = TrialColumns(source, study)
        before: dict[str, Any] = {}
        while True:
            now = study_status(columns, study.spec(source), study.user_attrs)
            if now != before:
                yield now
            if not follow or not now["running_now"]:
                return
            before = now
            source.moment()  # nothing is held while nothing is read
            time.sleep(_FOLLOW_EVERY_S)
            columns.refresh()
            study = read_study(source, name)
