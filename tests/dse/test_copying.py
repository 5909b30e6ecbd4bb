"""`dse copy`: a study in another database is the same study, whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy
from optuna.trial import TrialState

import dse.copying
from dse.cli.app import main
from dse.copying import copy_study
from dse.database import Database, open_database
from dse.errors import StorageError, StudyError
from dse.lease import ATTRIBUTE, mine
from dse.resuming import load_optuna, load_spec
from dse.trial_reports import read_report
from tests.dse.fakes import database_in, made_up, run_in_pieces, small_spec
from tests.dse.reading.made import add_trials, empty_study

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # the list of old constraints


def whole(database: Database, name: str) -> tuple[Any, ...]:
    """All that Optuna reads of a study but the keys of its tables and its lease."""
    study = load_optuna(database, name)
    trials = []
    for trial in study.get_trials():
        fields = {key: value for key, value in vars(trial).items() if key != "_trial_id"}
        trials.append({**fields, "order": list(trial.params)})
    attributes = {k: v for k, v in study.user_attrs.items() if k != ATTRIBUTE}
    return study.directions, attributes, study.metric_names, trials


@pytest.fixture
def source(tmp_path: Path) -> Database:
    (tmp_path / "source").mkdir()
    return database_in(tmp_path / "source")


@pytest.fixture
def target(any_url: str, tmp_path: Path) -> Database:
    return open_database(any_url, write=True, home=tmp_path / "home")


def test_a_copy_holds_every_row_and_goes_back_the_same(source: Database, target: Database) -> None:
    study = empty_study(source)
    add_trials(study, 40)
    study.enqueue_trial({"bits": 2}, user_attrs={"design": {"draw": 99}})
    running = study.ask({"bits": optuna.distributions.IntDistribution(1, 8)})
    study._storage.set_trial_intermediate_value(running._trial_id, 3, float("nan"))
    add_trials(empty_study(target, "before"), 3)
    done = copy_study(source, target, "small", new_name="small")
    assert done.trials == 41
    expected = whole(source, "small")
    assert whole(target, "small")[:3] == expected[:3]
    for copy, original in zip(whole(target, "small")[3], expected[3], strict=True):
        steps = copy.pop("intermediate_values"), original.pop("intermediate_values")
        assert str(steps[0]) == str(steps[1])
        assert copy == original
    assert {t["state"] for t in expected[3]} == set(TrialState)
    assert len(load_optuna(target, "before").trials) == 3
    back = copy_study(target, source, "small", new_name="back")
    assert back.rows == done.rows
    assert len(whole(source, "back")[3]) == 41


def test_a_copied_study_goes_on_as_the_original_would(tmp_path: Path, source: Database) -> None:
    spec = small_spec(sampler={"name": "tpe", "seed": 4, "startup_trials": 3})
    for folder in ("whole", "half"):
        budget = {"trials": 12 if folder == "whole" else 5, "epochs": 1}
        changed = spec.model_copy(update={"budget": spec.budget.model_copy(update=budget)})
        run_in_pieces(tmp_path / folder, changed, lambda job: made_up(job.point), None)
    half = database_in(tmp_path / "half")
    done = copy_study(half, source, "small", new_name="moved")
    assert (done.files, done.missing) == (5, 5), "made-up results are in no stage store"
    assert load_spec(source, "moved").name == "moved"
    study = load_optuna(source, "moved")
    assert read_report(study, source, study.trials[0])["layers"] == []
    moved = spec.model_copy(update={"name": "moved"})
    run_in_pieces(tmp_path / "source", moved, lambda job: made_up(job.point), None)
    straight = load_optuna(database_in(tmp_path / "whole"), "small").trials
    assert [(t.params, t.values) for t in load_optuna(source, "moved").trials] == [
        (t.params, t.values) for t in straight
    ]


def test_results_of_stages_come_along_unless_they_are_left_out(
    tmp_path: Path, source: Database
) -> None:
    study = empty_study(source)
    trial = study.ask()
    trial.set_user_attr("stages", {"pretrain": {"key": "abcd", "cached": False, "seconds": 1.0}})
    file = source.home / "stages" / "pretrain" / "ab" / "abcd.safetensors"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"weights")
    for stages, expected in ((False, 0), (True, 1)):
        folder = tmp_path / str(stages)
        folder.mkdir()
        target = database_in(folder)
        assert copy_study(source, target, "small", new_name="x", stages=stages).files == expected
        copy = target.home / file.relative_to(source.home)
        assert copy.is_file() == stages
    assert copy.read_bytes() == b"weights"
    assert [each.name for each in copy.parent.iterdir()] == ["abcd.safetensors"]


def test_a_running_study_and_a_name_that_is_taken_are_refused(
    source: Database, target: Database
) -> None:
    study = empty_study(source)
    empty_study(target, "taken")
    with pytest.raises(StudyError, match=r"there is a study 'taken' in .* already; .*--name"):
        copy_study(source, target, "small", new_name="taken")
    with pytest.raises(StudyError, match=r"no study 'absent'"):
        copy_study(source, target, "absent", new_name="absent")
    study.set_user_attr(ATTRIBUTE, mine())
    message = rf"being run by process {os.getpid()} on .*; stop it first: dse cancel small --wait"
    with pytest.raises(StudyError, match=message):
        copy_study(source, target, "small", new_name="copy")
    assert optuna.get_all_study_names(target.storage) == ["taken"]


def test_an_interrupted_copy_leaves_no_study(
    source: Database, target: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_trials(empty_study(source), 20)
    insert = dse.copying._insert_many

    def interrupted(writer: Any, table: Any, rows: Any) -> None:
        if table.name == "trial_values":
            raise KeyboardInterrupt
        insert(writer, table, rows)

    with monkeypatch.context() as patch:
        patch.setattr(dse.copying, "_insert_many", interrupted)
        with pytest.raises(KeyboardInterrupt):
            copy_study(source, target, "small", new_name="small")
    assert optuna.get_all_study_names(target.storage) == []
    with target.storage.engine.connect() as connection:
        for table in ("trials", "trial_params", "study_user_attributes"):
            count = sqlalchemy.text(f"SELECT count(*) FROM {table}")
            assert connection.execute(count).scalar() == 0
    assert copy_study(source, target, "small", new_name="small").trials == 20


def test_a_copy_that_reads_back_otherwise_is_undone(
    source: Database, target: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_trials(empty_study(source), 10)
    insert = dse.copying._insert_many

    def loses_one(writer: Any, table: Any, rows: Any) -> None:
        kept = list(rows)
        insert(writer, table, kept[1:] if table.name == "trial_values" else kept)

    monkeypatch.setattr(dse.copying, "_insert_many", loses_one)
    with pytest.raises(StorageError, match=r"what was read back differs .*; nothing was copied"):
        copy_study(source, target, "small", new_name="small")
    assert optuna.get_all_study_names(target.storage) == []


def test_the_command_says_how_to_continue_and_refuses_with_exit_code_2(
    tmp_path: Path, source: Database, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    add_trials(empty_study(source), 5)
    target = f"sqlite:///{tmp_path / 'other.db'}"
    command = ["dse", "copy", "small", "--to", target, "--storage", source.url, "--name", "b"]
    for code in (0, 2):
        monkeypatch.setattr("sys.argv", command)
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == code
    told = capsys.readouterr()
    assert "Copied small to b in sqlite:///" in told.out
    assert "5 trials" in told.out
    assert f"Continue it with: dse resume b --storage {target}" in told.out
    assert told.err.startswith("StudyError: there is a study 'b' in")
