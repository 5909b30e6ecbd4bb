"""Every hardware choice for one network: priced exhaustively, simulated where it can matter."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from dse.dominance import crowding_distances, non_dominated
from dse.objectives import Constraint, Objective
from dse.pipeline.hardware import COST_METRICS, chip_of, nonidealities_of
from dse.pipeline.hardware_choices import choices, slice_paths
from hw_models.chip import Chip
from hw_models.encodings.column_sums import network_lossless_bits
from hw_models.engines.observed import Observed
from hw_models.errors import HardwareError
from hw_models.estimation.estimate import estimate_designs
from hw_models.estimation.schedule import schedule_for
from hw_models.layer import CodedLayer
from hw_models.sweep.counted import count_once
from hw_models.sweep.space import combinations, n_combinations, supported_bits
from search_spaces.design_point import DesignPoint
from search_spaces.domains import Value

MOST_KEPT = 50
"""Designs of one network that are kept; of a larger front the least crowded."""

MOST_COMBINATIONS = 20_000
"""Combinations of ADC resolutions of one chip that are all looked at."""

_AT_ONCE = 8
"""Simulations between two looks at what is still worth simulating."""

_logger = logging.getLogger(__name__)

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Candidates:
    """All designs of one network.

    Attributes:
        points: (P,) designs that differ in more than their ADC resolutions.
        point: (D,) which of them.
        bits: (D, G) their resolutions; a design with fewer groups has zeros in front.
        sums: (D,) which sums are converted and how: designs with the same number differ in
            costs only, or in resolutions.
        effective: (D, G) resolutions, those that never clip cut to the smallest such.
        clean: (D,) whether no sum can clip.
        metrics: (D,) each, what is known without simulating.
    """

    points: list[DesignPoint]
    point: NDArray[np.int64]
    bits: NDArray[np.int64]
    sums: NDArray[np.int64]
    effective: NDArray[np.int64]
    clean: NDArray[np.bool_]
    metrics: dict[str, Array]

    def design(self, index: int) -> DesignPoint:
        """One of the designs."""
        point = self.points[int(self.point[index])]
        groups = len(point.adc.bits)
        bits = tuple(self.bits[index, self.bits.shape[1] - groups :].tolist())
        return replace(point, adc=replace(point.adc, bits=bits))


def nested_designs(
    point: DesignPoint,
    *,
    layers: tuple[CodedLayer, ...],
    observed: tuple[Observed, ...] | None,
    tuned: bool,
    swept: Mapping[str, tuple[Value, ...]],
    objectives: Sequence[Objective],
    constraints: Sequence[Constraint],
    known: Mapping[str, float],
    accuracy_of: Callable[[DesignPoint], float],
    simulations: int,
) -> tuple[DesignPoint, ...]:
    """The designs of one network that meet the constraints and that no other one dominates.

    Every combination is priced from the codes, but of more than `MOST_COMBINATIONS` of ADC
    resolutions only those with a common headroom, give or take one group. Accuracy is that with
    unlimited ADCs where no sum can clip. Elsewhere it is simulated, where that can decide
    anything: a design is left out if it could not stay even with the accuracy of the same sums
    under more bits. That is exact if taking bits from a converter never adds accuracy; where it
    does by accident (noise of few test images), such a design may be missed.

    Args:
        point: The design whose network it is.
        layers: Its codes.
        observed: Its sampled inputs, for engines that count them.
        tuned: Whether it was trained with the converters in the loop.
        swept: Values of the knobs, from `swept_values`.
        objectives: Of the study.
        constraints: Of the study.
        known: Metrics of the network itself: `accuracy_float`, `accuracy_ideal`, ...
        accuracy_of: Simulates a design.
        simulations: Most calls of it; what is not simulated by then is left out.

    Returns:
        At most `MOST_KEPT`, the given design among them if it belongs there.
    """
    found = _candidates(point, layers, observed, swept, tuned)
    if found is None:
        return ()
    search = _Search(found, objectives, constraints, known)
    search.run(accuracy_of, simulations)
    return tuple(found.design(i) for i in search.front().tolist())


def _candidates(
    point: DesignPoint,
    layers: tuple[CodedLayer, ...],
    observed: tuple[Observed, ...] | None,
    swept: Mapping[str, tuple[Value, ...]],
    tuned: bool,
) -> _Candidates | None:
    points, counted = _possible(choices(point, swept, tuned=tuned), layers, observed)
    parts = [
        part
        for number, (each, chip) in enumerate(zip(points, counted, strict=True))
        if (part := _priced(number, each, chip, layers, swept, tuned)) is not None
    ]
    if not parts:
        return None
    widest = max(part.bits.shape[1] for part in parts)
    kinds: dict[object, int] = {}
    return _Candidates(
        points=points,
        point=np.concatenate([np.full(len(part.bits), part.point) for part in parts]),
        bits=np.concatenate([_padded(part.bits, widest) for part in parts]),
        sums=np.concatenate(
            [
                np.full(len(part.bits), kinds.setdefault(_kind(points[part.point]), len(kinds)))
                for part in parts
            ]
        ),
        effective=np.concatenate([_padded(part.effective, widest) for part in parts]),
        clean=np.concatenate([part.clean for part in parts]),
        metrics={
            name: np.concatenate([part.metrics[name] for part in parts])
            for name in parts[0].metrics
        },
    )


def _possible(
    points: Iterable[DesignPoint],
    layers: tuple[CodedLayer, ...],
    observed: tuple[Observed, ...] | None,
) -> tuple[list[DesignPoint], list[Chip]]:
    """Designs whose knobs do not contradict each other, and their chips, counted."""
    found: list[tuple[DesignPoint, Chip]] = []
    for point in points:
        try:
            found.append((point, chip_of(point)))
        except HardwareError:
            continue  # such as an operation unit taller than the array
    try:
        return [p for p, _ in found], count_once(layers, [chip for _, chip in found], observed)
    except HardwareError:
        pass  # an engine refuses some of them: ask for each
    points_left, chips = [], []
    for point, chip in found:
        try:
            chips += count_once(layers, [chip], observed)
        except HardwareError:
            continue
        points_left.append(point)
    return points_left, chips


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Priced:
    """The resolutions of one chip; the fields are those of `_Candidates`."""

    point: int
    bits: NDArray[np.int64]
    effective: NDArray[np.int64]
    clean: NDArray[np.bool_]
    metrics: dict[str, Array]


def _priced(
    number: int,
    point: DesignPoint,
    chip: Chip,
    layers: tuple[CodedLayer, ...],
    swept: Mapping[str, tuple[Value, ...]],
    tuned: bool,
) -> _Priced | None:
    lossless = network_lossless_bits(layers, chip)
    ideal = nonidealities_of(point) is None
    exact = ideal and point.adc_loop.range == "full"
    tried = [
        _resolutions(swept[path], chip, int(enough) if ideal else None) if not tuned else (own,)
        for path, own, enough in zip(slice_paths(point), point.adc.bits, lossless, strict=True)
    ]
    if n_combinations(tried) == 0:
        return None
    bits = _rows(tried, lossless.tolist())
    if ideal and not exact and not tuned and "full" in swept["adc.range"]:
        bits = bits[
            (bits < lossless).any(axis=1)
        ]  # where nothing clips there is no range to choose
        if len(bits) == 0:
            return None
    schedule = schedule_for(
        layers, chip, pipelined=point.schedule.pipelined, crossbars=point.schedule.crossbars
    )
    costs = estimate_designs(layers, chip, bits, schedule=schedule)
    eight = estimate_designs(layers, chip, [[8] * bits.shape[1]])
    metrics: dict[str, Array] = {
        **{name: np.asarray(getattr(costs, name), dtype=np.float64) for name in COST_METRICS},
        "adc_energy_vs_8bit": costs.adc_energy_j / eight.adc_energy_j[0],
    }
    return _Priced(
        point=number,
        bits=bits,
        effective=np.minimum(bits, lossless) if exact else bits,
        clean=np.asarray((bits >= lossless).all(axis=1) & exact),
        metrics={name: np.broadcast_to(each, len(bits)) for name, each in metrics.items()},
    )


def _rows(tried: Sequence[tuple[int, ...]], lossless: Sequence[int]) -> NDArray[np.int64]:
    """Resolutions of all slice groups together, `(D, G)`: every combination, or some of many.

    Of more than `MOST_COMBINATIONS` those in which all groups have the same resolution, or lie
    the same number of bits below their lossless one, as far as their values go; and those with
    one group a value further up or down.
    """
    if n_combinations(tried) <= MOST_COMBINATIONS:
        return combinations(tried, 0, n_combinations(tried))
    found: dict[tuple[int, ...], None] = {}
    most = max(max(lossless), *(max(values) for values in tried))
    for step in range(most + 1):
        for wanted in ([most - step] * len(tried), [enough - step for enough in lossless]):
            places = [
                max(sum(value <= bits for value in values) - 1, 0)
                for values, bits in zip(tried, wanted, strict=True)
            ]
            for group, move in [(0, 0), *product(range(len(tried)), (-1, 1))]:
                moved = [place + move * (g == group) for g, place in enumerate(places)]
                if 0 <= moved[group] < len(tried[group]):
                    row = tuple(values[at] for values, at in zip(tried, moved, strict=True))
                    found[row] = None
    return np.array(list(found), dtype=np.int64)


def _resolutions(values: Sequence[Value], chip: Chip, enough: int | None) -> tuple[int, ...]:
    """Resolutions that the converter model has, up to the first at which nothing clips."""
    there = sorted(set(map(int, values)) & set(supported_bits(chip.adc)))
    if enough is None:
        return tuple(there)
    return tuple(bits for i, bits in enumerate(there) if i == 0 or there[i - 1] < enough)


def _kind(point: DesignPoint) -> tuple[object, ...]:
    """What decides which sums are converted and how, resolutions excepted."""
    crossbar = point.crossbar
    return (
        point.adc_loop.range,
        crossbar.wordlines,
        crossbar.ou_wordlines,
        point.dac.bits,
        point.encoding,
    )


def _padded(bits: NDArray[np.int64], widest: int) -> NDArray[np.int64]:
    return np.pad(bits, ((0, 0), (widest - bits.shape[1], 0)))


class _Search:
    """Which designs can still be on the front, as simulations tell."""

    def __init__(
        self,
        candidates: _Candidates,
        objectives: Sequence[Objective],
        constraints: Sequence[Constraint],
        known: Mapping[str, float],
    ) -> None:
        self._all = candidates
        self._objectives, self._constraints, self._known = objectives, constraints, known
        self._signs = np.array([1.0 if o.direction == "minimize" else -1.0 for o in objectives])
        # Designs with the same converted sums share one simulation.
        keys = np.column_stack([candidates.sums, candidates.effective])
        self._keys, self._key = np.unique(keys, axis=0, return_inverse=True)
        self._key = self._key.reshape(-1)
        self._accuracy = np.full(len(self._keys), known["accuracy_ideal"])  # or more than it is
        self._certain = np.zeros(len(self._keys), dtype=bool)
        self._certain[self._key[candidates.clean]] = True
        self._worth = self._cheapest()

    def run(self, accuracy_of: Callable[[DesignPoint], float], simulations: int) -> None:
        """Simulate until nothing uncertain can be on the front any more."""
        left = simulations
        for key in self._probes():
            if left > 0 and not self._certain[key]:
                self._simulate(key, accuracy_of)
                left -= 1
        while len(open_ := self._undecided()) and left > 0:
            for key in open_[: min(left, _AT_ONCE)].tolist():
                if not self._certain[key]:
                    self._simulate(key, accuracy_of)
                    left -= 1
        if len(open_):
            _logger.warning(
                "a sweep ended after %d simulations with %d ADC settings undecided; "
                "search.simulations allows more",
                simulations,
                len(open_),
            )

    def front(self) -> NDArray[np.int64]:
        """Candidates that are certain, feasible and not dominated; the least crowded ones."""
        losses, feasible = self._outlook()
        there = self._worth[(feasible & self._certain[self._key])[self._worth]]
        chosen = there[non_dominated(losses[there])]
        while len(chosen) > MOST_KEPT:
            chosen = np.delete(chosen, np.argmin(crowding_distances(losses[chosen])))
        return chosen

    def _cheapest(self) -> NDArray[np.int64]:
        """Candidates whose costs no other one with the same converted sums beats."""
        losses, _ = self._outlook()
        if len(self._keys) == len(losses):
            return np.arange(len(losses))
        order = np.argsort(self._key, kind="stable")
        starts = np.flatnonzero(np.diff(self._key[order], prepend=-1))
        groups = np.split(order, starts[1:])
        return np.sort(np.concatenate([each[non_dominated(losses[each])] for each in groups]))

    def _probes(self) -> list[int]:
        """For each slice group alone, and for all together, a few resolutions.

        They show early which resolutions no design can have.
        """
        found: dict[int, None] = {}
        for kind in np.unique(self._keys[:, 0]):
            rows = np.flatnonzero(self._keys[:, 0] == kind)
            bits = self._keys[rows, 1:]
            most = bits.max(axis=0)
            for group in range(bits.shape[1]):
                rest = np.delete(np.arange(bits.shape[1]), group)
                line = rows[(bits[:, rest] == most[rest]).all(axis=1)]
                if len(line):  # not where the others' resolutions leave no range to choose
                    found |= dict.fromkeys(line[[len(line) // 4, len(line) // 2]].tolist())
        return list(found)

    def _undecided(self) -> NDArray[np.int64]:
        """Uncertain keys that hold a place on the front of what could be, spread over it."""
        losses, feasible = self._outlook()
        there = self._worth[feasible[self._worth]]
        chosen = there[_thinned_front(losses[there], self._certain[self._key[there]])]
        keys = self._key[chosen[~self._certain[self._key[chosen]]]]
        keys = np.array(list(dict.fromkeys(keys.tolist())), dtype=np.int64)
        middle_first = np.argsort(np.abs(np.arange(len(keys)) - len(keys) / 2), kind="stable")
        return np.asarray(keys[middle_first])

    def _outlook(self) -> tuple[Array, NDArray[np.bool_]]:
        accuracy = self._accuracy[self._key]
        metrics = {
            **{name: np.full(len(accuracy), value) for name, value in self._known.items()},
            **self._all.metrics,
            "accuracy": accuracy,
            "accuracy_loss": self._known["accuracy_float"] - accuracy,
        }
        losses = np.column_stack([o.metric.of(metrics) for o in self._objectives]) * self._signs  # type: ignore[arg-type]
        feasible = np.ones(len(accuracy), dtype=bool)
        for constraint in self._constraints:
            feasible &= np.asarray(constraint.violation(metrics)) <= 0  # type: ignore[arg-type]
        return losses, feasible

    def _simulate(self, key: int, accuracy_of: Callable[[DesignPoint], float]) -> None:
        accuracy = accuracy_of(self._all.design(int(np.flatnonzero(self._key == key)[0])))
        self._accuracy[key], self._certain[key] = accuracy, True
        fewer = (self._keys[:, 0] == self._keys[key, 0]) & (
            self._keys[:, 1:] <= self._keys[key, 1:]
        ).all(axis=1)
        fewer &= ~self._certain
        self._accuracy[fewer] = np.minimum(self._accuracy[fewer], accuracy)


def _thinned_front(losses: Array, certain: NDArray[np.bool_]) -> NDArray[np.int64]:
    """`non_dominated`, after what the certain ones dominate is gone: those are few and fast."""
    alive = np.ones(len(losses), dtype=bool)
    sure = np.flatnonzero(certain)
    for index in sure[non_dominated(losses[sure])].tolist():
        worse = (losses >= losses[index]).all(axis=1)
        worse[index] = False
        alive &= ~worse
    rest = np.flatnonzero(alive)
    return np.asarray(rest[non_dominated(losses[rest])])
