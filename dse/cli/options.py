"""Options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from dse.sqlite_file import DEFAULT_URL

if TYPE_CHECKING:
    from dse.database import Database


class LogFormat(StrEnum):
    """How a run logs."""

    TEXT = "text"
    JSON = "json"


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
    str | None, typer.Option("--launch", help="serial, ray or tune, instead of launch.name.")
]
AddressOption = Annotated[str | None, typer.Option("--address", help="Address of a Ray cluster.")]
WorkersOption = Annotated[
    int | None, typer.Option("--workers", min=1, help="Evaluations at the same time.")
]

JoinOption = Annotated[
    bool | None,
    typer.Option("--join/--alone", help="Share the study with other drivers (PostgreSQL)."),
]

LogFormatOption = Annotated[
    LogFormat,
    typer.Option(
        "--log-format", envvar="DSE_LOG_FORMAT", show_envvar=True,
        help="json: one object per line on standard error, and nothing else.",
    ),
]  # fmt: skip
MetricsPortOption = Annotated[
    int | None,
    typer.Option(
        "--metrics-port", min=0, max=65535, help="Serve Prometheus metrics on this loopback port."
    ),
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
    PARQUET = "parquet"


def existing_database(url: str) -> Database:
    """The database, to be read."""
    from dse.database import open_database  # SQLAlchemy and Optuna take a while to import

    return open_database(url, write=False)
