"""Studies with trials of every kind, written through Optuna."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import TrialState, create_trial

from dse.database import Database
from dse.storing.bulk_writer import BulkWriter
from tests.dse.fakes import small_spec

DISTRIBUTIONS: dict[str, BaseDistribution] = {
    "bits": IntDistribution(1, 8),
    "regularizer": CategoricalDistribution(("none", "l1", 3, True)),
    "strength": FloatDistribution(0.01, 10, log=True),
}
_BEGAN = datetime(2026, 9, 4, 12)


def empty_study(database: Database, name: str = "small", **changes: Any) -> optuna.Study:
    """A study as `dse run` makes it, without trials."""
    spec = small_spec(name=name, **changes)
    study = optuna.create_study(
        storage=database.storage,
        study_name=name,
        directions=[o.direction for o in spec.parsed_objectives()],
    )
    study.set_user_attr("dse:spec", spec.model_dump(mode="json"))
    study.set_user_attr("dse:lease", None)
    study.set_metric_names([o.name for o in spec.parsed_objectives()])
    return study


def add_trials(study: optuna.Study, count: int, seed: int = 0) -> None:
    """Trials of every state, with and without values, constraints and attributes."""
    first = len(study.get_trials(deepcopy=False))
    BulkWriter(study).write(made_trials(len(study.directions), count, first=first, seed=seed))


def made_trials(
    objectives: int, count: int, *, first: int = 0, seed: int = 0
) -> list[optuna.trial.FrozenTrial]:
    """The same, to be stored."""
    rng = np.random.default_rng(seed)
    return [_trial(rng, number, objectives) for number in range(first, first + count)]


def _trial(rng: np.random.Generator, number: int, objectives: int) -> optuna.trial.FrozenTrial:
    state = TrialState.COMPLETE if rng.random() < 0.6 else TrialState(int(rng.integers(5)))
    names = [name for name in DISTRIBUTIONS if rng.random() < 0.8]
    params = {"bits": 3, "regularizer": 3, "strength": float(rng.uniform(0.02, 9))}
    user: dict[str, Any] = {
        "design": {"draw": number, "digest": f"d{number}", "attempt": 1},
        "metrics": {"accuracy": 0.5, "accuracy_ideal": 0.9, "adc_energy_vs_8bit": 0.4},
        "seconds": float(rng.random()),
        "mine": [1, {"ä": None}],
    }
    if state == TrialState.COMPLETE and number and rng.random() < 0.2:
        user["duplicate_of"] = int(rng.integers(number))
    if state == TrialState.FAIL:
        user["error"] = f"StageError: {number}"
        if rng.random() < 0.5:
            user["lost"] = True
    if state == TrialState.PRUNED:
        user["ruled_out"] = {"reason": "too large", "trained": bool(rng.random() < 0.5)}
    trial = create_trial(
        state=state,
        params={name: params[name] for name in names},
        distributions={name: DISTRIBUTIONS[name] for name in names},
        values=_values(rng, objectives) if state == TrialState.COMPLETE else None,
        user_attrs=user,
        system_attrs={"dse:pso": {"p": 1}, "artifacts:x": "{}", "constraint": 5.0},
    )
    kind = rng.random()
    if kind < 0.6:
        for name in ("accuracy_loss <= 0.5", "area_mm2 <= 3")[: int(rng.integers(1, 3))]:
            trial.set_constraint(name, float(rng.choice([-0.5, 0.0, -0.0, 0.25, 1e-300])))
    elif kind < 0.7:
        trial.system_attrs = {
            **trial.system_attrs,
            "constraints": [float(v) for v in rng.normal(size=2)],
        }
    elif kind < 0.75:
        trial.set_constraint("endless", float(rng.choice([math.inf, -math.inf])))
    if state != TrialState.WAITING:
        trial.datetime_start = _BEGAN + timedelta(seconds=number * 7.25)
    if state.is_finished():
        trial.datetime_complete = _BEGAN + timedelta(seconds=number * 7.25 + float(rng.random()))
    return trial


def _values(rng: np.random.Generator, objectives: int) -> list[float]:
    if rng.random() < 0.1:
        return [float(rng.choice([math.inf, -math.inf, 0.5])) for _ in range(objectives)]
    return [float(v) for v in rng.integers(0, 9, size=objectives) / 7]
