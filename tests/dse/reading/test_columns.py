"""What is read column by column equals what Optuna loads trial by trial."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from dse.database import Database, open_database
from dse.errors import StorageError, StudyError
from dse.pareto import count_states, pareto_front, stored_front
from dse.reading.columns import TrialColumns
from dse.reading.source import open_source
from dse.reading.studies import read_study, study_names
from dse.reading.trials import given_rows, read_trials
from dse.resuming import load_optuna
from dse.storing.bulk_writer import BulkWriter
from dse.trials import is_given
from tests.dse.fakes import small_spec
from tests.dse.reading.made import add_trials, empty_study, made_trials

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # the list of old constraints


@pytest.fixture
def database(any_url: str) -> Iterator[Database]:
    opened = open_database(any_url, write=True)
    yield opened
    opened.storage.engine.dispose()


def loaded(database: Database, name: str = "small") -> list[FrozenTrial]:
    return load_optuna(database, name).get_trials(deepcopy=False)


def check(columns: TrialColumns, trials: list[FrozenTrial]) -> None:
    assert columns.numbers.tolist() == [t.number for t in trials]
    assert columns.states.tolist() == [int(t.state) for t in trials]
    for row, trial in enumerate(trials):
        values = columns.values()[row].tolist()
        assert values == trial.values if trial.values else np.isnan(values).all()
    broken = [any(v > 0 for v in t.constraints.values()) for t in trials]
    assert columns.broken().tolist() == broken
    violations = columns.violations()
    for row, trial in enumerate(trials):
        told = zip(violations.names, violations.values[row].tolist(), strict=True)
        assert {name: v for name, v in told if not np.isnan(v)} == trial.constraints
    for key in ("design", "duplicate_of", "error", "lost", "ruled_out", "seconds", "absent"):
        (marks,) = columns.marks(key)
        assert marks == {
            row: t.user_attrs[key] for row, t in enumerate(trials) if key in t.user_attrs
        }
    for row, trial in enumerate(trials):
        for stored, loaded_ in zip(
            columns.times()[row], (trial.datetime_start, trial.datetime_complete), strict=True
        ):
            if loaded_ is None:
                assert np.isnat(stored)
            else:
                assert stored == np.datetime64(loaded_.astimezone(UTC).replace(tzinfo=None), "us")
    assert columns.counts() == count_states(trials)


def test_every_column_equals_what_optuna_loads(database: Database, any_url: str) -> None:
    add_trials(empty_study(database), 60)
    add_trials(empty_study(database, "other"), 3)
    with open_source(any_url) as source:
        assert study_names(source) == ["other", "small"]
        columns = TrialColumns(source, read_study(source, "small"))
        check(columns, loaded(database))
        assert set(columns.states.tolist()) == {int(s) for s in TrialState}, "all kinds are there"


def test_studies_that_take_turns_in_the_tables_are_told_apart(
    database: Database, any_url: str
) -> None:
    studies = [empty_study(database), empty_study(database, "other")]
    for seed in range(4):
        for study in studies:
            add_trials(study, 4, seed=seed)
    with open_source(any_url) as source:
        for name in ("small", "other"):
            check(TrialColumns(source, read_study(source, name)), loaded(database, name))


def test_a_study_that_grew_is_read_on_and_equals_one_read_anew(
    database: Database, any_url: str
) -> None:
    study = empty_study(database)
    add_trials(study, 30)
    add_trials(empty_study(database, "other"), 2)
    with open_source(any_url) as source:
        columns = TrialColumns(source, read_study(source, "small"))
        check(columns, loaded(database))
        assert columns.refresh().tolist() == [
            t.number for t in loaded(database) if not t.state.is_finished()
        ]
        asked = study.ask()  # the trial that waited the longest
        asked.set_user_attr("design", {"draw": 5, "digest": "x", "attempt": 2})
        asked.set_constraint("late", 0.5)
        study.tell(asked, [0.1, 0.2])
        add_trials(study, 10, seed=9)
        columns.refresh()
        check(columns, loaded(database))


def test_a_trial_that_is_stored_after_a_later_one_is_not_overlooked(
    database: Database, any_url: str
) -> None:
    add_trials(empty_study(database), 12)
    empty_study(database, "other")

    def move(to: str, number: int, new_number: int) -> None:
        wanted = f"(SELECT study_id FROM studies WHERE study_name = '{to}')"
        with database.storage.engine.begin() as connection:
            connection.exec_driver_sql(
                f"UPDATE trials SET study_id = {wanted}, number = {new_number}"
                f" WHERE number = {number}"
            )

    whole = loaded(database)
    move("other", 9, 50)
    with open_source(any_url) as source:
        columns = TrialColumns(source, read_study(source, "small"))
        for read in (columns.values, columns.broken, columns.violations):
            read()
        columns.marks("design", "error")
        assert 9 not in columns.numbers
        move("small", 50, 9)
        assert 9 in columns.refresh()
        check(columns, whole)


def test_whole_trials_are_decoded_for_those_that_are_asked_for(
    database: Database, any_url: str
) -> None:
    add_trials(empty_study(database), 25)
    trials = loaded(database)
    with open_source(any_url) as source:
        columns = TrialColumns(source, read_study(source, "small"))
        for each, trial in zip(read_trials(columns, range(25)), trials, strict=True):
            assert (each.number, each.values) == (trial.number, trial.values)
            assert each.params == trial.params
            assert list(each.params) == list(trial.params)
            assert each.user_attrs == trial.user_attrs
        (few,) = read_trials(columns, [7], params=False, attributes=["seconds"])
        assert few.user_attrs == {"seconds": trials[7].user_attrs["seconds"]}
        assert few.params == {}
        assert read_trials(columns, []) == []
        for n_given in (0, 4, 11):
            expected = [t.number for t in trials if is_given(t, n_given)]
            assert given_rows(columns, n_given) == expected


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
def test_the_front_is_the_one_of_the_loaded_trials(
    tmp_path: Any, seed: int, objectives: int
) -> None:
    url = f"sqlite:///{tmp_path / 'dse.db'}"
    wanted = ["minimize area_mm2", "maximize accuracy", "minimize energy_uj", "minimize crossbars"]
    changes = {"objectives": wanted[:objectives], "constraints": []}
    database = open_database(url, write=True)
    study = empty_study(database, **changes)
    BulkWriter(study).write([_finite(t) for t in made_trials(objectives, 40, seed=seed)])
    parsed = small_spec(**changes).parsed_objectives()
    expected = pareto_front(loaded(database), parsed)
    with open_source(url) as source:
        front = stored_front(TrialColumns(source, read_study(source, "small")), parsed)
    assert list(front.trials) == [t.number for t in expected.trials]
    assert front.reference_point == expected.reference_point
    assert front.hypervolume == expected.hypervolume


def _finite(trial: FrozenTrial) -> FrozenTrial:
    if trial.values:
        trial.values = [min(max(v, -1e3), 1e3) for v in trial.values]
    return trial


def test_an_empty_study_has_empty_columns(database: Database, any_url: str) -> None:
    empty_study(database)
    with open_source(any_url) as source:
        columns = TrialColumns(source, read_study(source, "small"))
        assert columns.values().shape == (0, 2)
        assert columns.violations().values.shape == (0, 0)
        assert columns.times().shape == (0, 2)
        assert columns.hours() == 0.0
        assert not columns.counts()["complete"]
        assert stored_front(columns, small_spec().parsed_objectives()).hypervolume == 0.0


def test_what_is_not_there_is_told(database: Database, any_url: str) -> None:
    empty_study(database)
    optuna.create_study(storage=database.storage, study_name="foreign")
    with open_source(any_url) as source:
        with pytest.raises(StudyError, match=r"no study 'absent' in .*; studies: foreign, small"):
            read_study(source, "absent")
        with pytest.raises(StudyError, match=r"'foreign' in .* was not made by dse"):
            read_study(source, "foreign").objectives(source)
        with pytest.raises(StorageError, match=r"cannot be read: .*nothing"):
            list(source.rows("SELECT nothing FROM trials"))
        assert "s3cret" not in source.url


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("sqlite:///absent.db", "there is no such database"),
        ("sqlite://", "give a file"),
        ("dse.db", "a database is given as a URL"),
        ("mysql://host/name", r"expected sqlite:///FILE or postgresql://\.\.\., got mysql"),
        ("postgresql://host:1", "names no database"),
    ],
)
def test_a_url_that_cannot_be_read_says_what_should_hold(url: str, message: str) -> None:
    with pytest.raises(StorageError, match=message), open_source(url):
        pass
