"""sweep(): every hardware design for one compressed network, and the exact front of them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from hw_models.encodings.column_sums import network_lossless_bits
from hw_models.errors import HardwareError, MappingError
from hw_models.estimation.estimate import estimate_designs
from hw_models.sweep.counted import count_once
from hw_models.sweep.front import non_dominated
from hw_models.sweep.space import (
    combinations,
    n_combinations,
    supported_bits,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

    from hw_models.chip import Chip
    from hw_models.converters.converter import AdcModel
    from hw_models.engines.observed import Observed
    from hw_models.layer import CodedLayer
    from hw_models.sweep.space import HardwareSpace

CHUNK = 16384
"""Designs priced together; their intermediate arrays stay in the cache."""

MOST_DESIGNS = 200_000_000

MISSING_ADC_BITS = "missing_adc_bits"
"""Bits by which the slice groups together fall short of never clipping; 0 computes exactly."""

OBJECTIVES = ("energy_j", "latency_s", "area_m2", MISSING_ADC_BITS)
"""What the front of a sweep trades by default; without the last, 1-bit ADCs would always win."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SweptCosts:
    """Costs of D designs, per image.

    Attributes:
        energy_j: (D,).
        latency_s: (D,).
        area_m2: (D,).
        adc_energy_j: (D,) the ADCs' part of the energy.
        crossbars: (D,).
        adc_conversions: (D,).
    """

    energy_j: NDArray[np.float64]
    latency_s: NDArray[np.float64]
    area_m2: NDArray[np.float64]
    adc_energy_j: NDArray[np.float64]
    crossbars: NDArray[np.int64]
    adc_conversions: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.energy_j)


def cost_designs(
    layers: Sequence[CodedLayer], chips: Sequence[Chip], which: ArrayLike, adc_bits: ArrayLike
) -> SweptCosts:
    """Price any list of designs; designs of one chip share everything but their ADC resolutions.

    Args:
        layers: The network.
        chips: Every combination of the other choices that occurs.
        which: (D,) index of each design's chip.
        adc_bits: (D, G) resolutions, most significant slice group first. G is that of the chip
            with the most groups; a chip with fewer reads the last columns.
    """
    index, bits = np.asarray(which), np.asarray(adc_bits)
    groups = max(len(chip.adc_bits) for chip in chips)
    if bits.shape != (len(index), groups):
        raise MappingError(
            f"adc_bits must be (designs, slice groups) = ({len(index)}, {groups}), got "
            f"{bits.shape}. Fill up the first columns of chips with fewer groups."
        )
    costs = _empty(len(index))
    order = np.argsort(index, kind="stable")
    starts = np.searchsorted(index[order], np.arange(len(chips) + 1))
    occurring = np.unique(index).tolist()
    counted = count_once(layers, [chips[number] for number in occurring])
    for number, chip in zip(occurring, counted, strict=True):
        own = order[starts[number] : starts[number + 1]]
        _price(layers, chip, bits[own][:, groups - len(chip.adc_bits) :], costs, own)
    return costs


def _empty(designs: int) -> SweptCosts:
    return SweptCosts(
        energy_j=np.empty(designs),
        latency_s=np.empty(designs),
        area_m2=np.empty(designs),
        adc_energy_j=np.empty(designs),
        crossbars=np.empty(designs, dtype=np.int64),
        adc_conversions=np.empty(designs, dtype=np.int64),
    )


