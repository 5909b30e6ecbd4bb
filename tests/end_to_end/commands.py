"""Run `dse` as a user does, on a study that takes seconds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from dse.cli.app import make_app

SCRIPTS = Path(sysconfig.get_path("scripts"))
HANGS_AFTER_S = 600.0
"""Ends a test that hangs; many times what a command takes on a busy machine of two cores."""

STUDY: dict[str, Any] = {
    "name": "tiny",
    "task": {"name": "mlp_mnist", "train_images": 600, "test_images": 200},
    "fixed": {"engine": "isaac", "cell.bits": 2},
    "space": {
        "regularizer": ["none", "l1", "bit_slice_l1"],
        "regularizer.strength": "log 0.1..5",
        "adc.bits": "1..8",
    },
    "points": [{"regularizer": "none", "adc.bits": 8}],
    "objectives": ["maximize accuracy", "minimize energy_uj"],
    "constraints": ["accuracy_loss <= 0.3"],
    "sampler": {"name": "tpe", "seed": 1, "startup_trials": 4},
    "budget": {"trials": 8, "epochs": 1},
    "training": {"seed": 0, "pretrain_epochs": 2},
    "launch": "serial",
}


def write_study(folder: Path, **changes: Any) -> Path:
    """The tiny study, with entries changed; None removes one."""
    study = {key: value for key, value in {**STUDY, **changes}.items() if value is not None}
    file = folder / f"{study.get('name', 'study')}.yaml"
    file.write_text(yaml.safe_dump(study, sort_keys=False))
    return file


def environment(**variables: str) -> dict[str, str]:
    """This environment without the variables that dse reads.

    Ray's workers run as other programs do: they would starve beside other tests.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith("DSE_")}
    return {**kept, "RAY_worker_niceness": "0", "COLUMNS": "200", **variables}


def dse(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder to its end."""
    return subprocess.run(
        [str(SCRIPTS / "dse"), *arguments],
        cwd=folder,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=HANGS_AFTER_S,
        check=False,
    )


def dse_here(folder: Path, *arguments: str) -> Result:
    """The same in this process: seconds sooner, for nothing is imported again."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("DSE_")]:
            patch.delenv(name)
        patch.setenv("COLUMNS", "200")
        patch.chdir(folder)
        patch.setattr(sys, "path", list(sys.path))  # where dse puts folders of study files
        return CliRunner().invoke(make_app([arguments[0]]), arguments)


_STARTED: list[subprocess.Popen[str]] = []


def kill_all() -> None:
    """Kill what `start` started and a failed test left behind."""
    while _STARTED:
        process = _STARTED.pop()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        if process.stdout is not None and not process.stdout.closed:
            process.communicate()


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a command in a folder, as the leader of its own process group."""
    process = subprocess.Popen(
        [str(SCRIPTS / "dse"), *arguments],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    _STARTED.append(process)
    return process


def succeed(folder: Path, *arguments: str) -> str:
    """What a command prints; it must end well."""
    done = dse(folder, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def printed_json(folder: Path, *arguments: str) -> Any:
    """The JSON that a command prints."""
    return json.loads(succeed(folder, *arguments, "--format", "json"))


def stored_trials(folder: Path, study: str = "tiny") -> list[dict[str, Any]]:
    """Trials by Optuna itself, in another process."""
    code = (
        "import json, sys, optuna\n"
        "optuna.logging.set_verbosity(optuna.logging.ERROR)\n"
        "study = optuna.load_study(study_name=sys.argv[2], storage=sys.argv[1])\n"
        "print(json.dumps([{'number': t.number, 'state': t.state.name, 'params': t.params,"
        " 'values': t.values, 'user': t.user_attrs} for t in study.trials]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, f"sqlite:///{folder / 'dse.db'}", study],
        capture_output=True,
        text=True,
        timeout=HANGS_AFTER_S,
        check=True,
    )
    trials: list[dict[str, Any]] = json.loads(done.stdout)
    return trials
