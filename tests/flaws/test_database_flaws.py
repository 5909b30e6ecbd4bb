"""Flaws 2, 9 and 14: what stays in the database, who may write it, and what a dashboard reads."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from dse.dashboard_storage import DashboardStorage
from dse.errors import StudyError
from dse.evaluation import Job, Outcome
from dse.launching.driver import drive
from dse.resuming import driving, load_optuna
from dse.study import Study
from tests.dse.fakes import FakeExecutor, database_in, made_up, run_in_pieces, small_spec

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


class Died(BaseException):
    """Stands for SIGKILL: nothing may be cleaned up."""


def test_nothing_runs_for_ever_after_a_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(job: Job) -> Outcome:
        raise Died

    spec = small_spec(budget={"trials": 4, "epochs": 1})
    with monkeypatch.context() as patch:
        patch.setattr(Study, "give_back", lambda *_, **__: None)
        with pytest.raises(Died), driving(database_in(tmp_path), spec) as study:
            drive(study, FakeExecutor(dies, workers=3), trials=4, timeout_s=None,
                  progress=lambda *_: None)  # fmt: skip
    states = Counter(t.state for t in load_optuna(database_in(tmp_path), "small").trials)
    assert states[TrialState.RUNNING] == 3
    run_in_pieces(tmp_path, spec, lambda job: made_up(job.point), None)
    states = Counter(t.state for t in load_optuna(database_in(tmp_path), "small").trials)
    assert states == {TrialState.COMPLETE: 4, TrialState.FAIL: 3}


def _drive_it(folder: Path, start: Any, told: Any) -> None:
    """A driver in a process of its own; starts when all are there."""
    spec = small_spec(
        points=[{"adc.bits": bits} for bits in (8, 7, 6)], budget={"trials": 8, "epochs": 1}
    )
    executor = FakeExecutor()
    start.wait()
    try:
        with driving(database_in(folder), spec) as study:
            drive(study, executor, trials=8, timeout_s=None, progress=lambda *_: None)
    except StudyError as error:
        told.put(("refused", str(error)))
    else:
        told.put(("drove", executor.evaluated))


def test_of_processes_that_start_together_one_drives(tmp_path: Path) -> None:
    database_in(tmp_path).storage.engine.dispose()
    context = multiprocessing.get_context("fork")
    start, told = context.Barrier(3), context.Queue()
    processes = [context.Process(target=_drive_it, args=(tmp_path, start, told)) for _ in range(3)]
    for process in processes:
        process.start()
    ends = [told.get(timeout=120) for _ in processes]
    for process in processes:
        process.join(timeout=60)
        assert process.exitcode == 0
    evaluated = [digest for kind, each in ends if kind == "drove" for digest in each]
    assert len(evaluated) == len(set(evaluated)) == 8
    assert all("is being run by process" in each for kind, each in ends if kind == "refused")
    trials = load_optuna(database_in(tmp_path), "small").trials
    assert Counter(t.state for t in trials) == {TrialState.COMPLETE: 8}


def test_a_dashboard_finds_the_constraints(tmp_path: Path) -> None:
    spec = small_spec(constraints=["energy_uj <= 0.2", "accuracy_loss <= 0.5"])
    run_in_pieces(tmp_path, spec, lambda job: made_up(job.point), None)
    database = database_in(tmp_path)
    shown = optuna.load_study(study_name="small", storage=DashboardStorage(database)).trials
    plain = load_optuna(database, "small").trials
    assert any(v > 0 for t in plain for v in t.constraints.values()), "some break a constraint"
    for seen, trial in zip(shown, plain, strict=True):
        named = [trial.constraints[name] for name in sorted(trial.constraints)]
        assert seen.system_attrs["constraints"] == named
        assert "constraints" not in trial.system_attrs
        assert (seen.values, seen.params) == (trial.values, trial.params)
