"""Metrics of an evaluation: SI inside, prefixed units in study files and reports."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from dse.errors import SpecError

SI_METRICS: Mapping[str, str] = {
    "accuracy": "fraction of test images classified right, every column sum through its ADC",
    "accuracy_ideal": "the same codes with unlimited ADCs",
    "accuracy_float": "the network before compression",
    "accuracy_loss": "accuracy_float - accuracy",
    "energy_j": "energy of one inference",
    "adc_energy_j": "the ADCs' part of it",
    "adc_energy_vs_8bit": "adc_energy over that of 8-bit ADCs in every slice group",
    "latency_s": "time of one inference by the schedule; layer after layer by default",
    "interval_s": "time between two inferences; less than the latency where layers are pipelined",
    "area_m2": "silicon area",
    "crossbars": "arrays, positive and negative counted",
    "adc_conversions": "conversions of one inference",
    "nonzero_slice_ratio": "non-zero bit slices of the stored weights, mean over the slice groups",
}
"""Every metric under its SI name, with what it is."""

_PREFIXES = {"": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9, "p": 1e-12}
_SHOWN = {"j": "uj", "s": "us", "m2": "mm2"}
_UNITS = ("j", "s", "m2")


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricName:
    """A metric as a study file writes it.

    Attributes:
        written: Such as `energy_uj`.
        si: Such as `energy_j`.
        factor: SI value of one written unit, such as 1e-6.
    """

    written: str
    si: str
    factor: float

    def of(self, metrics: Mapping[str, float]) -> float:
        """The value in the written unit."""
        return metrics[self.si] / self.factor


def metric_name(written: str) -> MetricName:
    """Read a metric in any SI prefix from pico to one: `energy_pj`, `latency_ns`, `area_mm2`.

    Raises:
        SpecError: There is no such metric.
    """
    known = spellings()
    if written not in known:
        near = difflib.get_close_matches(written, known, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise SpecError(
            f"there is no metric {written!r}; {hint}Metrics: "
            f"{', '.join(shown_name(si).written for si in SI_METRICS)}"
        )
    return known[written]


def spellings() -> dict[str, MetricName]:
    """Every accepted spelling."""
    found: dict[str, MetricName] = {}
    for si in SI_METRICS:
        base, _, unit = si.rpartition("_")
        if base and unit in _UNITS:
            for prefix, factor in _PREFIXES.items():
                scale = factor**2 if unit == "m2" else factor
                written = f"{base}_{prefix}{unit}"
                found[written] = MetricName(written=written, si=si, factor=scale)
        else:
            found[si] = MetricName(written=si, si=si, factor=1.0)
    return found


@cache
def shown_name(si: str) -> MetricName:
    """The spelling that reports use: microjoule, microsecond, square millimetre."""
    base, _, unit = si.rpartition("_")
    return spellings()[f"{base}_{_SHOWN[unit]}" if base and unit in _SHOWN else si]


def shown(metrics: Mapping[str, float]) -> dict[str, float]:
    """Metrics as reports print them."""
    names = {si: shown_name(si) for si in metrics if si in SI_METRICS}
    return {name.written: name.of(metrics) for name in names.values()}
