"""What BitS-Net prints, and when its claim of no 11 cell is true."""

from __future__ import annotations

import numpy as np
import pytest

from hw_models.converters.bits_net import BITS_NET as BITS_NET_ADC
from hw_models.published.bits_net import (
    ADC_ENERGY_J,
    CELL_ENERGY_J,
    PRINTED_SET_1,
    PRINTED_SET_2,
    SET_1,
    SET_2,
    cells,
    code,
    weight_energy_j,
)
from hw_models.units import PICO


def test_a_cell_costs_what_is_printed_for_its_state() -> None:
    """bn_energy_cells"""
    assert [energy / PICO for energy in reversed(CELL_ENERGY_J)] == pytest.approx(
        [1.46, 0.73, 0.36, 0.079], rel=1e-12
    )


def test_a_conversion_costs_0_208_picojoules_at_every_resolution() -> None:
    """bn_energy_adc"""
    assert pytest.approx(0.208, rel=1e-12) == ADC_ENERGY_J / PICO
    assert (BITS_NET_ADC.energy_per_conversion_j(np.arange(1, 15)) == ADC_ENERGY_J).all()


def test_set_1_are_multiples_of_a_32nd() -> None:
    """bn_set1"""
    assert pytest.approx(PRINTED_SET_1, abs=5.1e-5) == SET_1
    assert [32 * level for level in SET_1] == [0, 11, 12, 13, 16, 20, 21, 32]


def test_set_2_are_multiples_of_a_32nd() -> None:
    """bn_set2"""
    assert pytest.approx(PRINTED_SET_2, abs=5e-5) == SET_2
    assert set(SET_2) < set(SET_1)


@pytest.mark.parametrize("levels", [SET_1, SET_2])
def test_q2_6_stores_every_level_exactly_and_without_an_11(levels: tuple[float, ...]) -> None:
    """bn_no11"""
    codes = code(levels)
    assert codes.tolist() == [64 * level for level in levels]
    assert not (cells(codes) == 3).any()


def test_q1_7_and_a_saturated_q0_8_have_an_11() -> None:
    """bn_no11"""
    q1_7, q0_8 = cells(code(SET_1, fraction_bits=7)), cells(code(SET_1, fraction_bits=8))
    assert [level for level, row in zip(SET_1, q1_7, strict=True) if 3 in row] == [
        11 / 32,
        12 / 32,
        13 / 32,
    ]
    assert [level for level, row in zip(SET_1, q0_8, strict=True) if 3 in row] == [1.0]
    assert q0_8[-1].tolist() == [3, 3, 3, 3]


def test_a_weight_costs_1_148_to_6_672_picojoules() -> None:
    assert weight_energy_j([0, 255]) / PICO == pytest.approx([1.148, 6.672], rel=1e-12)
    assert weight_energy_j(np.arange(256)).mean() / PICO == pytest.approx(3.461, abs=5e-4)


def test_expected_energy_of_the_sets_on_uniform_weights() -> None:
    """2.091 and 1.841 pJ: half of each gap to the neighbours falls to a level."""
    for levels, expected in ((SET_1, 2.091), (SET_2, 1.841)):
        borders = np.concatenate([[0.0], (np.array(levels[1:]) + levels[:-1]) / 2, [1.0]])
        energy = float(np.diff(borders) @ weight_energy_j(code(levels))) / PICO
        assert energy == pytest.approx(expected, abs=5e-4)
