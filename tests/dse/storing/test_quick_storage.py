"""QuickStorage passes Optuna's own contract, reads what Optuna reads, writes all or nothing."""

from __future__ import annotations

import contextlib
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.testing.pytest_storages import StorageTestCase
from optuna.trial import FrozenTrial, TrialState

from dse.database import open_database
from dse.storing.quick_storage import QuickStorage
from dse.storing.transactions import Transactions

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


@pytest.fixture
def plain(any_url: str) -> RDBStorage:
    return open_database(any_url, write=True).storage


@pytest.fixture
def storage(plain: RDBStorage) -> QuickStorage:
    return QuickStorage(plain)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables without rows; making them takes longer than most tests."""
    file = tmp_path_factory.mktemp("empty") / "dse.db"
    RDBStorage(f"sqlite:///{file}").engine.dispose()
    return file


def _unsafe(connection: Any, _record: Any) -> None:
    """Nobody waits for the disk."""
    connection.execute("PRAGMA synchronous=OFF")


class TestContract(StorageTestCase):
    """Optuna's, inherited."""

    @pytest.fixture
    def storage(self, empty: Path, tmp_path: Path) -> Iterator[QuickStorage]:  # type: ignore[override]
        file = shutil.copy(empty, tmp_path / "dse.db")
        storage = QuickStorage(RDBStorage(f"sqlite:///{file}", skip_table_creation=True))
        sqlalchemy.event.listen(storage.engine, "connect", _unsafe)
        storage.engine.dispose()
        yield storage
        storage.engine.dispose()


def one_of_everything(storage: Any) -> optuna.Study:
    study = optuna.create_study(storage=storage, directions=["minimize", "maximize"])
    knobs = {"x": 0.25, "log": 7, "kind": 3}
    study.enqueue_trial(knobs, user_attrs={"given": [1, None]})
    done = study.ask()
    done.suggest_float("x", 0.0, 1.0)
    done.suggest_int("log", 1, 1000, log=True)
    done.suggest_categorical("kind", ["a", None, 3])
    done.set_user_attr("nested", {"b": [1.5, float("inf")]})
    done.set_user_attr("nested", {"b": (2,)})
    storage.set_trial_system_attr(done._trial_id, "hidden", "é'\"\\")
    done.set_constraint("area", -0.5)
    study.tell(done, [math.inf, 0.1])
    steps = study.ask()
    for step, value in ((3, math.nan), (1, -math.inf), (2, 0.5)):
        storage.set_trial_intermediate_value(steps._trial_id, step, value)
    study.tell(steps, state=TrialState.FAIL)
    study.enqueue_trial({"x": 1.0})
    study.ask().suggest_float("x", 0.0, 1.0)
    study.enqueue_trial({})
    return study


def text_of(trial: FrozenTrial) -> str:
    """NaN equals NaN here; of attributes and steps databases keep no order."""
    trial.intermediate_values = dict(sorted(trial.intermediate_values.items()))
    trial.user_attrs = dict(sorted(trial.user_attrs.items()))
    trial._system_attrs = dict(sorted(trial._system_attrs.items()))
    return repr(trial)


def test_what_one_storage_writes_both_read(plain: RDBStorage, storage: QuickStorage) -> None:
    for writer in (plain, storage):
        study = one_of_everything(writer)
        theirs, ours = (s.get_all_trials(study._study_id) for s in (plain, storage))
        assert [text_of(t) for t in ours] == [text_of(t) for t in theirs]
        assert [t.state.name for t in ours] == ["COMPLETE", "FAIL", "RUNNING", "WAITING"]
        for trial in theirs:
            assert text_of(storage.get_trial(trial._trial_id)) == text_of(trial)
        some = {t._trial_id for t in theirs[1:3]}
        last = theirs[2]._trial_id
        for states in (None, (TrialState.WAITING, TrialState.FAIL), ()):
            found = [
                [text_of(t) for t in s._get_trials(study._study_id, states, some, last)]
                for s in (plain, storage)
            ]
            assert found[0] == found[1]


