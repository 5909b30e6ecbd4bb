"""Commands of documents: read as the command line reads them, and run in this process."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Sequence
from functools import cache
from typing import Any

import typer
from typer.testing import CliRunner

from dse.cli.app import COMMANDS, make_app
from tests.docs.documents import ROOT
from tests.docs.not_run import A_TRIAL, MORE, NARROWER, SMALLER
from tests.end_to_end.commands import SCRIPTS, environment

_TRIAL_AT = {"explain": 1, "export": 1, "sweep": 1}
"""Which argument is the number of a trial."""


@cache
def _command(name: str) -> Any:
    return typer.main.get_command(make_app([name])).commands[name]  # type: ignore[attr-defined]


def help_of(name: str) -> str:
    """The text of a command's help, without its line breaks."""
    return " ".join((_command(name).help or "").split())


def parse(words: Sequence[str]) -> None:
    """Read a `dse` command without running it; an unknown word, option or type is an error."""
    assert words[0] in COMMANDS, f"there is no `dse {words[0]}`"
    _command(words[0]).make_context(words[0], list(words[1:]))


def check_span(words: Sequence[str]) -> None:
    """A command in running text may leave things out; what it names exists."""
    assert words[0] in COMMANDS, f"there is no `dse {words[0]}`"
    known = {option for each in _command(words[0]).params for option in each.opts}
    known |= {option for each in _command(words[0]).params for option in each.secondary_opts}
    unknown = [word for word in words if word.startswith("--") and word not in {*known, "--help"}]
    assert not unknown, f"dse {words[0]} has no {', '.join(unknown)}"


def smaller(words: Sequence[str]) -> list[str]:
    """The command with a budget for tests, as `not_run.py` declares it."""
    name, *rest = words
    if name in _TRIAL_AT:
        places = [place for place, word in enumerate(rest) if not word.startswith("-")]
        at = places[_TRIAL_AT[name]] if len(places) > _TRIAL_AT[name] else -1
        if at >= 0 and rest[at].isdecimal():
            rest[at] = A_TRIAL
    if name == "run" and "--dry-run" not in rest:
        rest += SMALLER
    if name == "resume":
        rest += MORE
    if name == "sweep":
        rest = [
            word for word in rest if word != "--space" and word.partition("=")[0] not in NARROWER
        ]
        rest += [w for path, domain in NARROWER.items() for w in ("--space", f"{path}={domain}")]
    return [name, *rest]


def run_dse(words: Sequence[str]) -> str:
    """Run a `dse` command in the working folder; what it prints."""
    done = CliRunner().invoke(make_app([words[0]]), smaller(words))
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, f"exit code {done.exit_code}: {done.output}"
    return done.stdout


def run_program(words: Sequence[str]) -> None:
    """Run a program that was installed with dse."""
    done = subprocess.run(
        [str(SCRIPTS / words[0]), *words[1:]], env=environment(), capture_output=True, text=True,
        timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def make_targets() -> set[str]:
    """Targets of the Makefile."""
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def words_of(command: str) -> list[str]:
    """A command as the shell splits it."""
    return shlex.split(command)
