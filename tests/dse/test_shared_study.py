"""Several drivers of one study in PostgreSQL: no design twice, nothing left behind."""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState
from sqlalchemy import text

import dse.lease
import dse.shared_study
from dse.database import Database, open_database
from dse.errors import StudyError
from dse.evaluation import Failure, RuledOut
from dse.launching.driver import drive
from dse.lease import ATTRIBUTE, ask_to_stop, live_leases, mine, take
from dse.resuming import driving, load_optuna
from dse.storing.study_lock import StudyLock
from dse.study import Study
from dse.trials import DRIVER, DUPLICATE_OF, ERROR, LOST, design_of, is_result
from tests.chaos.made_up import hold_at, told_in
from tests.chaos.study import chaos_spec, trials_of, verdict
from tests.dse.fakes import FakeExecutor, database_in, made_up, small_spec

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dse.shared_study, "_LOOK_EVERY_S", 0.0)


@pytest.fixture
def database(postgresql_url: str, tmp_path: Path) -> Database:
    return open_database(postgresql_url, write=True, home=tmp_path)


@contextlib.contextmanager
def drivers(database: Database, count: int, **changes: Any) -> Iterator[list[Study]]:
    """So many in one process: each with a lease of its own."""
    spec = small_spec(launch={"name": "serial", "join": True}, **changes)
    with contextlib.ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        found = []
        for place in range(count):
            own = {**mine(), "started": mine()["started"] + 0.2 * place}
            patch.setattr(dse.lease, "mine", lambda own=own: {**own, "beat": time.time()})
            found.append(stack.enter_context(driving(database, spec)))
        yield found


def trials(database: Database) -> Any:
    return load_optuna(database, "small").get_trials(deepcopy=False)


def test_two_drivers_take_turns_and_stop_at_the_budget_together(database: Database) -> None:
    with drivers(database, 2) as (one, two):
        jobs = []
        while one.wants(12) or two.wants(12):
            for study in (one, two):
                if (job := study.ask()) is not None:
                    jobs.append(job)
                    study.tell(job, made_up(job.point))
        assert len(live_leases(one.optuna.user_attrs)) == 2
    assert len(jobs) == 12
    done = trials(database)
    assert [design_of(t)["draw"] for t in done] == list(range(12))
    assert len({t.user_attrs["design"][DRIVER] for t in done}) == 2
    assert len({t.user_attrs["design"]["digest"] for t in done}) == 12


def test_several_drivers_draw_what_one_alone_draws(database: Database, tmp_path: Path) -> None:
    """Random search: the designs depend on the seed alone, not on who asks."""
    with drivers(database, 3) as studies:
        for turn in range(12):
            study = studies[turn % 3]
            job = study.ask()
            assert job is not None
            study.tell(job, made_up(job.point))
    alone = database_in(tmp_path)
    with driving(alone, small_spec()) as study:
        drive(study, FakeExecutor(), trials=12, timeout_s=None, progress=lambda *_: None)
    assert [t.params for t in trials(database)] == [t.params for t in trials(alone)]
    assert [t.values for t in trials(database)] == [t.values for t in trials(alone)]


def test_a_design_that_runs_elsewhere_is_waited_for_and_not_evaluated_twice(
    database: Database,
) -> None:
    space = {"adc.bits": {"slice0": [7, 8]}}
    with drivers(database, 2, space=space, budget={"trials": 2, "epochs": 1}) as (one, two):
        first, second = one.ask(), two.ask()
        assert first is not None
        assert second is not None
        assert first.point != second.point
        assert two.ask() is None, "both are being evaluated"
        two.tell(second, made_up(second.point))
        one.tell(first, made_up(first.point))
    done = trials(database)
    assert sum(map(is_result, done)) == 2
    assert all(t.state.is_finished() for t in done)


def test_a_copy_takes_the_result_of_another_driver(database: Database) -> None:
    space = {"adc.bits": {"slice0": [5, 6, 7, 8]}}
    budget = {"trials": 5, "epochs": 1}  # more than there are
    with drivers(database, 2, space=space, budget=budget) as (one, two):
        slow = one.ask()
        assert slow is not None
        while (job := two.ask()) is not None:  # proposes the slow one again, sooner or later
            two.tell(job, made_up(job.point))
        waiting = [t for t in trials(database) if t.user_attrs.get(DUPLICATE_OF) == -1]
        one.tell(slow, made_up(slow.point))
        two.wants(5)
        done = trials(database)
        for trial in waiting:
            assert done[trial.number].user_attrs[DUPLICATE_OF] == slow.number
            assert done[trial.number].values == done[slow.number].values
    assert waiting, "this seed proposes none twice: the test shows nothing"
    assert Counter(map(is_result, trials(database)))[True] == 4


