"""The benchmark of large studies makes a sound study and measures what it says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import scale
from large_study import make_study
from optuna.trial import TrialState

from dse.database import open_database
from dse.resuming import load_optuna

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


def test_the_made_study_is_one_that_dse_goes_on_with(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'dse.db'}"
    make_study(url, 120)
    trials = load_optuna(open_database(url, write=False), "large").trials
    assert len(trials) == 120
    assert {t.state for t in trials} == {TrialState.COMPLETE, TrialState.FAIL, TrialState.PRUNED}
    assert len({t.user_attrs["design"]["draw"] for t in trials}) == 120
    copies = [t for t in trials if "duplicate_of" in t.user_attrs]
    assert copies
    assert all(t.values == trials[t.user_attrs["duplicate_of"]].values for t in copies)
    assert scale.resume(url, "random", 0)["seconds"] > 0
    assert [t.state for t in load_optuna(open_database(url, write=False), "large").trials][
        120:
    ] == [TrialState.FAIL, TrialState.WAITING]


def test_the_last_line_has_every_figure_and_both_fronts_agree(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, scale.__file__, "--trials", "150", "--rounds", "1"],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    told = json.loads(done.stdout.splitlines()[-1])
    for figure in (
        "pareto_seconds", "status_seconds", "resume_seconds", "peak_mib", "ratio_vs_best_trials",
    ):  # fmt: skip
        assert told[figure] > 0
    assert told["trials"] == 150
    assert told["front_designs"]["front"] == told["front_designs"]["optuna"] > 0
