"""dse explain: one design, in full."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from dse.cli.console import make_console
from dse.cli.options import (
    STORAGE_DEFAULT,
    NameArgument,
    StorageOption,
    TextFormat,
    existing_database,
)


def explain(
    name: NameArgument,
    trial: Annotated[int, typer.Argument(min=0, metavar="TRIAL", help="Number of the trial.")],
    format_: Annotated[TextFormat, typer.Option("--format", help="How to print.")] = (
        TextFormat.TABLE
    ),
    storage: StorageOption = STORAGE_DEFAULT,
) -> None:
    """Explain a design: accuracy, energy, area and latency by component and layer, ADC bits.

    And which knobs matter in its study, for each objective.

    Example: dse explain quickstart 3 --format json
    """
    from dse.importance import knob_importance
    from dse.reading.columns import TrialColumns
    from dse.reading.source import open_source
    from dse.reading.studies import read_study
    from dse.reporting.design import design_tables, explain_json
    from dse.reporting.importance import (
        importance_json,
        importance_notes,
        importance_table,
        judged_trials,
    )
    from dse.resuming import load_optuna, load_spec

    database = existing_database(storage)
    spec = load_spec(database, name)
    explained = explain_json(load_optuna(database, name), database, spec, trial)
    with open_source(storage) as source:
        judged = judged_trials(TrialColumns(source, read_study(source, name)))
    found = knob_importance(judged, spec.parsed_objectives(), spec.design_space().free())
    explained |= importance_json(found)
    if format_ == TextFormat.JSON:
        typer.echo(json.dumps(explained, indent=2))
        return
    console = make_console()
    for table in design_tables(explained):
        console.print(table)
    if (shares := importance_table(found)) is not None:
        console.print(shares)
    for note in importance_notes(found):
        console.print(f"Importance of the knobs for {note}.")
