"""A sweep prices every design as estimate() does, and its front is exact."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import hw_models.sweep.sweep as sweeping
from hw_models.chip import Chip
from hw_models.converters.mnsim import MNSIM
from hw_models.converters.saberi import SABERI, SaberiAdc
from hw_models.crossbar import Crossbar
from hw_models.encodings.bit_slices import lossless_adc_bits
from hw_models.encodings.differential import DIFFERENTIAL
from hw_models.encodings.encoding import Encoding
from hw_models.encodings.offset import ISAAC_FLIP, OFFSET
from hw_models.encodings.twos_complement import TWOS_COMPLEMENT
from hw_models.engines.isaac import ISAAC
from hw_models.errors import HardwareError, MappingError
from hw_models.estimation.estimate import estimate
from hw_models.sweep.adcs_per_array import AdcsPerArray
from hw_models.sweep.front import non_dominated
from hw_models.sweep.space import HardwareSpace, combinations, supported_bits
from hw_models.sweep.sweep import cost_designs, sweep
from tests.hw_models.coded_layers import chip, coded_layer

NETWORK = [
    coded_layer(1, wordlines=150, outputs=200, positions=36, name="conv"),
    coded_layer(2, wordlines=9, outputs=1, groups=4, positions=9, name="depthwise"),
    coded_layer(3, wordlines=300, outputs=10, weight_bits=5, input_bits=6, name="fc"),
]
HALF_RATE = replace(SABERI, name="half_rate", rate_hz=SABERI.rate_hz / 2)
SMALL = HardwareSpace(
    wordlines=(64, 128),
    bitlines=(32, 128),
    bits_per_cell=(2, 4),
    adcs_per_array=(1, 2),
    adcs=(SABERI, HALF_RATE),
    adc_bits={0: (1, 5, 8), 1: (2, 9), 2: (8,), 3: (3, 7)},
)


def every_design(space: HardwareSpace) -> list[Chip]:
    """Chips with their ADC resolutions, by plain loops."""
    designs = []
    for cell, rows, columns, count, adc in product(
        space.bits_per_cell, space.wordlines, space.bitlines, space.adcs_per_array, space.adcs
    ):
        groups = 8 // cell
        for bits in product(*(space.adc_bits[s] for s in reversed(range(groups)))):
            designs.append(
                Chip(
                    crossbar=Crossbar(wordlines=rows, bitlines=columns, bits_per_cell=cell),
                    adc=adc,
                    adc_bits=bits,
                    engine=AdcsPerArray(engine=ISAAC, count=count),
                )
            )
    return designs


def missing(design: Chip) -> int:
    """Bits short of lossless, from every layer by itself."""
    needed = [1] * len(design.adc_bits)
    for layer in NETWORK:
        own = lossless_adc_bits(layer, design.crossbar)
        for group, bits in enumerate(reversed(own), start=1):
            needed[-group] = max(needed[-group], bits)
    return sum(max(0, n - b) for n, b in zip(needed, design.adc_bits, strict=True))


def test_the_front_of_a_sweep_is_that_of_all_designs_one_by_one() -> None:
    designs = every_design(SMALL)
    result = sweep(NETWORK, SMALL)
    assert result.n_designs == len(designs) == 2 * 2 * 2 * 2 * (12 + 6)
    prices = [estimate(NETWORK, design) for design in designs]
    losses = np.array(
        [
            (p.energy_j, p.latency_s, p.area_m2, missing(d))
            for p, d in zip(prices, designs, strict=True)
        ]
    )
    for found, rows in (
        (result.front, losses),
        (result.lossless_front, losses[losses[:, 3] == 0]),
    ):
        expected = rows[plain_front(rows)]
        ours = np.array([[d.costs[name] for name in result.objectives] for d in found])
        expected = expected[np.lexsort(expected.T[::-1])]
        assert ours.shape == expected.shape
        assert ours == pytest.approx(expected, rel=1e-11)
    assert result.n_lossless == int((losses[:, 3] == 0).sum()) > 0
    assert all(d.lossless for d in result.lossless_front)
    for design in result.front:
        alone = estimate(NETWORK, replace(design.chip, adc_bits=design.adc_bits))
        assert design.costs["energy_j"] == pytest.approx(alone.energy_j, rel=1e-12)
        assert design.costs["crossbars"] == alone.crossbars
        assert design.costs["adc_conversions"] == alone.adc_conversions


def plain_front(losses: NDArray[np.float64]) -> list[int]:
    """Quadratic, with the tolerance of the fast one."""
    front: list[int] = []
    for i, row in enumerate(losses):
        beaten = False
        for j, other in enumerate(losses):
            no_worse = (other <= row * (1 + 1e-11)).all()
            equal = np.allclose(other, row, rtol=1e-11, atol=0)
            if no_worse and (not equal or j < i):
                beaten = True
        if not beaten:
            front.append(i)
    return front


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 4).flatmap(
        lambda objectives: st.lists(
            st.tuples(*[st.integers(0, 6)] * objectives), min_size=1, max_size=60
        )
    )
)
def test_no_design_outside_the_front_is_undominated_and_none_inside_is_dominated(
    rows: list[tuple[int, ...]],
) -> None:
    losses = np.array(rows, dtype=np.float64)
    assert non_dominated(losses).tolist() == plain_front(losses)


def test_costs_that_differ_in_the_last_bits_only_are_the_same_cost() -> None:
    losses = np.array([[1.0, 2.0], [np.nextafter(1.0, 0), np.nextafter(2.0, 3)], [0.5, 3.0]])
    assert non_dominated(losses).tolist() == [0, 2]
    assert non_dominated(np.empty((0, 3))).tolist() == []


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=12))
def test_any_list_of_designs_costs_what_each_costs_alone(picks: list[int]) -> None:
    designs = every_design(SMALL)
    chosen = [designs[pick % len(designs)] for pick in picks]
    templates = [replace(d, adc_bits=(1,) * len(d.adc_bits)) for d in chosen]
    chips = list(dict.fromkeys(templates))
    bits = [(1,) * (4 - len(d.adc_bits)) + d.adc_bits for d in chosen]
    if all(len(d.adc_bits) == 2 for d in chosen):
        bits = [row[2:] for row in bits]
    costs = cost_designs(NETWORK, chips, [chips.index(t) for t in templates], bits)
    for i, design in enumerate(chosen):
        alone = estimate(NETWORK, design)
        assert costs.energy_j[i] == pytest.approx(alone.energy_j, rel=1e-12)
        assert costs.latency_s[i] == pytest.approx(alone.latency_s, rel=1e-12)
        assert costs.area_m2[i] == pytest.approx(alone.area_m2, rel=1e-12)
        assert costs.adc_energy_j[i] == pytest.approx(alone.adc_energy_j, rel=1e-12)
        assert costs.crossbars[i] == alone.crossbars
        assert costs.adc_conversions[i] == alone.adc_conversions


def test_a_sweep_gives_the_same_front_in_chunks_of_any_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = sweep(NETWORK, SMALL)
    monkeypatch.setattr(sweeping, "CHUNK", 5)
    seen: list[tuple[int, int]] = []
    parts = sweep(NETWORK, SMALL, progress=lambda done, total: seen.append((done, total)))
    assert [(d.chip, d.adc_bits) for d in parts.front] == [
        (d.chip, d.adc_bits) for d in whole.front
    ]
    assert seen[-1] == (whole.n_designs, whole.n_designs)


def test_by_default_a_slice_group_takes_up_to_the_bits_at_which_it_never_clips() -> None:
    space = HardwareSpace(wordlines=(64,), bitlines=(128,), adcs=(SABERI,))
    result = sweep(NETWORK, space)
    needed = np.array([1, 1, 1, 1])
    for layer in NETWORK:
        own = lossless_adc_bits(layer, Crossbar(wordlines=64, bitlines=128, bits_per_cell=2))
        needed[4 - len(own) :] = np.maximum(needed[4 - len(own) :], own)
    assert result.n_designs == needed.prod()
    assert result.n_lossless == 1
    (exact,) = result.lossless_front
    assert exact.adc_bits == tuple(needed)


def test_a_resolution_that_a_model_does_not_have_makes_no_design() -> None:
    assert supported_bits(MNSIM) == tuple(range(4, 11))
    named = HardwareSpace(
        wordlines=(64,), bitlines=(128,), adcs=(MNSIM,), adc_bits=dict.fromkeys(range(4), (3, 4))
    )
    assert [d.adc_bits for d in sweep(NETWORK, named).front] == [(4, 4, 4, 4)]
    free = sweep(NETWORK, replace(named, adc_bits={}))
    assert free.n_lossless >= 1
    with pytest.raises(HardwareError, match="mnsim has 4, 5, 6, 7, 8, 9, 10 bits"):
        sweep(NETWORK, replace(named, adc_bits=dict.fromkeys(range(4), (1, 2))))


@pytest.mark.parametrize("encoding", [DIFFERENTIAL, OFFSET, ISAAC_FLIP, TWOS_COMPLEMENT])
@pytest.mark.parametrize(("together", "dac_bits"), [(None, 1), (16, 1), (None, 2)])
def test_operation_units_encodings_and_dacs_are_priced_as_one_by_one(
    encoding: Encoding, together: int | None, dac_bits: int
) -> None:
    space = HardwareSpace(
        wordlines=(8, 64),
        bitlines=(32,),
        ou_wordlines=(together,),
        encodings=(encoding,),
        dac_bits=(dac_bits,),
        adcs=(SABERI,),
        adc_bits=dict.fromkeys(range(8), (4, 12)),
    )
    result = sweep(NETWORK, space)
    groups = encoding.slice_groups(8, 2)
    assert result.n_designs == 2**groups * (1 if together else 2)
    for design in result.front:
        alone = replace(design.chip, adc_bits=design.adc_bits)
        assert design.costs["energy_j"] == pytest.approx(estimate(NETWORK, alone).energy_j)
        assert design.lossless == (not clips(alone))


def clips(design: Chip) -> bool:
    """Whether some column of some read can exceed its converter, column by column."""
    crossbar = design.crossbar
    rows_of_read = crossbar.ou_wordlines or crossbar.wordlines
    for layer in NETWORK:
        bits = design.adc_bits_for(layer.shape.name, layer.weight_bits)
        for matrix in range(layer.shape.groups):
            for array in range(0, layer.shape.wordlines, crossbar.wordlines):
                end = min(array + crossbar.wordlines, layer.shape.wordlines)
                for first in range(array, end, rows_of_read):
                    rows = slice(first, min(first + rows_of_read, end))
                    for plane in design.encoding.planes(
                        layer, matrix, rows, crossbar, design.dac_bits
                    ):
                        limit = 2 ** bits[plane.group] - 1
                        for column in plane.cells.T.tolist():
                            if sum(column) * (2**design.dac_bits - 1) > limit:
                                return True
    return False


def test_two_adcs_halve_the_wait_for_conversions_and_double_their_area() -> None:
    layer = coded_layer(wordlines=128, outputs=256, positions=1, input_bits=1)
    one = chip((8, 8, 8, 8), bitlines=256)
    two = replace(one, engine=AdcsPerArray(engine=ISAAC, count=2))
    alone, shared = estimate([layer], one), estimate([layer], two)
    assert shared.latency_s == pytest.approx(alone.latency_s / 2, rel=1e-12)
    assert shared.components["adc"][1] == pytest.approx(2 * alone.components["adc"][1], rel=1e-12)
    assert shared.components["adc"][0] == alone.components["adc"][0]
    assert shared.engine == alone.engine
    assert estimate([layer], replace(one, engine=AdcsPerArray(engine=ISAAC, count=1))) == alone


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 300), st.integers(1, 127))
def test_more_adcs_are_never_slower_and_never_smaller(outputs: int, count: int) -> None:
    layer = coded_layer(outputs=outputs)
    few, many = (
        estimate([layer], replace(chip(), engine=AdcsPerArray(engine=ISAAC, count=n)))
        for n in (count, count + 1)
    )
    assert many.latency_s <= few.latency_s
    assert many.area_m2 > few.area_m2
    assert many.energy_j <= few.energy_j


def test_combinations_count_with_the_last_group_fastest() -> None:
    values = ((1, 2), (5,), (7, 8, 9))
    assert combinations(values, 0, 6).tolist() == [list(row) for row in product(*values)]
    assert combinations(values, 2, 4).tolist() == [[1, 5, 9], [2, 5, 7]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"wordlines": ()}, "at least one value of wordlines, got none"),
        ({"adc_bits": {2: ()}}, "at least one resolution for slice2, got none"),
    ],
)
def test_a_choice_without_values_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(HardwareError, match=message):
        replace(SMALL, **change)  # type: ignore[arg-type]


def test_more_adcs_than_bitlines_are_refused() -> None:
    with pytest.raises(HardwareError, match=r"at most crossbar.bitlines = 32, got 64"):
        sweep(NETWORK, replace(SMALL, adcs_per_array=(64,)))
    with pytest.raises(HardwareError, match=r"adc.per_array must be at least 1, got 0"):
        AdcsPerArray(engine=ISAAC, count=0)


def test_a_space_that_is_too_large_is_refused_before_it_is_priced() -> None:
    with pytest.raises(HardwareError, match=r"at most 100 designs, this space has 288. Narrow"):
        sweep(NETWORK, SMALL, most_designs=100)


def test_an_unknown_objective_is_named() -> None:
    with pytest.raises(
        HardwareError, match="no objective 'energy' of a sweep; there are energy_j"
    ):
        sweep(NETWORK, SMALL, objectives=["energy"])


def test_resolutions_of_another_shape_are_refused() -> None:
    with pytest.raises(MappingError, match=r"\(2, 4\), got \(2, 3\)"):
        cost_designs(NETWORK, [chip()], [0, 0], [(8, 8, 8)] * 2)


def test_a_name_of_its_own_tells_adc_models_apart() -> None:
    fronts = sweep(NETWORK, replace(SMALL, adcs=(SaberiAdc(name="other"),))).front
    assert {design.chip.adc.name for design in fronts} == {"other"}
