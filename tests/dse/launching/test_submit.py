"""What `dse submit` refuses before anything is sent, and what it sends."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dse.cli.app import make_app
from dse.errors import DseError, LaunchError, SpecError, StorageError
from dse.launching.packing import pack
from tests.end_to_end.commands import write_study


def refused(folder: Path, *options: str, **changes: Any) -> DseError:
    file = write_study(folder, **changes)
    arguments = ["submit", str(file), "--address", "http://127.0.0.1:1", *options]
    error = CliRunner().invoke(make_app(["submit"]), arguments).exception
    assert isinstance(error, DseError), error
    return error


def test_a_relative_sqlite_path_is_refused_with_what_to_do(tmp_path: Path) -> None:
    error = refused(tmp_path, "--storage", "sqlite:///dse.db")
    assert isinstance(error, StorageError)
    assert str(error).startswith(
        "sqlite:///dse.db is a relative path: on the cluster it would lie in a folder that is "
        "thrown away with the job. Give a file on the head's own disk, sqlite:////srv/dse/dse.db"
    )


def test_a_server_needs_a_folder_for_reports_and_keeps_its_password(tmp_path: Path) -> None:
    error = refused(tmp_path, "--storage", "postgresql://me:secret@host/db")
    assert isinstance(error, StorageError)
    assert "postgresql://me:***@host/db: reports and stage results lie beside" in str(error)
    assert "secret" not in str(error)


@pytest.mark.parametrize("entry", ["checkpoint", "data_folder"])
def test_files_that_are_not_sent_need_an_absolute_path(tmp_path: Path, entry: str) -> None:
    task = {"name": "mlp_mnist", entry: "some/where"}
    error = refused(tmp_path, "--storage", "sqlite:////srv/dse.db", task=task)
    assert isinstance(error, SpecError)
    assert f"task.{entry}: some/where is a relative path, and neither data nor" in str(error)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--driver-resource", "CPU"],
            "--driver-resource is NAME=AMOUNT such as CPU=1, got 'CPU'",
        ),
        ([], "http://127.0.0.1:1: the cluster's head does not answer: "),
        (["--address", "127.0.0.1:1"], "--address is the head's http://HOST:8265, got '127."),
    ],
)
def test_a_cluster_that_is_not_there(tmp_path: Path, options: list[str], message: str) -> None:
    error = refused(tmp_path, "--storage", "sqlite:////srv/dse.db", *options)
    assert isinstance(error, LaunchError)
    assert str(error).startswith(message)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (
            {"python": [3, 9, 18], "ray": "2.60.0", "missing": []},
            r"the cluster runs Python 3\.9\.18 and Ray 2\.60\.0; needed are Python 3\.11 or newer "
            r"and Ray 2\.60 or newer below 3 \(here: Python 3\.\d+\.\d+, Ray 2\.\d+\.\d+\)",
        ),
        (
            {"python": [3, 12, 1], "ray": "2.9.3", "missing": []},
            r"the cluster runs Python 3\.12\.1 and Ray 2\.9\.3; needed are",
        ),
        (
            {"python": [3, 12, 1], "ray": "3.0.0.dev0", "missing": []},
            r"the cluster runs Python 3\.12\.1 and Ray 3\.0\.0\.dev0; needed are",
        ),
        (
            {"python": [3, 12, 1], "ray": "2.61.0", "missing": ["numba", "optuna"]},
            r"lacks packages that dse needs; install them in its image: pip install numba optuna",
        ),
    ],
)
def test_a_cluster_that_cannot_run_our_code(found: dict[str, Any], message: str) -> None:
    from dse.launching.ray_environment import prepare_ray

    prepare_ray(local=False)
    from dse.launching.submit import check_versions

    with pytest.raises(LaunchError, match=message):
        check_versions(found)
    check_versions({"python": [3, 11, 0], "ray": "2.60.0", "missing": []})


def test_code_is_sent_and_data_stay(tmp_path: Path) -> None:
    user, to = tmp_path / "user", tmp_path / "to"
    (user / ".git").mkdir(parents=True)
    (user / "nets").mkdir()
    to.mkdir()
    (user / ".git" / "config").write_text("x")
    (user / "nets" / "own.py").write_text("x = 1\n")
    (user / "nets" / "old.safetensors").write_bytes(b"0")
    (user / "large.txt").write_bytes(b"0" * (6 * 2**20))
    file = write_study(user)
    package = pack(file, user, to, with_data=False)
    assert package.left_out == ("large.txt", "nets/old.safetensors")
    assert package.study_file == "tiny.yaml"
    assert (to / "nets" / "own.py").read_text() == "x = 1\n"
    assert (to / "tiny.yaml").read_text() == file.read_text()
    assert not (to / ".git").exists()
    assert not (to / "dse" / "datasets" / "files").exists()
    assert not list(to.rglob("__pycache__"))
    code = (
        "import dse, json, importlib.metadata as m; from dse.plugins import installed;"
        "print(json.dumps([dse.__file__, m.version('dse'), installed('dse.samplers')]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=to,
        env={**os.environ, "PYTHONPATH": str(to)},
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    where, version, samplers = json.loads(done.stdout)
    assert Path(where).parent == to / "dse"
    assert version == importlib.metadata.version("dse")
    assert "tpe" in samplers


def test_the_data_of_the_package_go_along_if_they_are_needed(tmp_path: Path) -> None:
    (tmp_path / "user").mkdir()
    (tmp_path / "to").mkdir()
    file = write_study(tmp_path / "user")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    package = pack(file, elsewhere, tmp_path / "to", with_data=True)
    assert package.study_file == "tiny.yaml"
    assert (package.folder / "dse" / "datasets" / "files" / "mnist").is_dir()


def test_a_folder_full_of_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "to").mkdir()
    user = tmp_path / "user"
    user.mkdir()
    for number in range(11):
        (user / f"{number}.txt").write_bytes(b"0" * (5 * 2**20))
    with pytest.raises(LaunchError, match=r"--working-dir .*user holds more than 50 MiB besides"):
        pack(write_study(user), user, tmp_path / "to", with_data=False)
