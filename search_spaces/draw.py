"""draw_design(): a design point by asking for each knob that is free."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args, get_origin, get_type_hints

from search_spaces import adc
from search_spaces.adc import AdcKnobs, slice_path
from search_spaces.adc_tuning import AdcLoopKnobs
from search_spaces.crossbar import CellKnobs, CrossbarKnobs, DacKnobs
from search_spaces.design_point import (
    ROOM_PATHS,
    SLOTS,
    Chosen,
    DesignPoint,
    QuantizerKnobs,
    layer_path,
)
from search_spaces.domains import Choice, Domain, Value, is_single, only_value
from search_spaces.engine import IMPLIED
from search_spaces.inputs import InputKnobs
from search_spaces.nonidealities import NonidealityKnobs
from search_spaces.pruning import PruningKnobs
from search_spaces.schedule import ScheduleKnobs

if TYPE_CHECKING:
    from hw_models.encodings.encoding import Encoding

Chooser = Callable[[str, Domain], Value]
"""Given a path such as `crossbar.wordlines` and its domain, returns a value."""

ROOMS: Mapping[str, type] = MappingProxyType(
    {
        "pruning": PruningKnobs,
        "crossbar": CrossbarKnobs,
        "cell": CellKnobs,
        "dac": DacKnobs,
        "inputs": InputKnobs,
        "adc_loop": AdcLoopKnobs,
        "schedule": ScheduleKnobs,
        "nonidealities": NonidealityKnobs,
    }
)
"""Knob class by attribute of a design; `ROOM_PATHS` has the paths."""

DEFAULT_TECHNIQUES: Mapping[str, str] = MappingProxyType(
    {
        "quantizer": "fixed_point",
        "regularizer": "none",
        "patches": "none",
        "bit_flips": "none",
        "engine": "isaac",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerKnob:
    """A knob that one layer has of its own, because a study names it.

    Attributes:
        slot: Such as `patches`.
        technique: Such as `pq_pim`.
        layer: Name of the layer.
        knob: Field of the technique's knob class.
    """

    slot: str
    technique: str
    layer: str
    knob: str

    @property
    def path(self) -> str:
        """Where a study file has it."""
        return layer_path(f"{self.slot}.{self.technique}", self.layer, self.knob)


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """What is installed: the techniques with their knobs, encodings and converter models.

    Attributes:
        slots: By slot of `SLOTS`, the knob class of every technique.
        converters: Names.
        encodings: By name; they say how many slice groups a code takes.
        layer_knobs: Knobs of single layers that a study names.
    """

    slots: Mapping[str, Mapping[str, type]]
    converters: tuple[str, ...]
    encodings: Mapping[str, Encoding]
    layer_knobs: tuple[LayerKnob, ...] = field(default=())

    def domains(self) -> dict[str, Domain]:
        """Every knob's full domain, by path."""
        domains: dict[str, Domain] = {slot: Choice(*self.slots[slot]) for slot in SLOTS}
        domains["adc.model"] = Choice(*self.converters)
        domains["adc.per_array"] = adc.PER_ARRAY
        domains["encoding"] = Choice(*self.encodings)
        for slot, techniques in self.slots.items():
            for name, knobs in techniques.items():
                domains |= _domains(knobs, f"{slot}.{name}")
        for attribute, knobs in ROOMS.items():
            domains |= _domains(knobs, ROOM_PATHS[attribute])
        for significance in range(adc.MAX_SLICES):
            domains[slice_path(significance)] = adc.BITS
        for own in self.layer_knobs:
            domains[own.path] = domains[f"{own.slot}.{own.technique}.{own.knob}"]
        return domains

    def defaults(self) -> dict[str, Value]:
        """The value that a knob takes where a study does not name it, by path."""
        defaults: dict[str, Value] = dict(DEFAULT_TECHNIQUES)
        defaults |= {"adc.model": "saberi", "adc.per_array": 1, "encoding": "differential"}
        for slot, techniques in self.slots.items():
            for name, knobs in techniques.items():
                defaults |= _defaults(knobs, f"{slot}.{name}")
        for attribute, knobs in ROOMS.items():
            defaults |= _defaults(knobs, ROOM_PATHS[attribute])
        for significance in range(adc.MAX_SLICES):
            defaults[slice_path(significance)] = adc.DEFAULT_BITS
        for own in self.layer_knobs:
            defaults[own.path] = defaults[f"{own.slot}.{own.technique}.{own.knob}"]
        return defaults


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

    def layers(self) -> tuple[str, ...]:
        """Layers of the network that have knobs of their own."""
        return tuple(dict.fromkeys(own.layer for own in self.catalogue.layer_knobs))


