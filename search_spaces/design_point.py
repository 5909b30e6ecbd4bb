"""DesignPoint: one candidate, the accelerator and how its network is compressed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields
from typing import Any, Generic, Protocol, TypeVar

from search_spaces.adc import AdcKnobs, slice_path
from search_spaces.crossbar import CellKnobs, CrossbarKnobs
from search_spaces.domains import Value
from search_spaces.pruning import PruningKnobs

Knobs = TypeVar("Knobs", covariant=True)


class QuantizerKnobs(Protocol):
    """Knobs of a quantiser tell how wide its codes are."""

    @property
    def code_bits(self) -> int:
        """Magnitude bits of the integer codes that reach the crossbars."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen(Generic[Knobs]):
    """A technique by name, and its knobs."""

    name: str
    knobs: Knobs


@dataclass(frozen=True, slots=True, kw_only=True)
class DesignPoint:
    """One candidate.

    Attributes:
        quantizer: Grid of the weights.
        regularizer: Penalty while fine-tuning.
        pruning: Removal of small weights before fine-tuning.
        engine: Name of the accelerator that walks the cells.
        crossbar: Array size.
        cell: Memory cell.
        adc: Converters, one resolution for every slice group.
    """

    quantizer: Chosen[QuantizerKnobs]
    regularizer: Chosen[Any]
    pruning: PruningKnobs
    engine: str
    crossbar: CrossbarKnobs
    cell: CellKnobs
    adc: AdcKnobs

    def knobs_of(self, slot: str) -> dict[str, Value]:
        """Knobs of the technique in a slot, by path."""
        chosen = getattr(self, slot)
        return _by_path(chosen.knobs, f"{slot}.{chosen.name}")

    def to_json(self) -> dict[str, Value]:
        """Every knob by its path, those that a study holds fixed included."""
        flat: dict[str, Value] = {"engine": self.engine}
        for slot in ("quantizer", "regularizer"):
            flat[slot] = getattr(self, slot).name
            flat |= self.knobs_of(slot)
        for room in ("pruning", "crossbar", "cell"):
            flat |= _by_path(getattr(self, room), room)
        flat["adc.model"] = self.adc.model
        for significance, bits in enumerate(reversed(self.adc.bits)):
            flat[slice_path(significance)] = bits
        return flat

    def digest(self) -> str:
        """Same digest, same design; order and spelling of the study file do not matter."""
        canonical = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:32]


def _by_path(knobs: Any, at: str) -> dict[str, Value]:
    return {f"{at}.{field.name}": getattr(knobs, field.name) for field in fields(knobs)}
