"""dse pareto: the feasible Pareto front."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dse.cli.options import STORAGE_DEFAULT, FrontFormat, NameArgument, StorageOption
from dse.errors import SpecError

if TYPE_CHECKING:
    from dse.front_view import FrontView
    from dse.notebook import LoadedStudy


def pareto(
    name: NameArgument,
    format_: Annotated[FrontFormat, typer.Option("--format", help="How to print.")] = (
        FrontFormat.TABLE
    ),
    where: Annotated[
        list[str] | None,
        typer.Option(
            "--where",
            metavar="NAME<NUMBER",
            help="Only designs that meet this, such as energy_uj<5 or regularizer==none.",
        ),
    ] = None,
    objectives: Annotated[
        str | None,
        typer.Option(
            "--objectives", metavar="A,B", help="Metrics to trade, not the study's objectives."
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE", help="Draw into .png, .svg, .pdf or .html."),
    ] = None,
    x: Annotated[
        str | None, typer.Option("--x", metavar="NAME", help="Metric or knob across the plot.")
    ] = None,
    y: Annotated[
        str | None, typer.Option("--y", metavar="NAME", help="Metric or knob up the plot.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write here instead of printing.")
    ] = None,
    storage: StorageOption = STORAGE_DEFAULT,
) -> None:
    """Print the designs that no other beats in every objective, among those that are feasible.

    With --where the front is that of the designs that meet all conditions. The knee and the best
    design of each objective are named, and how far the given designs fall short of the front.

    Example: dse pareto quickstart --where "energy_uj<0.1" --plot front.png
    """
    from dse.cli.console import make_console
    from dse.front_view import view_front
    from dse.reading.source import open_source
    from dse.reporting.front import front_csv, front_json, front_table

    if format_ == FrontFormat.PARQUET and out is None:
        raise SpecError("--format parquet is not text; name a file with --out FILE")
    if (x or y) and plot is None:
        raise SpecError("--x and --y are axes of a plot; name its file with --plot FILE")
    conditions = where or []
    with open_source(storage) as source:
        view = view_front(source, name, where=conditions, objectives=objectives)
    if format_ == FrontFormat.JSON:
        _give(json.dumps(front_json(view), indent=2) + "\n", out)
    elif format_ == FrontFormat.CSV:
        _give(front_csv(view.front), out)
    elif format_ == FrontFormat.PARQUET:
        assert out is not None, "it was asked for above"
        study = _study(name, storage)
        try:
            study.front(where=conditions, objectives=objectives).to_parquet(out)
        except OSError as error:
            raise SpecError(f"--out {out}: cannot be written ({error.strerror})") from None
    elif out is None:
        make_console().print(front_table(view))
    else:
        raise SpecError("--out takes --format json, csv or parquet; a table is printed")
    if plot is not None:
        _draw(view, _study(name, storage), plot, x, y, conditions)


def _study(name: str, storage: str) -> LoadedStudy:
    from dse.notebook import LoadedStudy  # pandas takes half a second to import

    return LoadedStudy(name, storage=storage)


def _draw(
    view: FrontView,
    study: LoadedStudy,
    file: Path,
    x: str | None,
    y: str | None,
    conditions: list[str],
) -> None:
    from dse.reporting.front_plot import Standing, write_plot

    names = [objective.name for objective in view.front.objectives]
    results = study.results(where=conditions)
    if not len(results):
        raise SpecError(f"study {view.name!r} has no such results to plot")
    numbers = [trial.number for trial in view.front.trials]
    write_plot(
        file,
        results,
        results.loc[numbers],
        x=x or (names[1] if len(names) > 1 else "energy_uj"),
        y=y or names[0],
        title=f"{view.name}: {len(numbers)} of {len(results)} designs on the front",
        standing=Standing(
            knee=view.knee,
            extremes=view.extremes,
            given=[(each.trial.number, each.name) for each in view.given],
        ),
    )


def _give(text: str, out: Path | None) -> None:
    if out is None:
        typer.echo(text, nl=False)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SpecError(f"--out {out}: cannot be written ({error.strerror})") from None
