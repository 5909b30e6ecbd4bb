"""survey, mnsim, exponential, and the percentile rule."""

from __future__ import annotations

from importlib.metadata import entry_points

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hw_models.converters.converter import AdcModel
from hw_models.converters.exponential import EXPONENTIAL
from hw_models.converters.mnsim import MNSIM, MnsimAdc
from hw_models.converters.resolution import percentile_bits
from hw_models.converters.saberi import SABERI
from hw_models.converters.survey import SURVEY, SurveyAdc
from hw_models.errors import HardwareError
from hw_models.units import MILLI, PICO, UM2

ALL_BITS = np.arange(1, 15)


@pytest.mark.parametrize(
    ("bits", "rate_hz", "picojoules", "square_micrometres"),
    [
        (8, 1.28e9, 1.927, 6467),
        (6, 1.28e9, 1.064, 5414),
        (4, 1.28e9, 0.923, 5189),
        (8, 100e6, 1.711, 3937),
        (10, 1.28e9, 16.39, None),
    ],
)
def test_the_survey_gives_its_check_values_at_32_nm(
    bits: int, rate_hz: float, picojoules: float, square_micrometres: float | None
) -> None:
    model = SurveyAdc(rate_hz=rate_hz)
    energy = float(model.energy_per_conversion_j(bits))
    assert energy / PICO == pytest.approx(picojoules, rel=5e-4)
    if square_micrometres is not None:
        assert float(model.area_m2(bits)) / UM2 == pytest.approx(square_micrometres, abs=0.6)


def test_the_survey_converter_of_eight_bits_takes_2_47_milliwatts() -> None:
    assert float(SURVEY.power_w(8)) == pytest.approx(2.47 * MILLI, abs=0.005 * MILLI)


@pytest.mark.parametrize(
    ("node_nm", "rate_hz", "bits", "picojoules"),
    [(65, 100e6, 8, 5.20), (65, 1.28e9, 9, 16.77), (22, 1.28e9, 4, 0.365), (32, 100e6, 7, 1.050)],
)
def test_the_released_package_is_the_survey_times_0_8(
    node_nm: float, rate_hz: float, bits: int, picojoules: float
) -> None:
    model = SurveyAdc(rate_hz=rate_hz, node_m=node_nm * 1e-9)
    energy = 0.8 * float(model.energy_per_conversion_j(bits)) / PICO
    # The package rounds the SNDR less: 6.0206 N + 1.7609 dB, 0.23 % more at 8 bits.
    assert energy == pytest.approx(picojoules, rel=0.003)


def test_below_four_bits_the_survey_halves_its_energy_and_keeps_its_area() -> None:
    energy = SURVEY.energy_per_conversion_j([1, 2, 3, 4])
    assert (energy[3] / energy).tolist() == [8.0, 4.0, 2.0, 1.0]
    assert np.unique(SURVEY.area_m2([1, 2, 3, 4])).size == 1


@pytest.mark.parametrize("model", [SURVEY, EXPONENTIAL])
def test_energy_rises_with_every_bit_and_area_never_falls(model: AdcModel) -> None:
    assert (np.diff(model.energy_per_conversion_j(ALL_BITS)) > 0).all()
    assert (np.diff(model.area_m2(ALL_BITS)) >= 0).all()
    assert (np.diff(model.conversion_time_s(ALL_BITS)) >= 0).all()


def test_mnsim_is_its_table_with_rates_in_conversions_per_second() -> None:
    energies = MNSIM.energy_per_conversion_j([4, 6, 8, 10]) / PICO
    assert energies == pytest.approx([0.70, 1.26, 1.5625, 4.613], rel=1e-3)
    assert MNSIM.power_w([4, 6, 8, 10]) / MILLI == pytest.approx([0.7, 1.26, 2.0, 6.92])
    assert MNSIM.area_m2([4, 6, 8, 10]) / UM2 == pytest.approx([500, 580, 1200, 1600])
    assert 1 / MNSIM.conversion_time_s([4, 8, 10]) == pytest.approx([1e9, 1.28e9, 1.5e9])


