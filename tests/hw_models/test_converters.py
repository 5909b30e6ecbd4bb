from __future__ import annotations

import numpy as np
import pytest

from hw_models.converters.converter import AdcModel
from hw_models.converters.resolution import mean_bits
from hw_models.converters.saberi import SABERI
from hw_models.errors import HardwareError

ALL_BITS = np.arange(1, 15)


def test_energy_time_and_power_rise_with_every_bit_and_area_never_falls() -> None:
    model: AdcModel = SABERI
    assert (np.diff(model.power_w(ALL_BITS)) > 0).all()
    assert (np.diff(model.energy_per_conversion_j(ALL_BITS)) > 0).all()
    assert (np.diff(model.conversion_time_s(ALL_BITS)) > 0).all()
    assert (np.diff(model.area_m2(ALL_BITS)) >= 0).all()


def test_the_area_halves_at_six_bits_and_stays() -> None:
    assert (SABERI.area_m2([1, 3, 6, 7, 8, 14]) / SABERI.area_m2(8)).tolist() == [
        0.5,
        0.5,
        0.5,
        1.0,
        1.0,
        1.0,
    ]


def test_the_rate_counts_conversions_not_bit_clocks() -> None:
    """A reading of GS/s as a bit clock would give 15.6 pJ."""
    assert float(SABERI.energy_per_conversion_j(8)) == pytest.approx(1.56e-12, rel=0.01)


def test_answers_have_the_shape_of_the_question() -> None:
    bits = np.array([[1, 2, 3], [4, 5, 6]])
    for answer in (SABERI.power_w, SABERI.energy_per_conversion_j, SABERI.area_m2):
        assert answer(bits).shape == (2, 3)
        assert answer(bits)[1, 2] == answer(6)


@pytest.mark.parametrize("bits", [0, 15, -1])
def test_a_resolution_outside_the_domain_is_refused(bits: int) -> None:
    with pytest.raises(HardwareError, match=f"saberi: an ADC resolves 1 to 14 bits, got {bits}"):
        SABERI.power_w([8, bits])


def test_a_fractional_resolution_is_refused() -> None:
    with pytest.raises(HardwareError, match="an ADC resolution is an integer, got float64"):
        SABERI.area_m2([7.5])


def test_the_mean_rule_never_gives_less_than_a_bit() -> None:
    assert mean_bits([0.0, 1.0]) == (1, 7)


def test_a_ratio_in_percent_is_refused() -> None:
    with pytest.raises(HardwareError, match=r"between 0 and 1, got 4\.02\. Divide"):
        mean_bits([4.02])
