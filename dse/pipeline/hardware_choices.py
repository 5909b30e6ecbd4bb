"""Which hardware knobs leave the network of a design unchanged, and designs with other values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from itertools import product
from typing import Any, TypeVar

from dse.plugins import load
from search_spaces.adc import MAX_SLICES, slice_path
from search_spaces.design_point import DesignPoint
from search_spaces.domains import Choice, Domain, IntRange, Value, is_single, only_value
from search_spaces.draw import DesignSpace
from search_spaces.engine import IMPLIED, BitPlaneKnobs

_Knobs = TypeVar("_Knobs", bound=Any)

COSTS_ONLY = (
    "adc.model",
    "adc.per_array",
    "crossbar.bitlines",
    "engine.bit_plane.packed",
    "schedule.pipelined",
)
"""Knobs that change what a design costs, never what it computes."""

READS = ("adc.range", "crossbar.wordlines", "crossbar.ou_wordlines", "dac.bits", "encoding")
"""Knobs that change which sums are converted, or how; the weights stay as they are unless they
were trained under the converters, or bits were flipped by column."""

_MOST_VALUES = 64
"""A knob with more values than these is left to the sampler."""


def swept_values(space: DesignSpace) -> dict[str, tuple[Value, ...]]:
    """Values of the hardware knobs that a nested search may sweep, fixed ones included."""
    paths = [*COSTS_ONLY, *READS, *map(slice_path, range(MAX_SLICES))]
    found = {path: domain_values(space.domains[path]) for path in paths}
    return {path: values for path, values in found.items() if len(values) <= _MOST_VALUES}


def nestable(point: DesignPoint, *, tuned: bool) -> tuple[str, ...]:
    """Knobs of a design that leave its network unchanged; ADC resolutions by their group.

    Args:
        point: The design.
        tuned: Whether its network was trained with the converters in the loop.
    """
    implied = IMPLIED.get(point.engine.name, {})
    free = [path for path in COSTS_ONLY if path not in implied]
    if not isinstance(point.engine.knobs, BitPlaneKnobs):
        free.remove("engine.bit_plane.packed")
    if tuned:
        return tuple(free)
    free += [path for path in READS if path not in implied]
    if point.bit_flips.name != "none":  # bits are flipped by columns of so many wordlines
        free.remove("crossbar.wordlines")
    return (*free, *map(slice_path, range(MAX_SLICES)))


def network_digest(point: DesignPoint, swept: Mapping[str, tuple[Value, ...]]) -> str:
    """Digest of a design up to the knobs that its sweep tries anyway.

    Args:
        point: The design.
        swept: From `swept_values`.
    """
    tuned = point.adc_loop.tune_epochs > 0
    first = {path: swept[path][0] for path in nestable(point, tuned=tuned) if path in swept}
    return with_hardware(point, first).digest()


def choices(
    point: DesignPoint, swept: Mapping[str, tuple[Value, ...]], *, tuned: bool
) -> Iterator[DesignPoint]:
    """The design under every combination of its nestable knobs but the ADC resolutions.

    Those keep the design's own bits; a slice group that it did not have takes its first value.
    Combinations may contradict themselves: building their chip says so.
    """
    slices = [slice_path(significance) for significance in range(MAX_SLICES)]
    free = [p for p in nestable(point, tuned=tuned) if p in swept and p not in slices]
    own = {path: swept[path][0] for path in slices} | dict(
        zip(slice_paths(point), point.adc.bits, strict=True)
    )
    for values in product(*(swept[path] for path in free)):
        yield with_hardware(point, {**own, **dict(zip(free, values, strict=True))})


def with_hardware(point: DesignPoint, values: Mapping[str, Value]) -> DesignPoint:
    """The design with other values of nestable knobs.

    Args:
        point: The design.
        values: By path; those that are left out stay, and a slice group that the design did not
            have must be there.
    """
    encoding = str(values.get("encoding", point.encoding))
    groups = load("hw_models.encodings", encoding).slice_groups(
        point.quantizer.knobs.code_bits, point.cell.bits
    )
    own: dict[str, Value] = dict(zip(slice_paths(point), point.adc.bits, strict=True))
    bits = {**own, **values}
    engine = point.engine
    if isinstance(engine.knobs, BitPlaneKnobs):
        engine = replace(engine, knobs=_with(engine.knobs, "engine.bit_plane", values))
    return replace(
        point,
        engine=engine,
        encoding=encoding,
        crossbar=_with(point.crossbar, "crossbar", values),
        dac=_with(point.dac, "dac", values),
        schedule=_with(point.schedule, "schedule", values),
        adc_loop=_with(point.adc_loop, "adc", values),
        adc=replace(
            _with(point.adc, "adc", values),
            bits=tuple(int(bits[slice_path(s)]) for s in reversed(range(groups))),
        ),
    )


def slice_paths(point: DesignPoint) -> list[str]:
    """Paths of a design's ADC resolutions, the most significant slice group first."""
    return [slice_path(s) for s in reversed(range(len(point.adc.bits)))]


def _with(knobs: _Knobs, at: str, values: Mapping[str, Value]) -> _Knobs:
    """Knobs with those fields changed that `values` has below `at`; `bits` of ADCs excepted."""
    names = (each.name for each in fields(knobs))
    changed = {name: values[f"{at}.{name}"] for name in names if f"{at}.{name}" in values}
    return replace(knobs, **changed)


def domain_values(domain: Domain) -> tuple[Any, ...]:
    """Every value of a domain that has finitely many."""
    if is_single(domain):
        return (only_value(domain),)
    if isinstance(domain, Choice):
        return domain.values
    assert isinstance(domain, IntRange), "no hardware knob that is swept is real-valued"
    return tuple(range(domain.low, domain.high + 1))
