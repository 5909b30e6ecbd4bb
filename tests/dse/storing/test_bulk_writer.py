"""Trials written in bulk are the trials that Optuna would have written one by one."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import OperationalError

from dse.database import Database, open_database
from dse.errors import StorageError
from dse.storing.bulk_writer import BulkWriter, NumbersMovedError
from dse.storing.trial_rows import COLUMNS

NOW = datetime(2026, 3, 29, 2, 30, 1, 123456)
SPACE: dict[str, BaseDistribution] = {
    "bits": IntDistribution(1, 8),
    "wordlines": IntDistribution(64, 512, log=True),
    "steps": IntDistribution(0, 30, step=5),
    "strength": FloatDistribution(1e-4, 10.0, log=True),
    "ratio": FloatDistribution(-1.0, 1.0),
    "quarter": FloatDistribution(0.0, 1.0, step=0.25),
    "schedule": CategoricalDistribution(("step", "it's {0}\\\t\n", None, True, 3, 2.5)),
    "only": CategoricalDistribution(("one",)),
}
PARAMS: dict[str, Any] = {
    "bits": 3,
    "wordlines": 128,
    "steps": 15,
    "strength": 0.1 + 0.2,
    "ratio": -1 / 3,
    "quarter": 0.75,
    "schedule": "it's {0}\\\t\n",
    "only": "one",
}
WORDS = "it's a \\N, a {brace}, a %s, a \t tab\nand a ß"


def trial(**changes: Any) -> FrozenTrial:
    names = changes.pop("knobs", tuple(SPACE))
    fields: dict[str, Any] = {
        "number": 0,
        "trial_id": 0,
        "state": TrialState.COMPLETE,
        "value": None,
        "values": [1 / 3, -2e-300],
        "datetime_start": NOW,
        "datetime_complete": NOW + timedelta(seconds=2),
        "params": {name: PARAMS[name] for name in names},
        "distributions": {name: SPACE[name] for name in names},
        "user_attrs": {"metrics": {"accuracy": 0.1, "not": math.nan}, WORDS: [WORDS, None, True]},
        "system_attrs": {"constraints:a <= 1": -0.5, "pso:move": {"x": [0.1, 1e-17]}},
        "intermediate_values": {},
    }
    return FrozenTrial(**{**fields, **changes})


MIXED = (
    trial(),
    trial(knobs=("ratio", "bits"), user_attrs={}, system_attrs={}),
    trial(values=[math.inf, -math.inf]),
    trial(values=[0.0, math.inf], intermediate_values={0: 0.5, 7: math.nan, 3: math.inf, 4: -9.0}),
    trial(state=TrialState.PRUNED, values=None, intermediate_values={1: -math.inf}),
    trial(knobs=()),
    trial(state=TrialState.FAIL, values=None, user_attrs={"error": WORDS}, datetime_start=NOW),
    trial(state=TrialState.WAITING, values=None, datetime_complete=None, knobs=()),
    *[
        trial(params={**PARAMS, "bits": 1 + i, "schedule": v})
        for i, v in enumerate((None, True, 3))
    ],
    *[trial(values=[float(i), 2.5]) for i in range(6)],
)


def study_in(url: str, home: Path, name: str) -> tuple[Database, optuna.Study]:
    database = open_database(url, write=True, home=home)
    directions = ["maximize", "minimize"]
    study = optuna.create_study(storage=database.storage, study_name=name, directions=directions)
    return database, study


def loaded(database: Database, name: str = "a") -> optuna.Study:
    return optuna.load_study(study_name=name, storage=database.storage)


def tables(database: Database, study: optuna.Study) -> dict[str, list[tuple[Any, ...]]]:
    """Rows of a study without their ids, in the order of the ids; the trial's number instead."""
    found = {}
    with database.storage.engine.connect() as connection:
        for table, columns in COLUMNS.items():
            key = connection.execute(sqlalchemy.text(f"SELECT * FROM {table} LIMIT 0")).keys()
            own = next(k for k in key if k in ("param_id", "trial_id") or k == f"{table[:-1]}_id")
            read = [f"trials.{c}" if table == "trials" else f"{table}.{c}" for c in columns[1:]]
            rows = connection.execute(
                sqlalchemy.text(
                    f"SELECT trials.number, {', '.join(read)} FROM trials"
                    + ("" if table == "trials" else f" JOIN {table} USING (trial_id)")
                    + f" WHERE trials.study_id = {study._study_id}"
                    f" ORDER BY trials.number, {table}.{own}"
                )
            )
            found[table] = [tuple(row) for row in rows]
    found["trials"] = [(*row[:2], *row[3:]) for row in found["trials"]]
    return found


