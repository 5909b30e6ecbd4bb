from __future__ import annotations

import json
from dataclasses import replace
from math import fsum

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hw_models.encodings.column_sums import network_lossless_bits, network_statistics
from hw_models.encodings.differential import DIFFERENTIAL
from hw_models.encodings.encoding import Encoding
from hw_models.encodings.offset import ISAAC_FLIP, OFFSET
from hw_models.encodings.twos_complement import TWOS_COMPLEMENT
from hw_models.errors import MappingError
from hw_models.estimation.estimate import estimate, estimate_designs
from hw_models.layer import CodedLayer
from hw_models.simulation.mvm import clipping_possible
from hw_models.units import NANO
from tests.hw_models.coded_layers import chip, coded_layer

ADC_BITS = st.tuples(*[st.integers(1, 14)] * 4)


def network(outputs: int = 200) -> list[CodedLayer]:
    return [
        coded_layer(1, wordlines=150, outputs=outputs, positions=36, name="conv"),
        coded_layer(2, wordlines=9, outputs=1, groups=4, positions=9, name="depthwise"),
        coded_layer(3, wordlines=300, outputs=10, weight_bits=5, input_bits=6, name="fc"),
    ]


NETWORK = network()


@settings(max_examples=30, deadline=None)
@given(ADC_BITS)
def test_components_and_layers_sum_to_the_totals(bits: tuple[int, ...]) -> None:
    result = estimate(NETWORK, chip(bits))
    energies = [energy for energy, _ in result.components.values()]
    areas = [area for _, area in result.components.values()]
    assert fsum(energies) == pytest.approx(result.energy_j, rel=1e-12)
    assert fsum(areas) == pytest.approx(result.area_m2, rel=1e-12)
    by_layer = [fsum(layer.energy_j.values()) for layer in result.layers]
    assert fsum(by_layer) == pytest.approx(result.energy_j, rel=1e-12)
    for name, (energy, _) in result.components.items():
        parts = [layer.energy_j[name] for layer in result.layers]
        assert fsum(parts) == pytest.approx(energy, rel=1e-12)
    latencies = [layer.latency_s for layer in result.layers]
    assert fsum(latencies) == pytest.approx(result.latency_s, rel=1e-12)
    assert sum(layer.crossbars for layer in result.layers) == result.crossbars
    assert result.components["adc"][0] == result.adc_energy_j


@settings(max_examples=20, deadline=None)
@given(st.lists(ADC_BITS, min_size=1, max_size=5))
def test_many_designs_cost_what_each_costs_alone(designs: list[tuple[int, ...]]) -> None:
    together = estimate_designs(NETWORK, chip(), designs)
    for index, bits in enumerate(designs):
        alone = estimate(NETWORK, chip(bits))
        assert together.energy_j[index] == pytest.approx(alone.energy_j, rel=1e-12)
        assert together.latency_s[index] == pytest.approx(alone.latency_s, rel=1e-12)
        assert together.area_m2[index] == pytest.approx(alone.area_m2, rel=1e-12)
        assert together.adc_energy_j[index] == pytest.approx(alone.adc_energy_j, rel=1e-12)
        energies = [energy for energy, _ in alone.components.values()]
        assert together.component_energy_j[index] == pytest.approx(energies, rel=1e-12)
    assert together.crossbars == alone.crossbars
    assert together.adc_conversions == alone.adc_conversions


@settings(max_examples=30, deadline=None)
@given(ADC_BITS, st.integers(0, 3))
def test_one_more_adc_bit_costs_energy_and_saves_nothing(
    bits: tuple[int, ...], group: int
) -> None:
    more = tuple(min(14, value + (index == group)) for index, value in enumerate(bits))
    costs = estimate_designs(NETWORK, chip(), [bits, more])
    if more != bits:
        assert costs.energy_j[1] > costs.energy_j[0]
    assert costs.area_m2[1] >= costs.area_m2[0]
    assert costs.latency_s[1] >= costs.latency_s[0]


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 400),
    st.integers(1, 300),
    st.sampled_from(["wordlines", "outputs", "positions", "groups"]),
)
def test_a_larger_layer_costs_more_energy_and_no_less_area(k: int, n: int, grown: str) -> None:
    sizes = {"wordlines": k, "outputs": n, "positions": 3, "groups": 2}
    small = estimate([coded_layer(**sizes)], chip())
    large = estimate([coded_layer(**{**sizes, grown: sizes[grown] + 1})], chip())
    assert large.energy_j > small.energy_j
    assert large.area_m2 >= small.area_m2
    assert large.latency_s >= small.latency_s
    assert large.crossbars >= small.crossbars


def test_a_layer_uses_the_resolutions_of_its_own_slice_groups_only() -> None:
    layer = coded_layer(weight_bits=4)  # two groups: the last two resolutions
    base, other_unused, other_used = estimate_designs(
        [layer], chip(), [(8, 8, 5, 5), (1, 14, 5, 5), (8, 8, 5, 6)]
    ).energy_j
    assert base == other_unused
    assert other_used > base
    wide = coded_layer(outputs=128, weight_bits=4)
    fast, unused_slow = estimate_designs([wide], chip(), [(8, 8, 5, 5), (14, 14, 5, 5)]).latency_s
    assert fast == unused_slow
    assert estimate([layer], chip((1, 2, 3, 4))).layers[0].adc_bits_used == (3, 4)


