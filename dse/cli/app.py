"""The `dse` command: its subcommands, and what an error becomes."""

from __future__ import annotations

import importlib
import signal
import sys
import warnings
from collections.abc import Iterable
from types import FrameType

import typer

from dse.errors import DseError
from hw_models.errors import HardwareError

COMMANDS = {
    "run": "dse.cli.run:run",
    "resume": "dse.cli.resume:resume",
    "submit": "dse.cli.submit:submit",
    "cancel": "dse.cli.cancel:cancel",
    "list": "dse.cli.list_studies:list_studies",
    "status": "dse.cli.status:status",
    "pareto": "dse.cli.pareto:pareto",
    "compare": "dse.cli.compare:compare",
    "explain": "dse.cli.explain:explain",
    "report": "dse.cli.report:report",
    "dashboard": "dse.cli.dashboard:dashboard",
    "serve": "dse.cli.serve:serve_command",
    "sweep": "dse.cli.sweep:sweep_command",
    "export": "dse.cli.export:export",
    "copy": "dse.cli.copy:copy",
    "score": "dse.cli.score:score",
    "validate": "dse.cli.validate:validate",
}
"""Where the subcommands are, in the order of the help."""


def make_app(names: Iterable[str] = COMMANDS) -> typer.Typer:
    """The command with some of its subcommands: the others' imports take a second."""
    app = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        help="Search designs of compute-in-memory (ReRAM crossbar) accelerators.\n\n"
        "Exit codes: 0 done, 1 a run failed, 2 bad input, 130 interrupted.",
    )
    app.callback()(_subcommands)
    for name in names:
        module, _, function = COMMANDS[name].partition(":")
        app.command(name=name)(getattr(importlib.import_module(module), function))
    return app


def _subcommands() -> None:
    """With a callback one subcommand alone keeps its name."""


def main() -> None:
    """Entry point: a bad input is one message and exit code 2, without a traceback."""
    # Of Optuna; ours to know, not a user's.
    warnings.filterwarnings("ignore", message=r".*The interface can change in the future")
    signal.signal(signal.SIGTERM, _terminated)
    first = sys.argv[1] if len(sys.argv) > 1 else ""
    try:
        make_app([first] if first in COMMANDS else COMMANDS)(standalone_mode=True)
    except (DseError, HardwareError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(2)


def _terminated(_number: int, _frame: FrameType | None) -> None:
    """A polite kill ends like Ctrl-C: designs in flight go back to the queue."""
    raise KeyboardInterrupt


def __getattr__(name: str) -> typer.Typer:
    """`app`, all of the command, made when it is asked for."""
    if name == "app":
        return make_app()
    raise AttributeError(name)
