"""NSGA-II: the better survive, children come from them, and its state is the study."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import NSGAIISampler
from optuna.trial import TrialState

from dse.errors import SpecError
from dse.samplers.knob_codec import KnobCodec
from dse.samplers.known_designs import KnownDesigns
from dse.samplers.leaders import Score, beats
from dse.samplers.nsga2 import SLOT, NSGA2Sampler, nsga2
from dse.samplers.survivors import constrained_ranks, front_numbers, survivors
from dse.samplers.variation import numbers_per_child, vary
from tests.dse.samplers.problems import front_problem, mixed, sphere, study_with
from tests.dse.samplers.test_pso_quality import hypervolume


def sampler_of(study: optuna.Study) -> NSGA2Sampler:
    assert isinstance(study.sampler, NSGA2Sampler)
    return study.sampler


# -- who survives -------------------------------------------------------------------------------

rows = st.lists(st.tuples(*[st.integers(0, 5).map(float)] * 3), min_size=1, max_size=25)
broken = st.sampled_from([0.0, 0.0, 0.0, 0.5, 2.0])


@given(rows, st.data())
def test_ranks_are_those_of_debs_rules(
    losses: list[tuple[float, ...]], data: st.DataObject
) -> None:
    violations = [data.draw(broken) for _ in losses]
    scores = [Score(v, row) for v, row in zip(violations, losses, strict=True)]
    ranks = constrained_ranks(np.array(violations), np.array(losses)).tolist()
    for a, rank_a in zip(scores, ranks, strict=True):
        betters = [rank for b, rank in zip(scores, ranks, strict=True) if beats(b, a)]
        assert all(rank < rank_a for rank in betters)
        assert rank_a == 0 or rank_a - 1 in betters, "no rank is skipped"


@given(rows, st.integers(1, 25), st.data())
def test_no_one_survives_at_the_cost_of_a_better_one(
    losses: list[tuple[float, ...]], count: int, data: st.DataObject
) -> None:
    violations = np.array([data.draw(broken) for _ in losses])
    kept = survivors(violations, np.array(losses), count).tolist()
    assert len(kept) == min(count, len(losses))
    assert kept == sorted(set(kept))
    ranks = constrained_ranks(violations, np.array(losses))
    gone = sorted(set(range(len(losses))) - set(kept))
    if gone:
        assert ranks[kept].max() <= ranks[gone].min()


@given(rows, st.integers(1, 25))
def test_fronts_are_the_same_as_far_as_they_are_asked_for(
    losses: list[tuple[float, ...]], enough: int
) -> None:
    whole, part = front_numbers(np.array(losses)), front_numbers(np.array(losses), enough=enough)
    known = part < part.max()
    assert (part[known] == whole[known]).all()
    assert known.sum() >= min(enough, len(losses)) or (part == whole).all()


def test_of_the_last_front_the_crowded_die() -> None:
    x = np.array([0.0, 0.1, 0.15, 0.6, 1.0])
    assert survivors(np.zeros(5), np.stack([x, 1 - x], axis=1), 4).tolist() == [0, 2, 3, 4]


# -- children -----------------------------------------------------------------------------------


def codec_of(**space: optuna.distributions.BaseDistribution) -> KnobCodec:
    codec = KnobCodec()
    codec.learn(space)
    return codec


def children(codec: KnobCodec, first: list[float], second: list[float], count: int) -> Any:
    random = np.random.default_rng(0).random((count, numbers_per_child(len(codec.knobs))))
    return vary(codec, np.tile(first, (count, 1)), np.tile(second, (count, 1)), random)


SPACE = {
    "a": FloatDistribution(0, 1),
    "b": IntDistribution(1, 4),
    "c": CategoricalDistribution(("u", "v", "w")),
}


def test_children_lie_in_the_box_near_their_parents_and_names_stay_names() -> None:
    found = children(codec_of(**SPACE), [0.1, 0.2, 1, 0, 0], [0.9, 0.7, 0, 0, 1], 4000)
    assert found.min() >= 0
    assert found.max() <= 1
    assert set(map(tuple, found[:, 2:].tolist())) == {(1, 0, 0), (0, 1, 0), (0, 0, 1)}
    from_parents = np.isin(found[:, 0], [0.1, 0.9])
    assert 0.3 < from_parents.mean() < 0.7, "the others were spread, or mutated"
    assert np.median(found[:, 0] < 0.5) in (0, 1)
    assert (np.abs(found[~from_parents, 0] - 0.5) < 0.2).mean() < 0.2
    both = (found[:, 0] < 0.5) == (found[:, 1] < 0.45)
    assert 0.4 < both.mean() < 0.7, "knobs are taken from either parent, each by itself"
    other_name = (found[:, 3] == 1).mean()
    assert 0.05 < other_name < 0.2, "a third of the children draws a name, a third of them this"


def test_children_of_twins_differ_by_mutation_alone() -> None:
    found = children(codec_of(**SPACE), [0.4, 0.2, 1, 0, 0], [0.4, 0.2, 1, 0, 0], 3000)
    assert 0.55 < (np.abs(found[:, 0] - 0.4) < 1e-12).mean() < 0.75
    same = (np.abs(found - [0.4, 0.2, 1, 0, 0]) < 1e-12).all(axis=1)
    assert 0.25 < same.mean() < 0.45


def test_a_knob_that_one_parent_lacks_comes_from_the_other_and_else_is_drawn() -> None:
    codec, nan = codec_of(**SPACE), float("nan")
    found = children(codec, [nan, nan, 1, 0, 0], [0.9, nan, nan, nan, nan], 3000)
    assert not np.isnan(found).any()
    assert np.median(found[:, 0]) == pytest.approx(0.9)
    assert 0.45 < found[:, 1].mean() < 0.55
    assert (found[:, 2] == 1).mean() > 0.6


# -- the study is the state ---------------------------------------------------------------------


def test_the_first_children_cover_every_knob_evenly_before_the_space_is_known() -> None:
    study = study_with(nsga2(4, population=8), 1)
    trials = [study.ask() for _ in range(8)]
    values = sorted(t.suggest_float("x", 0, 1) for t in trials)
    assert [int(v * 8) for v in values] == list(range(8))


def test_children_are_the_same_asked_one_by_one_or_together() -> None:
    studies = [study_with(nsga2(1, population=6), 1) for _ in range(2)]
    for study in studies:
        study.optimize(sphere, n_trials=20)
    single = [studies[0].ask() for _ in range(9)]
    for trial in single:
        sphere(trial)
    batch = sampler_of(studies[1]).ask_batch(studies[1], 9)
    assert [t.params for t in single] == [p.params for p in batch]
    slots = [t.system_attrs[SLOT] for t in studies[0].trials[20:]]
    assert slots == [p.system_attrs[SLOT] for p in batch]
    assert json.loads(json.dumps(slots)) == slots


def test_a_child_that_was_lost_is_the_next_one() -> None:
    study = study_with(nsga2(1, population=4), 1)
    study.optimize(sphere, n_trials=10)
    lost = study.ask()
    x = sphere(lost)
    lost.set_user_attr("lost", True)
    study.tell(lost, state=TrialState.FAIL)
    again, after = study.ask(), study.ask()
    assert sphere(again) == x
    assert sphere(after) != x
    assert again.params == lost.params
    assert [t.system_attrs[SLOT]["n"] for t in study.trials[10:]] == [10, 10, 11]


def test_survivors_are_the_best_whoever_proposed_them_and_failures_never() -> None:
    study = study_with(optuna.samplers.RandomSampler(0), 1)
    study.optimize(sphere, n_trials=40)
    failed = study.ask()
    sphere(failed)
    study.tell(failed, state=TrialState.FAIL)
    sampler = NSGA2Sampler(8, seed=0)
    sampler.ask_batch(study, 1)
    best = sorted(t.value for t in study.trials if t.value is not None)[:8]
    assert sorted(sampler._search.alive[1][:, 0].tolist()) == best


def test_points_known_to_be_infeasible_teach_until_feasible_ones_are_found() -> None:
    study = study_with(nsga2(0, population=4), 2)
    for i, size in enumerate((5.0, 3.0, 1.0, 4.0, 2.0)):
        study.add_trial(
            optuna.create_trial(
                state=TrialState.PRUNED,
                params={"x": i / 10},
                distributions={"x": FloatDistribution(0, 1)},
                system_attrs={"constraints:size": size},
            )
        )
    study.ask({"x": FloatDistribution(0, 1)})
    assert sorted(sampler_of(study)._search.alive[0].tolist()) == [1.0, 2.0, 3.0, 4.0]
    for i in range(4):
        study.add_trial(
            optuna.create_trial(
                params={"x": 0.5 + i / 10},
                distributions={"x": FloatDistribution(0, 1)},
                values=[i, -i],
                system_attrs={"constraints:size": 0.0},
            )
        )
    study.ask({"x": FloatDistribution(0, 1)})
    violations, losses = sampler_of(study)._search.alive
    assert violations.tolist() == [0.0] * 4
    assert sorted(losses[:, 0].tolist()) == [0, 1, 2, 3]


# -- known designs ------------------------------------------------------------------------------


def test_known_designs_are_not_proposed_again_while_others_are_left() -> None:
    def objective(trial: optuna.Trial) -> tuple[float]:
        a, b = trial.suggest_int("a", 0, 5), trial.suggest_categorical("b", list("uvwxyz"))
        return (float(a + "uvwxyz".index(b)),)

    study = study_with(nsga2(0, population=4), 1)
    study.optimize(objective, n_trials=30)
    assert len({(t.params["a"], t.params["b"]) for t in study.trials}) >= 28


def test_a_design_is_known_by_the_knobs_that_it_had() -> None:
    known, free = KnownDesigns(), {"kind", "depth", "x"}
    assert known.note({"kind": "a", "x": 1, "fixed": 0}, free=free, failed=False)
    assert not known.note({"x": 1, "kind": "a", "fixed": 0}, free=free, failed=False)
    assert {"kind": "a", "x": 1, "depth": 3} in known
    assert {"kind": "a", "x": 2, "depth": 3} not in known
    assert {"kind": "b", "x": 1, "depth": 3} not in known


def test_a_failure_before_all_knobs_were_asked_for_rules_out_no_others() -> None:
    known, free = KnownDesigns(), {"kind", "x"}
    known.note({"kind": "a"}, free=free, failed=True)
    known.note({"kind": "b", "x": 1}, free=free, failed=True)
    assert {"kind": "a", "x": 1} not in known
    assert known.note({"kind": "c", "x": 1}, free=free, failed=False)
    assert {"kind": "b", "x": 1} in known, "a failed design with all its knobs"
    assert known.note({"kind": "b", "x": 1}, free=free, failed=False), "it may succeed later"


# -- search -------------------------------------------------------------------------------------


def test_it_finds_more_than_optunas_at_the_same_population() -> None:
    volumes = []
    for make in (lambda s: nsga2(s), lambda s: NSGAIISampler(population_size=20, seed=s)):
        studies = [study_with(make(seed)) for seed in range(5)]
        for study in studies:
            study.optimize(front_problem, n_trials=150)
        volumes.append(np.mean([hypervolume(study, (1.0, 4.0)) for study in studies]))
    assert volumes[0] > volumes[1]


def test_it_meets_constraints_in_a_mixed_space() -> None:
    study = study_with(nsga2(3))
    study.optimize(mixed, n_trials=150)
    late = study.trials[-50:]
    assert sum(t.constraints["size"] <= 0 for t in late) >= 40
    assert min(t.values[0] for t in study.best_trials) < 2


def test_a_population_is_a_number_from_two() -> None:
    for wrong in (1, 2.5, True):
        with pytest.raises(SpecError, match=r"sampler\.population: a number from 2, got"):
            nsga2(0, population=wrong)  # type: ignore[arg-type]
