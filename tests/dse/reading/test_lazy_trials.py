"""A study that is opened lazily is the study that Optuna loads; a resumed search sees no odds."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

import dse.reading.lazy_trials
from dse.database import Database, open_database
from dse.evaluation import Job, Outcome
from dse.reading.lazy_trials import LazyTrial, open_lazily
from dse.resuming import driving, load_optuna
from dse.storing.bulk_writer import BulkWriter
from tests.dse.fakes import database_in, made_up, run_in_pieces, small_spec
from tests.dse.reading.made import add_trials, empty_study

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),  # the list of old constraints
    pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning"),
]


@pytest.fixture
def database(any_url: str) -> Iterator[Database]:
    opened = open_database(any_url, write=True)
    yield opened
    opened.storage.engine.dispose()


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dse.reading.lazy_trials, "MANY", 1)
    monkeypatch.setattr(dse.reading.lazy_trials, "_BLOCK", 7)


def lazily(database: Database) -> tuple[optuna.Study, list[FrozenTrial]]:
    study = load_optuna(database, "small")
    open_lazily(study, database.url)
    return study, study.get_trials(deepcopy=False)


@pytest.mark.usefixtures("always")
def test_every_field_of_every_trial_is_what_optuna_loads(database: Database) -> None:
    study = empty_study(database)
    add_trials(study, 40)
    with_steps = study.ask()
    for step, value in enumerate((0.5, math.inf, -math.inf)):
        study._storage.set_trial_intermediate_value(with_steps._trial_id, step, value)
    study.tell(with_steps, [1.0, 2.0])
    expected = load_optuna(database, "small").get_trials(deepcopy=False)
    _, trials = lazily(database)
    assert [isinstance(t, LazyTrial) for t in trials] == [t.state.is_finished() for t in expected]
    for trial, plain in zip(trials, expected, strict=True):
        assert list(trial.params) == list(plain.params)
        assert trial.constraints == plain.constraints
        assert (trial.duration, trial.last_step) == (plain.duration, plain.last_step)
        for field in vars(plain):
            assert getattr(trial, field) == getattr(plain, field)
    _, trials = lazily(database)
    assert trials == expected
    assert expected == trials
    assert repr(trials[0]).startswith("FrozenTrial(number=0, ")


@pytest.mark.usefixtures("always")
def test_copies_of_a_lazy_trial_are_plain(tmp_path: Path) -> None:
    database = database_in(tmp_path)
    add_trials(empty_study(database), 9)
    study, trials = lazily(database)
    lazy = next(t for t in trials if isinstance(t, LazyTrial))
    for made in (copy.copy(lazy), copy.deepcopy(lazy), pickle.loads(pickle.dumps(lazy))):
        assert type(made) is FrozenTrial
        assert made == lazy
    assert {type(t) for t in study.trials} == {FrozenTrial}
    with pytest.raises(AttributeError, match="absent"):
        lazy.absent  # noqa: B018


@pytest.mark.usefixtures("always")
def test_only_what_is_asked_for_is_read(tmp_path: Path) -> None:
    database = database_in(tmp_path)
    add_trials(empty_study(database), 30)
    _, trials = lazily(database)
    lazy = [t for t in trials if isinstance(t, LazyTrial)]
    assert lazy[0].params is not None
    assert "_params" in vars(lazy[3])
    assert "_user_attrs" not in vars(lazy[0])
    assert "_params" not in vars(lazy[-1])


@pytest.mark.usefixtures("always")
def test_what_happens_after_opening_is_seen(tmp_path: Path) -> None:
    database = database_in(tmp_path)
    add_trials(empty_study(database), 20)
    study, trials = lazily(database)
    waiting = [t.number for t in trials if t.state == TrialState.WAITING]
    asked = study.ask()
    assert asked.number == waiting[0]
    study.tell(asked, [0.5, 0.25])
    assert study.trials[asked.number].values == [0.5, 0.25]
    study.tell(study.ask(), state=TrialState.FAIL)
    add_trials(load_optuna(database, "small"), 2)
    assert study.get_trials() == load_optuna(database, "small").get_trials()


def test_a_study_with_few_trials_is_loaded_as_ever(tmp_path: Path) -> None:
    database = database_in(tmp_path)
    add_trials(empty_study(database), 5)
    study, trials = lazily(database)
    assert not study._storage._studies[study._study_id].trials.keys() - range(5)  # type: ignore[attr-defined]
    assert {type(t) for t in trials} == {FrozenTrial}


SAMPLERS = ({"name": "pso", "particles": 4}, {"name": "tpe", "startup_trials": 3}, "random")


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("sampler", SAMPLERS, ids=["pso", "tpe", "random"])
def test_a_search_in_pieces_equals_one_in_a_piece(tmp_path: Path, sampler: object) -> None:
    space = {"adc.bits.slice0": "1..5", "adc.bits.slice1": "1..5"}
    spec = small_spec(
        sampler=sampler, space=space, points=[{"adc.bits.slice0": 2, "adc.bits.slice1": 3}]
    )

    def evaluate(job: Job) -> Outcome:
        return made_up(job.point)

    run_in_pieces(tmp_path / "whole", spec, evaluate, None)
    run_in_pieces(tmp_path / "pieces", spec, evaluate, 3)
    done = [
        [
            (t.number, t.params, t.values, t.user_attrs["design"])
            for t in load_optuna(database_in(tmp_path / folder), "small").trials
            if t.state == TrialState.COMPLETE
        ]
        for folder in ("whole", "pieces")
    ]
    assert [each[1:3] for each in done[0]] == [each[1:3] for each in done[1]]
    assert [each[3]["draw"] for each in done[0]] == [each[3]["draw"] for each in done[1]]


@pytest.mark.usefixtures("always")
def test_a_resumed_study_knows_what_it_knew(tmp_path: Path) -> None:
    spec = small_spec(budget={"trials": 9, "epochs": 1})
    run_in_pieces(tmp_path, spec, lambda job: made_up(job.point), None)
    database = database_in(tmp_path)
    with driving(database, spec) as study:
        assert (study.n_designs, study.n_done, study.n_waiting) == (9, 9, 0)
        copy_of = study.trials()[4].params
        study.optuna.enqueue_trial(copy_of)
        job = study.ask()
        assert job is not None
        assert job.number == 10, "the known design was answered at once"
        assert study.trials()[9].user_attrs["duplicate_of"] == 4


def test_bulk_written_trials_are_found_by_a_lazy_study(database: Database) -> None:
    study = empty_study(database)
    add_trials(study, 12)
    plain = load_optuna(database, "small").get_trials(deepcopy=False)
    BulkWriter(study).write([t for t in plain if t.state.is_finished()])
    opened, trials = lazily(database)
    assert [t.number for t in trials] == list(range(len(trials)))
    assert opened.get_trials() == load_optuna(database, "small").get_trials()