def _price(
    layers: Sequence[CodedLayer],
    chip: Chip,
    bits: NDArray[np.int64],
    costs: SweptCosts,
    at: NDArray[np.int64],
) -> None:
    for start in range(0, len(bits), CHUNK):
        part = slice(start, start + CHUNK)
        priced = estimate_designs(layers, chip, bits[part])
        for each in fields(SweptCosts):
            getattr(costs, each.name)[at[part]] = getattr(priced, each.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class SweptDesign:
    """One design of a front.

    Attributes:
        chip: Everything but its ADC resolutions.
        adc_bits: Of each slice group, most significant first.
        costs: By name: the fields of `SweptCosts` and `missing_adc_bits`.
    """

    chip: Chip
    adc_bits: tuple[int, ...]
    costs: dict[str, float]

    @property
    def lossless(self) -> bool:
        """Whether no slice group of any layer ever clips."""
        return self.costs[MISSING_ADC_BITS] == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepResult:
    """What a sweep found.

    Attributes:
        n_designs: Priced.
        n_lossless: Of them, those that never clip.
        objectives: What the fronts trade, all to be small.
        front: The exact front, sorted by the first objective.
        lossless_front: The same among the designs that never clip.
    """

    n_designs: int
    n_lossless: int
    objectives: tuple[str, ...]
    front: tuple[SweptDesign, ...]
    lossless_front: tuple[SweptDesign, ...]


def sweep(
    layers: Sequence[CodedLayer],
    space: HardwareSpace,
    *,
    objectives: Sequence[str] = OBJECTIVES,
    most_designs: int = MOST_DESIGNS,
    observed: Sequence[Observed] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> SweepResult:
    """Price every design of a space and keep the exact front.

    Args:
        layers: The network.
        space: What is tried.
        objectives: Fields of `SweptCosts` or `missing_adc_bits`, all to be small.
        most_designs: More than these are refused.
        observed: Input codes and patches of each layer, for engines that count them.
        progress: Told designs done and designs in all.

    Raises:
        HardwareError: An objective does not exist, or the space has too many designs.
    """
    known = (*(each.name for each in fields(SweptCosts)), MISSING_ADC_BITS)
    for name in objectives:
        if name not in known:
            raise HardwareError(
                f"there is no objective {name!r} of a sweep; there are {', '.join(known)}."
            )
    chips = tuple(space.chips(max(layer.weight_bits for layer in layers)))
    lossless = _lossless_of(layers, chips)
    tried = [space.resolutions(*each) for each in zip(chips, lossless, strict=True)]
    n_designs = sum(n_combinations(values) for values in tried)
    if n_designs == 0:
        raise HardwareError(
            "a sweep needs resolutions that its converter models have, got none for some slice "
            f"group. {', '.join(_domain(adc) for adc in space.adcs)}."
        )
    if n_designs > most_designs:
        raise HardwareError(
            f"a sweep prices at most {most_designs:.3g} designs, this space has {n_designs:.3g}. "
            "Narrow it: adc.bits of the slice groups first, then cell.bits."
        )
    fronts = (_RunningFront(objectives), _RunningFront(objectives))
    n_lossless = done = 0
    counted = count_once(layers, chips, observed)
    for number, (chip, enough, values) in enumerate(zip(counted, lossless, tried, strict=True)):
        in_all = n_combinations(values)
        for start in range(0, in_all, CHUNK):
            bits = combinations(values, start, min(start + CHUNK, in_all))
            missing = np.maximum(enough - bits, 0).sum(axis=1)
            priced = estimate_designs(layers, chip, bits)
            costs = {
                each.name: np.broadcast_to(getattr(priced, each.name), len(bits))
                for each in fields(SweptCosts)
            }
            costs[MISSING_ADC_BITS] = missing
            fronts[0].add(number, bits, costs)
            exact = missing == 0
            n_lossless += int(exact.sum())
            fronts[1].add(number, bits[exact], {k: column[exact] for k, column in costs.items()})
            done += len(bits)
            if progress is not None:
                progress(done, n_designs)
    return SweepResult(
        n_designs=n_designs,
        n_lossless=n_lossless,
        objectives=tuple(objectives),
        front=fronts[0].designs(chips),
        lossless_front=fronts[1].designs(chips),
    )


def _domain(adc: AdcModel) -> str:
    return f"{adc.name} has {', '.join(map(str, supported_bits(adc)))} bits"


def _lossless_of(
    layers: Sequence[CodedLayer], chips: Sequence[Chip]
) -> tuple[NDArray[np.int64], ...]:
    """Per chip; chips that read the same rows of the same cells share them."""
    known: dict[object, NDArray[np.int64]] = {}
    found = []
    for chip in chips:
        rows, cell = chip.engine.rows_per_read(chip.crossbar), chip.crossbar.bits_per_cell
        key = (chip.crossbar.wordlines, rows, cell, chip.encoding, chip.dac_bits)
        if key not in known:
            known[key] = network_lossless_bits(layers, chip)
        found.append(known[key])
    return tuple(found)


class _RunningFront:
    """The front of all designs added so far."""

    def __init__(self, objectives: Sequence[str]) -> None:
        self._objectives = tuple(objectives)
        self._losses = np.empty((0, len(self._objectives)))
        self._kept: list[tuple[int, tuple[int, ...], dict[str, float]]] = []

    def add(
        self, chip: int, bits: NDArray[np.int64], costs: dict[str, NDArray[np.float64]]
    ) -> None:
        if not len(bits):
            return
        losses = np.stack([costs[name] for name in self._objectives], axis=1).astype(np.float64)
        before = len(self._kept)
        together = np.concatenate([self._losses, losses])
        chosen = non_dominated(together)
        kept = [self._kept[i] for i in chosen if i < before]
        for i in chosen[chosen >= before] - before:
            row = {name: float(column[i]) for name, column in costs.items()}
            kept.append((chip, tuple(int(value) for value in bits[i]), row))
        self._kept, self._losses = kept, together[chosen]

    def designs(self, chips: Sequence[Chip]) -> tuple[SweptDesign, ...]:
        order = np.lexsort(self._losses.T[::-1])
        return tuple(
            SweptDesign(chip=chips[chip], adc_bits=bits, costs=costs)
            for chip, bits, costs in (self._kept[i] for i in order)
        )
