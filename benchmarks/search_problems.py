"""Problems to try samplers on: an analytic design space, and tables that were really measured.

Every problem has knobs as Optuna's distributions, objectives that are all to be small, a fixed
reference point and the best value of every objective. Hypervolumes are shares of the box between
these two, so 1 is the whole box, which no front fills.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna._hypervolume import compute_hypervolume
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from recorded_table import FOLDER as TABLES
from recorded_table import RecordedTable

from dse.objectives import Constraint, Objective
from dse.pareto import non_dominated

Params = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a design comes to.

    Attributes:
        values: Objectives, in the directions of the problem.
        losses: The same, all to be small, between 0 (best) and 1 (reference point).
        violation: Of the constraint, met at or below 0; None where the problem has none.
    """

    values: tuple[float, ...]
    losses: tuple[float, ...]
    violation: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something to search.

    Attributes:
        name: Of the problem.
        space: Knobs.
        directions: `maximize` or `minimize`, by objective.
        evaluate: Gives the result of a design.
    """

    name: str
    space: Mapping[str, BaseDistribution]
    directions: tuple[str, ...]
    evaluate: Callable[[Params], Result]


class Volume:
    """The hypervolume of a growing set of results, as a share of the box.

    Attributes:
        share: At present.
    """

    def __init__(self, objectives: int) -> None:
        self._front = np.empty((0, objectives))
        self._reference = np.ones(objectives)
        self.share = 0.0

    def add(self, result: Result) -> float:
        """Take in a result; one that is infeasible or outside the box adds nothing."""
        losses = np.array(result.losses)
        if (result.violation or 0.0) > 0 or (losses >= 1).any():
            return self.share
        if len(self._front) and (self._front <= losses).all(axis=1).any():
            return self.share
        stays = (self._front < losses).any(axis=1)
        self._front = np.vstack([self._front[stays], losses])
        self.share = float(compute_hypervolume(self._front, self._reference))
        return self.share


def problem(name: str) -> Problem:
    """A problem by name: `analytic` or that of a table; `:constrained` is its constrained form."""
    base, _, form = name.partition(":")
    if form not in ("", "constrained"):
        raise SystemExit(f"a problem is NAME or NAME:constrained, got {name}")
    if base == "analytic":
        return _analytic(constrained=bool(form))
    return _tabulated(base, constrained=bool(form))


def whole_volume(name: str) -> float | None:
    """Hypervolume of the whole front of a problem, as a share of the box; None if not known."""
    base, _, form = name.partition(":")
    if not (TABLES / f"{base}.json").exists():
        return None
    return table_volume(_table(base), constrained=bool(form))


# An analytic design space

LAYERS = 8
GROUPS = 4
SIZES = np.array([0.02, 0.06, 0.10, 0.14, 0.20, 0.24, 0.16, 0.08])
"""Share of the weights of each layer."""
POSITIONS = np.array([16.0, 12.0, 8.0, 6.0, 4.0, 2.0, 1.0, 1.0])
"""Times that an image passes each layer."""
SENSITIVITY = np.array([1.6, 1.2, 1.0, 0.8, 0.7, 0.6, 0.9, 1.5])
"""What an error in each layer costs, relative to the others."""
PATCHES = (4, 8, 16, 32, 64)
CELLS = (1, 2, 4)
SCHEDULES = ("constant", "cosine", "step", "warm-up")
ANALYTIC_LIMIT = 0.02
"""Largest loss of accuracy in the constrained form."""
_IDEAL = 0.93
_REGULAR = math.log(3e-3)
_ANALYTIC_BOX = ((0.0, math.log(0.03), math.log(0.25)), (0.93, math.log(120.0), math.log(6.0)))
"""Best and worst of loss of accuracy, log energy and log area: what is possible, rounded."""


def analytic_metrics(params: Params) -> tuple[float, float, float]:
    """Accuracy, energy and area of a made-up accelerator, the last two in arbitrary units.

    Eight layers have a converter resolution each, pairs of them a pruning ratio. A layer whose
    converters are shorter than its column sums clips: the sums grow with the patch that is read at
    once (half a bit for each doubling) and with the bits of a cell, and shrink with pruning and
    with a stronger regulariser. Pruning costs accuracy beyond a knee that a stronger regulariser
    moves out; the regulariser itself costs accuracy away from its best strength, which depends on
    the schedule. Clipping and pruning of the same layer make each other worse. A ripple of at most
    0.6 points, periodic in the ratios and the log of the strength, makes accuracies uneven.
    Energy: conversions of the weights that are left, dearer by 1.6 per bit, and reads, fewer of
    both with larger patches and cells. Area: arrays of what is left, padded by whole patches, and
    converters that grow with their resolution. There is no noise.

    Args:
        params: `adc0..7`, `prune0..3`, `patch` and `cell` (places in `PATCHES`, `CELLS`),
            `strength`, `schedule`.
    """
    bits = np.array([params[f"adc{i}"] for i in range(LAYERS)], dtype=float)
    prune = np.repeat([params[f"prune{i}"] for i in range(GROUPS)], LAYERS // GROUPS)
    patch, cell = PATCHES[params["patch"]], CELLS[params["cell"]]
    log_strength = math.log(params["strength"])
    schedule = SCHEDULES.index(params["schedule"])

    pull = (log_strength - _REGULAR) / math.log(10)  # decades above the best strength
    needed = 3.2 + 0.5 * math.log2(patch) + 0.9 * (cell - 1) - 3.0 * prune**1.5 - 0.7 * pull
    clipped = np.maximum(0.0, needed - bits)
    clipping = SENSITIVITY * 0.012 * clipped**1.8
    knee = 0.55 + 0.12 * math.tanh(pull) + (0.0, 0.08, 0.04, 0.06)[schedule]
    pruning = SENSITIVITY * 0.9 * np.maximum(0.0, prune - knee) ** 2
    together = 4.0 * np.sqrt(clipping * pruning)
    best_pull = (-0.3, 0.2, 0.0, 0.4)[schedule]
    regular = 0.012 * (pull - best_pull) ** 2 + (0.012, 0.0, 0.004, 0.002)[schedule]
    coarse = 0.004 * (cell == 4) + 0.002 * math.log2(patch / 4)
    ripple = 0.003 * math.cos(9.0 * log_strength) + 0.003 * float(np.cos(25.0 * prune).mean())
    loss = float((clipping + pruning + together).sum()) + regular + coarse + 0.006 - ripple
    accuracy = _IDEAL * math.exp(-loss)

    left = SIZES * (1.0 - prune)
    conversions = left * POSITIONS / (patch * math.sqrt(cell))
    reads = left * POSITIONS / patch**0.5
    energy = float((conversions * 1.6**bits).sum() + 1.2 * reads.sum())
    padded = SIZES * np.maximum(1.0 - prune, 0.02 * patch**0.5) / cell
    area = float(4.0 * padded.sum() + 0.004 * (1.45**bits).sum()) * (1.0 + 0.2 / math.log2(patch))
    return accuracy, energy, area


def analytic_space() -> dict[str, BaseDistribution]:
    """Sixteen knobs: ten integers, two ordered choices as integers, floats and a nominal one."""
    return {
        **{f"adc{i}": IntDistribution(3, 10) for i in range(LAYERS)},
        **{f"prune{i}": FloatDistribution(0.0, 0.95) for i in range(GROUPS)},
        "patch": IntDistribution(0, len(PATCHES) - 1),
        "cell": IntDistribution(0, len(CELLS) - 1),
        "strength": FloatDistribution(1e-5, 1e-1, log=True),
        "schedule": CategoricalDistribution(SCHEDULES),
    }


def _analytic(*, constrained: bool) -> Problem:
    best, worst = (np.array(end) for end in _ANALYTIC_BOX)
    if constrained:
        worst = np.array([ANALYTIC_LIMIT, *worst[1:]])

    def evaluate(params: Params) -> Result:
        accuracy, energy, area = analytic_metrics(params)
        raw = np.array([_IDEAL - accuracy, math.log(energy), math.log(area)])
        return Result(
            values=(accuracy, energy, area),
            losses=tuple(((raw - best) / (worst - best)).tolist()),
            violation=_IDEAL - accuracy - ANALYTIC_LIMIT if constrained else None,
        )

    return Problem(
        name="analytic:constrained" if constrained else "analytic",
        space=analytic_space(),
        directions=("maximize", "minimize", "minimize"),
        evaluate=evaluate,
    )


# Recorded tables


@cache
def _table(name: str) -> RecordedTable:
    return RecordedTable(name)


def _tabulated(name: str, *, constrained: bool) -> Problem:
    """A table as a problem.

    Ordered knobs are integers (places in the grid), the others categories. Accuracies count as
    they are, everything else by its logarithm. The box runs from the best to the worst value of
    every objective among all designs, in the constrained form among those that meet the limit.
    """
    table = _table(name)
    spec = table.spec
    values, losses, violation = table_arrays(table, constrained=constrained)

    def evaluate(params: Params) -> Result:
        place = tuple(
            params[knob.name] if knob.ordered else knob.values.index(params[knob.name])
            for knob in spec.knobs
        )
        return Result(
            values=tuple(values[place].tolist()),
            losses=tuple(losses[place].tolist()),
            violation=float(violation[place]) if constrained else None,
        )

    return Problem(
        name=f"{name}:constrained" if constrained else name,
        space={
            knob.name: IntDistribution(0, len(knob.values) - 1)
            if knob.ordered
            else CategoricalDistribution(knob.values)
            for knob in spec.knobs
        },
        directions=tuple(Objective.parse(text).direction for text in spec.objectives),
        evaluate=evaluate,
    )


def table_arrays(
    table: RecordedTable, *, constrained: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Values, losses in the box and violations of all designs.

    Shapes:
        output: `(*grid, objectives)`, the same, and `grid`.
    """
    objectives = [Objective.parse(text) for text in table.spec.objectives]
    columns = [table.metrics[objective.metric.si] for objective in objectives]
    signs = np.array([1.0 if each.direction == "minimize" else -1.0 for each in objectives])
    values = np.stack(
        [
            column / objective.metric.factor
            for objective, column in zip(objectives, columns, strict=True)
        ],
        axis=-1,
    )
    scaled = signs * np.stack(
        [
            column if objective.metric.si == "accuracy" else np.log(column)
            for objective, column in zip(objectives, columns, strict=True)
        ],
        axis=-1,
    )
    violation = np.full(table.spec.shape, -np.inf)
    if constrained:
        for limit in map(Constraint.parse, table.spec.constraints):
            measured = table.metrics[limit.metric.si] / limit.metric.factor
            excess = measured - limit.bound if limit.at_most else limit.bound - measured
            violation = np.maximum(violation, excess)
    inside = scaled[violation <= 0]
    best, worst = inside.min(axis=0), inside.max(axis=0)
    return values, (scaled - best) / (worst - best), violation


def table_volume(table: RecordedTable, *, constrained: bool) -> float:
    """Hypervolume of the front of a whole table, as a share of the box."""
    _, losses, violation = table_arrays(table, constrained=constrained)
    rows = losses[violation <= 0]
    front = rows[non_dominated(rows)]
    return float(compute_hypervolume(front, np.ones(front.shape[1])))
