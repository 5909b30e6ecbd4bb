"""What ISAAC prints (ISCA 2016, Table I, sections on ADC resolution and efficiency)."""

from __future__ import annotations

import pytest

from hw_models.crossbar import Crossbar
from hw_models.estimation.estimate import estimate
from hw_models.published import isaac_2016 as isaac
from hw_models.units import GIGA, MILLI, MM2
from tests.hw_models.coded_layers import chip, coded_layer


def test_an_ima_takes_24_08_milliwatts() -> None:
    assert isaac.ima_power_w() == pytest.approx(24.08 * MILLI, abs=0.005 * MILLI)


def test_an_ima_takes_0_0131_square_millimetres() -> None:
    assert isaac.ima_area_m2() == pytest.approx(0.0131 * MM2, abs=0.00005 * MM2)


def test_twelve_imas_take_289_milliwatts_and_0_157_square_millimetres() -> None:
    assert 12 * isaac.ima_power_w() == pytest.approx(289 * MILLI, abs=0.5 * MILLI)
    assert 12 * isaac.ima_area_m2() == pytest.approx(0.157 * MM2, abs=0.0005 * MM2)


def test_a_tile_without_imas_takes_40_85_milliwatts_and_0_2149_square_millimetres() -> None:
    power = sum(block.power_w for block in isaac.TILE_BLOCKS)
    area = sum(block.area_m2 for block in isaac.TILE_BLOCKS)
    assert power == pytest.approx(40.85 * MILLI, abs=0.005 * MILLI)
    assert area == pytest.approx(0.2149 * MM2, abs=0.00006 * MM2)


def test_a_tile_takes_330_milliwatts_and_0_372_square_millimetres() -> None:
    assert isaac.tile_power_w() == pytest.approx(330 * MILLI, abs=0.5 * MILLI)
    assert isaac.tile_area_m2() == pytest.approx(0.372 * MM2, abs=0.0005 * MM2)


def test_168_tiles_take_55_4_watts_and_62_5_square_millimetres() -> None:
    assert 168 * isaac.tile_power_w() == pytest.approx(55.4, abs=0.05)
    assert 168 * isaac.tile_area_m2() == pytest.approx(62.5 * MM2, abs=0.05 * MM2)


def test_the_chip_takes_65_8_watts_and_85_4_square_millimetres() -> None:
    assert isaac.chip_power_w() == pytest.approx(65.8, abs=0.05)
    assert isaac.chip_area_m2() == pytest.approx(85.4 * MM2, abs=0.05 * MM2)


def test_adcs_take_more_than_60_percent_of_ima_power_and_30_percent_of_tile_area() -> None:
    """The bit-slice paper's reading of ISAAC: over 60 % of power and over 30 % of area."""
    tile_adc_area = isaac.IMAS_PER_TILE * isaac.ADC.area_m2
    assert isaac.ADC.power_w / isaac.ima_power_w() == pytest.approx(0.66, abs=0.005)
    assert tile_adc_area / isaac.tile_area_m2() == pytest.approx(0.31, abs=0.005)


def test_the_chip_does_479_gops_per_square_millimetre_within_a_percent() -> None:
    density = isaac.operations_per_s() / GIGA / (isaac.chip_area_m2() / MM2)
    assert density == pytest.approx(479, rel=0.01)


def test_the_chip_stores_0_74_megabytes_per_square_millimetre() -> None:
    density = isaac.storage_bytes() / 2**20 / (isaac.chip_area_m2() / MM2)
    assert density == pytest.approx(0.74, abs=0.005)


def test_a_full_column_needs_nine_bits_and_the_encoding_saves_one() -> None:
    crossbar = Crossbar(wordlines=128, bitlines=128, bits_per_cell=isaac.BITS_PER_CELL)
    assert crossbar.full_column_adc_bits(dac_bits=isaac.DAC_BITS) == 9
    assert crossbar.encoded_adc_bits(dac_bits=isaac.DAC_BITS) == 8


def test_an_ima_of_full_arrays_reading_back_to_back_dissipates_its_table_power() -> None:
    """Our energy over our latency gives the table's power: 8 arrays, 8-bit ADCs, no pause."""
    layer = coded_layer(wordlines=128, outputs=128, positions=10, weight_bits=8)
    result = estimate([layer], chip((8, 8, 8, 8)))
    assert result.crossbars == isaac.ARRAYS_PER_IMA
    inside = ("adc", "dac", "array", "sample_hold", "shift_add")
    registers = ("input_register", "output_register")
    energy = sum(result.components[name][0] for name in (*inside, *registers))
    assert energy / result.latency_s == pytest.approx(24.08 * MILLI, rel=1e-9)


def test_an_ima_of_our_chip_has_the_table_area() -> None:
    layer = coded_layer(wordlines=128, outputs=128)
    result = estimate([layer], chip((8, 8, 8, 8)))
    inside = ("adc", "dac", "array", "sample_hold", "shift_add")
    registers = ("input_register", "output_register")
    area = sum(result.components[name][1] for name in (*inside, *registers))
    assert area == pytest.approx(isaac.ima_area_m2(), rel=1e-9)


def test_a_full_tile_of_our_chip_has_the_table_area() -> None:
    layer = coded_layer(wordlines=128 * 12, outputs=128)
    result = estimate([layer], chip((8, 8, 8, 8)))
    assert result.crossbars == isaac.IMAS_PER_TILE * isaac.ARRAYS_PER_IMA
    assert result.area_m2 == pytest.approx(isaac.tile_area_m2(), rel=1e-9)
