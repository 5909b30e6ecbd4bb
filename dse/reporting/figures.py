"""The figures of a study: its designs in the plane of two objectives, its hypervolume in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial

from dse.metrics import MetricName
from dse.objectives import Objective
from dse.pareto import Front, pareto_front
from dse.reporting.front import describe_params
from dse.reporting.svg import Axis, Kind, Mark, history, padded_axis, scatter
from dse.trials import is_feasible, is_result

MAX_CROWD = 3000
"""Designs off the front that one figure shows; of more a sample is drawn."""

MAX_CHECKPOINTS = 200
_CORE_QUANTILES = (0.1, 0.9)
_REACH, _LONGEST_REACH = 0.5, 3.0
_LOG_FROM = 20.0
_UNITS = {"j": "J", "s": "s", "m2": "m²"}
_WORDS = {"adc": "ADC", "vs": "vs", "8bit": "8 bit"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A chart and what a reader must know about it.

    Attributes:
        svg: The chart.
        notes: Sentences below it.
    """

    svg: str
    notes: tuple[str, ...]


def metric_label(metric: MetricName) -> str:
    """A metric with its unit: `energy_uj` becomes `energy (µJ)`."""
    base, _, written = metric.written.rpartition("_")
    unit = next((u for u in _UNITS if metric.si.endswith(f"_{u}")), None)
    if unit is None:
        base = metric.written
    words = " ".join(_WORDS.get(word, word) for word in base.split("_"))
    if unit is not None:
        prefix = written.removesuffix(unit).replace("u", "µ")
        return f"{words} ({prefix}{_UNITS[unit]})"
    return words


def front_figures(
    trials: Sequence[FrozenTrial],
    front: Front,
    shown: Sequence[FrozenTrial],
    given: Sequence[FrozenTrial],
    *,
    seed: int,
) -> list[Figure]:
    """The first objective over each of the others; over the trial number if there is no other.

    Args:
        trials: All of the study.
        front: Its front.
        shown: The designs of the front that are drawn.
        given: Results of designs that the study file gave.
        seed: Of the sample of designs off the front.
    """
    results = [trial for trial in trials if is_result(trial)]
    if not results:
        return []
    crowd, notes = _crowd(results, front, given, seed)
    values = np.array([trial.values for trial in results])
    feasible = np.array([is_feasible(trial) for trial in results])
    numbers = np.array([[float(trial.number)] for trial in results])
    table = np.hstack([values, numbers])
    others = range(1, len(front.objectives)) if len(front.objectives) > 1 else (-1,)
    return [_front_figure(table, feasible, front, shown, given, crowd, notes, x) for x in others]


def _front_figure(
    table: NDArray[np.float64],
    feasible: NDArray[np.bool_],
    front: Front,
    shown: Sequence[FrozenTrial],
    given: Sequence[FrozenTrial],
    crowd: Sequence[FrozenTrial],
    notes: Sequence[str],
    x: int,
) -> Figure:
    kept = {t.number for t in (*front.trials, *(t for t in given if is_feasible(t)))}
    core = feasible & np.isin(table[:, -1], list(kept))
    axes: list[Axis] = []
    for column in (x, 0):
        low, high, log = _range(table[:, column], feasible, core, log=column > 0)
        objective = front.objectives[column] if column >= 0 else None
        label = _axis_title(objective) if objective else "trial"
        axes.append(padded_axis(label, low, high, log=log))
    on_front = {trial.number for trial in front.trials}
    labels = {trial.number: _given_label(trial, front.objectives, x, *axes) for trial in given}
    everyone = {t.number: t for t in (*crowd, *given, *shown)}.values()
    marks = [
        Mark(
            x=trial.values[x] if x > 0 else float(trial.number),
            y=trial.values[0],
            kind=_kind(trial, on_front),
            tooltip=_tooltip(trial, front.objectives, full=trial.number in on_front | set(labels)),
            trial=trial.number if trial.number in on_front | set(labels) else None,
            label=labels.get(trial.number, ""),
        )
        for trial in everyone
    ]
    inside = np.logical_and(
        *(
            (table[:, column] >= axis.low) & (table[:, column] <= axis.high)
            for axis, column in zip(axes, (x, 0), strict=True)
        )
    )
    extra = []
    if outside := int((~inside).sum()):
        extra.append(
            f"{outside:,} of {len(table):,} results ({int((~inside & ~feasible).sum()):,} of them "
            "infeasible) lie outside the axes."
        )
    if any(not axes[0].contains(m.x) or not axes[1].contains(m.y) for m in marks if m.label):
        extra.append("Given designs outside the axes are drawn at the edge.")
    plane = len(front.objectives) == 2
    if len(front.objectives) > 2:
        extra.append(
            f"The front is that of all {len(front.objectives)} objectives; a design on it may "
            "look dominated in this plane."
        )
    stairs = [(t.values[1], t.values[0]) for t in front.trials] if plane else []
    downhill = front.objectives[-1].direction == "minimize"
    bad, good = int((~feasible).sum()), int(feasible.sum()) - len(front.trials)
    legend = [
        ("front", f"Pareto front ({len(front.trials):,})"),
        ("feasible", f"other feasible ({good:,})"),
        ("infeasible", f"breaks a constraint ({bad:,})"),
        ("given", f"given in the study file ({len(given)})"),
    ]
    svg = scatter(
        marks,
        *axes,
        title=f"{axes[1].label} over {axes[0].label}, {len(table)} designs",
        legend=[entry for entry in legend if not entry[1].endswith("(0)")],
        staircase=sorted(stairs, reverse=not downhill),
    )
    return Figure(svg=svg, notes=(*notes, *extra))


