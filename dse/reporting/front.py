"""The front as JSON, CSV and a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from rich.table import Table

from dse.front_view import FrontView
from dse.metrics import shown
from dse.objectives import Objective
from dse.pareto import FrontOf
from dse.trial_attributes import METRICS, SECONDS, ShownTrial


def front_json(view: FrontView) -> dict[str, Any]:
    """What `dse pareto --format json` prints."""
    front = view.front
    on_front = {trial.number for trial in front.trials}
    return {
        "study": view.name,
        "objectives": [{"name": o.name, "direction": o.direction} for o in front.objectives],
        "n_trials": dict(view.counts),
        "hypervolume": front.hypervolume,
        "reference_point": list(front.reference_point),
        "knee": view.knee,
        "extremes": dict(view.extremes),
        "given": [
            {
                "name": given.name,
                "trial": given.trial.number,
                "values": _values(given.trial, front.objectives),
                "on_front": given.trial.number in on_front,
                "shortfall": given.shortfall,
            }
            for given in view.given
        ],
        "front": [design_json(trial, front.objectives) for trial in front.trials],
    }


def design_json(trial: ShownTrial, objectives: tuple[Objective, ...]) -> dict[str, Any]:
    """One design of the front."""
    metrics = shown(trial.user_attrs[METRICS])
    names = [objective.name for objective in objectives]
    return {
        "trial": trial.number,
        "values": _values(trial, objectives),
        "params": dict(trial.params),
        "metrics": {name: value for name, value in metrics.items() if name not in names},
        "seconds": trial.user_attrs[SECONDS],
    }


def _values(trial: ShownTrial, objectives: Sequence[Objective]) -> dict[str, float]:
    return dict(zip([o.name for o in objectives], trial.values, strict=True))


def front_csv(front: FrontOf[ShownTrial]) -> str:
    """One line per design: trial, objectives, metrics, parameters, seconds."""
    rows = [design_json(trial, front.objectives) for trial in front.trials]
    sections = ("values", "metrics", "params")
    columns = {s: list(dict.fromkeys(key for row in rows for key in row[s])) for s in sections}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trial", *(key for s in sections for key in columns[s]), "seconds"])
    for row in rows:
        cells = [row[s].get(key, "") for s in sections for key in columns[s]]
        writer.writerow([row["trial"], *cells, row["seconds"]])
    return text.getvalue()


def front_table(view: FrontView) -> Table:
    """The front for a person, and below it the given designs that it beats."""
    front, counts, name, marks = view.front, view.counts, view.name, view.marks()
    table = Table(
        title=f"Pareto front of {name}: {len(front.trials)} designs of {counts['complete']} "
        f"complete ({counts['infeasible']} infeasible, {counts['failed']} failed)",
        caption=f"hypervolume {front.hypervolume:.4g} to reference point "
        f"{', '.join(f'{v:.4g}' for v in front.reference_point)}",
    )
    table.add_column("trial", justify="right")
    for objective in front.objectives:
        table.add_column(objective.name, justify="right", style="bold", overflow="fold")
    extra = _extra_metrics(front.objectives)
    for heading in extra.values():
        table.add_column(heading, justify="right")
    table.add_column("design", overflow="fold")
    on_front = {trial.number for trial in front.trials}
    beaten: list[tuple[ShownTrial, str]] = [
        (given.trial, f" ({given.name}, {given.shortfall:.1%} short of the front)")
        for given in view.given
        if given.trial.number not in on_front
    ]
    ahead: list[tuple[ShownTrial, str]] = [
        (trial, f" ({marks[trial.number]})" if trial.number in marks else "")
        for trial in front.trials
    ]
    for rows in (ahead, beaten):
        for trial, note in rows:
            metrics = trial.user_attrs[METRICS]
            table.add_row(
                str(trial.number),
                *(f"{value:.4g}" for value in trial.values),
                *(f"{metrics[si]:.4g}" for si in extra),
                describe_params(trial.params) + note,
            )
        table.add_section()
    return table


def describe_params(params: dict[str, Any]) -> str:
    """Parameters on one line, most significant slice first: `adc 2/4/4/3, l1, strength=18`."""
    slices = sorted((p for p in params if p.startswith("adc.bits.slice")), reverse=True)
    words = [f"adc {'/'.join(str(params[p]) for p in slices)}"] if slices else []
    for path, value in params.items():
        if path in slices:
            continue
        text = f"{value:.3g}" if isinstance(value, float) else str(value)
        words.append(text if path in _SLOTS else f"{_short(path)}={text}")
    return ", ".join(words)


_SLOTS = ("quantizer", "regularizer")


def _short(path: str) -> str:
    """A technique's own knob without the technique, which stands beside it."""
    return path.split(".")[-1] if path.startswith(_SLOTS) else path


def _extra_metrics(objectives: tuple[Objective, ...]) -> dict[str, str]:
    """Metrics that a person wants beside the objectives, with their headings."""
    taken = {objective.metric.si for objective in objectives}
    wanted = {"accuracy_ideal": "ideal", "adc_energy_vs_8bit": "ADC J / 8-bit"}
    return {si: heading for si, heading in wanted.items() if si not in taken}
