"""What PQ-PIM prints: Table I, Figure 2, the sizes of its index tables."""

from __future__ import annotations

import numpy as np
import pytest

from hw_models.chip import Chip
from hw_models.converters.saberi import SABERI
from hw_models.crossbar import Crossbar
from hw_models.encodings.twos_complement import TWOS_COMPLEMENT
from hw_models.engines.observed import Observed
from hw_models.engines.ou_patch import OuPatchEngine
from hw_models.estimation.estimate import estimate
from hw_models.periphery.pq_pim import PQ_PIM_ADC, PQ_PIM_ARRAY, PQ_PIM_CU, PQ_PIM_PE
from hw_models.published import pq_pim
from hw_models.units import FEMTO, MILLI, PICO
from tests.hw_models.coded_layers import coded_layer

MEBI = 2**20


def test_figure_2_leaves_seven_of_twelve_operation_units() -> None:
    """pq_fig2_ous"""
    assert len(pq_pim.FIGURE_2_BITS) == pq_pim.FIGURE_2_PATCHES == 12
    assert sum(bits > 0 for bits in pq_pim.FIGURE_2_BITS) == 7


def test_figure_2_leaves_80_of_192_cells() -> None:
    """pq_fig2_cells"""
    before = [pq_pim.FIGURE_2_FULL_BITS] * pq_pim.FIGURE_2_PATCHES
    assert pq_pim.figure_2_cells(before) == 192
    assert pq_pim.figure_2_cells(pq_pim.FIGURE_2_BITS) == 80


def test_the_printed_index_sizes_are_mebibits_at_patches_of_32() -> None:
    """pq_wpit, pq_apit: printed as 0.44 MB and 0.0055 MB."""
    weights = pq_pim.flag_bits(pq_pim.VGG16_CIFAR10_WEIGHTS, 32)
    inputs = pq_pim.flag_bits(pq_pim.VGG16_CIFAR10_INPUTS, 32)
    assert weights / MEBI == pytest.approx(0.44, abs=0.005)
    assert inputs / MEBI == pytest.approx(0.0055, abs=0.00005)
    assert weights / 8 / MEBI == pytest.approx(0.0548, abs=0.00005)


def test_eight_six_bit_converters_take_5_14_milliwatts() -> None:
    """pq_adc_mw"""
    power = 8 * float(SABERI.power_w(pq_pim.ADC_BITS))
    assert power == pytest.approx(5.14 * MILLI, abs=0.005 * MILLI)
    assert power == pytest.approx(pq_pim.ADC.power_w, rel=0.001)


def test_cu_pe_and_chip_sum_to_13_22_and_180_26_milliwatts_and_63_45_watts() -> None:
    """pq_cu_pe"""
    assert pq_pim.cu_power_w() == pytest.approx(13.22 * MILLI, abs=0.01 * MILLI)
    assert pq_pim.pe_power_w() == pytest.approx(180.26 * MILLI, abs=0.01 * MILLI)
    assert pq_pim.chip_power_w() == pytest.approx(63.45, abs=0.01)


def test_six_bits_hold_the_sum_of_the_largest_patch() -> None:
    """pq_adc_bits"""
    assert [pq_pim.adc_bits(patch) for patch in pq_pim.PATCH_SIZES] == [3, 4, 5, 6]


def test_table_1_as_energies() -> None:
    full_read = PQ_PIM_ARRAY.cell_power_w * 128 * 128 * PQ_PIM_ARRAY.read_time_s
    assert full_read == pytest.approx(0.25 * PICO, rel=1e-12)
    dac = PQ_PIM_ARRAY.dac_power_w * PQ_PIM_ARRAY.read_time_s
    assert dac == pytest.approx(3.26 * FEMTO, abs=0.005 * FEMTO)
    assert PQ_PIM_CU.shift_add_energy_j == pytest.approx(41.7 * FEMTO, abs=0.05 * FEMTO)
    conversion = float(PQ_PIM_ADC.energy_per_conversion_j(6))
    assert conversion == pytest.approx(0.535 * PICO, abs=0.001 * PICO)
    assert float(PQ_PIM_ADC.conversion_time_s(6)) == pytest.approx(1 / 1.2e9, rel=1e-12)


@pytest.mark.parametrize(("bits", "nanoseconds"), [(8, 6.7), (4, 3.3)])
def test_an_operation_unit_takes_as_long_as_its_columns_at_one_converter(
    bits: int, nanoseconds: float
) -> None:
    layer = coded_layer(wordlines=8, outputs=1, weight_bits=7, input_bits=1, zero_share=0.0)
    engine = OuPatchEngine(patch=8)
    chip = Chip(
        crossbar=Crossbar(wordlines=128, bitlines=128, bits_per_cell=1),
        adc=PQ_PIM_ADC,
        adc_bits=(6,) * 8,
        engine=engine,
        encoding=TWOS_COMPLEMENT,
        array=PQ_PIM_ARRAY,
        ima=PQ_PIM_CU,
        tile=PQ_PIM_PE,
    )
    patches = np.full((1, 1, 1), bits, dtype=np.int8)
    result = estimate([layer], chip, observed=[Observed(patch_bits=patches)])
    assert result.latency_s == pytest.approx(nanoseconds * 1e-9, abs=0.05e-9)
    assert result.adc_conversions == bits
