"""Writes that the database made and whose answer was lost: repeated, they change nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.exc import OperationalError

import dse.patience
from dse.database import Database, open_database
from dse.evaluation import Evaluation
from dse.patience import TAKEN_BY, PatientStorage, patient
from dse.resuming import driving, load_optuna
from dse.storing.quick_storage import QuickStorage
from dse.trials import DESIGN, DRIVER, LOST, NESTED_IN, RETRY_OF
from tests.dse.fakes import made_up, small_spec

NESTED = {
    "space": {"adc.bits": "5..8"},
    "search": {"name": "nested"},
    "constraints": [],
    "budget": {"trials": 2, "epochs": 1},
}


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dse.patience, "_FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr("optuna.storages._rdb.storage.random.random", lambda: 0.0)


@pytest.fixture
def database(any_url: str, tmp_path: Path) -> Database:
    return open_database(any_url, write=True, home=tmp_path)


class LostAnswers:
    """Of a write of the storage: it is made, and then the connection is found broken.

    Attributes:
        left: So many more are lost.
        meanwhile: What happens before the write is tried again.
        is_made: Whether the write itself is made.
    """

    def __init__(
        self,
        patch: pytest.MonkeyPatch,
        write: str,
        *,
        where: Callable[..., bool] = lambda *_, **__: True,
    ) -> None:
        self.left = 0
        self.is_made = True
        self.meanwhile: Callable[[], object] = lambda: None
        real = getattr(QuickStorage, write)

        def lossy(storage: QuickStorage, *arguments: Any, **named: Any) -> Any:
            if self.left == 0 or not where(*arguments, **named):
                return real(storage, *arguments, **named)
            self.left -= 1
            if self.is_made:
                real(storage, *arguments, **named)
            self.meanwhile()
            raise gone()

        patch.setattr(QuickStorage, write, lossy)


def gone() -> OperationalError:
    return OperationalError("", {}, Exception("server closed the connection unexpectedly"))


def trials_of(database: Database, name: str = "small") -> list[FrozenTrial]:
    return load_optuna(database, name).get_trials(deepcopy=False)


def finished(draw: int = 0) -> FrozenTrial:
    design = {"draw": draw, "digest": "d", "attempt": 1, NESTED_IN: 0}
    return create_trial(values=[1.0], user_attrs={DESIGN: design})


def made(database: Database) -> tuple[PatientStorage, int]:
    storage = patient(database, 600).storage
    assert isinstance(storage, PatientStorage)
    return storage, storage.create_new_study([optuna.study.StudyDirection.MINIMIZE], "s")


def test_a_nested_design_is_stored_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = LostAnswers(
        monkeypatch, "_create_new_trial", where=lambda _, template=None: template is not None
    )
    with driving(database, small_spec(**NESTED)) as study:
        job = study.ask()
        assert job is not None
        others = [bits for bits in (5, 6, 7, 8) if (bits,) * 4 != job.point.adc.bits]
        points = [replace(job.point, adc=replace(job.point.adc, bits=(b,) * 4)) for b in others]
        nested = tuple((point, made_up(point)) for point in points)
        lost.left = 2
        study.tell(job, with_nested(made_up(job.point), nested))
    assert lost.left == 0
    stored = [t for t in trials_of(database) if NESTED_IN in t.user_attrs[DESIGN]]
    assert sorted(t.user_attrs[DESIGN]["digest"] for t in stored) == sorted(
        point.digest() for point in points
    )
    assert [t.number for t in trials_of(database)] == list(range(1 + len(points)))
    assert not any(LOST in t.user_attrs for t in trials_of(database))


def with_nested(evaluation: Evaluation, nested: Any) -> Evaluation:
    return replace(evaluation, nested=nested)


@pytest.mark.parametrize("times", [1, 7])
def test_optunas_own_tries_store_it_once_too(database: Database, times: int) -> None:
    """Five of them, within one of ours."""
    storage, study_id = made(database)
    dialect = storage.engine.dialect
    commit, left = dialect.do_commit, [times]

    def lose_the_answer(connection: Any) -> None:
        commit(connection)
        if left[0]:
            left[0] -= 1
            raise gone()

    dialect.do_commit = lose_the_answer  # type: ignore[method-assign]
    trial_id = storage.create_new_trial(study_id, finished())
    assert left == [0], "no answer was lost: the test shows nothing"
    assert [t._trial_id for t in storage.get_all_trials(study_id)] == [trial_id]


def test_what_differs_or_was_not_written_is_stored(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, study_id = made(database)
    storage.create_new_trial(study_id, finished(0))
    lost = LostAnswers(monkeypatch, "_create_new_trial")
    lost.left, lost.is_made = 3, False
    second = storage.create_new_trial(study_id, finished(1))
    storage.create_new_trial(study_id, again := finished(1))
    storage.create_new_trial(study_id, again)  # asked for twice, not tried twice
    trials = storage.get_all_trials(study_id)
    assert [t.user_attrs[DESIGN]["draw"] for t in trials] == [0, 1, 1, 1]
    assert storage.get_trial(second).values == [1.0]


def test_a_design_goes_back_to_the_queue_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if that is the first trial that a driver makes."""
    lost = LostAnswers(monkeypatch, "_create_new_trial")
    with driving(database, small_spec()) as study:
        study.ask()
    lost.left = 1
    later = open_again(database)
    with driving(later, small_spec()) as study:
        job = study.ask()
        assert job is not None
        assert job.attempt == 2
    trials = trials_of(database)
    assert [t.state.name for t in trials] == ["FAIL", "RUNNING"]
    assert [t.user_attrs[DESIGN].get(RETRY_OF) for t in trials] == [None, 0]


