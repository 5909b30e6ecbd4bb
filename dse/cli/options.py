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
