"""`dse status`, `dse list` and `dse pareto` tell what the loaded trials say, and follow a run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from typer.testing import CliRunner

import dse.cli.status
from dse.cli.app import make_app
from dse.database import Database
from dse.evaluation import Evaluation, Failure, Job, Outcome, RuledOut
from dse.front_view import FrontView
from dse.lease import ATTRIBUTE, mine
from dse.pareto import count_states, pareto_front
from dse.reading.columns import TrialColumns
from dse.reading.source import open_source
from dse.reading.studies import read_study
from dse.reporting.front import front_csv, front_json
from dse.reporting.status import status_line, study_status
from dse.resuming import load_optuna, load_spec
from dse.savings import savings
from dse.trials import DUPLICATE_OF, ERROR, LOST, RULED_OUT, is_feasible, is_result
from tests.dse.fakes import database_in, made_up, run_in_pieces, small_spec
from tests.dse.reading.made import add_trials, empty_study


def from_loaded_trials(database: Database, name: str = "small") -> dict[str, Any]:
    """The same from Optuna's trials, one by one."""
    study, spec = load_optuna(database, name), load_spec(database, name)
    trials = study.get_trials(deepcopy=False)
    front = pareto_front(trials, spec.parsed_objectives())
    results = [t for t in trials if is_result(t)]
    good = [t for t in results if is_feasible(t)]
    ends = sorted(t.datetime_complete for t in results if t.datetime_complete is not None)
    hours = (ends[-1] - ends[0]).total_seconds() / 3600 if len(ends) > 1 else 0.0
    return {
        "study": name,
        "running_now": False,
        "drivers": [],
        "n_trials": count_states(trials),
        "duplicates": sum(DUPLICATE_OF in t.user_attrs for t in trials),
        "lost_and_tried_again": sum(LOST in t.user_attrs for t in trials),
        "budget": spec.budget.trials,
        "results_per_hour": pytest.approx((len(ends) - 1) / hours) if hours > 0 else None,
        "best": {
            o.name: (max if o.direction == "maximize" else min)(t.values[i] for t in good)
            for i, o in enumerate(spec.parsed_objectives())
            if good
        },
        "front": len(front.trials),
        "hypervolume": front.hypervolume,
        "sampler": {**spec.sampler.model_dump(), **study.user_attrs.get("dse:sampler", {})},
        "ruled_out": [
            {"trial": t.number, "reason": t.user_attrs[RULED_OUT]["reason"]}
            for t in trials
            if RULED_OUT in t.user_attrs and DUPLICATE_OF not in t.user_attrs
        ],
        "training": savings(trials, spec.budget),
        "errors": [
            {"trial": t.number, "reason": t.user_attrs[ERROR]}
            for t in trials
            if ERROR in t.user_attrs and LOST not in t.user_attrs
        ],
    }


def from_columns(database: Database, name: str = "small") -> dict[str, Any]:
    with open_source(database.url) as source:
        study = read_study(source, name)
        columns = TrialColumns(source, study)
        return study_status(columns, study.spec(source), study.user_attrs)


def sometimes(job: Job) -> Outcome:
    """Some designs fail, are lost once, or are ruled out."""
    kind = sum(job.point.adc.bits) % 6
    if kind == 0:
        return Failure(reason="StageError: compress: no")
    if kind == 1 and job.attempt == 1:
        return Failure(reason="worker lost", lost=True)
    if kind == 2:
        return RuledOut(
            reason="too large", violations={"accuracy_loss <= 0.5": 0.1}, trained=True, seconds=0.3
        )
    result = made_up(job.point)
    trained = {"compress": {"key": "k", "cached": False, "seconds": 2.0}, **result.stages}
    return Evaluation(
        metrics=result.metrics, stages=trained, report=result.report, seconds=result.seconds
    )


@pytest.mark.parametrize(
    "budget", [{"trials": 20, "epochs": 1}, {"trials": 12, "rungs": ["short", "full"]}]
)
def test_the_status_of_a_run_equals_the_one_from_its_trials(
    tmp_path: Path, budget: dict[str, Any]
) -> None:
    space = {"adc.bits.slice0": "1..3", "adc.bits.slice1": "1..8"}
    spec = small_spec(budget=budget, space=space)
    run_in_pieces(tmp_path, spec, sometimes, stop_after=7)
    database = database_in(tmp_path)
    assert from_columns(database) == from_loaded_trials(database)
    assert from_columns(database)["errors"]
    assert (from_columns(database)["training"] is None) == ("rungs" not in budget)


def finite_study(folder: Path) -> Database:
    """Trials of every kind, without infinite values (they have no JSON)."""
    database = database_in(folder)
    study = empty_study(database)
    add_trials(study, 30, seed=3)
    with database.storage.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE trial_values SET value_type = 'FINITE', value = 0.5 "
                                   "WHERE value_type <> 'FINITE'")  # fmt: skip
    return database


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_status_pareto_and_list_print_what_the_trials_say(tmp_path: Path) -> None:
    database = finite_study(tmp_path)
    spec = load_spec(database, "small")
    trials = load_optuna(database, "small").get_trials(deepcopy=False)
    front = pareto_front(trials, spec.parsed_objectives())
    told = json.loads(printed(database, "pareto", "small", "--format", "json"))
    view = FrontView(
        name="small",
        front=front,  # type: ignore[arg-type]
        counts=count_states(trials),
        knee=told["knee"],
        extremes=told["extremes"],
        given=(),
    )
    assert told == front_json(view)
    assert printed(database, "pareto", "small", "--format", "csv") == front_csv(front).rstrip()
    assert f"{len(front.trials)} designs of" in printed(database, "pareto", "small")
    assert json.loads(printed(database, "status", "small", "--format", "json")) == (
        from_loaded_trials(database)
    )
    assert "small: not running" in printed(database, "status", "small")
    (row,) = json.loads(printed(database, "list", "--format", "json"))
    assert row == {
        "study": "small",
        "objectives": ["accuracy", "energy_uj"],
        "n_trials": count_states(trials),
        "running": False,
    }