def test_up_to_eight_bits_a_full_array_read_lasts_100_ns_and_a_slower_adc_stretches_it() -> None:
    layer = coded_layer(wordlines=128, outputs=128, positions=1, input_bits=1)
    designs = [(8, 8, 8, 8), (1, 1, 1, 1), (8, 10, 8, 8)]
    costs = estimate_designs([layer], chip(), designs)
    assert costs.latency_s == pytest.approx([100 * NANO, 100 * NANO, 125 * NANO], rel=1e-12)


def test_a_wider_array_keeps_its_one_adc_busy_for_longer() -> None:
    layer = coded_layer(wordlines=128, outputs=256, positions=1, input_bits=1)
    wide = estimate([layer], chip((8, 8, 8, 8), bitlines=256))
    assert wide.latency_s == pytest.approx(200 * NANO, rel=1e-12)


def test_layers_run_one_after_the_other() -> None:
    layer = coded_layer(positions=36, input_bits=8)
    assert estimate([layer], chip()).latency_s == pytest.approx(36 * 8 * 100 * NANO, rel=1e-12)
    assert estimate([layer, layer], chip()).latency_s == pytest.approx(
        2 * 36 * 8 * 100 * NANO, rel=1e-12
    )


def test_adc_energy_is_conversions_times_energy_per_conversion() -> None:
    bits = (1, 3, 5, 8)
    layer = coded_layer(wordlines=150, outputs=10, positions=4)
    design = chip(bits)
    result = estimate([layer], design)
    per_group = 4 * 8 * 2 * 2 * 10  # positions, input bits, signs, row blocks, outputs
    assert result.adc_conversions == 4 * per_group
    expected = per_group * design.adc.energy_per_conversion_j(np.array(bits)).sum()
    assert result.adc_energy_j == pytest.approx(float(expected), rel=1e-12)


def test_crossbars_follow_the_cell_bits() -> None:
    layer = coded_layer(wordlines=576, outputs=200)
    assert estimate([layer], chip((8,) * 8, bits_per_cell=1)).crossbars == 2 * 8 * 5 * 2
    assert estimate([layer], chip((8,) * 4, bits_per_cell=2)).crossbars == 2 * 4 * 5 * 2
    assert estimate([layer], chip((8,) * 2, bits_per_cell=4)).crossbars == 2 * 2 * 5 * 2


def test_data_movement_and_digital_work_follow_from_the_shapes() -> None:
    # 300 wordlines in three row blocks, 5 MVMs of two matrices, 6-bit inputs and outputs.
    layer = coded_layer(wordlines=300, outputs=10, groups=2, positions=5, input_bits=6)
    energy = estimate([layer], chip()).layers[0].energy_j
    read_bits, written_bits = 5 * 2 * 300 * 6, 5 * 2 * 10 * 6
    values = 5 * 2 * 10
    expected = {
        "edram": (read_bits + written_bits) * 20.45e-12 / 256,
        "bus": (read_bits + written_bits) * 0.054e-12,
        "router": written_bits * 20.74e-12 / 256,
        "tile_output_register": written_bits * 1.68e-3 / 1.2e9 / 256,
        "tile_shift_add": values * 2 * 0.05e-3 / 1.2e9,
        "scale_bias": values * (0.25e-12 + 0.05e-3 / 1.2e9),
        "activation": values * 0.26e-3 / 1.2e9,
        "pooling": 0.0,
    }
    assert {name: energy[name] for name in expected} == pytest.approx(expected, rel=1e-12)


def test_registers_and_sample_holds_are_on_for_the_whole_read() -> None:
    layer = coded_layer(wordlines=64, outputs=128, positions=3, input_bits=2)
    arrays, reads, read_s = 8, 6, 128 * 10 / (8 * 1.28e9)  # 10-bit ADCs: 125 ns
    energy = estimate([layer], chip((10,) * 4)).layers[0].energy_j
    expected = {
        "input_register": arrays * reads * read_s * 1.24e-3 / 8 * 64 / 128,
        "output_register": arrays * reads * read_s * 0.23e-3 / 8,
        "sample_hold": arrays * reads * read_s * 10e-6 / 8,
        "dac": arrays * reads * 100e-9 * 4e-3 / 1024 * 64,
        "array": arrays * reads * 100e-9 * 2.4e-3 / 8 * 64 / 128,
        "shift_add": arrays * reads * 128 * 0.2e-3 * 100e-9 / 1024,
    }
    assert {name: energy[name] for name in expected} == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("row_blocks", "imas", "tiles"), [(1, 1, 1), (12, 12, 1), (13, 13, 2)])
def test_a_begun_tile_is_a_whole_tile(row_blocks: int, imas: int, tiles: int) -> None:
    layer = coded_layer(wordlines=128 * row_blocks, outputs=128)
    result = estimate([layer], chip())
    assert result.components["edram"][1] == pytest.approx(tiles * 0.083e-6, rel=1e-12)
    assert result.components["shift_add"][1] == pytest.approx(imas * 0.00024e-6, rel=1e-12)


