"""Domains: the values that a knob may take."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

Value = bool | int | float | str
"""What a knob holds; JSON-representable."""


@dataclass(frozen=True, slots=True)
class IntRange:
    """All integers from `low` to `high`, both included."""

    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError(f"a range runs from low to high, got {self.low}..{self.high}")

    def __contains__(self, value: object) -> bool:
        return (
            isinstance(value, int)
            and not isinstance(value, bool)
            and self.low <= value <= self.high
        )

    def __str__(self) -> str:
        return f"{self.low}..{self.high}"


@dataclass(frozen=True, slots=True)
class FloatRange:
    """All floats from `low` to `high`, both included; `log` spaces them by ratio."""

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            raise ValueError(f"a range has finite ends, got {self.low}..{self.high}")
        if self.low > self.high:
            raise ValueError(f"a range runs from low to high, got {self.low}..{self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"a log range starts above 0, got {self.low}..{self.high}")

    def __contains__(self, value: object) -> bool:
        return (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and self.low <= value <= self.high
        )

    def __str__(self) -> str:
        return f"{'log ' if self.log else ''}{self.low:g}..{self.high:g}"


@dataclass(frozen=True, slots=True, init=False)
class Choice:
    """One of the listed values."""

    values: tuple[Value, ...]

    def __init__(self, *values: Value) -> None:
        if not values:
            raise ValueError("a choice lists at least one value, got none")
        if len(set(map(_identity, values))) < len(values):
            raise ValueError(f"a choice lists every value once, got {list(values)}")
        object.__setattr__(self, "values", values)

    def __contains__(self, value: object) -> bool:
        return _identity(value) in set(map(_identity, self.values))

    def __str__(self) -> str:
        return f"[{', '.join(map(str, self.values))}]"


@dataclass(frozen=True, slots=True)
class Text:
    """Every text that `check` takes.

    Attributes:
        check: Raises ValueError, with what should hold, on text that is none.
        meaning: What the text is, for messages.
    """

    check: Callable[[str], object]
    meaning: str

    def __contains__(self, value: object) -> bool:
        if not isinstance(value, str):
            return False
        try:
            self.check(value)
        except ValueError:
            return False
        return True

    def __str__(self) -> str:
        return self.meaning


Domain = IntRange | FloatRange | Choice | Text


def is_within(inner: Domain, outer: Domain) -> bool:
    """Whether every value of `inner` is a value of `outer`."""
    if isinstance(inner, Choice):
        return all(value in outer for value in inner.values)
    if isinstance(inner, Text) or isinstance(outer, Text):
        return inner == outer
    if isinstance(inner, IntRange) and isinstance(outer, Choice):
        return all(value in outer for value in _integers(inner))
    return inner.low in outer and inner.high in outer


def single(value: Value) -> Choice:
    """The domain that holds one value only."""
    return Choice(value)


def is_single(domain: Domain) -> bool:
    """Whether the domain leaves nothing to choose."""
    if isinstance(domain, Choice):
        return len(domain.values) == 1
    if isinstance(domain, Text):
        return False
    return domain.low == domain.high


def only_value(domain: Domain) -> Value:
    """The value of a domain that leaves nothing to choose."""
    assert is_single(domain)
    if isinstance(domain, Choice):
        return domain.values[0]
    assert not isinstance(domain, Text), "texts are endless"
    return domain.low


def _integers(domain: IntRange) -> Iterable[int]:
    return range(domain.low, domain.high + 1)


def _identity(value: object) -> object:
    """Equality that keeps True apart from 1; 2 and 2.0 stay equal."""
    return (isinstance(value, bool), value)
