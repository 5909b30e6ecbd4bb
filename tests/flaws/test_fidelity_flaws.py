"""Flaws 6 and 16: results of low fidelity with several objectives."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from optuna.trial import TrialState

from dse.resuming import load_optuna
from tests.dse.fakes import database_in, made_up, run_in_pieces, small_spec

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


def test_lower_rungs_keep_all_objectives(tmp_path: Path) -> None:
    spec = small_spec(budget={"trials": 8, "rungs": ["short", "full"], "reduction": 2})
    run_in_pieces(tmp_path, spec, lambda job: made_up(job.point), stop_after=5)
    trials = load_optuna(database_in(tmp_path), "small").trials
    low = [t for t in trials if t.state == TrialState.PRUNED]
    assert len(low) == 8, "every design was evaluated on the first rung, and stopped there"
    for trial in low:
        told = trial.user_attrs["rung"]
        assert told["fidelity"] == "short"
        assert len(told["values"]) == 2
        assert all(map(math.isfinite, told["values"]))
        assert trial.values is None
    full = [t for t in trials if t.state == TrialState.COMPLETE]
    assert len(full) == 4
    assert {t.user_attrs["design"]["promoted_from"] for t in full} <= {t.number for t in low}
