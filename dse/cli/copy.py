"""dse copy: a whole study to another database."""

from __future__ import annotations

from typing import Annotated

import typer

from dse.cli.options import STORAGE_DEFAULT, NameArgument, StorageOption


def copy(
    name: NameArgument,
    to: Annotated[str, typer.Option("--to", metavar="URL", help="Database that it goes to.")],
    new_name: Annotated[
        str | None, typer.Option("--name", metavar="NEW", help="Another name for the copy.")
    ] = None,
    without_files: Annotated[
        bool,
        typer.Option("--without-files", help="Leave the results of stages; they are made anew."),
    ] = False,
    storage: StorageOption = STORAGE_DEFAULT,
) -> None:
    """Copy a study between databases, SQLite or PostgreSQL: trials, attributes, reports, files.

    The copy is read back before it counts; an interrupted one leaves nothing. It goes on with
    `dse resume`. Files go to DSE_HOME, or to the folder `.dse` of the target.

    Example: dse copy quickstart --to postgresql://me@head/studies
    """
    from dse.cli.console import make_console
    from dse.copying import copy_study
    from dse.database import open_database

    console = make_console(wrap=False)
    source = open_database(storage, write=False)
    target = open_database(to, write=True)
    wanted = new_name or name
    done = copy_study(source, target, name, new_name=wanted, stages=not without_files)
    console.print(
        f"Copied {name} to {wanted} in {target.url}: {done.trials} trials, {done.rows} rows, read "
        f"back and equal (SHA-256 {done.digest[:16]})."
    )
    if done.files or done.missing:
        gone = f"; {done.missing} were gone already" if done.missing else ""
        console.print(f"{done.files} files copied to {target.home}{gone}.")
    console.print(f"Continue it with: dse resume {wanted} --storage {target.url}")
