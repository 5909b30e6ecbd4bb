"""The cheap lane: the trials of the expensive one, in batches; nothing lost, nothing twice."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import OperationalError

import dse.launching.cheap_lane
import dse.launching.lanes
from dse.database import open_database
from dse.errors import StudyError
from dse.evaluation import Batch, Evaluation, Failure, Job, Outcome, RuledOut
from dse.launching.batches import size_of
from dse.reporting.design import explain_json
from dse.resuming import load_optuna
from dse.spec import StudySpec
from dse.storing.bulk_writer import BulkWriter
from dse.trial_reports import read_report
from dse.trials import DUPLICATE_OF, ERROR, METRICS, RULED_OUT, SECONDS, STAGES, design_of
from search_spaces.design_point import DesignPoint
from tests.dse.fakes import database_in
from tests.dse.launching.batch_fakes import (
    SPACE,
    BatchExecutor,
    assert_whole,
    quick,
    run,
    spec_of,
    told,
    trials_in,
)


def test_both_lanes_store_the_same_trials(tmp_path: Path) -> None:
    found = {}
    for lane in ("cheap", "expensive"):
        (tmp_path / lane).mkdir()
        executor = BatchExecutor()
        run(database_in(tmp_path / lane), spec_of("qmc", 12, lane, space=SPACE), executor)
        assert (max(executor.sizes) > 1) == (lane == "cheap")
        found[lane] = trials_in(database_in(tmp_path / lane))
    assert_whole(found["cheap"], 12)
    for cheap, expensive in zip(found["cheap"], found["expensive"], strict=True):
        assert cheap.params == expensive.params
        assert list(cheap.params) == list(expensive.params)
        assert cheap.distributions == expensive.distributions
        assert (cheap.state, cheap.values) == (expensive.state, expensive.values)
        assert cheap.user_attrs == expensive.user_attrs
        assert cheap.constraints == expensive.constraints
        reports = {k for k in expensive.system_attrs if k.startswith("artifacts:")}
        assert len(reports) == 1
        if cheap.number:  # the first one is measured
            assert cheap.system_attrs.keys() == expensive.system_attrs.keys() - reports


def stop_at(number: int) -> Callable[[Job], None]:
    """Interrupt when so many jobs were evaluated."""
    left = [number]

    def before(job: Job) -> None:
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1

    return before


@pytest.mark.parametrize("sampler", ["random", "qmc", "pso", "nsga2"])
def test_an_interrupted_and_resumed_study_equals_the_uninterrupted_one(
    sampler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dse.launching.lanes, "MOST", 4)
    spec = spec_of(sampler, 24)
    found = []
    for part, stops in (("whole", ()), ("again", ()), ("broken", (3, 1, 0))):
        (tmp_path / part).mkdir()
        for stop in stops:
            with pytest.raises(KeyboardInterrupt):
                run(database_in(tmp_path / part), spec, BatchExecutor(before=stop_at(stop)))
        run(database_in(tmp_path / part), spec, BatchExecutor())
        found.append(trials_in(database_in(tmp_path / part)))
        assert_whole(found[-1], 24)
    whole, again, broken = map(told, found)
    # The first one was told alone, with a report.
    assert any(key.startswith("artifacts:") for key in found[0][0].system_attrs)
    assert whole[1:] == again[1:] == broken[1:]
    assert whole[0][:-1] == again[0][:-1] == broken[0][:-1]


def drive_until_killed(url: str, home: Path, spec: StudySpec, pipe: Any, batches: int) -> None:
    """Evaluates so many batches, then waits in one: a kill that comes late finds it too."""
    left = [batches]

    def before(job: Job) -> None:
        if left[0] == 0:
            time.sleep(3600)
        left[0] -= 1
        pipe.send_bytes(b".")
        time.sleep(0.002)

    database = open_database(url, write=True, home=home)
    run(database, spec, BatchExecutor(before=before))


@pytest.mark.parametrize("any_url", ["sqlite", "postgresql"], indirect=True)
def test_a_driver_killed_at_any_moment_leaves_nothing_half_written(
    any_url: str, tmp_path: Path
) -> None:
    spec = spec_of("nsga2", 60)
    lives = 0
    while True:
        mine, theirs = multiprocessing.Pipe(duplex=False)
        driver = multiprocessing.get_context("fork").Process(
            target=drive_until_killed, args=(any_url, tmp_path, spec, theirs, 3 + lives)
        )
        driver.start()
        theirs.close()
        seen = 0
        try:
            while seen < 3 + lives:
                mine.recv_bytes()
                seen += 1
            time.sleep(0.001 * lives)
            assert driver.pid is not None
            os.kill(driver.pid, signal.SIGKILL)
        except EOFError:
            pass
        driver.join()
        mine.close()
        lives += 1
        if driver.exitcode == 0:
            break
        assert driver.exitcode == -signal.SIGKILL
    assert lives > 3
    broken = trials_in(open_database(any_url, write=False))
    assert_whole(broken, 60)
    (tmp_path / "whole").mkdir()
    run(database_in(tmp_path / "whole"), spec, BatchExecutor())
    assert told(broken)[1:] == told(trials_in(database_in(tmp_path / "whole")))[1:]


def test_a_known_design_takes_the_known_result_and_a_small_space_ends(tmp_path: Path) -> None:
    space = {"adc.bits.slice0": "1..8", "adc.bits.slice1": [1, 2, 3, 4]}
    executor = BatchExecutor()
    summary = run(database_in(tmp_path), spec_of("random", space=space), executor)
    assert (summary.completed, summary.stopped) == (32, "the space looks exhausted")
    assert max(Counter(executor.evaluated).values()) == 1
    trials = trials_in(database_in(tmp_path))
    assert_whole(trials, 32)
    copies = [t for t in trials if DUPLICATE_OF in t.user_attrs]
    assert copies
    for copy in copies:
        original = trials[copy.user_attrs[DUPLICATE_OF]]
        assert original.number < copy.number
        assert (copy.params, copy.values) == (original.params, original.values)
        assert copy.constraints == original.constraints
        assert copy.user_attrs[METRICS] == original.user_attrs[METRICS]
        assert copy.user_attrs[SECONDS] == 0.0


def test_a_known_design_of_an_earlier_run_is_read_from_the_database(tmp_path: Path) -> None:
    space = {"adc.bits.slice0": "1..8", "adc.bits.slice1": [1, 2, 3, 4]}
    run(database_in(tmp_path), spec_of("random", space=space), BatchExecutor(), trials=20)
    executor = BatchExecutor()
    run(database_in(tmp_path), spec_of("random", space=space), executor, trials=28)
    trials = trials_in(database_in(tmp_path))
    assert_whole(trials, 28)
    assert len(executor.evaluated) == 8


def some_fail(point: DesignPoint) -> Outcome:
    kind = sum(point.adc.bits) % 5
    if kind == 0:
        return Failure(reason="it does not work")
    if kind == 1:
        return RuledOut(reason="too much", violations={"a": 0.5}, trained=True, seconds=0.1)
    if kind == 2:
        return RuledOut(reason="far too much", violations={"a": 9.5}, trained=False, seconds=0.0)
    result = quick(point)
    if kind == 3:
        return replace(result, metrics={**result.metrics, "energy_j": float("nan")})
    return result


def test_failures_and_designs_that_break_constraints_end_as_in_the_expensive_lane(
    tmp_path: Path,
) -> None:
    found = {}
    for lane in ("cheap", "expensive"):
        (tmp_path / lane).mkdir()
        spec = spec_of("qmc", 14, lane, space=SPACE)
        run(database_in(tmp_path / lane), spec, BatchExecutor(some_fail))
        found[lane] = trials_in(database_in(tmp_path / lane))
    strip = [
        [(t.state, t.params, t.values, t.user_attrs, t.constraints) for t in found[lane]]
        for lane in found
    ]
    assert strip[0] == strip[1]
    assert {t.state for t in found["cheap"]} == {
        *(TrialState.FAIL, TrialState.PRUNED, TrialState.COMPLETE)
    }
    assert any(
        "energy_uj: must be a finite" in t.user_attrs.get(ERROR, "") for t in found["cheap"]
    )
    assert any(RULED_OUT in t.user_attrs for t in found["cheap"])


def test_of_a_batch_that_kills_its_worker_only_the_guilty_design_fails(tmp_path: Path) -> None:
    def kills(job: Job) -> Outcome | None:
        all_params = job.params if isinstance(job, Batch) else ()
        guilty = any(p["adc.bits.slice0"] == 8 for p in all_params)
        return Failure(reason="worker lost", lost=True) if guilty else None

    executor = BatchExecutor(before=kills)
    summary = run(database_in(tmp_path), spec_of("random", 60), executor)
    trials = trials_in(database_in(tmp_path))
    failed = [t for t in trials if t.state == TrialState.FAIL]
    assert failed
    assert summary.failed == len(failed)
    assert {t.user_attrs[ERROR] for t in failed} == {"lost 3 times, given up: worker lost"}
    assert all((design_of(t) or {})["attempt"] == 3 for t in failed)
    assert all(t.params["adc.bits.slice0"] == 8 for t in failed)
    assert all(t.state == TrialState.FAIL for t in trials[1:] if t.params["adc.bits.slice0"] == 8)
    assert [t.number for t in trials] == list(range(60))


def test_of_a_batch_that_takes_too_long_every_design_gets_its_own_time(tmp_path: Path) -> None:
    def too_long(job: Job) -> Outcome | None:
        return Failure(reason="took too long") if size_of(job) > 1 else None

    run(database_in(tmp_path), spec_of("random", 40), BatchExecutor(before=too_long))
    trials = trials_in(database_in(tmp_path))
    assert_whole(trials, 40)
    assert {t.state for t in trials} == {TrialState.COMPLETE}


def test_several_workers_evaluate_no_design_twice(tmp_path: Path) -> None:
    executor = BatchExecutor(workers=3)
    run(database_in(tmp_path), spec_of("pso", 100), executor)
    trials = trials_in(database_in(tmp_path))
    assert [t.number for t in trials] == list(range(len(trials)))
    assert max(Counter(executor.evaluated).values()) == 1
    assert len(executor.evaluated) == 100


def test_a_budget_is_spent_to_the_design_and_time_ends_a_run(tmp_path: Path) -> None:
    run(database_in(tmp_path), spec_of("random"), BatchExecutor(), trials=20)
    assert len(trials_in(database_in(tmp_path))) == 20
    run(database_in(tmp_path), spec_of("random"), BatchExecutor(), trials=33)
    assert len(trials_in(database_in(tmp_path))) == 33
    summary = run(database_in(tmp_path), spec_of("random"), BatchExecutor(), timeout_s=0.0)
    assert summary.stopped == "time is up after 0 s"
    assert len(trials_in(database_in(tmp_path))) == 33


def test_trials_that_another_program_adds_meanwhile_shift_the_numbers(tmp_path: Path) -> None:
    database = database_in(tmp_path)

    def add(job: Job) -> None:
        if size_of(job) > 1:
            study = optuna.load_study(study_name="small", storage=database.storage)
            values = [0.5, 1.0]
            study.add_trial(optuna.create_trial(values=values, params={}, distributions={}))

    run(database, spec_of("pso"), BatchExecutor(before=add))
    trials = trials_in(database_in(tmp_path))
    ours = [t for t in trials if design_of(t) is not None]
    assert len({(design_of(t) or {})["digest"] for t in ours}) == 40
    assert len(trials) > len(ours)
    assert [t.number for t in trials] == list(range(len(trials)))


def test_a_write_whose_answer_was_lost_is_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, losses = BulkWriter.write, []

    def loses(self: BulkWriter, trials: Sequence[FrozenTrial], **named: Any) -> int:
        first = len(losses) == 1
        if not first:
            write(self, trials, **named)
        losses.append(1)
        if len(losses) <= 2:
            raise OperationalError("trials in bulk", None, Exception("server closed"))
        return 0

    monkeypatch.setattr(BulkWriter, "write", loses)
    run(database_in(tmp_path), spec_of("pso"), BatchExecutor())
    assert len(losses) > 2
    assert_whole(trials_in(database_in(tmp_path)), 40)


def test_a_trial_without_a_report_says_so_and_is_explained_by_evaluating_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of("random", 20)
    database = database_in(tmp_path)
    run(database, spec, BatchExecutor())
    study = load_optuna(database, "small")
    with pytest.raises(StudyError, match=r"trial 18 .* has no report: .* in a batch.*dse explain"):
        read_report(study, database, study.trials[18])

    class Again:
        def evaluate(self, point: DesignPoint) -> Evaluation:
            return replace(quick(point), report={**quick(point).report, "layers": ["again"]})

    monkeypatch.setattr("dse.sweeping.trial_evaluator", lambda *_: Again())
    assert explain_json(study, database, spec, 18)["layers"] == ["again"]
    assert explain_json(study, database, spec, 0)["layers"] == []
    assert STAGES in study.trials[18].user_attrs
