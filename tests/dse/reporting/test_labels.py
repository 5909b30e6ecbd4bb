from __future__ import annotations

import re
from importlib.resources import files

import pytest

from dse.metrics import metric_name
from dse.reporting import palette
from dse.reporting.labels import axis_label, metric_label, metric_text, number


@pytest.mark.parametrize(
    ("written", "label"),
    [
        ("accuracy", "accuracy"),
        ("energy_uj", "energy (µJ)"),
        ("adc_energy_pj", "ADC energy (pJ)"),
        ("latency_s", "latency (s)"),
        ("area_mm2", "area (mm²)"),
        ("adc_energy_vs_8bit", "ADC energy vs 8 bit"),
        ("crossbars", "crossbars"),
    ],
)
def test_a_metric_is_labelled_with_its_unit(written: str, label: str) -> None:
    assert metric_label(metric_name(written)) == label


def test_an_axis_says_what_has_no_unit() -> None:
    assert axis_label(metric_name("accuracy")) == "accuracy (fraction)"
    assert axis_label(metric_name("area_mm2")) == "area (mm²)"


def test_numbers_have_four_digits_and_thousands_stand_apart() -> None:
    texts = [number(v) for v in (0.123456, 1234.5, 12345.6, 100000, 3e12, True, None, "l1")]
    assert texts == ["0.1235", "1234", "12,346", "100,000", "3,000,000,000,000", "True", "", "l1"]
    assert metric_text(metric_name("accuracy"), 0.5) == "0.5000"
    assert metric_text(metric_name("energy_uj"), float("nan")) == "–"


def test_pictures_and_pages_have_the_same_colours() -> None:
    style = files("dse.reporting").joinpath("assets", "views.css").read_text(encoding="utf-8")
    light = dict(re.findall(r"--(\w+): (#\w+);", style.split("@media")[0]))
    for name in ("FRONT", "OTHER", "INFEASIBLE", "GIVEN", "KNEE", "EXTREME"):
        assert light[name.lower()] == getattr(palette, name)
