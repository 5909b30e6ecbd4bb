"""dse dashboard: optuna-dashboard on the studies of a database."""

from __future__ import annotations

from typing import Annotated

import typer

from dse.cli.options import STORAGE_DEFAULT, StorageOption, existing_database

_LAST = 10_000  # dse.dashboard.feed.MANY, whose import takes a second; a test compares them


def dashboard(
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="Address to listen on.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port; 0 for any that is free.")
    ] = 8080,
    last: Annotated[
        int,
        typer.Option(
            "--last",
            min=1,
            metavar="N",
            help="Of a larger study show so many trials and the front.",
        ),
    ] = _LAST,
    storage: StorageOption = STORAGE_DEFAULT,
) -> None:
    """Show the studies of a database in optuna-dashboard, until Ctrl-C. It only reads.

    Infeasible designs are never called best. Listens on this machine only unless --host says
    otherwise.

    Example: dse dashboard --port 8081
    """
    from dse.cli.console import make_console
    from dse.dashboard.server import is_loopback, open_server
    from dse.reading.columns import TrialColumns
    from dse.reading.source import open_source
    from dse.reading.studies import read_study, study_names

    console = make_console(wrap=False)
    database = existing_database(storage)
    with open_source(storage) as source:
        counts = {
            name: len(TrialColumns(source, read_study(source, name)))
            for name in study_names(source)
        }
    with open_server(database, host=host, port=port, last=last) as server:
        if not is_loopback(host):
            typer.echo(
                f"Warning: whoever reaches {host} can read all studies of {database.url}: the "
                "dashboard asks for no password and does not encrypt. Keep it on 127.0.0.1 and "
                "come through `ssh -L`, or put a server with authentication before it.",
                err=True,
            )
        console.print(
            f"Of a study a page gets the last {last} trials, those on the front and new ones; "
            "more with --last, at a page that draws slower."
        )
        for name, count in counts.items():
            if count > last:
                console.print(f"That cuts {name}: {count} trials.")
        shown = f"[{host}]" if ":" in host else host
        console.print(f"Studies of {database.url} on http://{shown}:{server.server_port}/")
        console.print("Ctrl-C ends it.")
        server.serve_forever()
