"""Which lane a study takes, and why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import dse.launching.cheap_lane
import dse.launching.lanes
from dse.errors import SpecError
from dse.evaluation import Job, Outcome
from dse.launching.batches import size_of
from dse.launching.lanes import LANE, batch_for
from dse.resuming import load_optuna
from search_spaces.design_point import DesignPoint
from tests.dse.fakes import FakeExecutor, database_in, made_up, small_spec
from tests.dse.launching.batch_fakes import (
    BatchExecutor,
    assert_whole,
    run,
    spec_of,
    trials_in,
)


def test_the_lane_is_chosen_by_measuring_and_written_down(tmp_path: Path) -> None:
    executor = BatchExecutor()
    summary = run(database_in(tmp_path), spec_of("random", 60, "auto"), executor)
    assert (summary.completed, summary.failed, summary.stopped) == (60, 0, "")
    assert executor.sizes[:16] == [1] * 16
    assert executor.sizes[16:] == [44]
    stored = load_optuna(database_in(tmp_path), "small").user_attrs[LANE]
    assert stored == {
        "asked": "auto",
        "lane": "cheap",
        "why": "median of the first 16 evaluations 0.1 ms",
        "batch": 256,
    }
    assert_whole(trials_in(database_in(tmp_path)), 60)


def test_evaluations_that_take_long_are_told_one_by_one(tmp_path: Path) -> None:
    executor = BatchExecutor(made_up)
    run(database_in(tmp_path), spec_of("random", 18, "auto"), executor)
    stored = load_optuna(database_in(tmp_path), "small").user_attrs[LANE]
    assert stored["lane"] == "expensive"
    assert stored["why"] == "median of the first 16 evaluations 100 ms"
    assert executor.sizes == [1] * 18


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"launch": {"name": "serial", "lane": "expensive"}}, "launch.lane says so"),
        ({"sampler": {"name": "tpe"}}, "sampler tpe proposes one design at a time"),
        ({"search": {"name": "nested"}}, "a nested search tells the designs of a network tog"),
        ({"budget": {"rungs": ["short", "full"]}}, "with rungs every result decides what is"),
    ],
)
def test_a_lane_that_is_known_beforehand_says_why(
    changes: dict[str, Any], why: str, tmp_path: Path
) -> None:
    spec = small_spec(**{"launch": {"name": "serial"}, **changes})
    run(database_in(tmp_path), spec, BatchExecutor(), trials=1)
    stored = load_optuna(database_in(tmp_path), "small").user_attrs[LANE]
    assert stored["lane"] == "expensive"
    assert stored["why"].startswith(why)


def test_designs_that_were_found_in_the_store_do_not_tell_what_one_costs(tmp_path: Path) -> None:
    seen = []

    def mostly_cached(point: DesignPoint) -> Outcome:
        seen.append(point)
        found = {"key": "k", "cached": len(seen) % 2 == 1, "seconds": 0.0}
        priced = {"key": "e", "cached": False, "seconds": 0.0}
        seconds = 0.001 if len(seen) % 2 else 0.030
        stages = {"accuracy": found, "estimate": priced}
        return replace(made_up(point), stages=stages, seconds=seconds)

    run(database_in(tmp_path), spec_of("random", 32, "auto"), BatchExecutor(mostly_cached))
    stored = load_optuna(database_in(tmp_path), "small").user_attrs[LANE]
    assert (stored["lane"], stored["why"]) == (
        "expensive",
        "median of the first 16 evaluations 30 ms",
    )


@pytest.mark.parametrize(
    ("sampler", "executor", "message"),
    [
        ("tpe", BatchExecutor(), "cheap is not possible: sampler tpe proposes one design at"),
        ("random", FakeExecutor(), "cheap is not possible: FakeExecutor evaluates one design"),
    ],
)
def test_a_cheap_lane_that_is_asked_for_and_impossible_is_refused(
    sampler: str, executor: Any, message: str, tmp_path: Path
) -> None:
    with pytest.raises(SpecError, match=f"launch.lane: {message}"):
        run(database_in(tmp_path), spec_of(sampler, lane="cheap"), executor)


def test_batches_stand_for_a_fifth_of_a_second() -> None:
    assert [batch_for(s) for s in (0.0, 0.00078, 0.0008, 0.01, 0.019, 0.2, 1.0)] == [
        *(256, 256, 128, 16, 8, 1, 1)
    ]


class Clock:
    """Stands for `time`: only evaluations take any."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


def test_batches_that_turn_out_slow_end_the_cheap_lane(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(dse.launching.cheap_lane, "time", clock)

    def slow(job: Job) -> None:
        if size_of(job) > 1:
            clock.now += 0.225 * size_of(job)

    executor = BatchExecutor(before=slow)
    spec = spec_of("random", 34, "auto")
    run(database_in(tmp_path), spec, executor, trials=16)
    run(database_in(tmp_path), spec, executor, trials=32)
    run(database_in(tmp_path), spec, executor)
    stored = load_optuna(database_in(tmp_path), "small").user_attrs[LANE]
    assert stored["lane"] == "expensive"
    assert stored["why"] == "a batch of the cheap lane took 225 ms per design"
    assert executor.sizes == [*[1] * 16, 16, 1, 1]
    assert_whole(trials_in(database_in(tmp_path)), 34)
