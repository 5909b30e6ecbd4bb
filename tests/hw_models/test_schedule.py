"""Copies of layers and the pipeline between them."""

from __future__ import annotations

import numpy as np
import pytest

from hw_models.engines.isaac import ISAAC
from hw_models.errors import HardwareError, MappingError
from hw_models.estimation.estimate import estimate, estimate_designs
from hw_models.estimation.schedule import (
    Schedule,
    balanced_copies,
    latency_and_interval,
    lead_positions_of,
    schedule_for,
)
from hw_models.layer import CodedLayer
from hw_models.units import NANO
from tests.hw_models.coded_layers import chip, coded_layer

READ_S = 100 * NANO


def network() -> list[CodedLayer]:
    return [
        coded_layer(1, wordlines=27, outputs=16, positions=64, name="conv1"),
        coded_layer(2, wordlines=144, outputs=32, positions=16, name="conv2"),
        coded_layer(3, wordlines=512, outputs=10, positions=1, name="fc"),
    ]


def test_by_default_layers_run_one_after_the_other() -> None:
    result = estimate(network(), chip())
    assert result.latency_s == pytest.approx((64 + 16 + 1) * 8 * READ_S, rel=1e-12)
    assert result.interval_s == result.latency_s


def test_a_pipeline_gives_an_image_in_the_time_of_its_slowest_layer() -> None:
    result = estimate(network(), chip(), schedule=Schedule(pipelined=True))
    assert result.interval_s == pytest.approx(64 * 8 * READ_S, rel=1e-12)
    assert result.latency_s == pytest.approx((64 + 16 + 1) * 8 * READ_S, rel=1e-12)


def test_a_layer_starts_when_the_positions_that_it_needs_are_there() -> None:
    schedule = Schedule(pipelined=True, lead_positions=(8, 16, 1))
    result = estimate(network(), chip(), schedule=schedule)
    # conv1 ends at 64, conv2 one of its positions later, fc waits for all of conv2's reads.
    assert result.latency_s == pytest.approx((64 + 1 + 1) * 8 * READ_S, rel=1e-12)
    assert result.interval_s == pytest.approx(64 * 8 * READ_S, rel=1e-12)


def test_copies_shorten_reads_on_more_arrays_at_the_same_energy() -> None:
    once = estimate(network(), chip())
    held = estimate(network(), chip(), schedule=Schedule(copies=(4, 1, 1), pipelined=True))
    assert held.interval_s == pytest.approx(16 * 8 * READ_S, rel=1e-12)
    extra = 3 * once.layers[0].crossbars
    assert held.crossbars == once.crossbars + extra
    assert held.energy_j == pytest.approx(once.energy_j, rel=1e-12)
    adc_area = float(chip().adc.area_m2(8))
    assert held.components["adc"][1] == pytest.approx(
        once.components["adc"][1] + extra * adc_area, rel=1e-12
    )
    assert held.components["array"][1] > once.components["array"][1]


def test_many_designs_follow_the_schedule_of_one() -> None:
    schedule = Schedule(copies=(2, 1, 1), pipelined=True, lead_positions=(8, 16, 1))
    bits = [(8, 8, 8, 8), (10, 8, 8, 8)]
    together = estimate_designs(network(), chip(), bits, schedule=schedule)
    for index, each in enumerate(bits):
        alone = estimate(network(), chip(each), schedule=schedule)
        assert together.latency_s[index] == alone.latency_s
        assert together.interval_s[index] == alone.interval_s
        assert together.area_m2[index] == pytest.approx(alone.area_m2, rel=1e-12)


def test_arrays_that_are_left_go_to_the_longest_layer() -> None:
    layers = network()
    terms = ISAAC.cost_terms(layers, chip())
    needed = [int(count) for count in terms.crossbars]
    assert balanced_copies(terms, sum(needed)) == (1, 1, 1)
    assert balanced_copies(terms, sum(needed) + 3 * needed[0]) == (4, 1, 1)
    rich = balanced_copies(terms, sum(needed) * 100)
    reads = terms.serial_reads / rich
    assert max(reads) < terms.serial_reads.max() / 50
    spent = sum(copies * each for copies, each in zip(rich, needed, strict=True))
    assert spent <= sum(needed) * 100


