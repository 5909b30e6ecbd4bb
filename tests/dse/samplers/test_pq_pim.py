"""PQ-PIM's Algorithm 1, repaired, is a setting of the swarm; its steps are pyswarms' steps."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import optuna
import pytest

from dse.samplers.pso import PSOSampler, pq_pim, pso
from dse.samplers.pyswarms_step import step
from tests.dse.samplers.problems import sphere, study_with


def patches(trial: optuna.Trial) -> tuple[float]:
    """Two layers; the compression grows with the thresholds, the loss too."""
    trial.suggest_categorical("patches.pq_pim.patch", [4, 8, 16, 32])
    kept, loss = 0.0, 0.0
    for layer in ("conv", "fc"):
        path = f"patches.pq_pim.layer.{layer}"
        tsv = trial.suggest_float(f"{path}.tsv", 0.1, 3.0, log=True)
        t_prune = trial.suggest_float(f"{path}.t_prune", 0.5, 1.0)
        trial.suggest_float(f"{path}.t_quant", 0.0, 1.0)
        kept += 1 / (1 + tsv / t_prune)
        loss += 0.02 * tsv / t_prune
    trial.set_constraint("accuracy_loss", loss - 0.03)
    return (-64 / kept,)


def test_algorithm_1_keeps_t_quant_at_most_t_prune_in_every_layer_and_meets_the_limit() -> None:
    study = study_with(pq_pim(0, particles=8), 1)
    study.optimize(patches, n_trials=120)
    for trial in study.trials[1:]:  # the first one teaches the knobs
        for layer in ("conv", "fc"):
            path = f"patches.pq_pim.layer.{layer}"
            assert trial.params[f"{path}.t_quant"] <= trial.params[f"{path}.t_prune"]
    best = study.best_trial
    assert best.value is not None
    assert best.constraints["accuracy_loss"] <= 0
    random = study_with(optuna.samplers.RandomSampler(0), 1)
    random.optimize(patches, n_trials=120)
    assert random.best_value is not None
    assert best.value <= random.best_value


def test_algorithm_1_is_the_textbook_step() -> None:
    x, v = np.array([[0.2, 0.6]]), np.array([[0.05, -0.1]])
    own, leader = np.array([[0.4, 0.5]]), np.array([[0.9, 0.0]])
    sampler = PSOSampler.pq_pim(seed=0)
    w, c1, c2 = (
        np.array([[s]])
        for s in (sampler.settings.inertia, sampler.settings.c1[0], sampler.settings.c2[0])
    )
    assert (w.item(), c1.item(), c2.item()) == (0.729, 1.494, 1.494)
    new_x, new_v = step(
        x, v, own_bests=own, leaders=leader, inertia=w, c1=c1, c2=c2, clamp=None, seed=11
    )
    rng = np.random.RandomState(11)
    r1, r2 = rng.uniform(size=(1, 2)), rng.uniform(size=(1, 2))
    expected = 0.729 * v + 1.494 * r1 * (own - x) + 1.494 * r2 * (leader - x)
    assert new_v == pytest.approx(expected)
    assert new_x == pytest.approx(np.clip(x + expected, 0, 1))


def test_the_backend_leaves_the_global_generator_the_log_and_the_folder_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    handlers = list(logging.getLogger().handlers)
    before = np.random.get_state()[1].tolist()  # type: ignore[index] # noqa: NPY002
    study_with(pso(0, particles=3), 1).optimize(sphere, n_trials=10)
    assert np.random.get_state()[1].tolist() == before  # type: ignore[index] # noqa: NPY002
    assert logging.getLogger().handlers == handlers
    assert list(tmp_path.iterdir()) == []
