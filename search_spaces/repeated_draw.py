"""RepeatedDraw: many designs of one space; what they have in common is worked out once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any

from search_spaces.adc import AdcKnobs, slice_path
from search_spaces.design_point import ROOM_PATHS, SLOTS, DesignPoint, layer_path
from search_spaces.domains import Domain, FloatRange, Value, is_single
from search_spaces.draw import DesignSpace, draw_design

_MOST_FORMS = 1000
_NUMBERS = (int, float)


class RepeatedDraw:
    """`draw_design` and `DesignPoint.digest` for many designs, a tenth of the time.

    Designs of the same form (techniques, encoding, bits of cells and all knobs of the quantiser)
    ask for the same knobs. The first of a form is drawn as always; of the others only the parts
    whose knobs differ are made anew.

    Args:
        space: Of the designs.
    """

    def __init__(self, space: DesignSpace) -> None:
        self._space = space
        self._shaping = tuple(path for path in space.free() if _shapes(path))
        self._checks = {path: _check(path, domain) for path, domain in space.domains.items()}
        self._forms: dict[tuple[Value | None, ...], _Form] = {}

    def asked(self, params: Mapping[str, Value]) -> dict[str, Value]:
        """The knobs that a design asks for, in that order.

        Args:
            params: Values by path; those that it does not ask for do not matter.

        Raises:
            ValueError: A value outside the knob's domain.
            KeyError: A knob that it asks for is missing.
        """
        checks = self._checks
        return {path: checks[path](params[path]) for path in self._form(params).asked}

    def digest(self, params: Mapping[str, Value]) -> str:
        """`point(params).digest()`, of values that `asked` has checked."""
        return self._form(params).digest(params)

    def point(self, params: Mapping[str, Value]) -> DesignPoint:
        """The design with these values, which `asked` has checked."""
        return self._form(params).point(params)

    def _form(self, params: Mapping[str, Value]) -> _Form:
        key = tuple([params.get(path) for path in self._shaping])
        if (form := self._forms.get(key)) is None:
            if len(self._forms) >= _MOST_FORMS:
                self._forms.clear()
            form = self._forms[key] = _Form(self._space, params)
        return form


class _Form:
    """Designs that ask for the same knobs."""

    def __init__(self, space: DesignSpace, params: Mapping[str, Value]) -> None:
        asked: list[str] = []

        def choose(path: str, _domain: Domain) -> Value:
            asked.append(path)
            return params[path]

        first = draw_design(space, choose)
        self.asked = tuple(asked)
        varies = {path for path in asked if not _shapes(path)}
        self._fixed = {each.name: getattr(first, each.name) for each in fields(first)}
        self._parts = _parts(first, varies)
        for name in self._parts:
            del self._fixed[name]
        self._text, self._holes = _json_of(first, varies)

    def point(self, params: Mapping[str, Value]) -> DesignPoint:
        """The design with these knobs."""
        made = {name: make(params) for name, make in self._parts.items()}
        return DesignPoint(**self._fixed, **made)

    def digest(self, params: Mapping[str, Value]) -> str:
        """The digest of that design."""
        words = [
            repr(value) if type(value := params[path]) in _NUMBERS else json.dumps(value)
            for path in self._holes
        ]
        return hashlib.sha256((self._text % tuple(words)).encode()).hexdigest()[:32]


Make = Callable[[Mapping[str, Any]], Any]


def _shapes(path: str) -> bool:
    """Whether a knob may decide which other knobs there are; see `draw_design`."""
    return path in SLOTS or path in ("encoding", "cell.bits") or path.startswith("quantizer.")


def _check(path: str, domain: Domain) -> Callable[[Any], Value]:
    def slowly(value: Any) -> Value:
        if value not in domain:
            raise ValueError(f"{path}: {value!r} is outside {domain}")
        found: Value = value
        return found

    if isinstance(domain, FloatRange):
        low, high = domain.low, domain.high

        def number(value: Any) -> Value:
            if type(value) is float and low <= value <= high:
                return value
            return slowly(value)

        return number
    if is_single(domain):
        return lambda value: value  # never asked for
    known: set[tuple[type, Any]] = set()

    def listed(value: Any) -> Value:
        key = type(value), value
        if key not in known:
            slowly(value)
            if len(known) < _MOST_FORMS:
                known.add(key)
        found: Value = value
        return found

    return listed


def _parts(first: DesignPoint, varies: set[str]) -> dict[str, Make]:
    """How to make those attributes of a design that have knobs which vary."""
    found: dict[str, Make] = {}
    for attribute, at in ROOM_PATHS.items():
        room = getattr(first, attribute)
        if own := _fields(room, at, varies):
            found[attribute] = _changing(room, own)
    for slot in SLOTS:
        chosen = getattr(first, slot)
        at = f"{slot}.{chosen.name}"
        own = _fields(chosen.knobs, at, varies)
        layers = {
            (layer, knob): path
            for layer, knobs in chosen.layers.items()
            for knob in knobs
            if (path := layer_path(at, layer, knob)) in varies
        }
        if own or layers:
            found[slot] = _technique(chosen, own, layers)
    bits = [slice_path(significance) for significance in reversed(range(len(first.adc.bits)))]
    plain = {f"adc.{name}": name for name in ("model", "per_array") if f"adc.{name}" in varies}
    if plain or varies.intersection(bits):
        found["adc"] = _converters(first, plain, bits, varies)
    return found


def _fields(knobs: Any, at: str, varies: set[str]) -> dict[str, str]:
    """Fields that vary, by path."""
    return {path: f.name for f in fields(knobs) if (path := f"{at}.{f.name}") in varies}


def _changing(knobs: Any, own: Mapping[str, str]) -> Make:
    changed = own.values()
    base = {f.name: getattr(knobs, f.name) for f in fields(knobs) if f.name not in changed}
    kind, names = type(knobs), tuple(own.items())
    return lambda params: kind(**base, **{name: params[path] for path, name in names})


def _technique(chosen: Any, own: Mapping[str, str], layers: Mapping[tuple[str, str], str]) -> Make:
    knobs = _changing(chosen.knobs, own) if own else lambda _params: chosen.knobs

    kind, name = type(chosen), chosen.name

    def make(params: Mapping[str, Value]) -> Any:
        its = chosen.layers
        if layers:
            its = {layer: dict(values) for layer, values in its.items()}
            for (layer, knob), path in layers.items():
                its[layer][knob] = params[path]
        return kind(name=name, knobs=knobs(params), layers=its)

    return make


def _converters(
    first: DesignPoint, plain: Mapping[str, str], bits: list[str], varies: set[str]
) -> Make:
    adc = first.adc
    fixed = {path: had for path, had in zip(bits, adc.bits, strict=True) if path not in varies}

    def make(params: Mapping[str, Any]) -> Any:
        now = tuple([fixed[path] if path in fixed else params[path] for path in bits])
        if plain:
            return replace(adc, bits=now, **{name: params[path] for path, name in plain.items()})
        return AdcKnobs(model=adc.model, per_array=adc.per_array, bits=now)

    return make


def _json_of(first: DesignPoint, varies: set[str]) -> tuple[str, list[str]]:
    """The canonical JSON of a design, with `%s` where a value varies.

    Returns:
        The text, and the paths of those values in order.
    """
    words: list[str] = []
    holes: list[str] = []
    for path, value in sorted(first.to_json().items()):
        if path in varies:
            holes.append(path)
        text = "%s" if path in varies else _doubled(json.dumps(value))
        words.append(f"{_doubled(json.dumps(path))}:{text}")
    return "{" + ",".join(words) + "}", holes


def _doubled(text: str) -> str:
    return text.replace("%", "%%")
