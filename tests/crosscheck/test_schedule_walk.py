"""Latency and interval of a pipeline against a walk that ends every position of every layer."""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hw_models.engines.isaac import ISAAC
from hw_models.estimation.estimate import estimate
from hw_models.estimation.schedule import (
    Schedule,
    fastest_copies,
    latency_and_interval,
    schedule_for,
)
from hw_models.layer import CodedLayer
from tests.hw_models.coded_layers import chip, coded_layer

TIMES = st.integers(1, 20)


def walk(
    positions: list[int], times: list[int], leads: list[int], *, images: int, upward: bool = False
) -> list[int]:
    """When each image leaves the last layer.

    An event is the end of one position; it frees its layer and may give the next one inputs.
    """

    def needed(layer: int, work: int) -> int:
        """Positions of the layer before, over all images, that position `work` asks for."""
        image, position = divmod(work, positions[layer])
        before, last = positions[layer - 1], positions[layer] - 1
        lead = min(leads[layer - 1], before)
        if last == 0:
            return image * before + before
        more, rest = divmod((before - lead) * position, last)
        return image * before + lead + more + (upward and rest > 0)

    done = [0] * len(positions)
    busy = [False] * len(positions)
    events: list[tuple[int, int]] = []
    left: list[int] = []
    now = 0
    while len(left) < images:
        for layer in range(len(positions)):
            if busy[layer] or done[layer] == images * positions[layer]:
                continue
            if layer == 0 or done[layer - 1] >= needed(layer, done[layer]):
                busy[layer] = True
                heappush(events, (now + times[layer], layer))
        now, ended = heappop(events)
        busy[ended] = False
        done[ended] += 1
        if ended == len(positions) - 1 and done[ended] % positions[ended] == 0:
            left.append(now)
    return left


def formula(
    positions: list[int], times: list[int], leads: list[int] | None
) -> tuple[float, float]:
    layers = [coded_layer(wordlines=2, outputs=1, positions=v) for v in positions]
    schedule = Schedule(pipelined=True, lead_positions=None if leads is None else tuple(leads))
    together = np.array([[v * t for v, t in zip(positions, times, strict=True)]], dtype=float)
    latency, interval = latency_and_interval(together, layers, schedule)
    return float(latency[0]), float(interval[0])


@st.composite
def networks(draw: st.DrawFn, *, even: bool) -> tuple[list[int], list[int], list[int]]:
    """Positions, times of one position, and leads; `even` gives whole positions per position."""
    count = draw(st.integers(1, 6))
    positions = draw(st.lists(st.integers(1, 30), min_size=count, max_size=count))
    times = draw(st.lists(TIMES, min_size=count, max_size=count))
    leads = []
    for layer, own in enumerate(positions):
        after = positions[layer + 1] if layer + 1 < count else 1
        if even and after > 1:
            most = (own - 1) // (after - 1)
            leads.append(own - draw(st.integers(0, most)) * (after - 1))
        else:
            leads.append(draw(st.integers(1, own)))
    return positions, times, leads


@settings(max_examples=150, deadline=None)
@given(networks(even=True))
def test_latency_is_that_of_the_walk(network: tuple[list[int], list[int], list[int]]) -> None:
    positions, times, leads = network
    latency, _ = formula(positions, times, leads)
    assert latency == pytest.approx(walk(positions, times, leads, images=1)[0], rel=1e-12)


@settings(max_examples=100, deadline=None)
@given(networks(even=False))
def test_where_positions_do_not_divide_the_walk_is_within_one(
    network: tuple[list[int], list[int], list[int]],
) -> None:
    positions, times, leads = network
    latency, _ = formula(positions, times, leads)
    (rounded_down,) = walk(positions, times, leads, images=1)
    (rounded_up,) = walk(positions, times, leads, images=1, upward=True)
    assert rounded_down - 1e-9 <= latency <= rounded_up + 1e-9


@settings(max_examples=60, deadline=None)
@given(networks(even=True))
def test_without_leads_layers_wait_for_whole_layers(
    network: tuple[list[int], list[int], list[int]],
) -> None:
    positions, times, _ = network
    latency, _ = formula(positions, times, None)
    assert latency == walk(positions, times, positions, images=1)[0]


@settings(max_examples=40, deadline=None)
@given(networks(even=True))
def test_images_leave_at_the_pace_of_the_slowest_layer(
    network: tuple[list[int], list[int], list[int]],
) -> None:
    positions, times, leads = network
    latency, interval = formula(positions, times, leads)
    left = walk(positions, times, leads, images=30)
    assert 29 * interval <= left[-1] <= latency + 29 * interval + 1e-9
    per_layer = sorted(v * t for v, t in zip(positions, times, strict=True))
    if len(per_layer) == 1 or per_layer[-2] <= 0.8 * per_layer[-1]:
        assert left[-1] - left[-2] == interval


def network() -> list[CodedLayer]:
    return [
        coded_layer(1, wordlines=27, outputs=16, positions=64, name="conv1"),
        coded_layer(2, wordlines=144, outputs=32, positions=16, name="conv2"),
        coded_layer(3, wordlines=512, outputs=10, positions=1, name="fc"),
    ]


@pytest.mark.parametrize("copies", [(1, 1, 1), (4, 1, 1), (8, 2, 1), (64, 16, 8)])
def test_copies_divide_the_times_of_the_walk(copies: tuple[int, ...]) -> None:
    """A read of all input bits of a position is 8 reads; copies share them."""
    layers, leads = network(), (24, 16, 1)
    schedule = Schedule(copies=copies, pipelined=True, lead_positions=leads)
    result = estimate(layers, chip(), schedule=schedule)
    positions = [layer.shape.positions for layer in layers]
    read_ps = 100_000
    times = [8 * read_ps // each for each in copies]
    even = walk(positions, times, list(leads), images=1)[0]
    upward = walk(positions, times, list(leads), images=1, upward=True)[0]
    assert even - 1e-6 <= result.latency_s * 1e12 <= upward + 1e-6
    slowest = max(v * t for v, t in zip(positions, times, strict=True))
    assert result.interval_s * 1e12 == pytest.approx(slowest, rel=1e-12)


@pytest.mark.parametrize("spare", [0, 1, 9, 40, 200])
def test_copies_for_one_layer_after_the_other_are_the_best_there_are(spare: int) -> None:
    """Every way to spend the arrays, where every copy takes one array more."""
    layers = [
        coded_layer(n, wordlines=9, outputs=4, positions=v, weight_bits=2, input_bits=1)
        for n, v in enumerate((40, 12, 5))
    ]
    terms = ISAAC.cost_terms(layers, chip((8,)))
    sizes = terms.crossbars.tolist()
    assert sizes == [2, 2, 2]
    chosen = fastest_copies(terms, 6 + spare)
    assert sum(c * s for c, s in zip(chosen, sizes, strict=True)) <= 6 + spare
    reads = terms.serial_reads.tolist()

    def latency(copies: tuple[int, ...]) -> float:
        return sum(r / c for r, c in zip(reads, copies, strict=True))

    best = min(
        latency(each)
        for each in product(range(1, 41), range(1, 13), range(1, 6))
        if 2 * sum(each) <= 6 + spare
    )
    assert latency(chosen) == pytest.approx(best)
    assert schedule_for(layers, chip((8,)), pipelined=False, crossbars=6 + spare) == Schedule(
        copies=chosen
    )
