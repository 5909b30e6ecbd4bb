"""kill -9 of the driver, again and again: the study goes on with the designs it would have had."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dse.plugins import installed
from tests.dse.samplers.killing import TRIALS

pytestmark = pytest.mark.timeout(600)  # one process for all of them

SETTINGS: dict[str, dict[str, int]] = {
    "ehvi": {"startup_trials": 9},
    "gp": {"startup_trials": 9},
    "nsga2": {"population": 4},
    "nsga3": {"population": 3},
    "pq_pim": {"particles": 3},
    "pso": {"particles": 3},
    "qmc": {},
    "random": {},
    "tpe": {"startup_trials": 4},
}
"""Every installed sampler, learning long before the end of the study (fits of gp are slow)."""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Of all samplers, by one process that loads everything once."""
    folder = tmp_path_factory.mktemp("kills")
    done = subprocess.run(
        [sys.executable, "-m", "tests.dse.samplers.killing", str(folder), json.dumps(SETTINGS)],
        cwd=Path(__file__).parents[3],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=540,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return {outcome["sampler"]: outcome for outcome in found}


def test_every_installed_sampler_is_killed_here() -> None:
    assert set(SETTINGS) == set(installed("dse.samplers"))


@pytest.mark.parametrize("sampler", SETTINGS)
def test_killed_and_resumed_gives_the_sequence_of_an_uninterrupted_study(
    outcomes: dict[str, dict[str, Any]], sampler: str
) -> None:
    outcome = outcomes[sampler]
    assert len(outcome["whole"]) == TRIALS
    assert outcome["broken"] == outcome["whole"]
    assert outcome["open"] == 0


def test_most_kills_came_in_the_middle_of_a_trial(outcomes: dict[str, dict[str, Any]]) -> None:
    assert sum(outcome["lost"] for outcome in outcomes.values()) >= len(outcomes)
