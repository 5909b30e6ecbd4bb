"""Batches of designs: inside the space, the same however they are divided."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution

from dse.nesting import distribution_of
from dse.samplers.batch import (
    QMCBatches,
    RandomBatches,
    SearchBatches,
    batch_sampler,
    decoded,
)
from dse.samplers.make import make_sampler
from dse.spec_sections import SamplerSpec
from search_spaces.domains import Choice, Domain, FloatRange, IntRange

DOMAINS: dict[str, Domain] = {
    "bits": IntRange(1, 8),
    "strength": FloatRange(1e-3, 10.0, log=True),
    "ratio": FloatRange(-1.0, 1.0),
    "schedule": Choice("step", "cosine", "linear"),
}
RANGES: dict[str, BaseDistribution] = {n: distribution_of(d) for n, d in DOMAINS.items()}


def sampler_of(name: str, **settings: Any) -> Any:
    return make_sampler(SamplerSpec(name=name, seed=7, **settings))


def study_of(sampler: Any, trials: int) -> optuna.Study:
    study = optuna.create_study(sampler=sampler, directions=["minimize", "maximize"])
    for number in range(trials):
        sampler.next_draw = number
        trial = study.ask(RANGES)
        study.tell(trial, [trial.params["ratio"], trial.params["bits"]])
    return study


@settings(max_examples=30)
@given(st.integers(0, 600), st.integers(1, 600), st.integers(0, 2**32 - 1))
def test_random_draws_depend_on_their_numbers_alone(first: int, count: int, seed: int) -> None:
    study: Any = None
    whole = RandomBatches(seed=seed, domains=DOMAINS).ask(study, first + count, first=0, new=None)
    part = RandomBatches(seed=seed, domains=DOMAINS).ask(study, count, first=first, new=None)
    assert [p.params for p in part] == [p.params for p in whole[first:]]
    for proposal in part:
        for path, value in proposal.params.items():
            assert value in DOMAINS[path]


def test_random_draws_are_even() -> None:
    study: Any = None
    rows = RandomBatches(seed=1, domains=DOMAINS).ask(study, 8000, first=0, new=None)
    bits = np.bincount([row.params["bits"] for row in rows])[1:]
    assert bits.min() > 850
    assert bits.max() < 1150
    logs = [math.log10(row.params["strength"]) for row in rows]
    assert np.mean(logs) == pytest.approx(-1.0, abs=0.06)


def test_a_place_at_either_end_is_in_the_range() -> None:
    ends = np.array([0.0, np.nextafter(1.0, 0.0)])
    assert decoded(DOMAINS["bits"], ends) == [1, 8]
    assert decoded(DOMAINS["schedule"], ends) == ["step", "linear"]
    low, high = decoded(DOMAINS["strength"], ends)
    assert low == pytest.approx(1e-3)
    assert 9.999 < high <= 10.0  # type: ignore[operator]


@pytest.mark.parametrize("sequence", ["sobol", "halton"])
def test_qmc_batches_are_the_points_that_qmc_proposes_one_by_one(sequence: str) -> None:
    sampler = sampler_of("qmc", sequence=sequence)
    study = study_of(sampler, 12)
    batches = batch_sampler(sampler, seed=7, domains=DOMAINS)
    assert isinstance(batches, QMCBatches)
    found = batches.ask(study, 4, first=1, new=None) + batches.ask(study, 7, first=5, new=None)
    assert [p.params for p in found] == [t.params for t in study.trials[1:]]


@pytest.mark.parametrize("name", ["pso", "nsga2"])
def test_searches_ask_in_batches_and_draw_knobs_that_they_have_not_met(name: str) -> None:
    sampler = sampler_of(name)
    study = study_of(sampler, 3)
    domains = {**DOMAINS, "new": IntRange(0, 3)}
    batches = batch_sampler(sampler, seed=7, domains=domains)
    assert isinstance(batches, SearchBatches)
    assert batches.learns
    for proposal in batches.ask(study, 20, first=3, new=None):
        assert proposal.params.keys() == domains.keys()
        assert all(value in domains[path] for path, value in proposal.params.items())


def test_other_samplers_have_no_batches() -> None:
    assert batch_sampler(sampler_of("tpe"), seed=7, domains=DOMAINS) is None
    assert isinstance(batch_sampler(sampler_of("random"), seed=7, domains=DOMAINS), RandomBatches)
