"""A database with a finished study, and a server on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.dse.fakes import made_up, run_in_pieces, small_spec
from tests.dse.serving.served import FakeLauncher, serving


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose database holds the finished study `small`; not to be changed."""
    folder = tmp_path_factory.mktemp("served")
    spec = small_spec(points=({"regularizer": "none", "adc.bits": 8},))
    run_in_pieces(folder, spec, lambda job: made_up(job.point), None)
    return folder


@pytest.fixture
def launcher(tmp_path: Path) -> FakeLauncher:
    return FakeLauncher(tmp_path)


@pytest.fixture(scope="module")
def client(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Of a server without a token, on the database that is not to be changed."""
    with serving(finished, FakeLauncher(tmp_path_factory.mktemp("logs"))) as opened:
        yield opened
