"""A study that was deleted and made anew while its page is open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest

from dse.dashboard.app import DashboardApp
from dse.database import Database
from dse.reading.first_trial import first_trial
from dse.reading.lazy_trials import MANY, open_lazily, plain
from dse.resuming import load_optuna
from tests.dse.dashboard.test_dashboard import asked, numbers, opened
from tests.dse.fakes import database_in
from tests.dse.reading.made import add_trials, empty_study

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


def made(database: Database, trials: int, seed: int = 0) -> optuna.Study:
    """A study whose first trial begins now, and others of a made-up time."""
    study = empty_study(database)
    study.tell(study.ask(), [0.5, float(seed)])
    add_trials(study, trials - 1, seed=seed)
    return study


def values_of(study: optuna.Study) -> dict[int, list[float] | None]:
    trials = study.get_trials(deepcopy=False)
    return {trial.number: trial.values for trial in trials}


def told(page: dict[str, Any]) -> dict[int, list[float] | None]:
    found = {t["number"]: t.get("values") for t in page["trials"]}
    return {
        number: values and [float(value) for value in values] for number, values in found.items()
    }


@pytest.mark.parametrize("trials", [30, 200])
def test_a_study_with_the_same_keys_is_another_one(tmp_path: Path, trials: int) -> None:
    database = database_in(tmp_path)
    old = made(database, 120)
    app = DashboardApp(opened(tmp_path))
    _, before = asked(app, "/api/studies/1")
    optuna.delete_study(study_name="small", storage=database.storage)
    assert asked(app, "/api/studies/1")[0] == "404 Not Found"
    new = made(database, trials, seed=1)
    assert new._study_id == old._study_id == 1, "SQLite gives the key again"
    status, page = asked(app, "/api/studies/1")
    assert status == "200 OK"
    assert numbers(page["trials"]) == list(range(trials))
    assert told(page) == values_of(new)
    assert told(page) != told(before)
    assert {t["number"] for t in page["best_trials"]} <= set(range(trials))
    _, fresh = asked(DashboardApp(opened(tmp_path)), "/api/studies/1")
    assert page == fresh


def test_what_was_not_looked_at_in_between_is_noticed_too(tmp_path: Path) -> None:
    database = database_in(tmp_path)
    made(database, 40)
    app = DashboardApp(opened(tmp_path))
    asked(app, "/api/studies/1")
    optuna.delete_study(study_name="small", storage=database.storage)
    empty_study(database)
    _, page = asked(app, "/api/studies/1")
    assert (page["trials"], page["best_trials"], page["union_search_space"]) == ([], [], [])
    add_trials(load_optuna(database, "small"), 10, seed=2)
    _, page = asked(app, "/api/studies/1")
    assert numbers(page["trials"]) == list(range(10))
    optuna.delete_study(study_name="small", storage=database.storage)
    optuna.create_study(storage=database.storage, study_name="other", directions=["maximize"])
    _, page = asked(app, "/api/studies/1")
    assert (page["name"], page["trials"]) == ("other", [])


def test_a_page_that_shows_the_old_one_is_told_to_load_again(tmp_path: Path) -> None:
    database = database_in(tmp_path)
    made(database, 40)
    app = DashboardApp(opened(tmp_path))
    asked(app, "/api/studies/1")
    optuna.delete_study(study_name="small", storage=database.storage)
    made(database, 39, seed=1)
    status, answer = asked(app, "/api/studies/1", "after=40")
    assert status == "409 Conflict"
    assert answer["reason"] == (
        "study 'small': the page holds 40 trials, here are 39: the study was made anew, or the "
        "dashboard started again; load the page again"
    )
    assert asked(app, "/api/studies/1", "after=39")[1]["trials"] == []


def test_a_file_that_was_replaced_is_opened_anew(tmp_path: Path) -> None:
    made(database_in(tmp_path), 40)
    app = DashboardApp(opened(tmp_path))
    asked(app, "/api/studies/1")
    (tmp_path / "new").mkdir()
    new = database_in(tmp_path / "new")
    expected = values_of(made(new, 7, seed=1))
    new.storage.engine.dispose()
    for file in tmp_path.glob("dse.db*"):
        file.unlink()
    assert len(asked(app, "/api/studies/1")[1]["trials"]) == 40, "what is open stays so"
    (tmp_path / "new" / "dse.db").rename(tmp_path / "dse.db")
    _, page = asked(app, "/api/studies/1")
    assert told(page) == expected


def test_a_trial_is_copied_whole_or_changed(tmp_path: Path) -> None:
    database = database_in(tmp_path)
    expected = made(database, MANY).get_trials(deepcopy=False)
    study = load_optuna(opened(tmp_path), "small")
    columns = open_lazily(study, "")
    lazy = study.get_trials(deepcopy=False)
    assert type(lazy[0]).__name__ == "LazyTrial"
    assert [type(plain(trial)) for trial in lazy[:3]] == [optuna.trial.FrozenTrial] * 3
    assert [plain(trial) for trial in lazy] == expected
    changed = plain(lazy[0], user_attrs={"mine": 1}, number=5)
    assert (changed.number, changed.user_attrs) == (5, {"mine": 1})
    assert changed.params == expected[0].params
    assert first_trial(columns)[0][0] == 1
