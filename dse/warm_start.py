"""warm_designs(): the best designs of another study, moved into the space of a new one."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.trial import FrozenTrial

from dse.errors import StudyError
from dse.pareto import crowding_distances, non_dominated
from dse.spec import StudySpec
from dse.trials import METRICS, design_of, is_result
from search_spaces.design_point import DesignPoint
from search_spaces.domains import Choice, Domain, FloatRange, IntRange, Value
from search_spaces.draw import Chooser, DesignSpace, draw_design

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmDesign:
    """A design of another study, as the new one can have it.

    Attributes:
        trial: Its number in the other study.
        params: Free knobs of the new study, by path.
        changes: How it differs from the original; empty if it does not.
    """

    trial: int
    params: Mapping[str, Value]
    changes: tuple[str, ...]

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> WarmDesign:
        """What `to_json` gave."""
        return cls(
            trial=stored["trial"], params=stored["params"], changes=tuple(stored["changes"])
        )

    def to_json(self) -> dict[str, Any]:
        """As the study keeps it."""
        return {"trial": self.trial, "params": dict(self.params), "changes": list(self.changes)}


def warm_designs(
    trials: Sequence[FrozenTrial], *, source: StudySpec, spec: StudySpec
) -> tuple[WarmDesign, ...]:
    """The designs that a new study starts with.

    They are ranked by what the new study wants, read from the metrics of the other study's
    results: those that meet the new constraints first, by non-dominated rank and then by crowding
    distance (Deb et al., NSGA-II, 2002), the others after them, the least violation first.

    In the new space a knob that it does not have is dropped; one that the design does not have
    takes the value of the network where it is the knob of a layer, and else its default; a value
    that is not allowed moves to the nearest one that is, or, where values have no order, to the
    default. What changed is logged. Designs that become the same as one before, or as a given
    point, are left out, and the next best takes their place.

    Args:
        trials: Of the other study; not changed.
        source: What the other study searched.
        spec: The new study; it has a `warm_start`.

    Returns:
        The best first; fewer than asked for if there are no more.

    Raises:
        StudyError: No result of the other study has the metrics of the new one.
    """
    assert spec.warm_start is not None, "asked for by the study"
    space, source_space = spec.design_space(), source.design_space()
    known = {draw_design(space, reading(p)).digest() for p in spec.given_points(space)}
    found: list[WarmDesign] = []
    for trial in _best_first(trials, source, spec):
        if len(found) == spec.warm_start.designs:
            break
        original = draw_design(source_space, reading(trial.params))
        params, moved = _move(original, space)
        if moved.digest() in known:
            continue
        known.add(moved.digest())
        changes = tuple(_changes(original.to_json(), moved.to_json()))
        if changes:
            _logger.warning(
                "warm start: design %d of study %r was changed to fit: %s",
                trial.number,
                source.name,
                "; ".join(changes),
            )
        found.append(WarmDesign(trial=trial.number, params=params, changes=changes))
    if len(found) < spec.warm_start.designs:
        _logger.warning(
            "warm start: study %r has %d different designs for this space, %d were asked for",
            source.name,
            len(found),
            spec.warm_start.designs,
        )
    return tuple(found)


def reading(params: Mapping[str, Value]) -> Chooser:
    """Chooses what is written."""
    return lambda path, _domain: params[path]


def _best_first(
    trials: Sequence[FrozenTrial], source: StudySpec, spec: StudySpec
) -> Iterator[FrozenTrial]:
    objectives, constraints = spec.parsed_objectives(), spec.parsed_constraints()
    signs = [1.0 if o.direction == "minimize" else -1.0 for o in objectives]
    results: list[FrozenTrial] = []
    losses: list[list[float]] = []
    violations: list[float] = []
    for trial in trials:
        if not is_result(trial) or design_of(trial) is None:
            continue
        metrics = trial.user_attrs.get(METRICS, {})
        try:
            loss = [s * o.metric.of(metrics) for s, o in zip(signs, objectives, strict=True)]
            violation = sum(max(0.0, c.violation(metrics)) for c in constraints)
        except KeyError:
            continue
        if all(map(math.isfinite, (*loss, violation))):
            results.append(trial)
            losses.append(loss)
            violations.append(violation)
    if not results:
        names = ", ".join(objective.name for objective in objectives)
        raise StudyError(
            f"warm_start.study: study {source.name!r} has no finished design that tells {names}; "
            "run it first, or leave warm_start out"
        )
    table, broken = np.array(losses), np.array(violations)
    left = np.flatnonzero(broken == 0)
    while len(left):
        front = left[non_dominated(table[left])]
        for index in front[np.argsort(-crowding_distances(table[front]), kind="stable")]:
            yield results[index]
        left = np.setdiff1d(left, front)
    for index in np.argsort(broken, kind="stable")[int((broken == 0).sum()) :]:
        yield results[index]


def _move(original: DesignPoint, space: DesignSpace) -> tuple[dict[str, Value], DesignPoint]:
    """The free knobs of the nearest design of a space, and that design."""
    values = original.to_json()
    defaults = space.catalogue.defaults()
    network = {
        own.path: f"{own.slot}.{own.technique}.{own.knob}" for own in space.catalogue.layer_knobs
    }
    params: dict[str, Value] = {}

    def choose(path: str, domain: Domain) -> Value:
        wanted = (values.get(path), values.get(network.get(path, "")), defaults[path])
        for value in wanted:
            if value is not None and (near := nearest(domain, value)) is not None:
                break
        else:
            assert isinstance(domain, Choice), "in a range every number has a nearest value"
            near = domain.values[0]
        params[path] = near
        return near

    point = draw_design(space, choose)
    return params, point


def nearest(domain: Domain, value: Value) -> Value | None:
    """The value of a domain that is nearest to another, the smaller of two.

    Returns:
        None if the domain does not hold the value and knows no order between its own and it.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(domain, Choice):
        if value in domain:
            return next(v for v in domain.values if v in Choice(value))
        numbers = [
            v for v in domain.values if isinstance(v, int | float) and not isinstance(v, bool)
        ]
        if not number or not numbers:
            return None
        return min(numbers, key=lambda v: (abs(v - float(value)), v))
    if not number:
        return None
    if isinstance(domain, FloatRange):
        return min(max(float(value), domain.low), domain.high)
    assert isinstance(domain, IntRange), "a free text is listed"
    return min(max(round(float(value)), domain.low), domain.high)


def _changes(before: Mapping[str, Value], after: Mapping[str, Value]) -> Iterator[str]:
    for path in sorted({*before, *after}):
        if path not in after:
            yield f"{path} dropped"
        elif path not in before:
            yield f"{path} taken at {after[path]}"
        elif before[path] != after[path]:
            yield f"{path} {before[path]} -> {after[path]}"
