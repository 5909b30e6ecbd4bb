"""design_columns(): designs as the columns of a page: objectives, metrics, knobs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dse.metrics import MetricName, shown_name
from dse.objectives import Objective
from dse.reading.trials import TrialRow
from dse.reporting.labels import axis_label, metric_label
from dse.trial_attributes import METRICS, SECONDS

_DIGITS = 7
"""Significant ones of a number that is drawn."""

_LOG_FROM = 20.0
"""Largest over smallest value from which an axis is logarithmic at first."""

_MAIN_METRICS = ("accuracy_ideal", "adc_energy_vs_8bit", "latency_s", "area_m2")
"""What a designer asks next, after the objectives."""


def design_columns(
    designs: Sequence[TrialRow], objectives: Sequence[Objective], knobs: Iterable[str]
) -> list[dict[str, Any]]:
    """What is known of some designs, column by column.

    Args:
        designs: With metrics and seconds.
        objectives: Of the study.
        knobs: Paths, in the order in which they are shown.

    Returns:
        For each column `id`, `kind` (`objective`, `metric` or `knob`), `label` with the unit,
        `axis` (the same for an axis), `main` (shown at first), and `values`, one for each design,
        None where it has none. Of a column of words `values` are places in `words`; a column of
        numbers has `words` None, and `log`, whether an axis is logarithmic at first. Objectives
        have `better`, `max` or `min`. Metrics in which all designs are equal are left out.
    """
    metrics = [design.user_attrs.get(METRICS) or {} for design in designs]
    taken = {objective.metric.si for objective in objectives}
    columns = [
        _numbers(
            objective.name,
            "objective",
            [_value(design.values, index) for design in designs],
            metric=objective.metric,
            better="max" if objective.direction == "maximize" else "min",
            main=True,
        )
        for index, objective in enumerate(objectives)
    ]
    others = dict.fromkeys(si for each in metrics for si in each if si not in taken)
    ranked = sorted(others, key=lambda si: si not in _MAIN_METRICS)
    for si in ranked:
        try:
            name = shown_name(si)
        except KeyError:  # of another version
            continue
        values = [name.of(each) if si in each else None for each in metrics]
        if len(set(values)) > 1:
            main = si in _MAIN_METRICS
            columns.append(
                _numbers(name.written, "metric", values, metric=name, better="", main=main)
            )
    columns += [_knob(path, [design.params.get(path) for design in designs]) for path in knobs]
    seconds = [design.user_attrs.get(SECONDS) for design in designs]
    columns.append(
        {**_numbers("seconds", "metric", seconds), "label": "evaluation (s)"}
        | {"axis": "time of the evaluation (s)"}
    )
    return columns


def knob_order(designs: Iterable[TrialRow]) -> list[str]:
    """Knobs of some designs: techniques first, slice groups from the most significant one."""
    paths = dict.fromkeys(path for design in designs for path in design.params)
    adc = sorted((path for path in paths if path.startswith("adc.bits.slice")), reverse=True)
    return [*(path for path in paths if path not in adc), *adc]


def _value(values: Sequence[float] | None, index: int) -> float | None:
    return None if values is None else values[index]


def _knob(path: str, values: Sequence[Any]) -> dict[str, Any]:
    told = [value for value in values if value is not None]
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in told):
        return _numbers(path, "knob", values)
    words = sorted({str(value) for value in told})
    place = {word: at for at, word in enumerate(words)}
    return {
        **_head(path, "knob"),
        "words": words,
        "log": False,
        "values": [None if value is None else place[str(value)] for value in values],
    }


def _numbers(
    name: str,
    kind: str,
    values: Sequence[float | None],
    *,
    metric: MetricName | None = None,
    better: str = "",
    main: bool = False,
) -> dict[str, Any]:
    head: Mapping[str, Any] = _head(name, kind)
    if metric is not None:
        head = {**head, "label": metric_label(metric), "axis": axis_label(metric)}
    told = [_rounded(value) for value in values]
    positive = [value for value in told if value is not None]
    low, high = min(positive, default=0.0), max(positive, default=0.0)
    return {
        **head,
        "main": main or kind == "knob",
        "better": better,
        "words": None,
        "log": better != "max" and low > 0 and high / low >= _LOG_FROM,
        "values": told,
    }


def _head(name: str, kind: str) -> dict[str, Any]:
    return {"id": name, "kind": kind, "label": name, "axis": name, "main": True, "better": ""}


def _rounded(value: float | None) -> float | None:
    """None for what JSON has no number for."""
    if value is None or not math.isfinite(value):
        return None
    if isinstance(value, int) or value == int(value):
        return int(value)
    return float(f"{value:.{_DIGITS}g}")
