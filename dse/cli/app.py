"""The `dse` command: its subcommands, and what an error becomes."""

from __future__ import annotations

import signal
import sys
import warnings
from types import FrameType

import typer
from optuna.exceptions import ExperimentalWarning

from dse.cli.explain import explain
from dse.cli.export import export
from dse.cli.list_studies import list_studies
from dse.cli.pareto import pareto
from dse.cli.report import report
from dse.cli.resume import resume
from dse.cli.run import run
from dse.cli.status import status
from dse.cli.sweep import sweep_command
from dse.cli.validate import validate
from dse.errors import DseError
from hw_models.errors import HardwareError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Search designs of compute-in-memory (ReRAM crossbar) accelerators.\n\n"
    "Exit codes: 0 done, 1 a run failed, 2 bad input, 130 interrupted.",
)
app.command()(run)
app.command()(resume)
app.command(name="list")(list_studies)
app.command()(status)
app.command()(pareto)
app.command()(explain)
app.command()(report)
app.command(name="sweep")(sweep_command)
app.command()(export)
app.command()(validate)


def main() -> None:
    """Entry point: a bad input is one message and exit code 2, without a traceback."""
    warnings.filterwarnings("ignore", category=ExperimentalWarning)  # ours to know, not a user's
    signal.signal(signal.SIGTERM, _terminated)
    try:
        app(standalone_mode=True)
    except (DseError, HardwareError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(2)


def _terminated(_number: int, _frame: FrameType | None) -> None:
    """A polite kill ends like Ctrl-C: designs in flight go back to the queue."""
    raise KeyboardInterrupt
