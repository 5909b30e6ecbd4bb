"""DesignPoint: one candidate, the accelerator and how its network is compressed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, Generic, Protocol, TypeVar

from search_spaces.adc import AdcKnobs, slice_path
from search_spaces.adc_tuning import AdcLoopKnobs
from search_spaces.crossbar import CellKnobs, CrossbarKnobs, DacKnobs
from search_spaces.domains import Value
from search_spaces.inputs import InputKnobs
from search_spaces.nonidealities import NonidealityKnobs
from search_spaces.pruning import PruningKnobs
from search_spaces.schedule import ScheduleKnobs

Knobs = TypeVar("Knobs", covariant=True)

SLOTS = ("quantizer", "regularizer", "patches", "bit_flips", "engine")
"""Places of a design that a technique of many fills."""

LayerKnobs = Mapping[str, Mapping[str, Value]]
"""Values of knobs by layer and knob, for layers that differ from the rest of the network."""


class QuantizerKnobs(Protocol):
    """Knobs of a quantiser tell how wide its codes are."""

    @property
    def code_bits(self) -> int:
        """Magnitude bits of the integer codes that reach the crossbars."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen(Generic[Knobs]):
    """A technique by name, and its knobs.

    Attributes:
        name: Of the technique.
        knobs: For the whole network.
        layers: Knobs that some layers have of their own.
    """

    name: str
    knobs: Knobs
    layers: LayerKnobs = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class DesignPoint:
    """One candidate.

    Attributes:
        quantizer: Grid of the weights.
        regularizer: Penalty while fine-tuning.
        pruning: Removal of small weights before fine-tuning.
        patches: Removal and narrowing of patches of weights.
        bit_flips: Changes of single bits of the codes after training.
        engine: The way an accelerator walks the cells.
        encoding: Name of the way signed weights sit in cells.
        crossbar: Array size.
        cell: Memory cell.
        dac: Drivers of the wordlines.
        inputs: Codes that the drivers send.
        adc: Converters, one resolution for every slice group.
        adc_loop: How network and converters are fitted to each other.
        schedule: How layers share time.
        nonidealities: Device and wire effects.
    """

    quantizer: Chosen[QuantizerKnobs]
    regularizer: Chosen[Any]
    pruning: PruningKnobs
    patches: Chosen[Any]
    bit_flips: Chosen[Any]
    engine: Chosen[Any]
    encoding: str
    crossbar: CrossbarKnobs
    cell: CellKnobs
    dac: DacKnobs
    inputs: InputKnobs
    adc: AdcKnobs
    adc_loop: AdcLoopKnobs
    schedule: ScheduleKnobs
    nonidealities: NonidealityKnobs

    def knobs_of(self, slot: str) -> dict[str, Value]:
        """Knobs of the technique in a slot, by path."""
        chosen = getattr(self, slot)
        at = f"{slot}.{chosen.name}"
        return _by_path(chosen.knobs, at) | {
            layer_path(at, layer, knob): value
            for layer, knobs in chosen.layers.items()
            for knob, value in knobs.items()
        }

    def to_json(self) -> dict[str, Value]:
        """Every knob by its path, those that a study holds fixed included."""
        flat: dict[str, Value] = {}
        for slot in SLOTS:
            flat[slot] = getattr(self, slot).name
            flat |= self.knobs_of(slot)
        for attribute, path in ROOM_PATHS.items():
            flat |= _by_path(getattr(self, attribute), path)
        flat["encoding"] = self.encoding
        flat["adc.model"] = self.adc.model
        flat["adc.per_array"] = self.adc.per_array
        for significance, bits in enumerate(reversed(self.adc.bits)):
            flat[slice_path(significance)] = bits
        return flat

    def digest(self) -> str:
        """Same digest, same design; order and spelling of the study file do not matter."""
        canonical = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:32]


ROOM_PATHS: Mapping[str, str] = MappingProxyType(
    {
        "pruning": "pruning",
        "crossbar": "crossbar",
        "cell": "cell",
        "dac": "dac",
        "inputs": "inputs",
        "adc_loop": "adc",
        "schedule": "schedule",
        "nonidealities": "nonidealities",
    }
)
"""Attributes of a design that hold a fixed set of knobs, with the path of those."""


def layer_path(at: str, layer: str, knob: str) -> str:
    """Path of a knob that one layer has of its own; `at` is `slot.technique`."""
    return f"{at}.layer.{layer}.{knob}"


def _by_path(knobs: Any, at: str) -> dict[str, Value]:
    return {f"{at}.{each.name}": getattr(knobs, each.name) for each in fields(knobs)}
