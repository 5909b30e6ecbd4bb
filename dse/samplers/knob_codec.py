"""Knobs to coordinates of the unit box and back; for samplers that move through a box."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

Array = NDArray[np.float64]


class Knob:
    """One knob and its coordinates.

    Floats lie linearly or by logarithm. Everything with levels (ints, stepped floats, choices
    among numbers, choices among two) has a stretch of the axis for each, of equal length, or of
    equal ratio if logarithmic. A choice among three or more names has a coordinate for each; the
    largest wins. Plain numbers and no arrays: most knobs are a single coordinate.

    Args:
        distribution: Values that the knob may have.
    """

    __slots__ = (
        "_first",
        "_high",
        "_last",
        "_levels",
        "_log",
        "_low",
        "_round",
        "distribution",
        "is_nominal",
        "width",
    )

    def __init__(self, distribution: BaseDistribution) -> None:
        self.distribution = distribution
        self._levels: Sequence[Any] = ()
        self._first = self._last = 0.0
        self._log = self._round = False
        self.is_nominal = False
        """Whether the values have no order."""
        self.width = 0 if distribution.single() else 1
        """Number of coordinates; 0 where nothing is to choose."""
        if isinstance(distribution, CategoricalDistribution):
            self._levels = _in_order(distribution.choices)
            self.is_nominal = len(self._levels) > 2 and not _are_numbers(self._levels)
            if self.is_nominal:
                self.width = len(self._levels)
            return
        assert isinstance(distribution, FloatDistribution | IntDistribution)
        self._low, self._high, self._log = distribution.low, distribution.high, distribution.log
        if distribution.log:
            self._round = isinstance(distribution, IntDistribution)
            half = 0.5 if self._round else 0.0
            self._first = math.log(distribution.low - half)
            self._last = math.log(distribution.high + half)
        elif isinstance(distribution, IntDistribution):
            self._levels = range(distribution.low, distribution.high + 1, distribution.step)
        elif distribution.step is not None:
            low, high, step = distribution.low, distribution.high, distribution.step
            count = round((high - low) / step) + 1
            self._levels = tuple(min(low + i * step, high) for i in range(count))
        else:
            self._first, self._last = distribution.low, distribution.high

    @property
    def levels(self) -> int:
        """Number of values; 0 where there is a continuum, or as good as one."""
        return len(self._levels)

    def decode(self, block: Sequence[float]) -> Any:
        """The value at `width` coordinates, each in 0..1."""
        levels = self._levels
        if self.is_nominal:
            return levels[max(range(len(block)), key=block.__getitem__)]
        if levels:
            return levels[min(int(block[0] * len(levels)), len(levels) - 1)]
        value = self._first + block[0] * (self._last - self._first)
        if self._log:
            value = math.exp(value)
            if self._round:
                value = round(value)
        return min(max(value, self._low), self._high)

    def encode(self, value: Any) -> list[float]:
        """The coordinates of a value, in the middle of its stretch."""
        levels = self._levels
        if isinstance(self.distribution, CategoricalDistribution):
            index = next(i for i, v in enumerate(levels) if _same(v, value))
            if self.is_nominal:
                return [float(i == index) for i in range(len(levels))]
            return [(index + 0.5) / len(levels)]
        if levels:
            index = round((value - levels[0]) / (levels[1] - levels[0]))
            return [(min(max(index, 0), len(levels) - 1) + 0.5) / len(levels)]
        value = math.log(value) if self._log else value
        return [min(max((value - self._first) / (self._last - self._first), 0.0), 1.0)]

    def spread(self, unit: float) -> list[float]:
        """The coordinates of a value drawn evenly, by a number in 0..1."""
        if not self.is_nominal:
            return [unit]
        index = min(int(unit * self.width), self.width - 1)
        return [float(i == index) for i in range(self.width)]


class KnobCodec:
    """The knobs met so far, in the order in which they were met; coordinates only ever grow."""

    def __init__(self) -> None:
        self.knobs: dict[str, Knob] = {}
        self.columns: dict[str, slice] = {}
        self.width = 0
        self._latest: Mapping[str, BaseDistribution] = {}
        self.version = 0
        """Grows with every new knob and every new range."""
        self.layouts: dict[int, int] = {0: 0}
        """Checksum of the knobs by every width there was: equal ones mean equal coordinates."""

    def learn(self, distributions: Mapping[str, BaseDistribution]) -> None:
        """Add the knobs of a trial; a new range of a known knob replaces the old one."""
        if distributions == self._latest:
            return
        self._latest = distributions
        knobs, new = self.knobs, []
        for name, distribution in distributions.items():
            known = knobs.get(name)
            if known is None:
                new.append(name)
            elif not _equal(known.distribution, distribution):
                changed = Knob(distribution)
                if changed.width == known.width:
                    knobs[name] = changed
                    self.version += 1
        for name in sorted(new):
            knob = Knob(distributions[name])
            if knob.width == 0:
                continue
            knobs[name] = knob
            self.version += 1
            layout = f"{self.layouts[self.width]} {name} {knob.width}"
            self.columns[name] = slice(self.width, self.width + knob.width)
            self.width += knob.width
            self.layouts[self.width] = name_seed(layout)

    def decode(self, position: Sequence[float]) -> dict[str, Any]:
        """Values of all knobs at `width` coordinates."""
        columns = self.columns
        return {n: knob.decode(position[columns[n]]) for n, knob in self.knobs.items()}

    def encode(
        self,
        params: Mapping[str, Any],
        distributions: Mapping[str, BaseDistribution],
        proposed: Sequence[float],
    ) -> Array:
        """Coordinates of a trial, `(width,)`; NaN for knobs that it did not have.

        Args:
            params: Values of the trial.
            distributions: Its own, which may differ from those met last.
            proposed: Up to `width` coordinates; kept where they stand for the trial's value.
        """
        found = [math.nan] * self.width
        for name, value in params.items():
            place = self.columns.get(name)
            if place is None:
                continue
            knob, own, block = self.knobs[name], distributions[name], proposed[place]
            if not _equal(knob.distribution, own):
                knob = Knob(own)
                if knob.width != place.stop - place.start:
                    continue
            kept = len(block) == knob.width and knob.decode(block) == value
            found[place] = block if kept else knob.encode(value)
        return np.array(found)


def name_seed(name: str) -> int:
    """A number for a name, the same in every process."""
    return zlib.crc32(name.encode())


def _equal(a: BaseDistribution, b: BaseDistribution) -> bool:
    return a is b or (type(a) is type(b) and a.__dict__ == b.__dict__)


def _same(a: Any, b: Any) -> bool:
    """Equality that tells True from 1, and takes NaN for NaN."""
    return type(a) is type(b) and (a == b or (a != a and b != b))


def _in_order(choices: Sequence[Any]) -> tuple[Any, ...]:
    """Numbers by size; all else as listed."""
    return tuple(sorted(choices) if _are_numbers(choices) else choices)


def _are_numbers(choices: Sequence[Any]) -> bool:
    return all(isinstance(c, int | float) and not isinstance(c, bool) and c == c for c in choices)