def printed(database: Database, *arguments: str) -> str:
    done = CliRunner().invoke(
        make_app(), [*arguments, "--storage", database.url], env={"COLUMNS": "200"}
    )
    assert done.exit_code == 0, done.output
    return done.output.rstrip()


def test_the_numbers_of_a_large_study_need_neither_torch_nor_optuna(tmp_path: Path) -> None:
    database = finite_study(tmp_path)
    for command, banned in (
        (["status", "small"], ["torch", "optuna", "sqlalchemy", "scipy", "ray"]),
        (["list"], ["torch", "optuna", "sqlalchemy", "scipy", "ray"]),
        (["pareto", "small"], ["torch", "sqlalchemy", "scipy", "ray"]),
    ):
        code = (
            "import sys\nfrom dse.cli.app import main\n"
            f"sys.argv = ['dse', *{command}, '--storage', {database.url!r}]\n"
            f"try:\n    main()\nfinally:\n    print([m for m in {banned} if m in sys.modules])"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        assert done.stdout.splitlines()[-1] == "[]"


class Clock:
    """Stands for `time`: something happens at every sleep."""

    def __init__(self, *happens: Callable[[], Any]) -> None:
        self._happens = list(happens)

    def sleep(self, _seconds: float) -> None:
        self._happens.pop(0)()

    def strftime(self, _format: str) -> str:
        return "12:00:00"


@pytest.fixture
def driven(tmp_path: Path) -> tuple[Database, optuna.Study]:
    database = database_in(tmp_path)
    study = empty_study(database)
    study.set_user_attr(ATTRIBUTE, mine())
    return database, study


def told(study: optuna.Study, accuracy: float) -> None:
    study.tell(study.ask(), [accuracy, 1.0])


@pytest.mark.parametrize("form", ["json", "table"])
def test_a_followed_run_prints_every_change_until_nobody_drives_it(
    driven: tuple[Database, optuna.Study], form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, study = driven
    clock = Clock(
        lambda: told(study, 0.5),
        lambda: None,
        lambda: told(study, 0.75),
        lambda: study.set_user_attr(ATTRIBUTE, None),
    )
    monkeypatch.setattr(dse.cli.status, "time", clock)
    lines = printed(database, "status", "small", "--follow", "--format", form).splitlines()
    if form == "json":
        states = [json.loads(line) for line in lines]
        assert [s["n_trials"]["complete"] for s in states] == [0, 1, 2, 2]
        assert [s["running_now"] for s in states] == [True, True, True, False]
    else:
        assert lines[:3] == [
            "12:00:00 small: no trials",
            "12:00:00 small: 1 complete, best accuracy 0.5, best energy_uj 1, "
            "front 1 designs, hypervolume 0",
            "12:00:00 small: 2 complete, best accuracy 0.75, best energy_uj 1, "
            "front 1 designs, hypervolume 0",
        ]
        assert lines[3] == "small: not running, 2 complete (budget 12 designs)"


def test_a_terminal_gets_one_live_text(
    driven: tuple[Database, optuna.Study], monkeypatch: pytest.MonkeyPatch
) -> None:
    database, study = driven
    monkeypatch.setattr(
        dse.cli.status, "time", Clock(lambda: study.set_user_attr(ATTRIBUTE, None))
    )
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    text = printed(database, "status", "small", "--follow")
    assert "small: running" in text
    assert "small: not running" in text
    assert "\x1b[2K" in text, "the lines before are replaced"


def test_trials_left_running_by_a_dead_driver_end_the_following_and_are_named(
    driven: tuple[Database, optuna.Study],
) -> None:
    database, study = driven
    study.ask()
    study.set_user_attr(ATTRIBUTE, {**mine(), "pid": 2**22 + 1})
    text = printed(database, "status", "small", "--follow")
    assert "left running 1 by a driver that is gone; dse resume small takes them up" in text


def test_ctrl_c_ends_the_following_with_130(driven: tuple[Database, optuna.Study]) -> None:
    database, _ = driven
    process = subprocess.Popen(
        [sys.executable, "-c", "from dse.cli.app import main; main()", "status", "small",
         "--follow", "--storage", database.url],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        # Whoever starts the tests in the background of a shell hands down that it is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert "small: no trials" in process.stdout.readline()
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 130
        assert "Traceback" not in errors
    finally:
        process.kill()
        process.wait()


def test_one_line_of_a_log_says_how_far_a_study_is() -> None:
    now = {
        "study": "s",
        "n_trials": {"complete": 3, "failed": 0, "running": 1},
        "best": {"accuracy": 0.98765},
        "front": 0,
    }
    assert status_line(now) == "s: 3 complete, 1 running, best accuracy 0.9877"
