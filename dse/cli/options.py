"""Options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from dse.database import DEFAULT_URL, Database, open_database

StorageOption = Annotated[
    str,
    typer.Option(
        "--storage", envvar="DSE_STORAGE", help="Database URL.", show_envvar=True, metavar="URL"
    ),
]
STORAGE_DEFAULT = DEFAULT_URL

TrialsOption = Annotated[
    int | None, typer.Option("--trials", min=1, help="Designs in all, instead of budget.trials.")
]
TimeoutOption = Annotated[
    float | None,
    typer.Option("--timeout", min=0, help="Seconds after which no design is started."),
]
LaunchOption = Annotated[
    str | None, typer.Option("--launch", help="serial or ray, instead of launch.name.")
]
AddressOption = Annotated[str | None, typer.Option("--address", help="Address of a Ray cluster.")]
WorkersOption = Annotated[
    int | None, typer.Option("--workers", min=1, help="Evaluations at the same time.")
]

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name of the study.")]


class TextFormat(StrEnum):
    """How a command prints."""

    TABLE = "table"
    JSON = "json"


class FrontFormat(StrEnum):
    """How `dse pareto` prints."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def existing_database(url: str) -> Database:
    """The database, to be read."""
    return open_database(url, write=False)
