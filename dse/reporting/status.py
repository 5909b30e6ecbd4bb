"""How far a study is: as JSON, as text, and as one line for a log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from dse.lease import live_leases
from dse.pareto import stored_front
from dse.reading.columns import TrialColumns
from dse.reading.trials import read_trials
from dse.trial_attributes import (
    DESIGN,
    DUPLICATE_OF,
    ERROR,
    LOST,
    RULED_OUT,
    RUNG_RESULT,
    SAMPLER,
    SECONDS,
    STAGES,
)

if TYPE_CHECKING:
    from dse.spec_sections import BudgetSpec

_SHOWN_ERRORS = 5


def study_status(
    columns: TrialColumns, spec: Mapping[str, Any], attributes: Mapping[str, Any]
) -> dict[str, Any]:
    """What `dse status --format json` prints.

    Args:
        columns: Of the study.
        spec: As it is stored.
        attributes: Of the study, as they are now.
    """
    objectives = columns.study.objectives(columns.source)
    budget: Mapping[str, Any] = spec["budget"]
    training = None
    if budget.get("rungs") or budget.get("stop_hopeless"):
        from dse.spec_sections import BudgetSpec  # pydantic takes a while to import

        training = saved_training(columns, BudgetSpec.model_validate(budget))
    copies, lost, errors, ruled_out = columns.marks(DUPLICATE_OF, LOST, ERROR, RULED_OUT)
    front = stored_front(columns, objectives)
    results = columns.results()
    good = columns.values()[results][~columns.broken()[results]]
    hours = columns.hours()
    number = columns.numbers.tolist()
    drivers = list(live_leases(attributes).values())
    return {
        "study": columns.study.name,
        "running_now": bool(drivers),
        "drivers": [{"host": d["host"], "pid": d["pid"]} for d in drivers],
        "n_trials": columns.counts(),
        "duplicates": len(copies),
        "lost_and_tried_again": len(lost),
        "budget": budget["trials"],
        "results_per_hour": (len(results) - 1) / hours if hours > 0 else None,
        "best": {
            o.name: float((np.max if o.direction == "maximize" else np.min)(good[:, i]))
            for i, o in enumerate(objectives)
            if len(good)
        },
        "front": len(front.trials),
        "hypervolume": front.hypervolume,
        "sampler": {**spec["sampler"], **(attributes.get(SAMPLER) or {})},
        "ruled_out": [
            {"trial": number[row], "reason": mark["reason"]}
            for row, mark in sorted(ruled_out.items())
            if row not in copies
        ],
        "training": training,
        "errors": [
            {"trial": number[row], "reason": reason}
            for row, reason in sorted(errors.items())
            if row not in lost
        ],
    }


def saved_training(columns: TrialColumns, budget: BudgetSpec) -> dict[str, Any] | None:
    """See `savings`; nothing is read of a study that cannot save any."""
    if len(budget.ladder()) == 1 and not budget.stop_hopeless:
        return None
    from dse.savings import savings

    wanted = (DESIGN, DUPLICATE_OF, RULED_OUT, RUNG_RESULT, SECONDS, STAGES)
    rows = np.arange(len(columns))
    return savings(read_trials(columns, rows, params=False, attributes=wanted), budget)


def status_line(now: Mapping[str, Any]) -> str:
    """One line for a log."""
    words = [_counts(now), *(f"best {name} {value:.4g}" for name, value in now["best"].items())]
    if now["front"]:
        words.append(f"front {now['front']} designs, hypervolume {now['hypervolume']:.6g}")
    return f"{now['study']}: {', '.join(words)}"


def status_lines(now: Mapping[str, Any]) -> list[str]:
    """All of it, for a person."""
    state = "running" if now["running_now"] else "not running"
    if (n_drivers := len(now["drivers"])) > 1:
        state += f" by {n_drivers} drivers"
    lines = [f"{now['study']}: {state}, {_counts(now)} (budget {now['budget']} designs)"]
    if not now["running_now"] and (left := now["n_trials"]["running"]):
        lines.append(
            f"  left running {left} by a driver that is gone; dse resume {now['study']} takes "
            "them up"
        )
    if now["results_per_hour"]:
        lines.append(f"  rate         {now['results_per_hour']:.0f} results per hour")
    lines += [f"  best         {name} {value:.6g}" for name, value in now["best"].items()]
    lines.append(f"  front        {now['front']} designs, hypervolume {now['hypervolume']:.6g}")
    sampler = {k: v for k, v in now["sampler"].items() if k not in ("asked", "why")}
    settings = ", ".join(f"{k} {v}" for k, v in sampler.items() if k != "name")
    chosen = f" (auto: {now['sampler']['why']})" if now["sampler"].get("asked") == "auto" else ""
    lines.append(f"  sampler      {sampler['name']}, {settings}{chosen}")
    if now["training"]:
        rungs = ", ".join(
            f"{name} {rung['designs']} designs in {rung['training_seconds']:.1f} s"
            for name, rung in now["training"]["rungs"].items()
        )
        saved = now["training"]["saved_seconds"]
        lines.append(f"  rungs        {rungs}; saved about {saved:.0f} s of training")
    if now["ruled_out"]:
        last = now["ruled_out"][-1]
        lines.append(
            f"  ruled out    {len(now['ruled_out'])} designs, the last one trial {last['trial']}: "
            f"{last['reason']}"
        )
    if now["duplicates"] or now["lost_and_tried_again"]:
        lines.append(
            f"  not counted  {now['duplicates']} proposals of known designs, "
            f"{now['lost_and_tried_again']} lost and tried again"
        )
    shown = now["errors"][-_SHOWN_ERRORS:]
    return lines + [f"  failed       trial {error['trial']}: {error['reason']}" for error in shown]


def _counts(now: Mapping[str, Any]) -> str:
    return ", ".join(f"{n} {state}" for state, n in now["n_trials"].items() if n) or "no trials"
