"""What the bit-slice sparsity paper prints (Tables 1 to 3)."""

from __future__ import annotations

import numpy as np
import pytest

from hw_models.converters.resolution import mean_bits
from hw_models.converters.saberi import (
    SABERI,
    adc_area_ratio,
    adc_energy_per_conversion_ratio,
    adc_power_ratio,
    adc_time_ratio,
)
from hw_models.crossbar import Crossbar
from hw_models.published.bit_slice_2019 import (
    ADC,
    FULL_ADC_BITS,
    SPARSITY,
    AdcRow,
    SparsityRow,
    sparsity,
)


@pytest.mark.parametrize("row", SPARSITY, ids=lambda row: f"{row.model}-{row.method}")
def test_average_and_population_deviation_are_as_printed(row: SparsityRow) -> None:
    """bs_rows_avg_std"""
    assert len(SPARSITY) == 9
    ratios = np.array(row.nonzero_percent)
    assert ratios.mean() == pytest.approx(row.average_percent, abs=0.006)
    assert ratios.std(ddof=0) == pytest.approx(row.std_percent, abs=0.006)


@pytest.mark.parametrize("model", ["MLP", "VGG-11"])
def test_the_mean_rule_gives_one_bit_for_the_top_slice_and_three_for_the_rest(model: str) -> None:
    """bs_t3_bits"""
    ratios = [percent / 100 for percent in sparsity(model, "bit_slice_l1").nonzero_percent]
    bits = mean_bits(ratios, wordlines=128)
    assert bits[0] == ADC[0].adc_bits == 1
    assert max(bits[1:]) == ADC[1].adc_bits == 3


@pytest.mark.parametrize(
    ("model", "method", "bits"),
    [
        ("MLP", "bit_slice_l1", (1, 2, 2, 3)),
        ("VGG-11", "bit_slice_l1", (1, 2, 3, 3)),
        ("MLP", "l1", (1, 3, 3, 4)),
        ("VGG-11", "l1", (1, 3, 4, 4)),
        ("ResNet-20", "bit_slice_l1", (1, 2, 4, 5)),
    ],
)
def test_the_mean_rule_tells_bit_slice_l1_from_l1(
    model: str, method: str, bits: tuple[int, ...]
) -> None:
    ratios = [percent / 100 for percent in sparsity(model, method).nonzero_percent]
    assert mean_bits(ratios) == bits


@pytest.mark.parametrize("row", ADC, ids=lambda row: f"{row.adc_bits}-bits")
def test_table_3_ratios_follow_from_the_adc_model(row: AdcRow) -> None:
    """bs_t3_power, bs_t3_time, bs_t3_area"""
    assert float(adc_power_ratio(row.adc_bits)) == pytest.approx(row.power_ratio, abs=0.05)
    assert float(adc_time_ratio(row.adc_bits)) == pytest.approx(row.time_ratio, abs=0.01)
    assert float(adc_area_ratio(row.adc_bits)) == row.area_ratio


def test_energy_per_conversion_halves_with_every_bit_in_the_cited_model() -> None:
    assert adc_energy_per_conversion_ratio([1, 3, 8]).tolist() == [128.0, 32.0, 1.0]


def test_a_full_column_needs_eight_bits_with_the_encoding() -> None:
    """bs_full_bits"""
    crossbar = Crossbar(wordlines=128, bitlines=128, bits_per_cell=2)
    assert crossbar.encoded_adc_bits() == FULL_ADC_BITS == 8


def test_twice_the_sparsity_holds_for_vgg_11_only() -> None:
    """bs_2x: mean ratio of l1 over bit-slice l1 is 2.33, 1.32 and 1.12."""
    ratios = {
        model: np.mean(sparsity(model, "l1").nonzero_percent)
        / np.mean(sparsity(model, "bit_slice_l1").nonzero_percent)
        for model in ("VGG-11", "MLP", "ResNet-20")
    }
    assert ratios["VGG-11"] == pytest.approx(2.33, abs=0.01)
    assert ratios["MLP"] == pytest.approx(1.32, abs=0.01)
    assert ratios["ResNet-20"] == pytest.approx(1.12, abs=0.01)


def test_the_eight_bit_converter_is_the_one_of_isaac() -> None:
    assert float(SABERI.power_w(8)) == pytest.approx(2e-3, rel=1e-12)
    assert float(SABERI.energy_per_conversion_j(8)) == pytest.approx(1.5625e-12, rel=1e-12)
    assert 128 * float(SABERI.conversion_time_s(8)) == pytest.approx(100e-9, rel=1e-12)
    assert float(SABERI.area_m2(8)) == pytest.approx(0.0012e-6, rel=1e-12)
