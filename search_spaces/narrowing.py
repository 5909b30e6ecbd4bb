"""A study's tighter domains: read from text, checked against the knobs."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

from search_spaces.domains import (
    Choice,
    Domain,
    FloatRange,
    IntRange,
    Value,
    is_single,
    is_within,
    only_value,
    single,
)
from search_spaces.draw import Catalogue, DesignSpace, conflicts, draw_design

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_RANGE = re.compile(rf"^(?P<log>log\s+)?(?P<low>{_NUMBER})\s*\.\.\s*(?P<high>{_NUMBER})$")


class NarrowingError(ValueError):
    """A study names a knob that does not exist, or a value that its domain does not hold."""


def narrow(
    catalogue: Catalogue, fixed: Mapping[str, Any], space: Mapping[str, Any]
) -> DesignSpace:
    """The space of a study: defaults, then `fixed`, then `space`.

    Args:
        catalogue: What is installed.
        fixed: Values by path, as in the study file.
        space: Domains by path, as in the study file: a value, a list, or a range as text
            (`1..6`, `log 0.01..10`). A path may stop early (`adc.bits` stands for all slice
            groups) or leave out the technique (`regularizer.strength` stands for the strength of
            every regulariser).

    Raises:
        NarrowingError: With the path and what should hold there.
    """
    full = catalogue.domains()
    domains: dict[str, Domain] = {
        path: single(value) for path, value in catalogue.defaults().items()
    }
    named: dict[str, str] = {}
    for section, entries in (("fixed", fixed), ("space", space)):
        for written, value in flatten(entries).items():
            for path in resolve(written, catalogue, full, section):
                if path in named and named[path] != section:
                    raise NarrowingError(
                        f"{section}.{written}: {path} already stands under {named[path]}; "
                        "keep one of the two"
                    )
                named[path] = section
                domains[path] = _domain(f"{section}.{written}", path, value, full[path])
                if section == "fixed" and not is_single(domains[path]):
                    raise NarrowingError(
                        f"fixed.{written}: a fixed knob has one value, got {value!r}; "
                        "a range or list belongs under space"
                    )
    for path, (engine, value) in conflicts(domains, named).items():
        raise NarrowingError(
            f"{named[path]}.{path}: engine {engine!r} works with {value} only, the study leaves "
            f"{domains[path]}; add {value}, or leave {path} out"
        )
    return DesignSpace(catalogue=catalogue, domains=domains)


def place(space: DesignSpace, entries: Mapping[str, Any]) -> dict[str, Value]:
    """The free knobs of one given design, by path; knobs it does not name take their default.

    Args:
        space: What the study leaves free.
        entries: Values by path, in the spelling of `narrow`.

    Raises:
        NarrowingError: A value is outside the study's space, or a free knob has neither a value
            here nor a default inside the space.
    """
    full = space.catalogue.domains()
    defaults = space.catalogue.defaults()
    given: dict[str, Value] = {}
    for written, value in flatten(entries).items():
        for path in resolve(written, space.catalogue, full, "points"):
            wanted = _domain(f"points.{written}", path, value, full[path])
            if not is_single(wanted):
                raise NarrowingError(f"points.{written}: a point has one value, got {value!r}")
            given[path] = only_value(wanted)
            if given[path] not in space.domains[path]:
                raise NarrowingError(
                    f"points.{written}: {given[path]} is outside {space.domains[path]}, which the "
                    f"study leaves to {path}; widen the space or change the point"
                )
    asked: dict[str, Value] = {}

    def choose(path: str, domain: Domain) -> Value:
        value = given.get(path, defaults[path])
        if value not in domain:
            raise NarrowingError(
                f"points: {path} is free in {domain} and its default {value} is outside; name it"
            )
        asked[path] = value
        return value

    draw_design(space, choose)
    return asked


def flatten(entries: Mapping[str, Any], at: str = "") -> dict[str, Any]:
    """Nested mappings as dotted paths."""
    flat: dict[str, Any] = {}
    for key, value in entries.items():
        path = f"{at}.{key}" if at else str(key)
        if isinstance(value, Mapping):
            flat |= flatten(value, path)
        else:
            flat[path] = value
    return flat


def resolve(
    written: str, catalogue: Catalogue, full: Mapping[str, Domain], section: str
) -> list[str]:
    """The knobs that a path of a study file stands for."""
    if written in full:
        return [written]
    if below := [path for path in full if path.startswith(f"{written}.slice")]:
        return below
    slot, _, knob = written.partition(".")
    if slot in catalogue.slots:
        across = [
            path
            for path in full
            if path.startswith(f"{slot}.")
            and path.endswith(f".{knob}")
            and (".layer." not in path or ".layer." in written)
        ]
        if knob and across:
            return across
    shorthands = {_without_technique(path, catalogue) for path in full} | {"adc.bits"}
    near = difflib.get_close_matches(written, sorted({*full, *shorthands}), n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise NarrowingError(
        f"{section}.{written}: there is no such knob; {hint}Knobs: {', '.join(sorted(shorthands))}"
    )


def _without_technique(path: str, catalogue: Catalogue) -> str:
    parts = path.split(".")
    if parts[0] in catalogue.slots and len(parts) > 2:
        return f"{parts[0]}.{parts[-1]}"
    if parts[:2] == ["adc", "bits"]:
        return path
    return path


def _domain(where: str, path: str, value: Any, full: Domain) -> Domain:
    narrowed = _as_kept(_parse(where, value, full), full)
    if not is_within(narrowed, full):
        raise NarrowingError(f"{where}: {narrowed} leaves the domain {full} of {path}; narrow it")
    return narrowed


def _as_kept(narrowed: Domain, full: Domain) -> Domain:
    """The same values in the type that the knob keeps: 5 is 5.0 where reals are meant."""
    if not isinstance(narrowed, Choice):
        return narrowed
    if isinstance(full, FloatRange):
        return Choice(*(float(v) if v in full else v for v in narrowed.values))
    if isinstance(full, Choice):
        return Choice(
            *(next((k for k in full.values if v in single(k)), v) for v in narrowed.values)
        )
    return narrowed


def _parse(where: str, value: Any, full: Domain) -> Domain:
    if isinstance(value, list):
        if not value or not all(isinstance(v, bool | int | float | str) for v in value):
            raise NarrowingError(f"{where}: a list holds plain values, at least one; got {value}")
        try:
            return Choice(*(_number(v) for v in value)) if len(value) > 1 else single(value[0])
        except ValueError as error:
            raise NarrowingError(f"{where}: {error}") from None
    if isinstance(value, str) and (match := _RANGE.match(value.strip())):
        return _range(where, match, full)
    if isinstance(value, bool | int | float | str):
        return single(_number(value))
    raise NarrowingError(
        f"{where}: expected a value, a list, or a range such as 1..6 or log 0.01..10; "
        f"got {value!r}"
    )


def _range(where: str, match: re.Match[str], full: Domain) -> Domain:
    low, high = match["low"], match["high"]
    log = match["log"] is not None
    try:
        if isinstance(full, FloatRange):
            return FloatRange(float(low), float(high), log=log or full.log)
        if log:
            raise ValueError(f"only a real-valued knob takes a log range, this one is {full}")
        if isinstance(full, Choice) and not all(
            isinstance(v, int) and not isinstance(v, bool) for v in full.values
        ):
            raise ValueError(f"this knob takes a list of {full}, not a range")
        whole = IntRange(int(low), int(high))
    except ValueError as error:
        raise NarrowingError(
            f"{where}: {match.string.strip()!r} is no range here: {error}"
        ) from None
    if isinstance(full, Choice):
        inside = [v for v in full.values if v in whole]
        if not inside:
            raise NarrowingError(f"{where}: {whole} holds none of {full}; narrow it")
        return Choice(*inside)
    return whole


def _number(value: Any) -> Any:
    """YAML 1.1 reads `1e-3` as text; a knob never means that."""
    if isinstance(value, str) and re.fullmatch(_NUMBER, value):
        return float(value)
    return value