def test_a_network_larger_than_the_chip_is_refused() -> None:
    terms = ISAAC.cost_terms(network(), chip())
    with pytest.raises(MappingError, match=r"the network takes \d+ crossbars, the chip has 3"):
        balanced_copies(terms, 3)


def test_a_layer_that_starves_keeps_the_next_one_waiting() -> None:
    """conv2 waits for conv1 all the time, so fc's slow work begins when conv1 ends."""
    layers = [
        coded_layer(n, wordlines=9, outputs=4, positions=v, weight_bits=2, input_bits=1)
        for n, v in enumerate((9, 9, 9))
    ]
    times = [[9.0, 0.9, 90.0]]
    leads = Schedule(pipelined=True, lead_positions=(1, 5, 1))
    latency, interval = latency_and_interval(np.array(times), layers, leads)
    # Five positions of conv1 end at 5, of conv2 at 5.1.
    assert latency[0] == pytest.approx(5.1 + 90.0)
    assert interval[0] == 90.0


def test_leads_follow_from_the_shapes() -> None:
    def conv(inputs: int, kernel: int, outputs: int, size: int, groups: int = 1) -> CodedLayer:
        return coded_layer(
            wordlines=inputs // groups * kernel**2,
            outputs=outputs // groups,
            positions=size**2,
            groups=groups,
        )

    layers = [
        conv(3, 3, 4, 12),  # 12 x 12, the next has 3 x 3 on the same map: 2 rows and 3 pixels
        conv(4, 3, 8, 12),  # the next halves the map: 5 rows and 6 pixels
        conv(8, 3, 8, 6, groups=8),  # depthwise; the next is 1 x 1: one pixel
        conv(8, 1, 16, 6),  # the next has fewer inputs than this has outputs, a branch: all
        conv(8, 1, 16, 6),  # fully connected after it: all
        coded_layer(wordlines=16 * 36, outputs=10),
    ]
    assert lead_positions_of(layers) == (2 * 12 + 3, 5 * 12 + 6, 1, 36, 36, 1)


def test_a_schedule_for_a_chip_fills_its_arrays() -> None:
    layers, design = network(), chip()
    needed = estimate(layers, design).crossbars
    assert schedule_for(layers, design, pipelined=False) == Schedule()
    assert schedule_for(layers, design, pipelined=False, crossbars=0) == Schedule()
    piped = schedule_for(layers, design, pipelined=True)
    assert piped == Schedule(pipelined=True, lead_positions=lead_positions_of(layers))
    for pipelined in (False, True):
        once = schedule_for(layers, design, pipelined=pipelined)
        rich = schedule_for(layers, design, pipelined=pipelined, crossbars=5 * needed)
        assert rich.copies is not None
        assert max(rich.copies) > 1
        before = estimate(layers, design, schedule=once)
        after = estimate(layers, design, schedule=rich)
        assert needed < after.crossbars <= 5 * needed
        assert after.latency_s < before.latency_s
        assert after.interval_s < before.interval_s
        assert after.energy_j == pytest.approx(before.energy_j)
    with pytest.raises(MappingError, match=r"the network takes \d+ crossbars, the chip has 3"):
        schedule_for(layers, design, pipelined=False, crossbars=3)
    with pytest.raises(HardwareError, match=r"schedule\.crossbars must be at least 0, got -1"):
        schedule_for(layers, design, pipelined=True, crossbars=-1)


@pytest.mark.parametrize("field", ["copies", "lead_positions"])
def test_a_schedule_of_another_network_is_refused(field: str) -> None:
    schedule = Schedule(pipelined=True, **{field: (1, 1)})
    with pytest.raises(MappingError, match=f"schedule.{field} must have one entry per layer, got"):
        estimate(network(), chip(), schedule=schedule)


def test_a_schedule_that_cannot_hold_is_refused() -> None:
    with pytest.raises(HardwareError, match=r"schedule\.copies must be at least 1, got 0"):
        Schedule(copies=(1, 0))
    with pytest.raises(HardwareError, match="lead_positions needs pipelined=True"):
        Schedule(lead_positions=(1, 1))
