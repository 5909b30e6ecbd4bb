"""What BitS-Net prints, and when its claim of no 11 cell is true."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
import torch

from dse.quantizers.apot import apot_levels
from dse.quantizers.clipped import ClippedGrid
from dse.quantizers.pot import pot_levels
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


UNIFORM_4_BIT = tuple(k / 7 for k in range(8))
EXPECTED_PJ = {
    "BitS #1": (SET_1, 2.091, 1.873, 1.982),
    "BitS #2": (SET_2, 1.841, 1.674, 1.764),
    "PoT 4 bit": (pot_levels(4), 1.609, 1.608, 1.611),
    "APoT 4 bit": (apot_levels(4), 2.708, 2.447, 2.538),
    "APoT 5 bit": (apot_levels(5), 2.187, 2.032, 2.093),
    "uniform 4 bit": (UNIFORM_4_BIT, 2.756, 2.238, 2.440),
}
"""Expected energy of a weight, cells and ADC, by level set: |u| uniform on 0..1; weights normal
and clipped at 3 standard deviations; at 2."""


@pytest.mark.parametrize("name", list(EXPECTED_PJ))
@pytest.mark.parametrize("column", ["uniform", "a = 3", "a = 2"])
def test_energy_of_quantised_weights(name: str, column: str) -> None:
    """What the quantiser stores for a fine grid of quantiles, within 2 %."""
    levels, uniform, three, two = EXPECTED_PJ[name]
    points = (np.arange(20_001) + 0.5) / 20_001
    if column == "uniform":
        # without normalisation: mean 0 and spread 1, so that the threshold is the largest weight
        weights = 2 * points - 1
        threshold, expected = 1 / weights.std(ddof=1), uniform
    else:
        normal = NormalDist()
        weights = np.array([normal.inv_cdf(point) for point in points])
        threshold, expected = {"a = 3": (3.0, three), "a = 2": (2.0, two)}[column]
    grid = ClippedGrid(levels, normalised=True)
    torch.nn.init.constant_(grid.threshold, threshold)
    magnitudes = grid.codes(torch.tensor(weights)).magnitudes.numpy()
    assert weight_energy_j(magnitudes).mean() / PICO == pytest.approx(expected, rel=0.02)


def test_eleven_cells_of_the_sets() -> None:
    """None in BitS; four in ten weights of APoT 4 bit have one in Q2.6."""
    normal = NormalDist()
    weights = torch.tensor([normal.inv_cdf((k + 0.5) / 9999) for k in range(9999)])
    shares = []
    for levels in (SET_1, SET_2, apot_levels(4)):
        magnitudes = ClippedGrid(levels, normalised=True).codes(weights).magnitudes.numpy()
        shares.append((cells(magnitudes) == 3).any(axis=-1).mean())
    assert shares[:2] == [0, 0]
    assert shares[2] == pytest.approx(0.39, abs=0.01)
