"""PED-ANOVA over made-up results: what is found, what is left out, what is shown where."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial
from typer.testing import CliRunner

from dse import importance
from dse.cli.app import app
from dse.database import Database
from dse.evaluation import Job, Outcome
from dse.importance import MIN_RESULTS, Importance, knob_importance
from dse.launching.driver import drive
from dse.objectives import Objective
from dse.reading.columns import TrialColumns
from dse.reading.source import open_source
from dse.reading.studies import read_study
from dse.reporting import importance as judging
from dse.reporting.importance import (
    MAX_BARS,
    importance_json,
    importance_table,
    importance_view,
    judged_trials,
)
from dse.resuming import driving, load_optuna, load_spec
from dse.spec import StudySpec
from dse.trials import DUPLICATE_OF
from tests.dse.fakes import FakeExecutor, database_in, made_up, small_spec

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")

ACCURACY = Objective.parse("maximize accuracy")
ENERGY = Objective.parse("minimize energy_uj")
DOMAINS: dict[str, Any] = {
    "bits": IntDistribution(1, 8),
    "slope": FloatDistribution(0.0, 1.0),
    "noise": FloatDistribution(0.0, 1.0),
    "kind": CategoricalDistribution(["none", "some"]),
    "strength": FloatDistribution(0.0, 1.0),
}


def drawn(n: int, *, values: Callable[[dict[str, Any]], list[float]]) -> list[FrozenTrial]:
    """Designs drawn evenly; `strength` is there where `kind` is `some`."""
    rng = np.random.default_rng(8)
    trials = []
    for number in range(n):
        params: dict[str, Any] = {
            "bits": int(rng.integers(1, 9)),
            "slope": float(rng.random()),
            "noise": float(rng.random()),
            "kind": ("none", "some")[int(rng.integers(2))],
            "strength": float(rng.random()),
        }
        if params["kind"] == "none":
            del params["strength"]
        trial = create_trial(
            params=params,
            distributions={path: DOMAINS[path] for path in params},
            values=values(params),
        )
        trial.number = number
        trials.append(trial)
    return trials


def by_slope_and_bits(params: dict[str, Any]) -> list[float]:
    return [params["slope"], float(params["bits"])]


def shares(found: Importance) -> dict[str, float]:
    return {knob.path: knob.share for knob in found.knobs}


def test_each_objective_finds_the_knob_that_decides_it() -> None:
    accuracy, energy = knob_importance(
        drawn(150, values=by_slope_and_bits), [ACCURACY, ENERGY], DOMAINS
    )
    assert (accuracy.objective, energy.objective) == ("accuracy", "energy_uj")
    assert accuracy.knobs[0].path == "slope"
    assert energy.knobs[0].path == "bits"
    assert accuracy.knobs[0].share > 0.6
    for found in (accuracy, energy):
        assert sum(shares(found).values()) == pytest.approx(1.0)
        assert [k.share for k in found.knobs] == sorted(shares(found).values(), reverse=True)
        assert (
            found.note == f"PED-ANOVA: the best {found.n_best} of 150 designs against all of them"
        )
    assert accuracy.n_best == 15


def test_the_direction_of_an_objective_decides_which_designs_are_the_best() -> None:
    """Only among small slopes does the noise matter, so large and small slopes differ."""

    def values(params: dict[str, Any]) -> list[float]:
        return [params["slope"] if params["slope"] > 0.5 else params["noise"] - 1]

    trials = drawn(200, values=values)
    (most,) = knob_importance(trials, [ACCURACY], DOMAINS)
    (least,) = knob_importance(trials, [ENERGY], DOMAINS)
    assert shares(most)["noise"] < 0.2
    assert shares(least)["noise"] > shares(most)["noise"] + 0.2


def test_a_conditional_knob_is_judged_on_the_designs_that_have_it() -> None:
    def values(params: dict[str, Any]) -> list[float]:
        return [0.5 + params["strength"] if "strength" in params else params["noise"]]

    trials = drawn(200, values=values)
    (found,) = knob_importance(trials, [ACCURACY], DOMAINS)
    strength = next(knob for knob in found.knobs if knob.path == "strength")
    assert strength.n_results == sum("strength" in t.params for t in trials) < 200
    assert found.knobs[0].path == "strength"


def test_a_conditional_knob_without_effect_takes_none_from_the_choice_above_it() -> None:
    trials = drawn(200, values=lambda params: [float(params["kind"] == "some")])
    (found,) = knob_importance(trials, [ACCURACY], DOMAINS)
    assert found.n_best == sum(t.params["kind"] == "some" for t in trials)
    assert shares(found)["strength"] == pytest.approx(0.0, abs=1e-9)
    assert shares(found)["kind"] > 0.8


def test_the_same_trials_give_the_same_numbers_whatever_the_order_of_the_knobs() -> None:
    trials = drawn(80, values=by_slope_and_bits)
    once = knob_importance(trials, [ACCURACY, ENERGY], DOMAINS)
    assert once == knob_importance(trials, [ACCURACY, ENERGY], list(reversed(list(DOMAINS))))


def test_copies_failures_and_fixed_knobs_do_not_count_but_infeasible_designs_do() -> None:
    trials = drawn(60, values=by_slope_and_bits)
    expected = knob_importance(trials, [ACCURACY, ENERGY], ["bits", "slope"])
    copies = [create_trial(
        params=t.params, distributions=t.distributions, values=t.values,
        user_attrs={DUPLICATE_OF: t.number},
    ) for t in trials[:30]]  # fmt: skip
    failed = create_trial(
        state=TrialState.FAIL, params=trials[0].params, distributions=trials[0].distributions
    )
    found = knob_importance([*trials, *copies, failed], [ACCURACY, ENERGY], ["bits", "slope"])
    assert found == expected
    assert {knob.path for each in found for knob in each.knobs} == {"bits", "slope"}
    broken = [create_trial(
        params=t.params, distributions=t.distributions, values=t.values,
        constraints={"accuracy_loss <= 0": 1.0},
    ) for t in trials]  # fmt: skip
    assert knob_importance(broken, [ACCURACY, ENERGY], ["bits", "slope"]) == expected


def test_too_few_designs_say_so() -> None:
    trials = drawn(MIN_RESULTS - 1, values=by_slope_and_bits)
    found = knob_importance(trials, [ACCURACY, ENERGY], DOMAINS)
    assert [each.knobs for each in found] == [(), ()]
    assert found[0].note == (
        "19 designs are evaluated, too few to tell which knobs matter; it takes at least 20"
    )
    enough = knob_importance(
        drawn(MIN_RESULTS, values=by_slope_and_bits), [ACCURACY, ENERGY], DOMAINS
    )
    assert enough[0].knobs
    assert enough[0].n_best == 5


def test_an_objective_that_all_designs_share_says_so() -> None:
    (found,) = knob_importance(drawn(30, values=lambda _: [1.0]), [ACCURACY], DOMAINS)
    assert found.knobs == ()
    assert found.note == (
        "30 of 30 designs share the best accuracy: no knob can be told from another"
    )


def test_knobs_that_no_design_has_are_left_out_and_none_at_all_says_so() -> None:
    trials = drawn(30, values=lambda params: [params["slope"]])
    (found,) = knob_importance(trials, [ACCURACY], ["slope", "absent"])
    assert shares(found) == {"slope": 1.0}
    (none,) = knob_importance(trials, [ACCURACY], ["absent"])
    assert (none.knobs, none.note) == (
        (),
        "no knob tells the best designs from the others",
    )


def test_large_studies_are_judged_by_evenly_chosen_designs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importance, "MAX_RESULTS", 50)
    (found,) = knob_importance(
        drawn(120, values=lambda params: [params["slope"]]), [ACCURACY], DOMAINS
    )
    assert found.n_results == 50
    assert found.knobs[0].path == "slope"


def test_the_table_sums_up_what_it_does_not_show() -> None:
    rng = np.random.default_rng(1)
    domains = {f"k{i:02}": FloatDistribution(0.0, 1.0) for i in range(MAX_BARS + 3)}
    trials = []
    for _ in range(40):
        params = {path: float(rng.random()) for path in domains}
        trials.append(
            create_trial(params=params, distributions=dict(domains), values=[params["k05"]])
        )
    found = knob_importance(trials, [ENERGY], domains)
    (told,) = importance_view(found)
    assert told["label"] == "energy (µJ)"
    assert told["results"] == 40
    assert len(told["knobs"]) == MAX_BARS + 3
    assert told["knobs"][0] == {
        "path": "k05",
        "share": pytest.approx(found[0].knobs[0].share, abs=1e-5),
        "results": 40,
    }
    table = importance_table(found)
    assert table is not None
    assert table.row_count == MAX_BARS + 1
    assert next(iter(table.columns[0].cells)) == "k05"
    as_json = importance_json(found)
    assert sum(as_json["importance"]["energy_uj"].values()) == pytest.approx(1.0)
    assert len(as_json["importance"]["energy_uj"]) == MAX_BARS + 3


def evaluated(job: Job) -> Outcome:
    """Accuracy hangs on the penalty's strength, energy on the most significant ADC alone."""
    result = made_up(job.point)
    strength = getattr(job.point.regularizer.knobs, "strength", 0.0)
    bits = job.point.adc.bits[0]
    return replace(
        result,
        metrics={
            **result.metrics,
            "accuracy": 0.9 + strength / 100,
            "accuracy_loss": 0.07 - strength / 100,
            "energy_j": bits * 1e-9,
        },
    )