def open_again(database: Database) -> Database:
    url = database.storage.engine.url.render_as_string(hide_password=False)
    return open_database(url, write=True, home=database.home)


def test_the_first_empty_trial_of_a_driver_ends_as_lost(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = LostAnswers(monkeypatch, "_create_new_trial")
    lost.left = 1
    with driving(database, small_spec()) as study:
        assert study.ask() is not None
    first, second = trials_of(database)
    assert (first.state, first.user_attrs[LOST]) == (TrialState.FAIL, True)
    assert second.state == TrialState.RUNNING


@pytest.mark.parametrize("taker", [None, "us"])
def test_a_driver_recognises_what_it_took_from_the_queue(
    database: Database, monkeypatch: pytest.MonkeyPatch, taker: str | None
) -> None:
    storage, study_id = made(database)
    storage.taker = taker
    waits = storage.create_new_trial(study_id, create_trial(state=TrialState.WAITING))
    lost = LostAnswers(monkeypatch, "set_trial_state_values")
    lost.left = 3
    assert storage.set_trial_state_values(waits, TrialState.RUNNING)
    assert lost.left == 0
    assert storage.get_trial(waits).system_attrs.get(TAKEN_BY) == taker
    assert not storage.set_trial_state_values(waits, TrialState.RUNNING), "it runs"


@pytest.mark.parametrize("is_over", [False, True])
def test_what_another_driver_took_meanwhile_is_left_to_it(
    database: Database, monkeypatch: pytest.MonkeyPatch, is_over: bool
) -> None:
    storage, study_id = made(database)
    storage.taker = "us"
    other_database = open_again(database)
    theirs = patient(other_database, 600).storage
    assert isinstance(theirs, PatientStorage)
    theirs.taker = "them"
    waits = storage.create_new_trial(study_id, create_trial(state=TrialState.WAITING))
    study = optuna.load_study(study_name="s", storage=storage)
    lost = LostAnswers(monkeypatch, "set_trial_state_values")

    def meanwhile() -> None:
        assert theirs.set_trial_state_values(waits, TrialState.RUNNING)
        if is_over:
            theirs.set_trial_state_values(waits, TrialState.COMPLETE, [2.0])

    lost.left, lost.is_made, lost.meanwhile = 1, False, meanwhile
    with storage.together():
        trial = study.ask()
        trial.set_user_attr("whose", "ours")
    assert trial._trial_id != waits
    other = theirs.get_trial(waits)
    assert other.system_attrs == {TAKEN_BY: "them"}
    assert other.user_attrs == {}
    assert other.state == (TrialState.COMPLETE if is_over else TrialState.RUNNING)


def test_drivers_that_share_a_study_say_who_takes_what(
    postgresql_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = open_database(postgresql_url, write=True, home=tmp_path)
    given = [{"regularizer": "none", "adc.bits": bits} for bits in (7, 8)]
    spec = small_spec(points=given, launch={"name": "serial", "join": True})
    lost = LostAnswers(monkeypatch, "set_trial_state_values")
    with driving(database, spec) as study:
        lost.left = 1
        jobs = [study.ask(), study.ask()]
        trials = trials_of(database)
        assert [job.number for job in jobs if job is not None] == [0, 1]
        assert [trial.state for trial in trials] == [TrialState.RUNNING] * 2
        assert {trial.system_attrs[TAKEN_BY] for trial in trials} == {study.lease}
        assert {trial.user_attrs[DESIGN][DRIVER] for trial in trials} == {study.lease}
    assert lost.left == 0
