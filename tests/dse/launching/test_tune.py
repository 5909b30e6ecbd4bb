"""Ray Tune as a launcher: what it is given and what its results become; without a cluster."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dse.errors import LaunchError, SpecError
from dse.evaluation import Evaluation, Failure
from dse.launching.interrupts import Interrupts
from dse.launching.ray_environment import prepare_ray
from dse.resuming import driving, load_optuna
from dse.study import Study
from dse.trials import ERROR, LOST, RUNG_RESULT
from tests.dse.fakes import database_in, made_up, small_spec

prepare_ray(local=True)

tune = pytest.importorskip("dse.launching.tune")  # after its environment is set

LADDER = ("post_training", "short", "full")


@pytest.fixture
def study(tmp_path: Path) -> Iterator[Study]:
    spec = small_spec(launch={"name": "tune", "attempts": 3})
    with driving(database_in(tmp_path), spec) as study:
        yield study


def searcher(study: Study, *, trials: int = 12, workers: int = 1, ladder: Any = LADDER) -> Any:
    return tune.StudySearcher(
        study,
        trials=trials,
        workers=workers,
        ladder=ladder,
        deadline=None,
        progress=lambda *_: None,
        interrupts=Interrupts(),
    )


def result(job: Any, rung: int = 3, **metrics: float) -> dict[str, Any]:
    good = made_up(job.point)
    return {"outcome": replace(good, metrics={**good.metrics, **metrics}), "rung": rung}


def trials_of(study: Study) -> Any:
    return load_optuna(study.database, "small").get_trials(deepcopy=False)


def test_tune_gets_a_design_per_worker_and_an_end(study: Study) -> None:
    search = searcher(study, trials=3, workers=2)
    jobs = {name: search.suggest(name)["job"] for name in ("a", "b")}
    assert search.suggest("c") is None, "both workers have one"
    search.on_trial_complete("a", result(jobs["a"]))
    third = search.suggest("c")["job"]
    assert search.suggest("d") is None, "it may come back"
    search.on_trial_complete("b", result(jobs["b"]))
    search.on_trial_complete("c", result(third))
    assert search.suggest("d") == tune.Searcher.FINISHED
    assert [t.state.name for t in trials_of(study)] == ["COMPLETE"] * 3
    assert (search.completed, search.failed, search.error) == (3, 0, None)


@pytest.mark.parametrize("rung", [1, 2])
def test_what_a_scheduler_stops_is_pruned_and_never_complete(study: Study, rung: int) -> None:
    search = searcher(study)
    search.on_trial_complete("a", result(search.suggest("a")["job"], rung))
    (trial,) = trials_of(study)
    assert trial.state.name == "PRUNED"
    assert trial.values is None
    assert trial.user_attrs[RUNG_RESULT]["fidelity"] == LADDER[rung - 1]
    assert len(trial.user_attrs[RUNG_RESULT]["values"]) == 2
    assert study.n_designs == 1


def test_a_number_that_is_none_and_one_that_is_missing_fail(study: Study) -> None:
    search = searcher(study)
    search.on_trial_complete("a", result(search.suggest("a")["job"], energy_j=math.nan))
    job = search.suggest("b")["job"]
    without = result(job)
    del without["outcome"].metrics["accuracy"]
    search.on_trial_complete("b", without)
    assert [(t.state.name, t.user_attrs[ERROR]) for t in trials_of(study)] == [
        ("FAIL", "energy_uj: must be a finite number, the evaluation gave nan"),
        ("FAIL", "accuracy: the evaluation gave no accuracy"),
    ]


def test_a_worker_that_tune_gave_up_ends_its_design_with_the_reason(study: Study) -> None:
    search = searcher(study)
    search.suggest("a")
    search.lost("a", "ActorDiedError: The actor died.")
    search.on_trial_complete("a", None, error=True)
    (trial,) = trials_of(study)
    assert trial.user_attrs[ERROR] == (
        "lost 3 times, given up: worker lost: ActorDiedError: The actor died."
    )
    assert search.failed == 1


def test_designs_in_flight_go_back_to_the_queue(study: Study) -> None:
    search = searcher(study, workers=2)
    given = [search.suggest(name)["job"].point for name in ("a", "b")]
    search.give_back("interrupted")
    search.on_trial_complete("a", None, error=True)  # Tune cleans up later
    trials = trials_of(study)
    assert [t.state.name for t in trials] == ["FAIL", "FAIL", "WAITING", "WAITING"]
    assert all(LOST in t.user_attrs for t in trials[:2])
    assert [search.suggest(name)["job"].point for name in ("c", "d")] == given


def test_an_error_of_the_study_ends_the_run_and_is_kept(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = searcher(study)
    search.suggest("a")

    def gone(*_: object) -> None:
        raise LaunchError("gone")

    monkeypatch.setattr(study, "tell", gone)
    search.on_trial_complete("a", None, error=True)
    assert str(search.error) == "gone"
    assert search.suggest("b") == tune.Searcher.FINISHED


def test_a_snapshot_of_tune_is_refused_and_holds_nothing(study: Study) -> None:
    search = searcher(study)
    assert search.__getstate__() == {}
    with pytest.raises(LaunchError, match="goes on with `dse resume`, not from a snapshot of Ray"):
        search.restore("somewhere")


class Climbing:
    """Better at every fidelity."""

    def outcome(self, point: Any, *, fidelity: Any = None, sweep: bool = False) -> Any:
        if fidelity == "short" and sum(point.adc.bits) < 0:
            return Failure(reason="never")
        good = made_up(point)
        accuracy = good.metrics["accuracy"] + LADDER.index(fidelity) / 100
        return replace(good, metrics={**good.metrics, "accuracy": accuracy})


def trainable(study: Study, make: Any, ladder: Any = LADDER) -> Any:
    job = study.ask()
    made = tune.DesignTrainable.__new__(tune.DesignTrainable)
    given = {"make": make, "settings": None, "ladder": ladder, "objective": study.objectives[0]}
    made.setup({"job": job}, **given)
    return made


def test_a_design_climbs_and_goes_on_from_its_checkpoint(study: Study, tmp_path: Path) -> None:
    one = trainable(study, lambda _: Climbing())
    first, second = one.step(), one.step()
    assert [r["rung"] for r in (first, second)] == [1, 2]
    assert second["score"] == pytest.approx(first["score"] + 0.01)
    assert not second["done"]
    one.save_checkpoint(str(tmp_path))
    one.reset_config({"job": one._job})
    one.load_checkpoint(str(tmp_path))
    last = one.step()
    assert (last["rung"], last["done"]) == (3, True)
    assert isinstance(last["outcome"], Evaluation)


@pytest.mark.parametrize(
    ("outcome", "raised"),
    [(Failure(reason="out of memory: x", lost=True), True), (Failure(reason="no"), False)],
)
def test_a_lost_design_is_tunes_to_try_again(study: Study, outcome: Any, raised: bool) -> None:
    class Fails:
        def outcome(self, *_: Any, **__: Any) -> Any:
            return outcome

    one = trainable(study, lambda _: Fails())
    if raised:
        with pytest.raises(Exception, match="out of memory: x"):
            one.step()
        return
    told = one.step()
    assert told["done"]
    assert told["score"] == -math.inf


def test_two_ladders_at_once_are_refused() -> None:
    spec = small_spec(
        launch={"name": "tune", "scheduler": "asha"},
        budget={"trials": 3, "rungs": ["short", "full"]},
    )
    with pytest.raises(SpecError, match=r"launch\.scheduler: asha climbs the fidelities itself"):
        tune.ladder_of(spec)


@pytest.mark.parametrize(
    ("launch", "message"),
    [
        (
            {"name": "tune", "trial_timeout_s": 5},
            r"launch\.trial_timeout_s: Ray Tune has none; use launch\.name: ray",
        ),
        (
            {"name": "tune", "join": True},
            r"launch\.join: drivers of Ray Tune do not share a study; use launch\.name: ray",
        ),
        ({"scheduler": "asha"}, r"launch\.scheduler: asha goes with launch\.name: tune"),
        (
            {"resources": {"gpu": 1}},
            r"launch\.resources: gpu has an entry of its own, launch\.gpus",
        ),
        ({"resources": {"tpu": 0}}, r"launch\.resources\.tpu: Input should be greater than 0"),
        ({"store": "/mnt/x"}, r"launch\.store: a URL such as file:///mnt/stages or s3://"),
    ],
)
def test_what_a_study_file_may_say_of_launching(launch: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        small_spec(launch=launch)
    assert json.loads(small_spec(launch={"name": "tune", "scheduler": "asha"}).model_dump_json())
