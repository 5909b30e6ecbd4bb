"""One small study for all documents, and a folder of its own for each."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tests.docs.documents import ROOT
from tests.docs.running import run_dse


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `studies/`, and a database with the study `quickstart`."""
    folder = tmp_path_factory.mktemp("documents")
    shutil.copytree(ROOT / "studies", folder / "studies")
    with pytest.MonkeyPatch.context() as patch:
        clean(patch, folder)
        run_dse(["run", "studies/quickstart.yaml"])
    return folder


def clean(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Work in a folder, without what the environment says about databases and data."""
    for name in ("DSE_STORAGE", "DSE_HOME", "DSE_DATA", "DSE_LOG_FORMAT"):
        patch.delenv(name, raising=False)
    patch.setenv("COLUMNS", "200")
    patch.setenv("MPLBACKEND", "agg")
    patch.chdir(folder)
    patch.setattr(sys, "path", list(sys.path))  # where dse puts folders of study files


@pytest.fixture
def folder(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it to work in."""
    copy = tmp_path / "work"
    shutil.copytree(prepared, copy)
    clean(monkeypatch, copy)
    return copy
