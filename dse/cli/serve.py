"""dse serve: the studies of a database in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dse.cli.options import STORAGE_DEFAULT, StorageOption


def serve_command(
    host: Annotated[
        str, typer.Option("--host", help="Address to listen at; elsewhere than here with a token.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="0 takes a free one.")
    ] = 8765,
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file",
            metavar="FILE",
            help="Ask for the token in this file; that in DSE_TOKEN if left out.",
        ),
    ] = None,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allowed-host", metavar="NAME", help="Another name of the server: of a proxy."
        ),
    ] = None,
    data_root: Annotated[
        Path | None,
        typer.Option(
            "--data-root",
            metavar="DIR",
            help="Studies from the page may name checkpoints and data below this folder.",
        ),
    ] = None,
    allow_code: Annotated[
        bool,
        typer.Option(
            "--allow-code", help="Studies from the page may name module:attribute: run any code."
        ),
    ] = False,
    max_runs: Annotated[
        int, typer.Option("--max-runs", min=0, help="So many studies run at the same time.")
    ] = 4,
    create: Annotated[
        bool, typer.Option("--create", help="Make the database if there is none.")
    ] = False,
    storage: StorageOption = STORAGE_DEFAULT,
) -> None:
    """Serve the studies of a database as a web application: look, launch, pause, resume, cancel.

    Only this machine reaches it; --host listens elsewhere, and then a token is asked for.

    Example: dse serve --port 8765
    """
    from dse.serving.server import Allowed, Listening, serve

    serve(
        storage,
        Listening(host=host, port=port, names=tuple(allowed_host or ()), token_file=token_file),
        Allowed(code=allow_code, data_root=data_root, runs=max_runs, create=create),
        lambda line: typer.echo(line),
    )
