"""pack(): a study file and the code it needs, in one folder that a cluster can run."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dse
import hw_models
import search_spaces
from dse.errors import LaunchError

_OURS = (dse, hw_models, search_spaces)
_DATA_FILES = "datasets/files"
_LARGEST_FILE = 5 * 2**20
_LARGEST_FOLDER = 50 * 2**20
_NO_CODE = {
    *(".bin", ".bz2", ".ckpt", ".csv.gz", ".db", ".db-shm", ".db-wal", ".gz", ".h5", ".hdf5"),
    *(".npy", ".npz", ".onnx", ".parquet", ".pickle", ".pkl", ".pt", ".pth", ".safetensors"),
    *(".sqlite", ".tar", ".tgz", ".xz", ".zip"),
}
_NO_CODE_FOLDERS = {"__pycache__", "node_modules", "venv"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """What is sent to a cluster.

    Attributes:
        folder: Our packages, their metadata, and the files of the working folder.
        study_file: Path of the study file in it.
        left_out: Files of the working folder that stay: data, checkpoints, whatever is large.
    """

    folder: Path
    study_file: str
    left_out: tuple[str, ...]


def pack(study_file: Path, working_dir: Path, to: Path, *, with_data: bool) -> Package:
    """Copy what a study needs into an empty folder.

    Args:
        study_file: Goes to the same place as in the working folder, or beside what is in it.
        working_dir: The user's own code; files that hold data or checkpoints stay behind, and
            hidden folders.
        to: Empty.
        with_data: Whether the data set that ships with our package goes along.

    Raises:
        LaunchError: The working folder holds too much.
    """
    left_out = _copy_users(working_dir.resolve(), to)
    for module in _OURS:
        assert module.__file__ is not None
        _copy_ours(Path(module.__file__).parent, to / module.__name__, with_data=with_data)
    _write_metadata(to)
    file, root = study_file.resolve(), working_dir.resolve()
    name = file.relative_to(root).as_posix() if file.is_relative_to(root) else file.name
    (to / name).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, to / name)
    return Package(folder=to, study_file=name, left_out=tuple(left_out))


def _copy_users(root: Path, to: Path) -> list[str]:
    left_out: list[str] = []
    total = 0
    for file in _files(root):
        name = file.relative_to(root).as_posix()
        size = file.stat().st_size
        if file.suffix.lower() in _NO_CODE or size > _LARGEST_FILE:
            left_out.append(name)
            continue
        total += size
        if total > _LARGEST_FOLDER:
            raise LaunchError(
                f"--working-dir {root} holds more than {_LARGEST_FOLDER // 2**20} MiB besides "
                "data and checkpoints; give a folder with nothing but your own code"
            )
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, to / name)
    return left_out


def _files(root: Path) -> Iterator[Path]:
    """Files that may be code, in order; no hidden ones, and no links out of the folder."""
    for folder, folders, files in os.walk(root):
        here = Path(folder)
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and name not in _NO_CODE_FOLDERS
            and not (here / name / "pyvenv.cfg").exists()
        )
        for name in sorted(files):
            if not name.startswith(".") and (here / name).is_file():
                yield here / name


def _copy_ours(source: Path, to: Path, *, with_data: bool) -> None:
    def skipped(folder: str, names: list[str]) -> set[str]:
        here = Path(folder).relative_to(source).as_posix()
        return {
            name
            for name in names
            if name == "__pycache__" or (f"{here}/{name}" == _DATA_FILES and not with_data)
        }

    shutil.copytree(source, to, ignore=skipped, dirs_exist_ok=True)


def _write_metadata(to: Path) -> None:
    """What `importlib.metadata` reads: our version, and the names of what is installed."""
    ours = importlib.metadata.distribution("dse")
    folder = to / f"dse-{ours.version}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: dse\nVersion: {ours.version}\n"
    )
    groups: dict[str, list[str]] = {}
    for entry in ours.entry_points:
        groups.setdefault(entry.group, []).append(f"{entry.name} = {entry.value}")
    text = "\n".join(f"[{group}]\n" + "\n".join(lines) for group, lines in groups.items())
    (folder / "entry_points.txt").write_text(text + "\n")