def ran(database: Database, spec: StudySpec) -> None:
    with driving(database, spec) as study:
        drive(
            study,
            FakeExecutor(evaluated),
            trials=spec.budget.trials,
            timeout_s=None,
            progress=lambda job, outcome: None,
        )


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Database:
    """One that holds `small` with 25 designs and `few` with 5."""
    database = database_in(tmp_path_factory.mktemp("importance"))
    ran(database, small_spec(budget={"trials": 25, "epochs": 1}))
    ran(database, small_spec(name="few", budget={"trials": 5, "epochs": 1}))
    return database


def explain(database: Database, name: str, *options: str) -> str:
    storage = str(database.storage.url)
    result = CliRunner().invoke(
        app, ["explain", name, "1", "--storage", storage, *options], env={"COLUMNS": "160"}
    )
    assert result.exit_code == 0, result.output
    return result.output


def test_explain_shows_the_importance_as_json_and_as_a_table(database: Database) -> None:
    printed = json.loads(explain(database, "small", "--format", "json"))
    accuracy, energy = printed["importance"]["accuracy"], printed["importance"]["energy_uj"]
    assert max(energy, key=energy.__getitem__) == "adc.bits.slice3"
    assert max(accuracy, key=accuracy.__getitem__).startswith("regularizer")
    assert sum(energy.values()) == pytest.approx(1.0)
    assert "against all of them" in printed["importance_notes"]["accuracy"]
    assert printed["trial"] == 1
    text = explain(database, "small")
    assert "Importance of the study's knobs" in text
    assert re.search(r"knobs for .*accuracy.*: PED-ANOVA: the best \d of 25 designs against", text)
    row = next(line for line in text.splitlines() if "adc.bits.slice3" in line)
    assert f"{energy['adc.bits.slice3']:.1%}" in row


def test_explain_says_when_there_are_too_few_designs(database: Database) -> None:
    printed = json.loads(explain(database, "few", "--format", "json"))
    assert printed["importance"] == {"accuracy": {}, "energy_uj": {}}
    assert printed["importance_notes"]["accuracy"].startswith("5 designs are evaluated, too few")
    assert (
        "Importance of the knobs for accuracy, energy_uj: 5 designs are evaluated, too few to "
        "tell which knobs matter; it takes at least 20."
    ) in explain(database, "few")


def test_trials_read_by_column_are_judged_as_those_of_optuna(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = load_spec(database, "small")
    free = spec.design_space().free()
    trials = load_optuna(database, "small").trials
    for most in (importance.MAX_RESULTS, 20):
        monkeypatch.setattr(importance, "MAX_RESULTS", most)
        monkeypatch.setattr(judging, "MAX_RESULTS", most)
        expected = knob_importance(trials, spec.parsed_objectives(), free)
        with open_source(str(database.storage.url)) as source:
            read = judged_trials(TrialColumns(source, read_study(source, "small")))
        assert len(read) == min(most, 25)
        assert knob_importance(read, spec.parsed_objectives(), free) == expected
