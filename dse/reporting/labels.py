"""How metrics and numbers are written for a person."""

from __future__ import annotations

import math
from typing import Any

from dse.metrics import MetricName

_UNITS = {"j": "J", "s": "s", "m2": "m²"}
_WORDS = {"adc": "ADC", "vs": "vs", "8bit": "8 bit"}
_FRACTIONS = ("accuracy", "nonzero_slice_ratio", "adc_energy_vs_8bit")


def metric_words(metric: MetricName) -> tuple[str, str]:
    """Name and unit: `energy_uj` is `energy` in `µJ`; the unit is empty where there is none."""
    base, _, written = metric.written.rpartition("_")
    unit = next((u for u in _UNITS if metric.si.endswith(f"_{u}")), None)
    if unit is None:
        base = metric.written
    words = " ".join(_WORDS.get(word, word) for word in base.split("_"))
    if unit is None:
        return words, ""
    return words, written.removesuffix(unit).replace("u", "µ") + _UNITS[unit]


def metric_label(metric: MetricName) -> str:
    """A metric with its unit: `energy_uj` becomes `energy (µJ)`."""
    words, unit = metric_words(metric)
    return f"{words} ({unit})" if unit else words


def axis_label(metric: MetricName) -> str:
    """The same for an axis: what has no unit, but is a share of 1, says so."""
    label = metric_label(metric)
    return f"{label} (fraction)" if metric.si.startswith(_FRACTIONS) else label


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


def finite(value: Any) -> Any:
    """The same with None for infinities and NaN, which JSON does not have."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return value