def test_the_rows_are_the_same(plain: RDBStorage, storage: QuickStorage) -> None:
    studies = [one_of_everything(plain), one_of_everything(storage)]
    tables = ["trial_params", "trial_user_attributes", "trial_system_attributes", "trial_values"]
    for table in tables:
        rows = []
        for study in studies:
            first = min(t._trial_id for t in study.get_trials(deepcopy=False))
            sql = (
                f"SELECT * FROM {table} WHERE trial_id IN (SELECT trial_id FROM trials"
                f" WHERE study_id = {study._study_id})"
            )
            with plain.engine.connect() as connection:
                found = connection.execute(sqlalchemy.text(sql)).mappings()
                rows.append(
                    sorted(
                        str({k: v - first if k == "trial_id" else v for k, v in row.items()
                             if k != "param_id" and not k.startswith(table[:-1])})
                        for row in found
                    )
                )  # fmt: skip
        assert rows[0] == rows[1], table
        assert rows[0], table


def begun(storage: QuickStorage) -> int:
    study_id = storage.create_new_study([optuna.study.StudyDirection.MINIMIZE])
    return storage.create_new_trial(study_id)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """An entry for every transaction."""
    found: list[None] = []
    begun = Transactions.begun

    def counting(self: Transactions) -> Any:
        found.append(None)
        return begun(self)

    monkeypatch.setattr(Transactions, "begun", counting)
    return found


def test_what_belongs_together_is_one_transaction(
    plain: RDBStorage, storage: QuickStorage, counted: list[None]
) -> None:
    trial = begun(storage)
    with storage.together():
        for name in ("x", "y"):
            storage.set_trial_param(trial, name, 0.5, FloatDistribution(0, 1))
        storage.set_trial_user_attr(trial, "a", 1)
        storage.set_trial_system_attr(trial, "b", 2)
        seen = storage.get_trial(trial)
        assert (seen.params, seen.user_attrs) == ({"x": 0.5, "y": 0.5}, {"a": 1})
        assert plain.get_trial(trial).params == {}, "nobody else sees it yet"
        before = len(counted)
    assert len(counted) == before + 1
    assert text_of(plain.get_trial(trial)) == text_of(seen)


def test_a_state_takes_along_what_was_kept(
    plain: RDBStorage, storage: QuickStorage, counted: list[None]
) -> None:
    trial = begun(storage)
    counted.clear()
    with storage.together():
        storage.set_trial_user_attr(trial, "a", 1)
        assert storage.set_trial_state_values(trial, TrialState.COMPLETE, [0.5])
    assert len(counted) == 1
    found = plain.get_trial(trial)
    assert (found.state, found.values, found.user_attrs) == (TrialState.COMPLETE, [0.5], {"a": 1})


def test_whoever_fails_in_between_has_written_nothing(
    plain: RDBStorage, storage: QuickStorage
) -> None:
    trial = begun(storage)
    with contextlib.suppress(KeyboardInterrupt), storage.together():
        storage.set_trial_user_attr(trial, "a", 1)
        raise KeyboardInterrupt
    storage.set_trial_user_attr(trial, "b", 2)
    assert plain.get_trial(trial).user_attrs == {"b": 2}


def test_a_trial_that_somebody_else_finished_is_not_written(
    plain: RDBStorage, storage: QuickStorage
) -> None:
    trial = begun(storage)
    kept = storage.together()
    kept.__enter__()
    storage.set_trial_user_attr(trial, "a", 1)
    plain.set_trial_state_values(trial, TrialState.FAIL)
    with pytest.raises(UpdateFinishedTrialError, match=r"Trial#0 has already finished"):
        kept.__exit__(None, None, None)
    assert plain.get_trial(trial).user_attrs == {}
    with pytest.raises(UpdateFinishedTrialError, match=r"Trial#0 has already finished"):
        storage.set_trial_user_attr(trial, "a", 1)