def fields(trials: Sequence[FrozenTrial]) -> list[str]:
    """All that a trial holds but its id; as text, for NaN differs from itself.

    Optuna orders knobs when it reads them; the order of attributes is the database's.
    """
    found = []
    for each in trials:
        held = {key: value for key, value in each.__dict__.items() if key != "_trial_id"}
        for name in ("_user_attrs", "_system_attrs", "intermediate_values"):
            held[name] = sorted(held[name].items(), key=lambda item: item[0])
        found.append(repr(held))
    return found


def assert_equal(url: str, home: Path, trials: Sequence[FrozenTrial]) -> None:
    """A study that `add_trials` wrote and one that was written in bulk hold the same."""
    database, one = study_in(url, home, "one by one")
    _, bulk = study_in(url, home, "bulk")
    one.add_trials(trials)
    assert BulkWriter(bulk).write(trials) == 0
    assert fields(bulk.get_trials()) == fields(one.get_trials())
    fresh = loaded(open_database(url, write=False), "bulk")
    assert fields(fresh.get_trials()) == fields(one.get_trials())
    assert tables(database, bulk) == tables(database, one)


def test_a_study_written_in_bulk_equals_one_written_by_add_trials(
    any_url: str, tmp_path: Path
) -> None:
    assert_equal(any_url, tmp_path, MIXED)


