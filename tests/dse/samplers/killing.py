"""Kill drivers of studies at any moment and resume them; beside studies that run undisturbed.

    python -m tests.dse.samplers.killing FOLDER SETTINGS

SETTINGS is JSON, settings by sampler. Every driver is a process of its own, forked from this one,
which has loaded what they need; it is killed by SIGKILL. Prints a JSON line for each sampler:
`whole` and `broken`, parameters and values of the completed designs in the order of their draws;
`lost`, how many trials the kills cost; `open`, trials left running or waiting.
"""

from __future__ import annotations

import importlib
import json
import os
import random
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dse.evaluation import Job, Outcome
from dse.launching.driver import drive
from dse.plugins import load
from dse.resuming import driving, load_optuna
from dse.trials import LOST, design_of, is_result
from tests.dse.fakes import FakeExecutor, database_in, small_spec

TRIALS = 12
LIVES = 4
"""Drivers of a broken study that are killed."""
MOST = TRIALS // LIVES - 1
"""Evaluations that a driver ends at the most if it is to be killed."""

STARTED = b"."


class Waiting(FakeExecutor):
    """Ends so many evaluations, then waits in one: a kill that comes late finds a driver too."""

    def __init__(self, evaluations: int) -> None:
        super().__init__()
        self._left = evaluations

    def wait(self, timeout_s: float) -> Sequence[tuple[Job, Outcome]]:
        if self._left == 0:
            time.sleep(3600)
        self._left -= 1
        return super().wait(timeout_s)


def run(folder: Path, sampler: dict[str, Any], pipe: int, executor: FakeExecutor) -> None:
    """Drive a study to its end and write down what came of it."""
    spec = small_spec(
        sampler=sampler,
        budget={"trials": TRIALS, "epochs": 1},
        launch={"name": "serial", "attempts": 2 * LIVES},
    )
    database = database_in(folder)
    with driving(database, spec) as study:
        os.write(pipe, STARTED)
        drive(study, executor, trials=TRIALS, timeout_s=None, progress=lambda *_: None)
    trials = load_optuna(database, spec.name).trials
    results = sorted(filter(is_result, trials), key=lambda t: (design_of(t) or {})["draw"])
    outcome = {
        "designs": [(t.params, t.values) for t in results],
        "lost": sum(LOST in t.user_attrs for t in trials),
        "open": sum(not t.state.is_finished() for t in trials),
    }
    (folder / "outcome.json").write_text(json.dumps(outcome))


def fork(folder: Path, sampler: dict[str, Any], executor: FakeExecutor) -> tuple[int, int]:
    """A driver's process, and the pipe on which it says that it drives."""
    read, write = os.pipe()
    if (process := os.fork()) == 0:
        os.close(read)
        code = 1
        try:
            run(folder, sampler, write, executor)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    os.close(write)
    return process, read


def live(folder: Path, sampler: dict[str, Any], *, seconds: float, at_once: bool) -> None:
    """One driver's life.

    Args:
        folder: Of the study.
        sampler: As in a study file.
        seconds: Until it is killed.
        at_once: Whether they count from its birth, else from when it drives.

    Raises:
        RuntimeError: It did not die of that.
    """
    process, pipe = fork(folder, sampler, Waiting(MOST))
    if not at_once:
        os.read(pipe, 1)
    time.sleep(seconds)
    os.kill(process, signal.SIGKILL)  # it is not waited for yet, so that its number is its own
    os.close(pipe)
    _, status = os.waitpid(process, 0)
    if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
        raise RuntimeError(f"a driver in {folder} ended with {status}, not by the kill")


def whole(folder: Path, sampler: dict[str, Any]) -> tuple[float, float]:
    """A life to the end; seconds until it drove and seconds of driving."""
    begin = time.monotonic()
    process, pipe = fork(folder, sampler, FakeExecutor())
    os.read(pipe, 1)
    started = time.monotonic()
    _, status = os.waitpid(process, 0)
    os.close(pipe)
    if os.waitstatus_to_exitcode(status) != 0:
        raise RuntimeError(f"a driver in {folder} ended with {status}")
    return started - begin, time.monotonic() - started


def outcome_in(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "outcome.json").read_text())
    return found


def compare(folder: Path, name: str, settings: dict[str, Any]) -> dict[str, Any]:
    """A study that runs undisturbed, and the same one killed again and again."""
    sampler = {"name": name, "seed": 11, **settings}
    for part in ("whole", "broken"):
        (folder / part).mkdir(parents=True)
    opening_s, driving_s = whole(folder / "whole", sampler)
    for number in range(LIVES):
        at_once = number == 1
        longest_s = opening_s if at_once else 1.6 * driving_s / LIVES
        live(
            folder / "broken",
            sampler,
            seconds=random.uniform(0, longest_s),  # of the clock: no two runs are alike
            at_once=at_once,
        )
    whole(folder / "broken", sampler)
    undisturbed, broken = outcome_in(folder / "whole"), outcome_in(folder / "broken")
    return {
        "sampler": name,
        "whole": undisturbed["designs"],
        "broken": broken["designs"],
        "lost": broken["lost"],
        "open": broken["open"],
    }


def main() -> None:
    """Compare for every sampler."""
    warnings.simplefilter("ignore")
    folder, settings = Path(sys.argv[1]), json.loads(sys.argv[2])
    for module in ("torch", "scipy.optimize", "scipy.stats", "optuna._gp.gp"):
        importlib.import_module(module)
    for name in settings:
        load("dse.samplers", name)
    (folder / "first").mkdir()
    run(
        folder / "first",
        {"name": "random", "seed": 0},
        os.open(os.devnull, os.O_WRONLY),
        FakeExecutor(),
    )
    for name, own in settings.items():
        print(json.dumps(compare(folder / name, name, own)), flush=True)


if __name__ == "__main__":
    main()
