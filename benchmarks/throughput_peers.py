"""Optuna alone and Ray Tune, for `throughput.py`; and the check of what everybody stored."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState

from dse.database import Database, open_database

LOW_HIGH = {
    **{f"bits{i}": (1, 8) for i in range(4)},
    "strength": (0.01, 10.0),
    "threshold": (0.0, 0.1),
    "t_prune": (0.5, 1.0),
    "t_quant": (0.0, 1.0),
}
CHOICES = {"wordlines": [32, 64, 128, 256], "encoding": ["differential", "offset", "twos"]}


def check(database: Database, name: str, trials: int) -> None:
    """Optuna reads as many complete trials as there should be, numbered without gaps."""
    found = optuna.load_study(study_name=name, storage=open_database_again(database)).get_trials(
        deepcopy=False
    )
    numbers = [t.number for t in found]
    distinct = sum("duplicate_of" not in t.user_attrs for t in found)  # copies come on top
    whole = all(t.state == TrialState.COMPLETE and len(t.values) == 3 for t in found)
    if numbers != list(range(len(found))) or distinct != trials or not whole:
        raise SystemExit(f"{name}: {trials} complete trials were expected, found {distinct}")


def open_database_again(database: Database) -> optuna.storages.RDBStorage:
    """A storage that has read nothing yet."""
    url = database.storage.engine.url.render_as_string(hide_password=False)
    return open_database(url, write=False, home=database.home).storage


def objectives_of(config: dict[str, Any]) -> tuple[float, float, float]:
    """As `Nothing`."""
    bits = sum(config[f"bits{i}"] for i in range(4))
    return bits / 128, 1e-8 * bits * config["wordlines"] * 1e6, 1e-3 * config["wordlines"]


def optimize(database: Database, trials: int) -> float:
    """Trials per second of study.optimize."""
    study = optuna.create_study(
        storage=database.storage,
        study_name="optimize",
        directions=["maximize", "minimize", "minimize"],
        sampler=optuna.samplers.RandomSampler(seed=1),
    )
    times = []

    def objective(trial: optuna.Trial) -> tuple[float, float, float]:
        times.append(time.time())
        config: dict[str, Any] = {
            name: trial.suggest_int(name, low, high)
            if isinstance(low, int)
            else trial.suggest_float(name, low, high, log=name == "strength")
            for name, (low, high) in LOW_HIGH.items()
        }
        config |= {name: trial.suggest_categorical(name, c) for name, c in CHOICES.items()}
        return objectives_of(config)

    study.optimize(objective, n_trials=trials)
    check(database, "optimize", trials)
    return (len(times) - 1) / (times[-1] - times[0])


def tune_space(trial: optuna.Trial) -> None:
    """The knobs, as OptunaSearch wants them; it pickles this function."""
    for name, (low, high) in LOW_HIGH.items():
        if isinstance(low, int):
            trial.suggest_int(name, low, high)
        else:
            trial.suggest_float(name, low, high, log=name == "strength")
    for name, choices in CHOICES.items():
        trial.suggest_categorical(name, choices)


def tuned(database: Database, trials: int, folder: Path) -> float:
    """Trials per second of Ray Tune with Optuna, actors reused."""
    from ray import tune
    from ray.tune.search.optuna import OptunaSearch

    names = ["accuracy", "energy", "area"]
    results = tune.Tuner(
        Trainable,
        tune_config=tune.TuneConfig(
            search_alg=OptunaSearch(
                space=tune_space,
                metric=names,
                mode=["max", "min", "min"],
                sampler=optuna.samplers.RandomSampler(seed=1),
                study_name="tune",
                storage=database.storage,
            ),
            num_samples=trials,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            storage_path=str(folder), verbose=0, stop={"training_iteration": 1}
        ),
    ).fit()
    if results.errors:
        raise SystemExit(f"tune: {results.errors[0]}")
    check(database, "tune", trials)
    study = optuna.load_study(study_name="tune", storage=database.storage)
    ends = sorted(t.datetime_complete for t in study.get_trials(deepcopy=False))
    skipped = len(ends) // 10  # while its actors start
    return (len(ends) - 1 - skipped) / (ends[-1] - ends[skipped]).total_seconds()


def make_trainable() -> type:
    """The trainable; made once Ray's environment is set."""
    from ray import tune

    class Nothing(tune.Trainable):
        """Evaluates to something at once."""

        def setup(self, config: dict[str, Any]) -> None:
            """Keep the knobs."""
            self.config = config

        def step(self) -> dict[str, float]:
            """Three numbers."""
            accuracy, energy, area = objectives_of(self.config)
            return {"accuracy": accuracy, "energy": energy, "area": area}

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            """Take other knobs."""
            self.config = new_config
            return True

        def save_checkpoint(self, checkpoint_dir: str) -> None:
            """Nothing to keep."""

        def load_checkpoint(self, checkpoint: Any) -> None:
            """Nothing was kept."""

    return Nothing


Trainable: Any = None