def test_a_copy_that_nobody_fills_ends_with_its_driver(database: Database) -> None:
    space = {"adc.bits": {"slice0": [7, 8]}}
    budget = {"trials": 5, "epochs": 1}
    with drivers(database, 2, space=space, budget=budget) as (one, two):
        slow = one.ask()
        assert slow is not None
        while (job := two.ask()) is not None:
            two.tell(job, made_up(job.point))
        two.leave()
        ended = [t for t in trials(database) if t.state == TrialState.FAIL]
        assert ended
        assert all(t.user_attrs[ERROR].startswith("proposed twice; ") for t in ended)
        one.tell(slow, made_up(slow.point))


def test_what_a_dead_driver_ran_is_run_by_the_others(database: Database) -> None:
    with drivers(database, 2) as (one, two):
        lost = one.ask()
        assert lost is not None
        gone = {**one.optuna.user_attrs[one.lease], "pid": 2**22 + 1}
        one.optuna.set_user_attr(one.lease, gone)
        again = two.ask()
        assert again is not None
        assert (again.point, again.attempt) == (lost.point, 2)
        before = trials(database)[lost.number]
        assert (before.state, before.user_attrs[LOST]) == (TrialState.FAIL, True)
        assert before.user_attrs[ERROR] == "driver lost"
        with pytest.raises(StudyError, match=r"drivers took trial 0 over, .*its result is dropp"):
            one.tell(lost, made_up(lost.point))
        two.tell(again, made_up(again.point))


def test_a_given_design_whose_driver_died_while_asking_keeps_its_parameters(
    database: Database,
) -> None:
    given = {"regularizer": "none", "adc.bits": 8}
    with drivers(database, 2, points=[given]) as (one, two):
        popped = one.optuna.ask()  # and dies before anything else is written
        one.optuna.set_user_attr(one.lease, {**mine(), "pid": 2**22 + 1})
        again = two.ask()
        assert again is not None
        assert again.number != popped.number
        assert again.point.adc.bits == (8, 8, 8, 8)
        assert again.point.digest() == design_of(trials(database)[again.number])["digest"]


def test_designs_that_are_ruled_out_are_counted_once(database: Database) -> None:
    with drivers(database, 2) as (one, two):
        for study in (one, one, two):
            job = study.ask()
            assert job is not None
            study.tell(job, RuledOut(reason="x", violations={"x": 1.0}, trained=False, seconds=0))
        one.wants(12)
        two.wants(12)
        assert (one.ruled_out_in_a_row, two.ruled_out_in_a_row) == (3, 3)


