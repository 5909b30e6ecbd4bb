"""The swarm finds more than chance, at a cost that does not grow with the study."""

from __future__ import annotations

import time

import numpy as np
import optuna
from optuna._hypervolume import compute_hypervolume
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial

from dse.samplers.pso import PSOSampler, pso
from tests.dse.samplers.problems import front_problem, sphere, study_with


def hypervolume(study: optuna.Study, reference: tuple[float, float]) -> float:
    losses = np.array([t.values for t in study.best_trials])
    inside = losses[(losses < reference).all(axis=1)]
    return float(compute_hypervolume(inside, np.array(reference))) if len(inside) else 0.0


def test_the_swarm_finds_a_sphere_that_chance_misses() -> None:
    study, random = study_with(pso(0), 1), study_with(optuna.samplers.RandomSampler(0), 1)
    study.optimize(sphere, n_trials=300)
    random.optimize(sphere, n_trials=300)
    assert study.best_value < 0.05 * random.best_value


def test_the_front_of_the_swarm_holds_more_volume_than_that_of_chance() -> None:
    study, random = study_with(pso(0)), study_with(optuna.samplers.RandomSampler(0))
    study.optimize(front_problem, n_trials=300)
    random.optimize(front_problem, n_trials=300)
    reference = (1.0, 4.0)
    assert hypervolume(study, reference) > 1.2 * hypervolume(random, reference)


def with_workers(seed: int, workers: int, **settings: float) -> float:
    """Hypervolume after 300 trials, asked for whenever one of the workers is free."""
    study = study_with(pso(seed, **settings))  # type: ignore[arg-type]
    rng, busy = np.random.default_rng(seed), []
    for _ in range(300):
        while len(busy) < workers:
            trial = study.ask()
            busy.append((trial, front_problem(trial)))
        trial, values = busy.pop(int(rng.integers(len(busy))))
        study.tell(trial, values)
    return hypervolume(study, (1.0, 4.0))


def test_moves_near_leaders_find_more_than_flights_alone() -> None:
    with_them = [with_workers(seed, 1) for seed in range(3)]
    without = [with_workers(seed, 1, local=0.0) for seed in range(3)]
    assert np.mean(with_them) > np.mean(without)


def test_eight_workers_cost_little_volume() -> None:
    alone = [with_workers(seed, 1) for seed in range(3)]
    together = [with_workers(seed, 8) for seed in range(3)]
    assert np.mean(together) > 0.97 * np.mean(alone)


def test_a_batch_costs_as_much_in_a_large_study_as_in_a_small_one() -> None:
    space = {
        "bits": IntDistribution(1, 8),
        "kind": CategoricalDistribution(["a", "b", "c"]),
        "rate": FloatDistribution(1e-4, 1.0, log=True),
    }

    def trial(bits: int, kind: str, rate: float, **attrs: object) -> FrozenTrial:
        return optuna.create_trial(
            params={"bits": bits, "kind": kind, "rate": rate},
            distributions=space,
            values=[rate, (1 - rate) ** 2 + bits],
            **attrs,  # type: ignore[arg-type]
        )

    def learned(size: int) -> tuple[optuna.Study, PSOSampler]:
        rng = np.random.default_rng(0)
        study, sampler = study_with(optuna.samplers.RandomSampler()), PSOSampler(seed=0)
        for rate in rng.uniform(1e-4, 1, size).tolist():
            study.add_trial(trial(1 + int(rate * 7), "abc"[int(rate * 3)], rate))
        sampler.ask_batch(study, 1)
        return study, sampler

    def seconds(study: optuna.Study, sampler: PSOSampler) -> float:
        begin = time.process_time()
        proposals = sampler.ask_batch(study, 64)
        spent = time.process_time() - begin
        for proposal in proposals:
            study.add_trial(trial(**proposal.params, system_attrs=proposal.system_attrs))
        return spent

    small, large = learned(250), learned(5_000)
    times = np.array([[seconds(*small), seconds(*large)] for _ in range(15)])
    ratio = np.median(times[:, 1]) / np.median(times[:, 0])
    assert ratio < 3, f"20 times the trials cost {ratio:.1f} times as much"