def test_a_begun_ima_is_a_whole_ima() -> None:
    layer = coded_layer(wordlines=1, outputs=1, weight_bits=2)  # two arrays
    result = estimate([layer], chip())
    assert result.crossbars == 2
    assert result.components["input_register"][1] == pytest.approx(0.0021e-6, rel=1e-12)
    assert result.components["array"][1] == pytest.approx(2 * 0.0002e-6 / 8, rel=1e-12)


def test_statistics_known_before_are_used() -> None:
    design = chip()
    counted = network_statistics(NETWORK, design)
    assert estimate(NETWORK, design, counted) == estimate(NETWORK, design)
    marked = [replace(one, nonzero_ratio=(0.125,)) for one in counted]
    assert estimate(NETWORK, design, marked).layers[0].nonzero_slice_ratio == (0.125,)


@pytest.mark.parametrize("encoding", [DIFFERENTIAL, OFFSET, ISAAC_FLIP, TWOS_COMPLEMENT])
@pytest.mark.parametrize(("dac_bits", "ou_wordlines"), [(1, None), (2, None), (1, 9)])
def test_lossless_bits_are_those_of_the_chip_as_it_is(
    encoding: Encoding, dac_bits: int, ou_wordlines: int | None
) -> None:
    crossbar = replace(chip().crossbar, ou_wordlines=ou_wordlines)
    design = replace(chip((8,) * 5), crossbar=crossbar, encoding=encoding, dac_bits=dac_bits)
    for layer, found in zip(NETWORK, estimate(NETWORK, design).layers, strict=True):
        lossless = found.adc_bits_lossless
        assert len(lossless) == len(found.nonzero_slice_ratio) == len(found.adc_bits_used)
        bits = (8,) * (5 - len(lossless)) + lossless
        assert not clipping_possible(layer, replace(design, adc_bits=bits))
        for group, enough in enumerate(bits):
            if enough > 1 and group >= 5 - len(lossless):
                fewer = (*bits[:group], enough - 1, *bits[group + 1 :])
                assert clipping_possible(layer, replace(design, adc_bits=fewer))
    most = network_lossless_bits(NETWORK, design)
    alone = [found.adc_bits_lossless for found in estimate(NETWORK, design).layers]
    for group in range(1, 6):
        assert most[-group] == max([1, *(bits[-group] for bits in alone if group <= len(bits))])


@pytest.mark.parametrize("encoding", [DIFFERENTIAL, OFFSET, TWOS_COMPLEMENT])
def test_nonzero_ratios_count_the_cells_of_the_encoding(encoding: Encoding) -> None:
    layer = coded_layer(wordlines=4, outputs=1, weight_bits=6)
    layer.magnitudes[0, :, 0] = (0, 1, 5, 16)
    layer.signs[0, :, 0] = (0, 1, -1, 1)
    design = replace(chip((8,) * 4), encoding=encoding)
    cells = [_digits(encoding, code) for code in (0, 1, -5, 16)]
    counted = tuple(sum(c != "0" for c in column) / 4 for column in zip(*cells, strict=True))
    found = estimate([layer], design).layers[0].nonzero_slice_ratio
    assert found == counted


def _digits(encoding: Encoding, code: int) -> str:
    """Cells of a 6-bit weight in 2-bit cells, as text of base 4."""
    if encoding is DIFFERENTIAL:
        return _base4(abs(code), 3)
    if encoding is OFFSET:
        return _base4(code + 64, 4)
    return str(int(code < 0)) + _base4(code % 64, 3)


def _base4(value: int, count: int) -> str:
    return "".join(str(value // 4**place % 4) for place in reversed(range(count)))


def test_json_follows_the_explain_schema() -> None:
    result = estimate(NETWORK, chip((5, 6, 7, 8)))
    printed = json.loads(json.dumps(result.to_json()))
    first = printed["layers"][0]
    assert {"name", "k", "n", "v", "crossbars", "energy_j", "latency_s"} <= first.keys()
    assert (first["name"], first["k"], first["n"], first["v"]) == ("conv", 150, 200, 36)
    assert first["adc_bits"]["used"] == [5, 6, 7, 8]
    assert len(first["adc_bits"]["lossless"]) == len(first["nonzero_slice_ratio"]) == 4
    assert printed["components"]["adc"].keys() == {"energy_j", "area_m2"}
    assert printed["components"]["adc"]["energy_j"] == result.adc_energy_j
    assert (printed["engine"], printed["adc"]) == ("isaac", "saberi")


def test_an_empty_network_is_refused() -> None:
    with pytest.raises(MappingError, match="an estimate needs at least one layer, got none"):
        estimate([], chip())


@pytest.mark.parametrize("bits", [[8, 8, 8, 8], [[8, 8, 8]]])
def test_designs_of_another_shape_are_refused(bits: list[object]) -> None:
    with pytest.raises(MappingError, match=r"adc_bits must be \(designs, 4\).*got shape"):
        estimate_designs(NETWORK, chip(), bits)
