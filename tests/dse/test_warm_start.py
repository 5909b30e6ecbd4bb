"""Warm start: which designs are taken, how they are moved, and that they are queued once."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from typer.testing import CliRunner, Result

import dse.cli.running
from dse.cli.app import app
from dse.database import Database
from dse.errors import ResumeError, StudyError
from dse.evaluation import Job, Outcome
from dse.launching.driver import Summary, drive
from dse.pareto import pareto_front
from dse.resuming import WARM_FROM, WARM_START, driving, load_optuna
from dse.spec import StudySpec
from dse.study import Study
from dse.trials import DUPLICATE_OF, METRICS, design_of
from dse.warm_start import WarmDesign, warm_designs
from tests.dse.fakes import SPEC, FakeExecutor, database_in, made_up, small_spec

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the study `small`, run to its end."""
    folder = tmp_path_factory.mktemp("finished")
    run(database_in(folder), small_spec())
    return folder


@pytest.fixture
def database(tmp_path: Path, finished: Path) -> Database:
    """One that holds `small`."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    return database_in(tmp_path)


@pytest.fixture
def empty(tmp_path: Path) -> Database:
    return database_in(tmp_path)


def run(
    database: Database,
    spec: StudySpec,
    evaluate: Callable[[Job], Outcome] = lambda job: made_up(job.point),
    *,
    trials: int | None = None,
) -> optuna.Study:
    with driving(database, spec) as study:
        drive(
            study,
            FakeExecutor(evaluate),
            trials=trials or spec.budget.trials,
            timeout_s=None,
            progress=lambda job, outcome: None,
        )
    return load_optuna(database, spec.name)


def warm(designs: int = 3, **changes: Any) -> StudySpec:
    return small_spec(
        **{
            "name": "new",
            "warm_start": {"study": "small", "designs": designs},
            "sampler": {"name": "random", "seed": 4},
            **changes,
        }
    )


def chosen(database: Database, spec: StudySpec) -> tuple[WarmDesign, ...]:
    source = small_spec()
    return warm_designs(load_optuna(database, "small").trials, source=source, spec=spec)


def test_the_best_designs_of_another_study_come_first(database: Database) -> None:
    source = load_optuna(database, "small")
    new = run(database, warm(), trials=5)
    warmed = [t for t in new.trials if WARM_FROM in t.user_attrs]
    assert [t.number for t in warmed] == [0, 1, 2]
    front = {
        t.number for t in pareto_front(source.trials, small_spec().parsed_objectives()).trials
    }
    for trial in warmed:
        name, number = trial.user_attrs[WARM_FROM]
        assert name == "small"
        assert number in front
        assert trial.params == source.trials[number].params
    assert len(new.trials) == 5


def test_nothing_is_written_to_the_source(tmp_path: Path, finished: Path) -> None:
    folder = tmp_path / "old"
    shutil.copytree(finished, folder)
    url = f"sqlite:///{folder / 'dse.db'}"
    before = optuna.load_study(study_name="small", storage=url)
    trials, attributes = before.trials, before.user_attrs
    (folder / "dse.db").chmod(0o444)
    new = run(
        database_in(tmp_path),
        warm(warm_start={"study": "small", "designs": 3, "database": url}),
        trials=4,
    )
    assert sum(WARM_FROM in t.user_attrs for t in new.trials) == 3
    after = optuna.load_study(study_name="small", storage=url)
    assert (after.trials, after.user_attrs) == (trials, attributes)


def test_a_study_may_have_the_name_of_its_source_in_another_database(
    empty: Database, finished: Path
) -> None:
    url = f"sqlite:///{finished / 'dse.db'}"
    again = small_spec(warm_start={"study": "small", "database": url, "designs": 2})
    study = run(empty, again, trials=2)
    assert sum(WARM_FROM in t.user_attrs for t in study.trials) == 2


def test_a_run_in_pieces_queues_them_once_and_equals_a_run_in_one(
    tmp_path: Path, finished: Path
) -> None:
    params = []
    for pieces in ([6], [2, 5, 6]):
        folder = tmp_path / str(len(pieces))
        shutil.copytree(finished, folder)
        database = database_in(folder)
        for trials in pieces:
            new = run(database, warm(points=[{"adc.bits": 8}]), trials=trials)
        params.append([t.params for t in new.trials])
        assert sum(WARM_FROM in t.user_attrs for t in new.trials) == 3
        draws = [(design_of(t) or {})["draw"] for t in new.trials]
        assert len(set(draws)) == len(draws)
    assert params[0] == params[1]
    assert params[0][0]["adc.bits.slice0"] == 8


def test_a_driver_that_dies_while_it_queues_leaves_no_design_out(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, calls = optuna.Study.enqueue_trial, [0]

    def dies(self: optuna.Study, *arguments: Any, **named: Any) -> None:
        calls[0] += 1
        if calls[0] == 2:
            raise KeyboardInterrupt
        queue(self, *arguments, **named)

    with monkeypatch.context() as patched:
        patched.setattr(optuna.Study, "enqueue_trial", dies)
        with pytest.raises(KeyboardInterrupt):
            run(database, warm())
    new = run(database, warm(), trials=4)
    sources = [t.user_attrs[WARM_FROM][1] for t in new.trials if WARM_FROM in t.user_attrs]
    assert len(sources) == len(set(sources)) == 3


def test_a_study_that_continues_needs_its_source_no_more(database: Database) -> None:
    run(database, warm(), trials=1)
    optuna.delete_study(study_name="small", storage=database.storage)
    assert len(run(database, warm(), trials=4).trials) == 4


def test_the_ranking_is_by_what_the_new_study_wants(database: Database) -> None:
    source = load_optuna(database, "small")
    spec = warm(designs=1, objectives=["maximize adc_energy_vs_8bit"], constraints=[])
    (best,) = chosen(database, spec)
    ratios = [t.user_attrs[METRICS]["adc_energy_vs_8bit"] for t in source.trials]
    assert ratios[best.trial] == max(ratios)


def test_designs_that_break_the_new_constraints_come_last(database: Database) -> None:
    source = load_optuna(database, "small")
    losses = [t.user_attrs[METRICS]["accuracy_loss"] for t in source.trials]
    bound = sorted(losses)[4] + 1e-9
    designs = chosen(database, warm(designs=12, constraints=[f"accuracy_loss <= {bound!r}"]))
    order = [losses[design.trial] for design in designs]
    assert max(order[:5]) <= bound < min(order[5:])
    assert order[5:] == sorted(order[5:])


def test_fronts_come_one_after_the_other(database: Database) -> None:
    source = load_optuna(database, "small")
    order = [design.trial for design in chosen(database, warm(designs=12))]
    left = list(source.trials)
    first = pareto_front(left, small_spec().parsed_objectives()).trials
    assert len(first) > 3
    assert set(order[:2]) == {first[0].number, first[-1].number}, "the ends, then what is between"
    while left:
        front = {t.number for t in pareto_front(left, small_spec().parsed_objectives()).trials}
        assert set(order[: len(front)]) == front
        order = order[len(front) :]
        left = [t for t in left if t.number not in front]


def test_values_outside_the_new_space_move_and_the_log_says_so(
    empty: Database, caplog: pytest.LogCaptureFixture
) -> None:
    old = small_spec(fixed={"crossbar.wordlines": 512, "pruning.threshold": 0.05})
    run(empty, old, trials=5)
    spec = warm(
        designs=1,
        space={
            "regularizer": ["none", "l1"],
            "regularizer.l1.strength": "log 10..20",
            "crossbar.wordlines": [64, 128],
            "pruning.threshold": "0..0.01",
            "quantizer": ["fixed_point", "pot"],
            "adc.bits": "4..6",
        },
        fixed={"crossbar.bitlines": 64},
    )
    trials = load_optuna(empty, "small").trials
    with caplog.at_level(logging.WARNING, logger="dse.warm_start"):
        (design,) = warm_designs(trials, source=old, spec=spec)
    original = trials[design.trial].params
    assert design.params["crossbar.wordlines"] == 128
    assert design.params["pruning.threshold"] == 0.01
    assert design.params["quantizer"] == "fixed_point"
    for s in range(4):
        path = f"adc.bits.slice{s}"
        assert design.params[path] == min(max(original[path], 4), 6)
    (line,) = [r.getMessage() for r in caplog.records]
    assert line.startswith(
        f"warm start: design {design.trial} of study 'small' was changed to fit"
    )
    for change in (
        "crossbar.wordlines 512 -> 128",
        "crossbar.bitlines 128 -> 64",
        "pruning.threshold 0.05 -> 0.01",
    ):
        assert change in design.changes
        assert change in line


def test_knobs_that_come_and_go_are_told(empty: Database) -> None:
    old = small_spec(
        name="small",
        fixed={"patches": "pq_pim", "patches.layer.fc1.tsv": 1.2, "engine": "sre"},
        space={"adc.bits": "1..8", "patches.pq_pim.tsv": "0.5..0.9"},
    )
    run(empty, old, trials=5)
    trials = load_optuna(empty, "small").trials
    space = {"adc.bits": "1..8", "patches.layer.fc2.tsv": "0.1..3"}
    spec = warm(designs=1, space=space, fixed={"patches": "pq_pim", "engine": "crmp"})
    (design,) = warm_designs(trials, source=old, spec=spec)
    network = trials[design.trial].params["patches.pq_pim.tsv"]
    assert design.params["patches.pq_pim.layer.fc2.tsv"] == network
    assert "engine sre -> crmp" in design.changes
    assert "engine.sre.ou_wordlines dropped" in design.changes
    assert "patches.pq_pim.layer.fc1.tsv dropped" in design.changes
    assert f"patches.pq_pim.layer.fc2.tsv taken at {network}" in design.changes
    assert f"patches.pq_pim.tsv {network} -> 1.5" in design.changes


def test_the_same_space_changes_nothing_and_logs_nothing(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="dse.warm_start"):
        designs = chosen(database, warm(designs=4))
    assert [design.changes for design in designs] == [()] * 4
    assert not caplog.records


def test_designs_that_become_the_same_are_taken_once_and_a_shortage_is_told(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    spec = warm(designs=9, space={"adc.bits.slice0": [2, 8]}, points=[{"adc.bits.slice0": 2}])
    with caplog.at_level(logging.WARNING, logger="dse.warm_start"):
        designs = chosen(database, spec)
    trials = load_optuna(database, "small").trials
    wide = [t.number for t in trials if t.params["adc.bits.slice0"] > 5]
    assert [design.params for design in designs] == [{"adc.bits.slice0": 8}]
    assert designs[0].trial in wide
    assert len(wide) > 1
    assert caplog.records[-1].getMessage() == (
        "warm start: study 'small' has 1 different designs for this space, 9 were asked for"
    )


def test_copies_and_failures_of_the_source_are_not_taken(empty: Database) -> None:
    old = small_spec(space={"adc.bits.slice0": [1, 2, 3, 4]}, budget={"trials": 4, "epochs": 1})
    study = run(empty, old)
    assert any(DUPLICATE_OF in t.user_attrs for t in study.trials)
    designs = warm_designs(
        study.trials, source=old, spec=warm(designs=4, space={"adc.bits.slice0": "1..8"})
    )
    assert len({design.params["adc.bits.slice0"] for design in designs}) == 4
    assert not any(DUPLICATE_OF in study.trials[d.trial].user_attrs for d in designs)


def test_a_source_that_does_not_exist_is_told_before_anything_is_written(
    database: Database,
) -> None:
    with pytest.raises(
        StudyError,
        match=r"^warm_start\.study: there is no study 'other' in sqlite.*; studies: small$",
    ):
        run(database, warm(warm_start={"study": "other"}))
    assert optuna.get_all_study_names(database.storage) == ["small"]


def test_a_source_that_dse_did_not_make_is_told(empty: Database) -> None:
    optuna.create_study(study_name="small", storage=empty.storage)
    with pytest.raises(StudyError, match=r"^warm_start\.study: study 'small' .* not made by dse"):
        run(empty, warm())


def test_a_source_without_a_usable_result_is_told(empty: Database) -> None:
    def without(job: Job) -> Outcome:
        result = made_up(job.point)
        kept = {k: v for k, v in result.metrics.items() if k != "area_m2"}
        return replace(result, metrics=kept)

    run(empty, small_spec(), without, trials=3)
    with pytest.raises(
        StudyError,
        match=r"^warm_start\.study: study 'small' has no finished design that tells accuracy, "
        r"area_mm2; run it first, or leave warm_start out$",
    ):
        run(empty, warm(objectives=["maximize accuracy", "minimize area_mm2"]))


def test_another_warm_start_is_another_search(database: Database) -> None:
    run(database, small_spec(name="new"), trials=1)
    with pytest.raises(ResumeError, match=r"warm_start was None, is \{'study': 'small'"):
        run(database, warm())
    run(database, warm(name="newer"), trials=1)
    with pytest.raises(ResumeError, match=r"warm_start\.designs was 3, is 4"):
        run(database, warm(designs=4, name="newer"))


def command(folder: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
    """`dse` with made-up evaluations."""

    def launched(study: Study, *, timeout_s: float | None, progress: Any) -> Summary:
        return drive(
            study,
            FakeExecutor(),
            trials=study.spec.budget.trials,
            timeout_s=timeout_s,
            progress=progress,
        )

    monkeypatch.chdir(folder)
    monkeypatch.delenv("DSE_STORAGE", raising=False)
    monkeypatch.delenv("DSE_HOME", raising=False)
    monkeypatch.setattr(dse.cli.running, "launch", launched)
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "160"})


def study_file(folder: Path, **changes: Any) -> str:
    file = folder / f"{changes.get('name', 'small')}.yaml"
    file.write_text(yaml.safe_dump({**SPEC, **changes}, sort_keys=False))
    return file.name


def test_a_user_starts_from_another_study_and_from_a_published_design(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = study_file(
        tmp_path,
        name="new",
        points=[{"published": "bit_slice_2019"}],
        warm_start={"study": "small", "designs": 2},
        sampler={"name": "random", "seed": 4},
        budget={"trials": 2, "epochs": 1},
    )
    started = command(tmp_path, monkeypatch, "run", file)
    assert started.exit_code == 0, started.output
    resumed = command(tmp_path, monkeypatch, "resume", "new", "--trials", "5")
    assert resumed.exit_code == 0, resumed.output
    new = load_optuna(database, "new")
    assert new.trials[0].params["adc.bits.slice3"] == 1
    assert new.trials[0].params["regularizer"] == "bit_slice_l1"
    assert [WARM_FROM in t.user_attrs for t in new.trials] == [False, True, True, False, False]
    assert len(new.user_attrs[WARM_START]["designs"]) == 2


def test_a_user_is_told_of_a_source_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = study_file(tmp_path, name="new", warm_start={"study": "absent"})
    result = command(tmp_path, monkeypatch, "run", file)
    assert isinstance(result.exception, StudyError)
    assert "warm_start.study: there is no study 'absent'" in str(result.exception)
