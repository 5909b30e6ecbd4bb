"""Small problems for samplers."""

from __future__ import annotations

import numpy as np
import optuna


def mixed(trial: optuna.Trial) -> tuple[float, float]:
    """Two objectives over every kind of knob, one of them conditional, with a constraint."""
    kind = trial.suggest_categorical("kind", ["a", "b", "c"])
    bits = trial.suggest_int("bits", 1, 8)
    rate = trial.suggest_float("rate", 1e-4, 1.0, log=True)
    share = trial.suggest_float("share", 0.0, 1.0)
    patch = trial.suggest_categorical("patch", [4, 8, 16, 32])
    depth = trial.suggest_int("depth", 1, 6) if kind == "b" else 3
    trial.set_constraint("size", bits * patch - 100)
    loss = (8 - bits) ** 2 + (share - 0.3) ** 2 + abs(np.log10(rate) + 2) + abs(depth - 4)
    return float(loss), float(bits * patch + 10 * share + (kind == "c"))


def front_problem(trial: optuna.Trial) -> tuple[float, float]:
    """ZDT1 [Zitzler2000] with six knobs: only x2 = ... = x6 = 0 is on the front."""
    x = [trial.suggest_float(f"x{i}", 0.0, 1.0) for i in range(6)]
    g = 1 + 9 * sum(x[1:]) / 5
    return x[0], g * (1 - (x[0] / g) ** 0.5)


def sphere(trial: optuna.Trial) -> tuple[float]:
    return (sum((trial.suggest_float(f"x{i}", -5, 5) - 1.1) ** 2 for i in range(4)),)


def study_with(sampler: optuna.samplers.BaseSampler, objectives: int = 2) -> optuna.Study:
    return optuna.create_study(directions=["minimize"] * objectives, sampler=sampler)
