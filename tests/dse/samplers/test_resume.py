"""A driver that dies in a trial: the study goes on with the designs that it would have asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from optuna.trial import TrialState

from dse.resuming import driving
from tests.dse.fakes import database_in, made_up, small_spec

SETTINGS = {
    "qmc:qmc": {},
    "nsga3:nsga3": {"population": 3},
    "pso:pso": {"particles": 3},
}
TRIALS = 9


def params_of_a_run(folder: Path, sampler: str, dies_at: set[int]) -> list[dict[str, object]]:
    """Of the trials with a result; `dies_at` are asks after which the driver is no more."""
    folder.mkdir()
    name = f"dse.samplers.{sampler}"
    spec = small_spec(sampler={"name": name, "seed": 3, **SETTINGS[sampler]})
    asked = 0
    while True:
        with driving(database_in(folder), spec) as study:
            while study.n_done < TRIALS:
                job = study.ask()
                assert job is not None
                asked += 1
                if asked in dies_at:
                    break
                study.tell(job, made_up(job.point))
            else:
                return [t.params for t in study.trials() if t.state == TrialState.COMPLETE]


@pytest.mark.parametrize("sampler", SETTINGS)
def test_a_driver_that_dies_loses_nothing_and_shifts_nothing(tmp_path: Path, sampler: str) -> None:
    whole = params_of_a_run(tmp_path / "whole", sampler, set())
    assert params_of_a_run(tmp_path / "broken", sampler, {1, 5, 9}) == whole
