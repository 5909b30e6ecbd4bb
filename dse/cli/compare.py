"""dse compare: the fronts of several studies side by side."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from dse.cli.options import STORAGE_DEFAULT, StorageOption, TextFormat
from dse.errors import SpecError


def compare(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Names of studies.")],
    format_: Annotated[TextFormat, typer.Option("--format", help="How to print.")] = (
        TextFormat.TABLE
    ),
    storage: StorageOption = STORAGE_DEFAULT,
) -> None:
    """Compare the fronts of studies with the same objectives: hypervolume, who beats whom.

    Example: dse compare bit-slice joint
    """
    from dse.cli.console import make_console
    from dse.comparing import compare as compare_studies
    from dse.reading.columns import TrialColumns
    from dse.reading.source import open_source
    from dse.reading.studies import read_study
    from dse.reporting.comparison import comparison_json, comparison_table

    if len(set(names)) < len(names) or len(names) < 2:
        raise SpecError(
            f"a comparison takes two or more different studies, got {', '.join(names)}; see "
            "`dse list`"
        )
    with open_source(storage) as source:
        studies = [read_study(source, name) for name in names]
        found = compare_studies(
            [(TrialColumns(source, study), study.objectives(source)) for study in studies]
        )
    if format_ == TextFormat.JSON:
        typer.echo(json.dumps(comparison_json(found), indent=2))
    else:
        make_console().print(comparison_table(found))
