"""The installed techniques with their knobs, and a study's design space made from them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from dse.errors import SpecError
from dse.plugins import installed, load
from search_spaces.draw import Catalogue, DesignSpace
from search_spaces.narrowing import NarrowingError, flatten, narrow

_GROUPS = {"quantizer": "dse.quantizers", "regularizer": "dse.regularizers"}


@cache
def _knobs(group: str, name: str) -> type:
    knobs: type = load(group, name).knobs
    return knobs


def catalogue(also: Mapping[str, tuple[str, ...]] | None = None) -> Catalogue:
    """What is installed, and the `module:attribute` techniques that a study names besides.

    Args:
        also: Further names by slot (`quantizer`, `regularizer`, `engine`, `adc.model`).
    """
    extra = also or {}
    slots = {
        slot: {name: _knobs(group, name) for name in (*installed(group), *extra.get(slot, ()))}
        for slot, group in _GROUPS.items()
    }
    return Catalogue(
        quantizers=slots["quantizer"],
        regularizers=slots["regularizer"],
        engines=(*installed("hw_models.engines"), *extra.get("engine", ())),
        converters=(*installed("hw_models.converters"), *extra.get("adc.model", ())),
    )


def design_space(where: str, fixed: Mapping[str, Any], space: Mapping[str, Any]) -> DesignSpace:
    """The space of a study.

    Args:
        where: Name of the study file, for messages.
        fixed: As in the study file.
        space: As in the study file.

    Raises:
        SpecError: A knob does not exist or a value is outside its domain.
    """
    also: dict[str, tuple[str, ...]] = {}
    for path, value in {**flatten(fixed), **flatten(space)}.items():
        named = value if isinstance(value, list) else [value]
        also[path] = tuple(v for v in named if isinstance(v, str) and ":" in v)
    try:
        return narrow(catalogue(also), fixed, space)
    except NarrowingError as error:
        raise SpecError(f"{where}: {error}") from None
