"""dse status: how far a study is, and what failed."""

from __future__ import annotations

import json
import time
from typing import Annotated, Any

import optuna
import typer

from dse.cli.console import make_console
from dse.cli.options import (
    STORAGE_DEFAULT,
    NameArgument,
    StorageOption,
    TextFormat,
    existing_database,
)
from dse.lease import ATTRIBUTE, is_live
from dse.pareto import count_states, pareto_front
from dse.resuming import SAMPLER, load_optuna, load_spec
from dse.savings import savings
from dse.spec import StudySpec
from dse.trials import DUPLICATE_OF, ERROR, LOST, RULED_OUT, is_feasible, is_result

_SHOWN_ERRORS = 5
_FOLLOW_EVERY_S = 2.0


def status(
    name: NameArgument,
    follow: Annotated[
        bool, typer.Option("--follow", help="Print again whenever it changes, until it stops.")
    ] = False,
    format_: Annotated[TextFormat, typer.Option("--format", help="How to print.")] = (
        TextFormat.TABLE
    ),
    storage: StorageOption = STORAGE_DEFAULT,
) -> None:
    """Show a study's trials by state, its best values, its hypervolume and its failures.

    Example: dse status quickstart --follow
    """
    database = existing_database(storage)
    spec = load_spec(database, name)
    before: dict[str, Any] = {}
    while True:
        # Loaded anew: the finished trials of a loaded study stay as they were first read.
        now = study_status(load_optuna(database, name), spec)
        if now != before:
            _print(now, format_)
        if not follow or not now["running_now"]:
            return
        before = now
        time.sleep(_FOLLOW_EVERY_S)


def study_status(study: optuna.Study, spec: StudySpec) -> dict[str, Any]:
    """What `dse status --format json` prints."""
    trials = study.get_trials(deepcopy=False)
    objectives = spec.parsed_objectives()
    front = pareto_front(trials, objectives)
    results = [t for t in trials if is_result(t)]
    good = [t for t in results if is_feasible(t)]
    best = {
        o.name: (max if o.direction == "maximize" else min)(t.values[i] for t in good)
        for i, o in enumerate(objectives)
        if good
    }
    ends = sorted(t.datetime_complete for t in results if t.datetime_complete is not None)
    hours = (ends[-1] - ends[0]).total_seconds() / 3600 if len(ends) > 1 else 0.0
    failures = [t for t in trials if ERROR in t.user_attrs and LOST not in t.user_attrs]
    return {
        "study": spec.name,
        "running_now": is_live(study.user_attrs.get(ATTRIBUTE) or {}),
        "n_trials": count_states(trials),
        "duplicates": sum(DUPLICATE_OF in t.user_attrs for t in trials),
        "lost_and_tried_again": sum(LOST in t.user_attrs for t in trials),
        "budget": spec.budget.trials,
        "results_per_hour": (len(ends) - 1) / hours if hours > 0 else None,
        "best": best,
        "front": len(front.trials),
        "hypervolume": front.hypervolume,
        "sampler": {**spec.sampler.model_dump(), **study.user_attrs.get(SAMPLER, {})},
        "ruled_out": [
            {"trial": t.number, "reason": t.user_attrs[RULED_OUT]["reason"]}
            for t in trials
            if RULED_OUT in t.user_attrs and DUPLICATE_OF not in t.user_attrs
        ],
        "training": savings(trials, spec),
        "errors": [{"trial": t.number, "reason": t.user_attrs[ERROR]} for t in failures],
    }


def _print(now: dict[str, Any], format_: TextFormat) -> None:
    if format_ == TextFormat.JSON:
        typer.echo(json.dumps(now, indent=2))
        return
    console = make_console(wrap=False)
    counts = ", ".join(f"{n} {state}" for state, n in now["n_trials"].items() if n)
    console.print(
        f"{now['study']}: {'running' if now['running_now'] else 'not running'}, "
        f"{counts or 'no trials'} (budget {now['budget']} designs)"
    )
    if now["results_per_hour"]:
        console.print(f"  rate         {now['results_per_hour']:.0f} results per hour")
    for objective, value in now["best"].items():
        console.print(f"  best         {objective} {value:.6g}")
    console.print(f"  front        {now['front']} designs, hypervolume {now['hypervolume']:.6g}")
    sampler = {k: v for k, v in now["sampler"].items() if k not in ("asked", "why")}
    settings = ", ".join(f"{k} {v}" for k, v in sampler.items() if k != "name")
    chosen = f" (auto: {now['sampler']['why']})" if now["sampler"].get("asked") == "auto" else ""
    console.print(f"  sampler      {sampler['name']}, {settings}{chosen}")
    if now["training"]:
        rungs = now["training"]["rungs"].items()
        console.print(
            "  rungs        "
            + ", ".join(
                f"{name} {rung['designs']} designs in {rung['training_seconds']:.1f} s"
                for name, rung in rungs
            )
            + f"; saved about {now['training']['saved_seconds']:.0f} s of training"
        )
    if now["ruled_out"]:
        last = now["ruled_out"][-1]
        console.print(
            f"  ruled out    {len(now['ruled_out'])} designs, the last one trial {last['trial']}: "
            f"{last['reason']}"
        )
    if now["duplicates"] or now["lost_and_tried_again"]:
        console.print(
            f"  not counted  {now['duplicates']} proposals of known designs, "
            f"{now['lost_and_tried_again']} lost and tried again"
        )
    for error in now["errors"][-_SHOWN_ERRORS:]:
        console.print(f"  failed       trial {error['trial']}: {error['reason']}")