NAMES = st.lists(st.sampled_from(sorted(SPACE)), unique=True)
FLOATS = st.floats(allow_nan=False)
STATES = st.sampled_from([TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
KEYS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)


@st.composite
def trials(draw: st.DrawFn) -> FrozenTrial:
    names = draw(NAMES)
    values: dict[str, st.SearchStrategy[Any]] = {
        "bits": st.integers(1, 8),
        "wordlines": st.integers(64, 512),
        "steps": st.sampled_from(range(0, 31, 5)),
        "strength": st.floats(1e-4, 10.0),
        "ratio": st.floats(-1.0, 1.0),
        "quarter": st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]),
        "schedule": st.sampled_from(SPACE["schedule"].choices),  # type: ignore[attr-defined]
        "only": st.just("one"),
    }
    state = draw(STATES)
    given_values = draw(st.lists(FLOATS, min_size=2, max_size=2))
    return trial(
        knobs=tuple(names),
        params={name: draw(values[name]) for name in names},
        state=state,
        values=None if state == TrialState.FAIL else given_values,
        user_attrs=draw(st.dictionaries(KEYS, JSON, max_size=3)),
        system_attrs=draw(st.dictionaries(KEYS, JSON, max_size=2)),
        intermediate_values=draw(st.dictionaries(st.integers(0, 99), st.floats(), max_size=3)),
    )


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(trials(), max_size=6))
def test_any_trials_are_written_as_optuna_writes_them(
    tmp_path_factory: pytest.TempPathFactory, some: list[FrozenTrial]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    assert_equal(f"sqlite:///{folder / 'dse.db'}", folder, some)


@pytest.mark.parametrize(
    "bad",
    [
        trial(values=[1.0, math.nan]),
        trial(values=[1.0]),
        trial(values=None),
        trial(state=TrialState.FAIL),
        trial(params={**PARAMS, "bits": 9}),
        trial(params={**PARAMS, "strength": 0.0}),
        trial(params={**PARAMS, "schedule": "none of them"}),
        trial(params={**PARAMS, "steps": 7}),
        trial(distributions={}),
        trial(datetime_complete=None),
        trial(distributions={**SPACE, "bits": FloatDistribution(0, 9)}),
    ],
)
def test_what_optuna_refuses_is_refused_and_nothing_is_stored(
    bad: FrozenTrial, tmp_path: Path
) -> None:
    _, study = study_in(f"sqlite:///{tmp_path / 'dse.db'}", tmp_path, "a")
    study.add_trial(trial())
    with pytest.raises(ValueError):
        study.add_trial(bad)
    with pytest.raises(ValueError):
        BulkWriter(study).write([trial(), bad])
    assert len(study.get_trials()) == 1


def test_an_attribute_that_is_no_json_is_refused_and_nothing_is_stored(tmp_path: Path) -> None:
    _, study = study_in(f"sqlite:///{tmp_path / 'dse.db'}", tmp_path, "a")
    with pytest.raises(TypeError, match=r"set .* is not JSON serializable"):
        BulkWriter(study).write([trial(), trial(user_attrs={"a": {1}})])
    assert study.get_trials() == []


def test_numbers_follow_those_of_trials_that_optuna_wrote(any_url: str, tmp_path: Path) -> None:
    _, study = study_in(any_url, tmp_path, "a")
    _, other = study_in(any_url, tmp_path, "b")
    writer = BulkWriter(study)
    study.add_trial(trial())
    other.add_trials([trial(), trial()])
    assert writer.write([trial(), trial()], first=1) == 1
    running = study.ask()
    assert running.number == 3
    assert writer.write([trial()] * 5) == 4
    assert [t.number for t in study.get_trials()] == list(range(9))
    with pytest.raises(NumbersMovedError, match="the next trial has number 9") as raised:
        writer.write([trial()], first=7)
    assert raised.value.first == writer.next_number() == 9
    study.tell(running, [1.0, 2.0])
    assert [t.state for t in study.get_trials()] == [TrialState.COMPLETE] * 9
    assert len(other.get_trials()) == 2
    assert writer.attribute(8, "metrics") is not None
    assert writer.attribute(9, "metrics") is None


def test_two_writers_at_once_leave_no_gap(any_url: str, tmp_path: Path) -> None:
    _, study = study_in(any_url, tmp_path, "a")
    context = multiprocessing.get_context("fork")
    both = [
        context.Process(target=write_some, args=(any_url, tmp_path, f"w{i}", 6)) for i in range(2)
    ]
    for process in both:
        process.start()
    for process in both:
        process.join()
        assert process.exitcode == 0
    found = study.get_trials()
    assert [t.number for t in found] == list(range(2 * 6 * 10))
    for first in range(0, len(found), 10):  # batches stay together
        assert len({t.user_attrs["who"] for t in found[first : first + 10]}) == 1


def write_some(url: str, home: Path, who: str, batches: int) -> None:
    study = optuna.load_study(
        study_name="a", storage=open_database(url, write=True, home=home).storage
    )
    writer = BulkWriter(study)
    for batch in range(batches):
        writer.write([trial(user_attrs={"who": f"{who} {batch}"})] * 10)


def write_until_killed(url: str, home: Path, pipe: Any) -> None:
    study = optuna.load_study(
        study_name="a", storage=open_database(url, write=True, home=home).storage
    )
    writer = BulkWriter(study)
    while True:
        pipe.send_bytes(str(writer.write([trial()] * 40)).encode())


def test_a_writer_that_is_killed_leaves_nothing_half_written(any_url: str, tmp_path: Path) -> None:
    database, study = study_in(any_url, tmp_path, "a")
    acknowledged = 0
    for life in range(3):
        mine, theirs = multiprocessing.Pipe(duplex=False)
        writer = multiprocessing.get_context("fork").Process(
            target=write_until_killed, args=(any_url, tmp_path, theirs)
        )
        writer.start()
        theirs.close()
        assert mine.poll(120)
        time.sleep(0.03 * life)
        assert writer.pid is not None
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        try:
            while True:
                acknowledged = max(acknowledged, int(mine.recv_bytes()) + 40)
        except EOFError:
            mine.close()
    study = loaded(open_database(any_url, write=False))
    found = study.get_trials(deepcopy=False)
    assert len(found) in (acknowledged, acknowledged + 40)
    assert [t.number for t in found] == list(range(len(found)))
    assert len(set(fields([FrozenTrial(**{**_plain(t), "number": 0}) for t in found]))) == 1
    if database.storage.engine.name == "sqlite":
        with sqlite3.connect(tmp_path / "dse.db") as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def _plain(t: FrozenTrial) -> dict[str, Any]:
    names = ("state", "datetime_start", "datetime_complete", "params", "distributions")
    more = ("user_attrs", "system_attrs", "intermediate_values", "values")
    return {"value": None, "trial_id": 0} | {name: getattr(t, name) for name in (*names, *more)}


def test_a_database_that_fails_says_so_as_sqlalchemy_does(tmp_path: Path) -> None:
    database, study = study_in(f"sqlite:///{tmp_path / 'dse.db'}", tmp_path, "a")
    writer = BulkWriter(study)
    with database.storage.engine.begin() as connection:
        connection.execute(sqlalchemy.text("DROP TABLE trial_values"))
    with pytest.raises(OperationalError, match="no such table: trial_values"):
        writer.write([trial()])
    with database.storage.engine.begin() as connection:
        assert connection.execute(sqlalchemy.text("SELECT count(*) FROM trials")).scalar() == 0


def test_other_storages_are_refused() -> None:
    with pytest.raises(StorageError, match="to SQLite and PostgreSQL only, got a study in InMem"):
        BulkWriter(optuna.create_study())


def test_optunas_own_command_line_reads_the_study(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'dse.db'}"
    _, study = study_in(url, tmp_path, "a")
    BulkWriter(study).write([trial(values=[float(i), 1.0]) for i in range(5)])
    optuna_cli = Path(sys.executable).with_name("optuna")
    command = [str(optuna_cli), "best-trials", "--study-name", "a", "--storage", url]
    shown = subprocess.run([*command, "-f", "json"], check=True, capture_output=True, text=True)
    assert '"number": 4' in shown.stdout