def hypervolume_figure(trials: Sequence[FrozenTrial], front: Front) -> Figure | None:
    """Hypervolume over the results in the order in which they came, to the final reference.

    The front of a checkpoint is made from the one before and the results since then. None if no
    result is feasible.
    """
    results = sorted(
        (trial for trial in trials if is_result(trial)),
        key=lambda t: (t.datetime_complete is None, t.datetime_complete, t.number),
    )
    if not front.trials:
        return None
    stops = np.unique(np.linspace(1, len(results), MAX_CHECKPOINTS).round().astype(int))
    points = [(0.0, 0.0)]
    so_far: tuple[FrozenTrial, ...] = ()
    done = 0
    for stop in stops.tolist():
        now = pareto_front(
            (*so_far, *results[done:stop]),
            front.objectives,
            reference_point=front.reference_point,
        )
        so_far, done = now.trials, stop
        points.append((float(stop), now.hypervolume))
    top = max(volume for _, volume in points)
    x = padded_axis("results, in the order in which they came", 0.0, float(len(results)))
    y = padded_axis("hypervolume", 0.0, top)
    reached = next((at for at, volume in points if volume >= 0.99 * top), 0.0)
    notes = [
        f"99 % of the final hypervolume was reached after {reached:,.0f} of {len(results):,}."
    ]
    svg = history(points, x, y, title=f"hypervolume over {len(results)} results")
    return Figure(svg=svg, notes=tuple(notes) if top > 0 else ())


def _crowd(
    results: Sequence[FrozenTrial], front: Front, given: Sequence[FrozenTrial], seed: int
) -> tuple[list[FrozenTrial], list[str]]:
    """Designs that are neither on the front nor given, or a sample of them."""
    special = {trial.number for trial in (*front.trials, *given)}
    crowd = [trial for trial in results if trial.number not in special]
    if len(crowd) <= MAX_CROWD:
        return crowd, []
    chosen = np.random.default_rng(seed).choice(len(crowd), MAX_CROWD, replace=False)
    note = f"Off the front, {MAX_CROWD:,} of {len(crowd):,} designs are drawn, chosen at random."
    return [crowd[i] for i in sorted(chosen.tolist())], [note]


def _range(
    values: NDArray[np.float64],
    feasible: NDArray[np.bool_],
    core: NDArray[np.bool_],
    *,
    log: bool,
) -> tuple[float, float, bool]:
    """What an axis shows: the core in full, and of the rest what is not far from it.

    The core is the front, the feasible given designs and the bulk of what is feasible; the axis
    reaches half as far again on both sides where there is something to see, and further the
    fewer of the designs are feasible.
    """
    bulk = np.quantile(values[feasible] if feasible.any() else values, _CORE_QUANTILES)
    inner = np.concatenate([bulk, values[core]])
    if inner.min() == inner.max():  # a single design tells nothing about a scale
        inner = np.concatenate([np.quantile(values, _CORE_QUANTILES), inner])
    low, high = float(inner.min()), float(inner.max())
    reach = min(_LONGEST_REACH, _REACH / max(float(feasible.mean()), 1e-9))
    log = log and low > 0 and high / low >= _LOG_FROM
    if log:
        room = (high / low) ** reach
        near = values[(values >= low / room) & (values <= high * room)]
    else:
        room = reach * (high - low)
        near = values[(values >= low - room) & (values <= high + room)]
    return float(near.min()), float(near.max()), log


def _axis_title(objective: Objective) -> str:
    label = metric_label(objective.metric)
    if objective.metric.si.startswith("accuracy"):
        label += " (fraction)"
    return f"← better    {label}" if objective.direction == "minimize" else f"{label}    better →"


def _given_label(
    trial: FrozenTrial, objectives: Sequence[Objective], x: int, x_axis: Axis, y_axis: Axis
) -> str:
    """Number, and the values that lie outside the axes."""
    far = [
        f"{objectives[index].name} {trial.values[index]:.4g}"
        for index, axis in ((0, y_axis), (x, x_axis))
        if index >= 0 and not axis.contains(trial.values[index])
    ]
    return f"#{trial.number} given" + (f": {', '.join(far)}" if far else "")


def _kind(trial: FrozenTrial, on_front: set[int]) -> Kind:
    if trial.number in on_front:
        return "front"
    return "feasible" if is_feasible(trial) else "infeasible"


def _tooltip(trial: FrozenTrial, objectives: Sequence[Objective], *, full: bool) -> str:
    words = [f"{o.name} {value:.5g}" for o, value in zip(objectives, trial.values, strict=True)]
    text = f"trial {trial.number}: {', '.join(words)}"
    broken = [name for name, violation in trial.constraints.items() if violation > 0]
    if broken:
        text += f"\nbreaks {', '.join(broken)}"
    return f"{text}\n{describe_params(trial.params)}" if full else text
