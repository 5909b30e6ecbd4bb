"""Bad input: one clear message, exit code 2, no traceback, and a database as it was."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from dse.errors import DseError
from tests.end_to_end.commands import dse, dse_here, stored_trials, succeed, write_study


def refused(folder: Path, *arguments: str, **variables: str) -> str:
    """The message of a command that must be refused."""
    done = dse(folder, *arguments, **variables)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return done.stderr.strip()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"space": {"regulariser": ["l1"]}},
            "SpecError: tiny.yaml: space.regulariser: there is no such knob; did you mean "
            "'regularizer'?",
        ),
        (
            {"space": {"adc.bits": "0..8"}},
            "SpecError: tiny.yaml: space.adc.bits: 0..8 leaves the domain 1..14",
        ),
        (
            {"sampler": "bayes"},
            "PluginError: no 'bayes' in 'dse.samplers'. Installed: ehvi, gp, nsga2, nsga3,",
        ),
        (
            {"task": "resnet1000"},
            "PluginError: no 'resnet1000' in 'dse.tasks'; did you mean 'resnet20_cifar10'?",
        ),
        (
            {"task": {"name": "mlp_mnist", "data_folder": "no/such/folder"}},
            "DataError: mnist:",
        ),
        ({"task": {"model": "own:net", "data": "mnist"}}, "TaskError: model: own:net: cannot"),
        ({"objectives": None}, "SpecError: tiny.yaml: objectives: is missing"),
        ({"name": "a/b"}, "SpecError: "),
    ],
)
def test_a_study_that_cannot_run_touches_no_database(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    file = write_study(tmp_path, **changes) if changes.get("name") != "a/b" else None
    if file is None:
        file = write_study(tmp_path)
        file.write_text(file.read_text().replace("name: tiny", "name: a/b", 1))
    before = sorted(tmp_path.iterdir())
    error = dse_here(tmp_path, "run", str(file)).exception
    assert isinstance(error, DseError)
    assert f"{type(error).__name__}: {error}".startswith(message)
    assert sorted(tmp_path.iterdir()) == before


def test_broken_yaml_names_the_place(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("name: tiny\nspace: [1, 2\nobjectives: x\n")
    message = refused(tmp_path, "run", "broken.yaml")
    assert message.startswith("SpecError: broken.yaml:3:11: is not valid YAML:")
    assert len(message.splitlines()) == 1


def test_a_missing_data_folder_says_how_to_get_the_data(tmp_path: Path) -> None:
    missing = tmp_path / "gone"
    message = refused(tmp_path, "run", str(write_study(tmp_path)), DSE_DATA=str(missing))
    assert message.startswith("DataError: mnist:")
    assert str(missing) in message
    assert not (tmp_path / "dse.db").exists()


@pytest.fixture(scope="module")
def two_trials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stored")
    succeed(folder, "run", str(write_study(folder)), "--trials", "2")
    return folder


@pytest.fixture
def stored(two_trials: Path, tmp_path: Path) -> Path:
    """A copy to work in."""
    return shutil.copytree(two_trials, tmp_path, dirs_exist_ok=True)


def test_a_changed_space_is_refused_and_the_study_unharmed(stored: Path) -> None:
    before = stored_trials(stored)
    file = write_study(stored, space={"adc.bits": "1..6"}, points=None)
    message = refused(stored, "run", str(file))
    assert message.startswith("ResumeError: the database holds trials of another search")
    assert "domains.adc.bits.slice0 was 1..8, is 1..6" in message
    assert stored_trials(stored) == before


def test_a_read_only_database_is_refused_and_unharmed(stored: Path) -> None:
    database = stored / "dse.db"
    database.chmod(0o444)
    before = hashlib.sha256(database.read_bytes()).hexdigest()
    message = refused(stored, "resume", "tiny", "--trials", "3")
    assert message.startswith("StorageError: sqlite:///dse.db: the database is read-only;")
    assert hashlib.sha256(database.read_bytes()).hexdigest() == before


def test_a_locked_database_is_refused_and_unharmed(stored: Path) -> None:
    holder = sqlite3.connect(stored / "dse.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    try:
        message = refused(stored, "run", str(stored / "tiny.yaml"), "--trials", "3")
    finally:
        holder.execute("ROLLBACK")
        holder.close()
    assert message.startswith("StorageError: sqlite:///dse.db: another program holds the database")
    assert len(stored_trials(stored)) == 2


def test_names_and_numbers_that_do_not_exist(stored: Path) -> None:
    assert "no study 'other' in sqlite:///dse.db; studies: tiny" in refused(
        stored, "pareto", "other"
    )
    assert "has no trial 99; its trials are 0 to 1" in refused(stored, "explain", "tiny", "99")
    assert "there is no such database" in refused(
        stored, "list", "--storage", "sqlite:///absent.db"
    )
    assert "No such command 'paretto'" in refused(stored, "paretto", "tiny")
    assert "Missing argument" in refused(stored, "pareto")
    assert "'xml' is not one of" in refused(stored, "pareto", "tiny", "--format", "xml")


def test_a_study_of_which_every_design_fails_exits_with_1(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "stages").write_text("a file where the folder of results should be")
    study = write_study(tmp_path, budget={"trials": 30, "epochs": 0})
    done = dse(tmp_path, "run", str(study), DSE_HOME=str(home))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "Stopped: the first 5 designs failed" in done.stdout
    assert "StageError: pretrain: the stage store at" in succeed(tmp_path, "status", "tiny")