def test_between_two_mnsim_converters_lies_their_geometric_mean() -> None:
    energy = MNSIM.energy_per_conversion_j([4, 5, 6])
    assert energy[1] == pytest.approx(np.sqrt(energy[0] * energy[2]), rel=1e-12)


@pytest.mark.parametrize(
    ("model", "bits", "domain"),
    [(MNSIM, 3, "4 to 10"), (MNSIM, 11, "4 to 10"), (MnsimAdc(interpolate=False), 5, "4, 6, 8")],
)
def test_mnsim_refuses_what_its_table_does_not_say(
    model: MnsimAdc, bits: int, domain: str
) -> None:
    with pytest.raises(HardwareError, match=f"converters of {domain}.* got {bits}"):
        model.area_m2([8, bits])


def test_the_exponential_model_starts_from_the_same_eight_bits_as_saberi() -> None:
    assert float(EXPONENTIAL.energy_per_conversion_j(8)) == float(
        SABERI.energy_per_conversion_j(8)
    )
    ratio = EXPONENTIAL.energy_per_conversion_j(8) / EXPONENTIAL.energy_per_conversion_j([1, 3, 9])
    assert ratio.tolist() == [128.0, 32.0, 0.5]
    assert EXPONENTIAL.power_w(5) * EXPONENTIAL.conversion_time_s(5) == pytest.approx(
        EXPONENTIAL.energy_per_conversion_j(5), rel=1e-12
    )


@pytest.mark.parametrize("model", [SURVEY, MNSIM, EXPONENTIAL])
def test_answers_have_the_shape_of_the_question(model: AdcModel) -> None:
    bits = np.array([[4, 5, 6], [7, 8, 9]])
    for answer in (
        model.power_w,
        model.energy_per_conversion_j,
        model.conversion_time_s,
        model.area_m2,
    ):
        assert answer(bits).shape == (2, 3)
        assert answer(bits)[1, 1] == answer(8)


@pytest.mark.parametrize("model", [SURVEY, MNSIM, EXPONENTIAL])
def test_a_zero_bit_converter_is_refused(model: AdcModel) -> None:
    with pytest.raises(HardwareError, match=f"{model.name}: an ADC resolves 1 to 14 bits, got 0"):
        model.energy_per_conversion_j([0])


def test_a_survey_without_a_rate_is_refused() -> None:
    with pytest.raises(HardwareError, match="rate_hz must be a positive finite number, got 0"):
        SurveyAdc(rate_hz=0.0)


def test_eight_bit_converters_agree_within_a_factor_of_two_where_the_source_is_the_same() -> None:
    energies = [float(m.energy_per_conversion_j(8)) for m in (SABERI, SURVEY, MNSIM, EXPONENTIAL)]
    assert max(energies) / min(energies) < 1.3


def test_every_converter_is_an_entry_point_under_its_name() -> None:
    found = {entry.name: entry.load() for entry in entry_points(group="hw_models.converters")}
    for name in ("saberi", "survey", "mnsim", "exponential", "bits_net"):
        assert found[name].name == name


@given(st.lists(st.integers(0, 5000), min_size=1), st.floats(0.5, 100.0))
def test_the_percentile_rule_gives_the_smallest_resolution_that_holds_its_share(
    sums: list[int], percentile: float
) -> None:
    (bits,) = percentile_bits([sums], percentile)
    share = percentile / 100 - 1e-9
    assert np.mean(np.array(sums) <= 2**bits - 1) >= share
    assert bits == 1 or np.mean(np.array(sums) <= 2 ** (bits - 1) - 1) < share + 2e-9
    assert percentile_bits([sums], 100)[0] == max(1, max(sums).bit_length())


@pytest.mark.parametrize("percentile", [0.0, 100.5])
def test_a_percentile_outside_its_range_is_refused(percentile: float) -> None:
    with pytest.raises(HardwareError, match="above 0 and at most 100, got"):
        percentile_bits([[1, 2]], percentile)


def test_sums_that_are_not_counts_are_refused() -> None:
    with pytest.raises(HardwareError, match="slice group 1: column sums must be integers"):
        percentile_bits([[1, 2], [0.5]], 99.0)