def draw_design(space: DesignSpace, choose: Chooser) -> DesignPoint:
    """Set every knob by asking `choose`, those of techniques that were not chosen excepted.

    A knob that leaves nothing to choose is not asked for, nor one whose value follows from the
    engine (`IMPLIED`).
    """
    implied: dict[str, Value] = {}

    def ask(path: str) -> Value:
        if path in implied:
            return implied[path]
        domain = space.domains[path]
        value = only_value(domain) if is_single(domain) else choose(path, domain)
        if value not in domain:
            raise ValueError(f"{path}: {value!r} is outside {domain}")
        return value

    def fill(knobs: type, at: str) -> Any:
        return knobs(**{each.name: ask(f"{at}.{each.name}") for each in fields(knobs)})

    def technique(slot: str) -> Chosen[Any]:
        name = str(ask(slot))
        layers: dict[str, dict[str, Value]] = {}
        knobs = fill(space.catalogue.slots[slot][name], f"{slot}.{name}")
        for own in space.catalogue.layer_knobs:
            if (own.slot, own.technique) == (slot, name):
                layers.setdefault(own.layer, {})[own.knob] = ask(own.path)
        return Chosen(name=name, knobs=knobs, layers=layers)

    engine = technique("engine")
    implied |= IMPLIED.get(engine.name, {})
    quantizer = technique("quantizer")
    rooms = {attribute: fill(ROOMS[attribute], path) for attribute, path in ROOM_PATHS.items()}
    encoding = str(ask("encoding"))
    groups = space.catalogue.encodings[encoding].slice_groups(
        cast("QuantizerKnobs", quantizer.knobs).code_bits, rooms["cell"].bits
    )
    return DesignPoint(
        quantizer=quantizer,
        regularizer=technique("regularizer"),
        patches=technique("patches"),
        bit_flips=technique("bit_flips"),
        engine=engine,
        encoding=encoding,
        adc=AdcKnobs(
            model=str(ask("adc.model")),
            per_array=int(ask("adc.per_array")),
            bits=tuple(int(ask(slice_path(s))) for s in reversed(range(groups))),
        ),
        **rooms,
    )


def conflicts(domains: Mapping[str, Domain], named: Iterable[str]) -> dict[str, tuple[str, Value]]:
    """Knobs that a study names without the value that one of its engines takes.

    Args:
        domains: Of the study.
        named: Paths that it names.

    Returns:
        By path, the engine and the value it takes.
    """
    found: dict[str, tuple[str, Value]] = {}
    for engine in _values(domains["engine"]):
        for path, value in IMPLIED.get(str(engine), {}).items():
            if path in named and value not in domains[path]:
                found[path] = (str(engine), value)
    return found


def _values(domain: Domain) -> tuple[Value, ...]:
    assert isinstance(domain, Choice), "techniques are listed"
    return domain.values


def _domains(knobs: type, at: str) -> dict[str, Domain]:
    hints = get_type_hints(knobs, include_extras=True)
    found: dict[str, Domain] = {}
    for each in fields(knobs):
        hint = hints[each.name]
        if get_origin(hint) is not Annotated:
            raise TypeError(
                f"a knob is annotated with its domain, {knobs.__name__}.{each.name} is {hint}; "
                "write Annotated[type, domain]"
            )
        found[f"{at}.{each.name}"] = get_args(hint)[1]
    return found


def _defaults(knobs: type, at: str) -> dict[str, Value]:
    for each in fields(knobs):
        if each.default is MISSING:
            raise TypeError(
                f"a knob has a default, {knobs.__name__}.{each.name} has none; write `= value`"
            )
    return {f"{at}.{each.name}": cast("Value", each.default) for each in fields(knobs)}
