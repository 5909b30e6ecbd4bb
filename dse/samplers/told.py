"""Told: what the trials of a study say to a surrogate, rung by rung where designs climb."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from dse.samplers.directions import signs_of
from dse.samplers.informed import informed
from dse.samplers.window import windowed
from dse.trials import DUPLICATE_OF, LOST, PROMOTED_FROM, RUNG, RUNG_RESULT, design_of

Array = NDArray[np.float64]

LEAST_PAIRS = 5
"""Designs with results on a rung and the one below, before anything is concluded from them."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reached:
    """What a design came to on a rung.

    Attributes:
        running: Whether it is being evaluated there.
        losses: Objectives, all to be small; None where there are none (yet).
        constraints: Met at or below 0, by name; none if nothing is known of them.
    """

    running: bool
    losses: Array | None
    constraints: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Told:
    """What is known of a design.

    Attributes:
        numbers: Of its trials.
        params: Its knobs.
        distributions: Their ranges.
        rungs: What it came to, by rung; None where it was not evaluated.
    """

    numbers: tuple[int, ...]
    params: Mapping[str, Any]
    distributions: Mapping[str, BaseDistribution]
    rungs: tuple[Reached | None, ...]

    @property
    def last(self) -> Reached:
        """On the highest rung that it has been on."""
        return next(reached for reached in reversed(self.rungs) if reached is not None)


def told_by(
    study: Study, window: int, *, without: int | None = None, use_cache: bool = True
) -> list[Told]:
    """What the trials of a study say, in order.

    Where designs climb, and enough of them have been on every rung, each is told with its results
    on all of them. Else every design has one rung: what is known, or may come, of its full result;
    see `informed`.

    Args:
        study: Its trials.
        window: Most finished trials that are looked at; of designs that climb, most designs. Up
            to half are the newest of the first rung; the others have climbed, those with full
            results first, the best and then the newest of them.
        without: Number of a trial to leave out.
        use_cache: Whether the trials may be those of the last time that a design was asked for.
    """
    seen = windowed(informed(study, ruled_out=False), window)
    signs = signs_of(study.directions)
    shown = [
        trial
        for trial in seen._get_trials(deepcopy=False, use_cache=use_cache)
        if _speaks(trial) and trial.number != without
    ]
    raw = study._get_trials(deepcopy=False, use_cache=use_cache)
    top = _last_rung(raw)
    if top:
        designs = _by_design([t for t in raw if t.number != without], signs, top)
        designs = _within(designs, {trial.number for trial in shown}, window)
        pairs = [sum(_has_pair(told, rung) for told in designs) for rung in range(1, top + 1)]
        if min(pairs) >= LEAST_PAIRS:
            return designs
    return [_told([trial], (_reached(trial, signs),)) for trial in shown]


def _last_rung(trials: Sequence[FrozenTrial]) -> int:
    """Number of the last rung; 0 where no design has climbed there yet."""
    return max(
        (
            _design(trial).get(RUNG, 0)
            for trial in trials
            if trial.state == TrialState.COMPLETE and PROMOTED_FROM in _design(trial)
        ),
        default=0,
    )


def _by_design(trials: Sequence[FrozenTrial], signs: Array, top: int) -> list[Told]:
    by_number = {trial.number: trial for trial in trials}
    designs: dict[int, list[FrozenTrial]] = {}
    for trial in trials:
        if not _speaks(trial) or DUPLICATE_OF in trial.user_attrs:
            continue
        first = trial
        while (before := _design(first).get(PROMOTED_FROM)) is not None:
            first = by_number[before]
        designs.setdefault(first.number, []).append(trial)
    found = []
    for design in designs.values():
        rungs: list[Reached | None] = [None] * (top + 1)
        for trial in design:
            complete = trial.state == TrialState.COMPLETE
            rung = top if complete else _design(trial).get(RUNG, 0)
            rungs[rung] = _reached(trial, signs)
        found.append(_told(design, tuple(rungs)))
    return found


def _within(designs: list[Told], shown: Container[int], window: int) -> list[Told]:
    """At most so many designs, besides those that are being evaluated; in order."""
    places: dict[str, list[int]] = {"running": [], "waiting": [], "above": []}
    for place, design in enumerate(designs):
        has_climbed = any(reached is not None for reached in design.rungs[1:])
        kind = "running" if design.last.running else "above" if has_climbed else "waiting"
        places[kind].append(place)
    if len(designs) - len(places["running"]) <= window:
        return designs

    def weight(place: int) -> tuple[bool, bool, int]:
        design = designs[place]
        full, climbed = design.rungs[-1] is not None, len(design.numbers) > 1
        return full and climbed, any(number in shown for number in design.numbers), place

    fewest = min(len(places["waiting"]), window // 2)
    above = sorted(places["above"], key=weight, reverse=True)[: window - fewest]
    waiting = places["waiting"][len(above) - window :]
    return [designs[place] for place in sorted((*places["running"], *above, *waiting))]


def _has_pair(told: Told, rung: int) -> bool:
    pair = told.rungs[rung - 1], told.rungs[rung]
    return all(reached is not None and reached.losses is not None for reached in pair)


def _told(trials: Sequence[FrozenTrial], rungs: tuple[Reached | None, ...]) -> Told:
    first = trials[0]
    return Told(
        numbers=tuple(trial.number for trial in trials),
        params=first.params,
        distributions=first.distributions,
        rungs=rungs,
    )


def _reached(trial: FrozenTrial, signs: Array) -> Reached:
    values = None
    if trial.state == TrialState.COMPLETE:
        values = trial.values
    elif RUNG_RESULT in trial.user_attrs:
        values = trial.user_attrs[RUNG_RESULT]["values"]
    losses = None if values is None else np.array(values, dtype=float) * signs
    if losses is not None and not np.isfinite(losses).all():
        losses = None
    return Reached(
        running=not trial.state.is_finished(), losses=losses, constraints=dict(trial.constraints)
    )


def _speaks(trial: FrozenTrial) -> bool:
    """Whether a trial says anything: not one that waits, was lost, or has no knobs."""
    waits, was_lost = trial.state == TrialState.WAITING, LOST in trial.user_attrs
    return not waits and not was_lost and bool(trial.params)


def _design(trial: FrozenTrial) -> Mapping[str, Any]:
    return design_of(trial) or {}