def test_a_distribution_that_does_not_fit_is_refused(storage: QuickStorage) -> None:
    trial = begun(storage)
    storage.set_trial_param(trial, "x", 1.0, CategoricalDistribution(("a", "b")))
    study_id = storage.create_new_study([optuna.study.StudyDirection.MINIMIZE])
    storage.set_trial_param(storage.create_new_trial(study_id), "x", 1, IntDistribution(0, 3))
    own = storage.get_study_id_from_name(
        next(s.study_name for s in storage.get_all_studies() if s._study_id != study_id)
    )
    with pytest.raises(ValueError, match="Cannot set different distribution kind"):
        storage.set_trial_param(storage.create_new_trial(own), "x", 1, IntDistribution(0, 3))


def test_what_is_not_there_is_a_key_error(storage: QuickStorage) -> None:
    for ask in (
        lambda: storage.get_trial(10**6),
        lambda: storage.set_trial_user_attr(10**6, "a", 1),
        lambda: storage.set_trial_state_values(10**6, TrialState.RUNNING),
        lambda: storage.get_all_trials(10**6),
    ):
        with pytest.raises(KeyError):
            ask()


def test_an_empty_trial_that_was_just_made_is_not_read(
    plain: RDBStorage, storage: QuickStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    study_id = storage.create_new_study([optuna.study.StudyDirection.MINIMIZE])
    with storage.together():
        trial = storage.create_new_trial(study_id)
        stored = text_of(plain.get_trial(trial))
        with monkeypatch.context() as blind:
            blind.setattr(Transactions, "read", lambda *_: pytest.fail("reads"))
            assert text_of(storage.get_trial(trial)) == stored
            storage.get_trial(trial).user_attrs["a"] = 1
            storage.set_trial_user_attr(trial, "b", 2)
            assert storage.get_trial(trial).user_attrs == {"b": 2}
        storage.flush()
        assert storage.get_trial(trial).user_attrs == {"b": 2}
        storage.set_trial_intermediate_value(trial, 1, 0.5)
        storage.set_trial_state_values(trial, TrialState.COMPLETE, [0.5])
        assert storage.get_trial(trial).state == TrialState.COMPLETE
    assert text_of(storage.get_trial(trial)) == text_of(plain.get_trial(trial))


def test_a_trial_that_was_made_and_told_in_one_block_is_read_as_it_is_stored(
    plain: RDBStorage, storage: QuickStorage
) -> None:
    study_id = storage.create_new_study([optuna.study.StudyDirection.MINIMIZE])
    with storage.together():
        for change in (
            lambda trial: storage.set_trial_intermediate_value(trial, 1, 0.5),
            lambda trial: storage.set_trial_state_values(trial, TrialState.COMPLETE, [0.5]),
        ):
            change(trial := storage.create_new_trial(study_id))
            assert text_of(storage.get_trial(trial)) == text_of(plain.get_trial(trial))


def test_finished_trials_are_handed_out_in_order_however_they_were_read(
    plain: RDBStorage, storage: QuickStorage
) -> None:
    study = one_of_everything(plain)
    ids = [t._trial_id for t in plain.get_all_trials(study._study_id)]
    for known in (ids[1], ids[2], ids[0]):
        storage.get_trial(known)
        expected = [text_of(t) for t in plain.get_all_trials(study._study_id)]
        assert [text_of(t) for t in storage.get_all_trials(study._study_id)] == expected
    assert not storage._finished


def test_many_attributes_of_a_trial_are_more_than_one_statement(storage: QuickStorage) -> None:
    trial = begun(storage)
    with storage.together():
        for number in range(450):
            storage.set_trial_user_attr(trial, f"key {number}", number)
    assert storage.get_trial(trial).user_attrs == {f"key {n}": n for n in range(450)}
