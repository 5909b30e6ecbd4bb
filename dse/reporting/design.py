"""One design as JSON and as tables: accuracy, costs by component and layer, ADC bits, stages."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.trial import FrozenTrial
from rich.console import JustifyMethod
from rich.table import Table

from dse.database import Database
from dse.errors import StudyError
from dse.metrics import shown
from dse.reporting.front import describe_params
from dse.spec import StudySpec
from dse.trial_reports import has_report, read_report
from dse.trials import (
    DUPLICATE_OF,
    ERROR,
    METRICS,
    NESTED_IN,
    PROMOTED_FROM,
    RULED_OUT,
    RUNG_RESULT,
    STAGES,
    design_of,
    is_feasible,
)
from search_spaces.draw import draw_design

_logger = logging.getLogger(__name__)


def explain_json(
    study: optuna.Study, database: Database, spec: StudySpec, number: int
) -> dict[str, Any]:
    """What `dse explain --format json` prints.

    Raises:
        StudyError: There is no such trial, or it has no results.
    """
    trial = told_trial(study, spec, number)
    original = original_of(study, spec, trial)
    if has_report(study, original):
        report = read_report(study, database, original)
    else:
        report = _report_again(database, spec, trial)
    return explained_trial(spec, trial, report)


def told_trial(study: optuna.Study, spec: StudySpec, number: int) -> FrozenTrial:
    """A trial that came to a result; no other one is read.

    Raises:
        StudyError: There is no such trial, or it has no results.
    """
    storage = study._storage
    try:
        found = storage.get_trial_id_from_study_id_trial_number(study._study_id, number)
    except KeyError:
        count = storage.get_n_trials(study._study_id)
        raise StudyError(
            f"study {spec.name!r} has no trial {number}; its trials are 0 to {count - 1}"
            if count
            else f"study {spec.name!r} has no trials yet"
        ) from None
    trial = storage.get_trial(found)
    if METRICS not in trial.user_attrs or _values(trial) is None:
        ruled_out = trial.user_attrs.get(RULED_OUT, {}).get("reason")
        reason = trial.user_attrs.get(ERROR, ruled_out)
        why = "" if reason is None else f": {reason}"
        raise StudyError(f"trial {number} has no results, it is {trial.state.name}{why}")
    return trial


def original_of(study: optuna.Study, spec: StudySpec, trial: FrozenTrial) -> FrozenTrial:
    """The trial whose report a trial has: that of which it is a copy, or itself."""
    known = trial.user_attrs.get(DUPLICATE_OF)
    return trial if known is None else told_trial(study, spec, known)


def explained_trial(
    spec: StudySpec, trial: FrozenTrial, report: Mapping[str, Any]
) -> dict[str, Any]:
    """A trial with a result, and its report, as `dse explain --format json` prints them.

    Args:
        spec: Of its study.
        trial: As `told_trial` gives it.
        report: Costs by layer and component; empty where there is none.
    """
    low = trial.user_attrs.get(RUNG_RESULT)
    design = design_of(trial) or {}
    names = [objective.name for objective in spec.parsed_objectives()]
    return {
        "trial": trial.number,
        "params": dict(trial.params),
        "values": dict(zip(names, _values(trial) or (), strict=True)),
        "fidelity": spec.budget.ladder()[-1] if low is None else low["fidelity"],
        **{name: design[name] for name in (PROMOTED_FROM, NESTED_IN) if name in design},
        "metrics": shown(trial.user_attrs[METRICS]),
        "feasible": is_feasible(trial),
        "constraints": dict(trial.constraints),
        "layers": report.get("layers", []),
        "components": report.get("components", {}),
        "nonzero_slice_ratios": report.get("nonzero_slice_ratios", []),
        "stages": trial.user_attrs.get(STAGES, {}),
    }


def _values(trial: FrozenTrial) -> list[float] | None:
    low = trial.user_attrs.get(RUNG_RESULT)
    found: list[float] | None = trial.values if low is None else low["values"]
    return found


def _report_again(database: Database, spec: StudySpec, trial: FrozenTrial) -> Mapping[str, Any]:
    """The report of a design of the cheap lane, which keeps none: evaluated again."""
    from dse import sweeping  # torch takes a second to import

    params = trial.params
    point = draw_design(spec.design_space(), lambda path, _domain: params[path])
    found = sweeping.trial_evaluator(spec, database).evaluate(point)
    was = trial.user_attrs[METRICS]
    if changed := sorted(name for name in was if found.metrics.get(name) != was[name]):
        _logger.warning(
            "trial %d was told in a batch, without a report; evaluated again, it comes to other "
            "results: %s. Versions, data or threads are not those of the study",
            trial.number,
            ", ".join(f"{name} {was[name]:g} -> {found.metrics.get(name)}" for name in changed),
        )
    return found.report


def design_tables(explained: dict[str, Any]) -> list[Table]:
    """The same for a person."""
    return [
        _metrics_table(explained),
        _components_table(explained),
        _layers_table(explained),
        _stages_table(explained),
    ]


def _metrics_table(explained: dict[str, Any]) -> Table:
    feasible = "feasible" if explained["feasible"] else "INFEASIBLE"
    if explained["fidelity"] != "full":
        feasible += f", {explained['fidelity']}"
    for name, words in ((PROMOTED_FROM, "climbed from"), (NESTED_IN, "swept with")):
        if name in explained:
            feasible += f", {words} trial {explained[name]}"
    table = Table(
        title=f"Trial {explained['trial']} ({feasible}): {describe_params(explained['params'])}"
    )
    table.add_column("metric")
    table.add_column("value", justify="right")
    for name, value in explained["metrics"].items():
        table.add_row(name, f"{value:.6g}")
    for name, violation in explained["constraints"].items():
        table.add_row(name, "met" if violation <= 0 else f"missed by {violation:.4g}")
    return table


def _components_table(explained: dict[str, Any]) -> Table:
    components = explained["components"]
    energy = sum(c["energy_j"] for c in components.values())
    area = sum(c["area_m2"] for c in components.values())
    table = Table(title="Energy of one inference and area, by component")
    for column in ("component", "energy nJ", "share", "area mm2", "share"):
        table.add_column(column, justify="left" if column == "component" else "right")
    for name, cost in sorted(components.items(), key=lambda item: -item[1]["energy_j"]):
        table.add_row(
            name,
            f"{cost['energy_j'] * 1e9:.4g}",
            f"{cost['energy_j'] / energy:.1%}",
            f"{cost['area_m2'] * 1e6:.4g}",
            f"{cost['area_m2'] / area:.1%}",
        )
    table.add_section()
    table.add_row("total", f"{energy * 1e9:.4g}", "", f"{area * 1e6:.4g}", "")
    return table


def _layers_table(explained: dict[str, Any]) -> Table:
    table = Table(title="Layers; ADC bits and slices from most to least significant group")
    for column in ("layer", "K x N", "V", "arrays", "nJ", "us", "ADC", "lossless", "slices %"):
        justify: JustifyMethod = "left" if column == "layer" else "right"
        table.add_column(column, justify=justify, overflow="fold")
    for layer in explained["layers"]:
        bits = layer["adc_bits"]
        table.add_row(
            layer["name"],
            f"{layer['k']}x{layer['n']}",
            str(layer["v"]),
            str(layer["crossbars"]),
            f"{sum(layer['energy_j'].values()) * 1e9:.4g}",
            f"{layer['latency_s'] * 1e6:.4g}",
            "/".join(map(str, bits["used"])),
            "/".join(map(str, bits["lossless"])),
            "/".join(f"{100 * ratio:.1f}" for ratio in layer["nonzero_slice_ratio"]),
        )
    return table


def _stages_table(explained: dict[str, Any]) -> Table:
    table = Table(title="Stages of the evaluation")
    for column in ("stage", "key", "from the store", "seconds"):
        table.add_column(column, justify="right" if column == "seconds" else "left")
    for stage, trace in explained["stages"].items():
        cached = "yes" if trace["cached"] else "no"
        table.add_row(stage, trace["key"], cached, f"{trace['seconds']:.3f}")
    return table
