"""One design of the HTML report: its metrics, costs by component and layer, and stages."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from dse.database import Database
from dse.errors import StudyError
from dse.metrics import SI_METRICS, MetricName, shown_name
from dse.objectives import Constraint
from dse.reporting.figures import metric_label
from dse.trial_reports import read_report
from dse.trials import METRICS, SECONDS, STAGES, is_feasible

_PREFIXES = (("", 1.0), ("m", 1e-3), ("µ", 1e-6), ("n", 1e-9), ("p", 1e-12), ("f", 1e-15))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A part of a total.

    Attributes:
        name: Of the component.
        value: Number, in the chart's unit.
        percent: Of the total.
        width: Of the largest part, in percent.
    """

    name: str
    value: str
    percent: str
    width: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """Parts of a total, largest first.

    Attributes:
        title: What is split.
        total: With its unit.
        unit: Of the bars.
        bars: Those that are not zero.
    """

    title: str
    total: str
    unit: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRow:
    """One layer; slice groups from most to least significant.

    Attributes:
        cells: Name, K x N, V, crossbars, energy, latency.
        adc_bits: Used and lossless resolution of each slice group.
        nonzero: Share of non-zero slices in percent.
    """

    cells: tuple[str, ...]
    adc_bits: tuple[tuple[int, int], ...]
    nonzero: str

    @property
    def may_clip(self) -> bool:
        """Whether a slice group has fewer ADC bits than its column sums can need."""
        return any(used < lossless for used, lossless in self.adc_bits)


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillDown:
    """A design in full.

    Attributes:
        trial: Number.
        feasible: Whether it meets every constraint.
        metrics: Name with unit, value, meaning.
        params: Path and value.
        constraints: Text, and by how much it is met or missed.
        charts: Energy and area by component.
        energy_unit: Of the layers' energies.
        layers: The network.
        stages: Name, whether it came from the store, seconds, key.
        seconds: Wall time of the evaluation.
        missing: Why charts and layers are missing; empty if they are there.
    """

    trial: int
    feasible: bool
    metrics: tuple[tuple[str, str, str], ...]
    params: tuple[tuple[str, str], ...]
    constraints: tuple[tuple[str, str], ...]
    charts: tuple[Bars, ...]
    energy_unit: str
    layers: tuple[LayerRow, ...]
    stages: tuple[tuple[str, str, str, str], ...]
    seconds: str
    missing: str


def drill_down(
    study: optuna.Study,
    database: Database,
    trial: FrozenTrial,
    constraints: tuple[Constraint, ...],
) -> DrillDown:
    """What the database and the artifacts tell of a design.

    A report that is missing or cannot be understood leaves its part empty, with the reason.
    """
    missing = ""
    charts: tuple[Bars, ...] = ()
    layers: tuple[LayerRow, ...] = ()
    unit, scale = "nJ", 1e-9
    try:
        report = read_report(study, database, trial)
        charts = _charts(report["components"])
        energies = [sum(layer["energy_j"].values()) for layer in report["layers"]]
        unit, scale = _unit(max(energies, default=0.0), "J")
        layers = tuple(_layer(layer, scale) for layer in report["layers"])
    except (StudyError, OSError) as error:
        missing = str(error)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        missing = f"the report of trial {trial.number} is not as expected: {error!r}"
    metrics = trial.user_attrs.get(METRICS, {})
    stages = trial.user_attrs.get(STAGES, {})
    return DrillDown(
        trial=trial.number,
        feasible=is_feasible(trial),
        metrics=tuple(
            (metric_label(name), metric_text(name, name.of(metrics)), meaning)
            for si, meaning in SI_METRICS.items()
            if si in metrics and (name := shown_name(si))
        ),
        params=tuple((path, number(value)) for path, value in trial.params.items()),
        constraints=tuple(
            (str(c), _margin(trial.constraints[str(c)]))
            for c in constraints
            if str(c) in trial.constraints
        ),
        charts=() if missing else charts,
        energy_unit=unit,
        layers=() if missing else layers,
        stages=tuple(
            (name, "yes" if t.get("cached") else "no", number(t.get("seconds")), str(t.get("key")))
            for name, t in stages.items()
        ),
        seconds=number(trial.user_attrs.get(SECONDS)),
        missing=missing,
    )


def number(value: object) -> str:
    """A number with four digits, thousands apart; anything else as it is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "" if value is None else str(value)
    if isinstance(value, int) or (abs(value) >= 1e4 and value == round(value)):
        return f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.0f}"
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:.4g}"


def metric_text(metric: MetricName, value: float) -> str:
    """A metric's value for a table: accuracies to four places, a dash for none."""
    if math.isnan(value):
        return "–"
    return f"{value:.4f}" if metric.si.startswith("accuracy") else number(value)


def _charts(components: Mapping[str, Mapping[str, float]]) -> tuple[Bars, ...]:
    energies = {name: float(cost["energy_j"]) for name, cost in components.items()}
    areas = {name: float(cost["area_m2"]) for name, cost in components.items()}
    energy_unit, joules = _unit(sum(energies.values()), "J")
    return (
        _bars("Energy of one inference", energies, energy_unit, joules),
        _bars("Area", areas, "mm²", 1e-6),
    )


def _bars(title: str, parts: Mapping[str, float], unit: str, scale: float) -> Bars:
    total, largest = sum(parts.values()), max(parts.values(), default=0.0)
    decimals = max(0, 2 - math.floor(math.log10(largest / scale))) if largest > 0 else 0
    return Bars(
        title=title,
        total=f"{number(total / scale)} {unit}",
        unit=unit,
        bars=tuple(
            Bar(
                name=name.replace("_", " "),
                value=_fixed(value / scale, decimals),
                percent=f"{100 * value / total:.1f} %",
                width=f"{100 * value / largest:.1f}",
            )
            for name, value in sorted(parts.items(), key=lambda item: -item[1])
            if value > 0
        ),
    )


def _fixed(value: float, decimals: int) -> str:
    smallest = 10.0**-decimals
    return f"< {smallest:.{decimals}f}" if value < smallest / 2 else f"{value:,.{decimals}f}"


def _layer(layer: Mapping[str, Any], joules: float) -> LayerRow:
    groups = int(layer.get("groups", 1))
    bits = layer["adc_bits"]
    return LayerRow(
        cells=(
            str(layer["name"]),
            f"{layer['k']} × {layer['n']}" + (f" × {groups} groups" if groups > 1 else ""),
            number(layer["v"]),
            number(layer["crossbars"]),
            number(sum(layer["energy_j"].values()) / joules),
            number(layer["latency_s"] * 1e6),
        ),
        adc_bits=tuple(
            (int(used), int(lossless))
            for used, lossless in zip(bits["used"], bits["lossless"], strict=True)
        ),
        nonzero=" / ".join(f"{100 * ratio:.2f}" for ratio in layer["nonzero_slice_ratio"]),
    )


def _unit(value: float, unit: str) -> tuple[str, float]:
    """The prefix under which the value is between 1 and 1000."""
    for prefix, scale in _PREFIXES:
        if value >= scale:
            return f"{prefix}{unit}", scale
    return f"{_PREFIXES[-1][0]}{unit}", _PREFIXES[-1][1]


def _margin(violation: float) -> str:
    if violation > 0:
        return f"missed by {number(violation)}"
    return f"met, {number(-violation)} to spare"