def test_a_driver_on_another_host_is_dead_when_its_beat_stands_still(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By this driver's clock: that the other host's is an hour slow kills nobody."""
    with drivers(database, 2) as (one, two):
        lost = one.ask()
        assert lost is not None
        late = {**one.optuna.user_attrs[one.lease], "host": "elsewhere"}
        late["beat"] -= 3600.0
        one.optuna.set_user_attr(one.lease, late)
        job = two.ask()
        assert job is not None
        assert job.point != lost.point
        one.optuna.set_user_attr(one.lease, {**late, "beat": late["beat"] + 10})
        real = time.monotonic
        monkeypatch.setattr(time, "monotonic", lambda: real() + 61)
        assert two.wants(12)
        assert trials(database)[lost.number].state == TrialState.RUNNING, "it beat meanwhile"
        monkeypatch.setattr(time, "monotonic", lambda: real() + 200)
        assert two.wants(12)
        assert trials(database)[lost.number].state == TrialState.FAIL


def test_a_lost_worker_and_a_failure_look_as_with_one_driver(database: Database) -> None:
    with drivers(database, 2) as (one, two):
        job = one.ask()
        assert job is not None
        one.tell(job, Failure(reason="worker lost", lost=True))
        again = two.ask()
        assert again is not None
        assert (again.point, again.attempt) == (job.point, 2)
        assert DRIVER in design_of(trials(database)[again.number])
        two.tell(again, Failure(reason="no", lost=False))
        other = one.ask()
        assert other is not None
        assert other.point != job.point


def test_a_lock_that_the_server_forgot_costs_a_trial_and_no_design(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with drivers(database, 1) as (one,):
        answers = iter([False])
        monkeypatch.setattr(StudyLock, "is_still_held", lambda _: next(answers, True))
        job = one.ask()
        assert job is not None
        one.tell(job, made_up(job.point))
        assert [t.state.name for t in trials(database)] == ["FAIL", "COMPLETE"]
        assert trials(database)[0].user_attrs[ERROR] == "the lock was lost while it was asked"
        assert job.attempt == 1


def test_a_lock_excludes_and_notices_that_its_connection_ended(database: Database) -> None:
    ours, theirs = StudyLock(database, "small"), StudyLock(database, "small")
    with ours.held():
        assert ours.is_still_held()
        assert not theirs._try()
        with database.storage.engine.connect() as connection:
            connection.execute(
                text("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
            )
        assert not ours.is_still_held()
        with theirs.held():
            pass
    with StudyLock(database, "other").held(), ours.held():
        pass


def test_who_may_join_whom(database: Database, tmp_path: Path) -> None:
    study = load_or_make(database)
    study.set_user_attr(take(study), mine())
    with pytest.raises(StudyError, match=r"joins drivers that were started with `--join`, which"):
        take(study, join=True)
    study.set_user_attr(ATTRIBUTE, None)
    take(study, join=True)
    with pytest.raises(StudyError, match=r"is being run by process .*; join with --join, wait"):
        take(study)
    assert [lease["pid"] for lease in ask_to_stop(study)] == [os.getpid()]
    joining = small_spec(launch={"name": "serial", "join": True})
    with (
        pytest.raises(
            StudyError, match=r"share a study \(--join\) in PostgreSQL only; `dse copy`"
        ),
        driving(database_in(tmp_path), joining),
    ):
        pass


def open_study(url: str) -> Any:
    return load_optuna(open_database(url, write=False), "chaos")


def load_or_make(database: Database) -> Any:
    with driving(database, small_spec()) as study:
        return study.optuna


def test_drivers_that_are_killed_at_random_leave_a_whole_study(
    postgresql_url: str, tmp_path: Path
) -> None:
    spec = chaos_spec(60, name="serial", join=True)
    dice = random.Random(7)
    held = {"seconds": 0.05, "folder": str(tmp_path)}
    arguments = [
        *(postgresql_url, "", json.dumps(spec.model_dump(mode="json"))),
        *("tests.chaos.made_up:Held", json.dumps(held)),
    ]
    lives: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        with (tmp_path / f"{len(lives)}.log").open("wb") as log:
            lives.append(
                subprocess.Popen(
                    [sys.executable, "-W", "ignore", "-m", "tests.chaos.driver", *arguments],
                    cwd=ROOT,
                    env={**os.environ, "DSE_HOME": str(tmp_path)},
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
            )  # fmt: skip

    def alive() -> list[subprocess.Popen[bytes]]:
        return [life for life in lives if life.poll() is None]

    def have_all_begun() -> bool:
        return all((tmp_path / f"began-{life.pid}").exists() for life in alive())

    # Evaluations wait where the test is late: the first ones for all drivers, the others for the
    # next kill, the last ones for those that were started last.
    hold_at(tmp_path, 4)
    deadline = time.monotonic() + 250
    for _ in range(3):
        start()
    kills = 0
    while alive():
        assert time.monotonic() < deadline
        if kills < 4 and told_in(tmp_path) > 10 * (kills + 1):
            victim = dice.choice(alive())
            victim.send_signal(signal.SIGKILL)
            victim.wait()
            kills += 1
            start()
            hold_at(tmp_path, 10 * min(kills + 1, 4) + 8)
        elif kills == 0 and have_all_begun():
            hold_at(tmp_path, 18)
        elif kills == 4 and have_all_begun():
            hold_at(tmp_path, math.inf)
        time.sleep(0.05)
    ends = [life.returncode for life in lives]
    assert not live_leases(open_study(postgresql_url).user_attrs)
    logs = "".join(file.read_text() for file in sorted(tmp_path.glob("*.log")))
    assert sorted(ends) == [-9] * kills + [0] * 3, logs
    assert kills == 4
    found = trials_of(postgresql_url)
    assert verdict(spec, found) == {"lost": 0, "doubled": 0, "stuck": 0, "wrong": 0}, logs
    assert len({design_of(t)[DRIVER] for t in found if is_result(t)}) >= 3, "all took part"
