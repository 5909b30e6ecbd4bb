"""study_state(): what a study is doing, and what may be done with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from dse.lease import whose
from dse.reading.columns import TrialColumns
from dse.serving.live import LiveStudy
from dse.serving.runs import Run
from dse.trial_attributes import (
    COMPLETE,
    DESIGN,
    DUPLICATE_OF,
    FAIL,
    LOST,
    NESTED_IN,
    RULED_OUT,
    RUNNING,
    SWEEP,
    WAITING,
)

PAUSE = "pause"
"""Entry of the request to stop: the study is to go on later."""

Name = Literal[
    "starting",
    "running",
    "stopping",
    "paused",
    "cancelled",
    "driver_lost",
    "failed",
    "finished",
    "interrupted",
]
Action = Literal["pause", "cancel", "resume"]


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What a study is doing.

    Attributes:
        name: One word.
        why: A sentence for a person.
        actions: What may be done.
    """

    name: Name
    why: str
    actions: tuple[Action, ...]


def study_state(live: LiveStudy, spec: Mapping[str, Any], run: Run | None) -> State:
    """The state of a study.

    Args:
        live: As it was last read.
        spec: As it is stored.
        run: The last run that was started here, if any was.
    """
    drivers, asked = live.drivers, live.asked_to_stop
    if drivers:
        who = ", ".join(map(whose, drivers))
        if asked:
            words = f"asked to stop: {who}; what is being evaluated goes back to the queue"
            return State(name="stopping", why=words, actions=())
        return State(name="running", why=f"run by {who}", actions=("pause", "cancel"))
    if lost := live.left_behind:
        n_left = int((live.columns.states == RUNNING).sum())
        return State(
            name="driver_lost",
            why=f"{', '.join(map(whose, lost))}, which ran it, is gone; what was "
            f"left running ({n_left}) is taken up when the study is resumed",
            actions=("resume", "cancel"),
        )
    failed = run is not None and bool(run.exit_code)
    if asked and not (failed and run is not None and run.created > asked["at"]):
        if asked.get(PAUSE):
            return State(name="paused", why="paused", actions=("resume", "cancel"))
        where = f"cancelled from {asked['host']}"
        return State(name="cancelled", why=where, actions=("resume",))
    done, budget = live.once("done", lambda: n_done(live.columns, spec)), spec["budget"]["trials"]
    waiting = int((live.columns.states == WAITING).sum())
    if done >= budget and not waiting:
        why = f"all {budget} designs are evaluated"
        return State(name="finished", why=why, actions=("resume",))
    if failed and run is not None:
        why = f"its last run ended with exit code {run.exit_code}; the log says why"
        return State(name="failed", why=why, actions=("resume",))
    if run is not None and run.exit_code == 0:
        why = f"ended after {done} of {budget} designs; the log says why"
        return State(name="finished", why=why, actions=("resume",))
    return State(
        name="interrupted",
        why=f"nobody runs it; {done} of {budget} designs are evaluated",
        actions=("resume", "cancel"),
    )


def ending(run: Run) -> State:
    """A study whose driver has given it back, and has a last word to say."""
    return State(name="stopping", why=f"process {run.pid} is ending", actions=())


def starting(run: Run) -> State:
    """A study whose driver does not own it yet."""
    return State(
        name="starting",
        why=f"process {run.pid} is being started, and checks data and network",
        actions=("cancel",),
    )


def never_made(run: Run) -> State:
    """A study that was launched, and whose driver ended before it made it."""
    code = "" if run.exit_code is None else f" with exit code {run.exit_code}"
    return State(
        name="failed",
        why=f"its run ended{code} before the study was made; the log says why",
        actions=(),
    )


def n_done(columns: TrialColumns, spec: Mapping[str, Any]) -> int:
    """Designs that count towards the budget and are evaluated, or failed for good."""
    copies, lost, ruled_out = columns.marks(DUPLICATE_OF, LOST, RULED_OUT)
    nested = (spec.get("search") or {}).get("name", "flat") != "flat"
    if nested or spec["budget"].get("rungs"):
        (designs,) = columns.marks(DESIGN)
        untrained = {row for row, mark in ruled_out.items() if not mark["trained"]}
        open_ = (columns.states == RUNNING) | (columns.states == WAITING)
        return len(
            {
                design["digest"]
                for row, design in designs.items()
                if not (open_[row] or row in copies or row in lost or row in untrained)
                and NESTED_IN not in design
                and design.get(SWEEP, True)
            }
        )
    told = (columns.states == COMPLETE) | (columns.states == FAIL)
    told[[row for row, mark in ruled_out.items() if mark["trained"]]] = True
    told[list(copies)] = False
    told[list(lost)] = False
    return int(np.count_nonzero(told))
