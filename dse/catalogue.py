"""The installed techniques with their knobs, and a study's design space made from them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from dse.errors import SpecError
from dse.plugins import installed, load
from search_spaces.draw import Catalogue, DesignSpace, LayerKnob
from search_spaces.engine import ENGINE_KNOBS, NoEngineKnobs
from search_spaces.narrowing import NarrowingError, flatten, narrow

ENGINES = "hw_models.engines"

_GROUPS = {
    "quantizer": "dse.quantizers",
    "regularizer": "dse.regularizers",
    "patches": "dse.patches",
    "bit_flips": "dse.bit_flips",
    "engine": ENGINES,
}
"""Entry points of the techniques of a slot."""

_PER_LAYER = {slot: _GROUPS[slot] for slot in ("patches", "bit_flips")}
"""Slots whose techniques take knobs for single layers."""

_LAYER_PATH = re.compile(
    r"^(?P<slot>\w+)\.(?:(?P<technique>\w+)\.)?layer\.(?P<layer>.+)\.(?P<knob>\w+)$"
)


@cache
def _knobs(group: str, name: str) -> type:
    found = load(group, name)
    if group == ENGINES:
        return ENGINE_KNOBS.get(name, NoEngineKnobs)
    knobs: type = found.knobs
    return knobs


def catalogue(
    also: Mapping[str, tuple[str, ...]] | None = None, written: Iterable[str] = ()
) -> Catalogue:
    """What is installed, and what a study names besides.

    Args:
        also: Further techniques, `module:attribute`, by slot (`quantizer`, ..., `adc.model`).
        written: Paths of the study; those of single layers become knobs.
    """
    extra = also or {}
    slots = {
        slot: {name: _knobs(group, name) for name in (*installed(group), *extra.get(slot, ()))}
        for slot, group in _GROUPS.items()
    }
    encodings = (*installed("hw_models.encodings"), *extra.get("encoding", ()))
    return Catalogue(
        slots=slots,
        converters=(*installed("hw_models.converters"), *extra.get("adc.model", ())),
        encodings={name: load("hw_models.encodings", name) for name in encodings},
        layer_knobs=tuple(dict.fromkeys(_layer_knobs(slots, written))),
    )


def design_space(
    where: str,
    fixed: Mapping[str, Any],
    space: Mapping[str, Any],
    points: Iterable[Mapping[str, Any]] = (),
) -> DesignSpace:
    """The space of a study.

    Args:
        where: Name of the study file, for messages.
        fixed: As in the study file.
        space: As in the study file.
        points: As in the study file.

    Raises:
        SpecError: A knob does not exist or a value is outside its domain.
    """
    also: dict[str, tuple[str, ...]] = {}
    entries = {**flatten(fixed), **flatten(space)}
    for path, value in entries.items():
        named = value if isinstance(value, list) else [value]
        also[path] = tuple(v for v in named if isinstance(v, str) and ":" in v)
    written = [*entries, *(path for point in points for path in flatten(point))]
    try:
        return narrow(catalogue(also, written), fixed, space)
    except NarrowingError as error:
        raise SpecError(f"{where}: {error}") from None


def _layer_knobs(
    slots: Mapping[str, Iterable[str]], written: Iterable[str]
) -> Iterable[LayerKnob]:
    """`patches.layer.conv1.tsv` as a knob of every technique that has it."""
    for path in written:
        match = _LAYER_PATH.match(path)
        if match is None or match["slot"] not in _PER_LAYER:
            continue
        for technique in slots[match["slot"]]:
            if match["technique"] not in (None, technique):
                continue
            own = load(_PER_LAYER[match["slot"]], technique).layer_knobs
            if match["knob"] in own:
                yield LayerKnob(
                    slot=match["slot"],
                    technique=technique,
                    layer=match["layer"],
                    knob=match["knob"],
                )
