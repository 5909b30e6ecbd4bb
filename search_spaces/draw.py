"""draw_design(): a design point by asking for each knob that is free."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, cast, get_args, get_origin, get_type_hints

from search_spaces import adc
from search_spaces.adc import AdcKnobs, slice_path
from search_spaces.crossbar import CellKnobs, CrossbarKnobs
from search_spaces.design_point import Chosen, DesignPoint, QuantizerKnobs
from search_spaces.domains import Choice, Domain, Value, is_single, only_value
from search_spaces.pruning import PruningKnobs

Chooser = Callable[[str, Domain], Value]
"""Given a path such as `crossbar.wordlines` and its domain, returns a value."""

ROOMS: Mapping[str, type] = {
    "pruning": PruningKnobs,
    "crossbar": CrossbarKnobs,
    "cell": CellKnobs,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """What is installed: the techniques with their knobs, engines and converter models by name.

    Attributes:
        quantizers: Knob class by name.
        regularizers: Knob class by name.
        engines: Names.
        converters: Names.
    """

    quantizers: Mapping[str, type]
    regularizers: Mapping[str, type]
    engines: tuple[str, ...]
    converters: tuple[str, ...]

    def domains(self) -> dict[str, Domain]:
        """Every knob's full domain, by path."""
        domains: dict[str, Domain] = {
            "engine": Choice(*self.engines),
            "adc.model": Choice(*self.converters),
            "quantizer": Choice(*self.quantizers),
            "regularizer": Choice(*self.regularizers),
        }
        for slot, techniques in self.slots().items():
            for name, knobs in techniques.items():
                domains |= _domains(knobs, f"{slot}.{name}")
        for room, knobs in ROOMS.items():
            domains |= _domains(knobs, room)
        for significance in range(adc.MAX_SLICES):
            domains[slice_path(significance)] = adc.BITS
        return domains

    def defaults(self) -> dict[str, Value]:
        """The value that a knob takes where a study does not name it, by path."""
        defaults: dict[str, Value] = {
            "engine": "isaac",
            "adc.model": "saberi",
            "quantizer": "fixed_point",
            "regularizer": "none",
        }
        for slot, techniques in self.slots().items():
            for name, knobs in techniques.items():
                defaults |= _defaults(knobs, f"{slot}.{name}")
        for room, knobs in ROOMS.items():
            defaults |= _defaults(knobs, room)
        for significance in range(adc.MAX_SLICES):
            defaults[slice_path(significance)] = adc.DEFAULT_BITS
        return defaults

    def slots(self) -> dict[str, Mapping[str, type]]:
        """Places that a technique fills, with the techniques that fit."""
        return {"quantizer": self.quantizers, "regularizer": self.regularizers}


@dataclass(frozen=True, slots=True, kw_only=True)
class DesignSpace:
    """What a study leaves free and what it holds fixed.

    Attributes:
        catalogue: What is installed.
        domains: Domain of every knob by path; one of a single value is fixed.
    """

    catalogue: Catalogue
    domains: Mapping[str, Domain]

    def free(self) -> dict[str, Domain]:
        """The knobs that leave something to choose."""
        return {path: domain for path, domain in self.domains.items() if not is_single(domain)}


def draw_design(space: DesignSpace, choose: Chooser) -> DesignPoint:
    """Set every knob by asking `choose`, those of techniques that were not chosen excepted.

    A knob that leaves nothing to choose is not asked for.
    """

    def ask(path: str) -> Value:
        domain = space.domains[path]
        value = only_value(domain) if is_single(domain) else choose(path, domain)
        if value not in domain:
            raise ValueError(f"{path}: {value!r} is outside {domain}")
        return value

    def fill(knobs: type, at: str) -> Any:
        return knobs(**{field.name: ask(f"{at}.{field.name}") for field in fields(knobs)})

    quantizer = str(ask("quantizer"))
    quantizer_knobs = cast(
        "QuantizerKnobs",
        fill(space.catalogue.quantizers[quantizer], f"quantizer.{quantizer}"),
    )
    regularizer = str(ask("regularizer"))
    regularizer_knobs = fill(
        space.catalogue.regularizers[regularizer], f"regularizer.{regularizer}"
    )
    cell: CellKnobs = fill(CellKnobs, "cell")
    slices = -(-quantizer_knobs.code_bits // cell.bits)
    return DesignPoint(
        quantizer=Chosen(name=quantizer, knobs=quantizer_knobs),
        regularizer=Chosen(name=regularizer, knobs=regularizer_knobs),
        pruning=fill(PruningKnobs, "pruning"),
        engine=str(ask("engine")),
        crossbar=fill(CrossbarKnobs, "crossbar"),
        cell=cell,
        adc=AdcKnobs(
            model=str(ask("adc.model")),
            bits=tuple(int(ask(slice_path(s))) for s in reversed(range(slices))),
        ),
    )


def _domains(knobs: type, at: str) -> dict[str, Domain]:
    hints = get_type_hints(knobs, include_extras=True)
    found: dict[str, Domain] = {}
    for field in fields(knobs):
        hint = hints[field.name]
        if get_origin(hint) is not Annotated:
            raise TypeError(
                f"a knob is annotated with its domain, {knobs.__name__}.{field.name} is {hint}; "
                "write Annotated[type, domain]"
            )
        found[f"{at}.{field.name}"] = get_args(hint)[1]
    return found


def _defaults(knobs: type, at: str) -> dict[str, Value]:
    return {f"{at}.{field.name}": cast("Value", field.default) for field in fields(knobs)}
