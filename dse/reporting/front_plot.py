"""A front as a picture: PNG, SVG or PDF by matplotlib, HTML by plotly.

Colours, marks and labels are those of the report.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dse.errors import SpecError
from dse.metrics import spellings
from dse.reporting.labels import axis_label
from dse.reporting.palette import EXTREME, FRONT, GIVEN, INFEASIBLE, KNEE, OTHER

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

PICTURES = (".png", ".svg", ".pdf")
_RESULTS = (
    ("infeasible", "breaks a constraint", INFEASIBLE, "x", "x-thin-open"),
    ("feasible", "feasible, off the front", OTHER, "o", "circle"),
)
"""Kind, name, colour, and its mark in matplotlib and in plotly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Designs that are marked, by trial.

    Attributes:
        knee: Of the front.
        extremes: The best of each objective, by its name.
        given: Designs of the study file, with their names.
    """

    knee: int | None = None
    extremes: Mapping[str, int] = field(default_factory=dict)
    given: Sequence[tuple[int, str]] = ()


def check_axes(results: pd.DataFrame, *axes: str) -> None:
    """Refuse what has no numbers.

    Raises:
        SpecError: No such column, or it holds words.
    """
    there = list(results.select_dtypes("number"))
    for axis in axes:
        if axis not in there:
            raise SpecError(
                f"a plot has numbers on its axes, such as {', '.join(there)}, got {axis}"
            )


def front_figure(
    results: pd.DataFrame,
    front: pd.DataFrame,
    *,
    x: str,
    y: str,
    title: str,
    standing: Standing | None = None,
) -> Figure:
    """Results and front over two columns.

    Args:
        results: A row for every design, with a column `feasible`; indexed by trial.
        front: Those on the front.
        x: A column.
        y: A column.
        title: Above it.
        standing: Designs that are marked in the picture.
    """
    from matplotlib.figure import Figure

    check_axes(results, x, y)
    marked = standing or Standing()
    figure = Figure(figsize=(7.4, 4.8), layout="constrained")
    axes = figure.subplots()
    for kind, name, colour, mark, _ in _RESULTS:
        rows = _results(results, front, kind)
        if len(rows):
            axes.scatter(rows[x], rows[y], s=16, c=colour, marker=mark, label=name, linewidths=0.9)
    axes.scatter(
        front[x], front[y], s=34, c=FRONT, edgecolors="white", linewidths=0.6, label="front",
        zorder=3,
    )  # fmt: skip
    for rows, name, colour, mark, size in _marked(results, marked):
        face = colour if mark == "D" else "none"
        axes.scatter(
            rows[x], rows[y], s=size, marker=mark, facecolors=face, edgecolors=colour, label=name,
            zorder=4,
        )  # fmt: skip
    for trial, words in marked.given:
        if trial in results.index:
            at = (results[x][trial], results[y][trial])
            axes.annotate(
                words, at, xytext=(0, 7), textcoords="offset points", ha="center", fontsize=8,
                color=GIVEN,
            )  # fmt: skip
    axes.set_xlabel(_label(x))
    axes.set_ylabel(_label(y))
    axes.set_title(title)
    axes.grid(color="#dde2e7", linewidth=0.6)
    axes.set_axisbelow(True)
    figure.legend(loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    return figure


def front_html(
    results: pd.DataFrame,
    front: pd.DataFrame,
    *,
    x: str,
    y: str,
    title: str,
    standing: Standing | None = None,
) -> str:
    """The same as one HTML file that needs no network; designs tell their knobs on hover."""
    import plotly.graph_objects as go

    check_axes(results, x, y)
    marked = standing or Standing()
    layers: list[tuple[str, pd.DataFrame, dict[str, Any]]] = [
        (name, _results(results, front, kind), {"color": colour, "symbol": symbol, "size": 6})
        for kind, name, colour, _, symbol in _RESULTS
    ]
    layers.append(("front", front, {"color": FRONT, "size": 9}))
    symbols = {"*": "star-open", "s": "square-open", "D": "diamond"}
    for rows, name, colour, mark, size in _marked(results, marked):
        style = {"color": colour, "symbol": symbols[mark], "size": size**0.5}
        style["line_width"] = 0 if mark == "D" else 2
        layers.append((name, rows, style))
    figure = go.Figure(
        [
            go.Scatter(
                x=rows[x].tolist(),
                y=rows[y].tolist(),
                mode="markers",
                name=name,
                marker=marker,
                hovertext=[_words(trial, row) for trial, row in rows.iterrows()],
                hoverinfo="text",
            )
            for name, rows, marker in layers
            if len(rows)
        ]
    )
    for trial, words in marked.given:
        if trial in results.index:
            at = {"x": results[x][trial], "y": results[y][trial]}
            figure.add_annotation(
                **at, text=_plain(words), showarrow=False, yshift=14, font_color=GIVEN
            )
    figure.update_layout(
        title=_plain(title),
        xaxis_title=_plain(_label(x)),
        yaxis_title=_plain(_label(y)),
        template="plotly_white",
    )
    text: str = figure.to_html(include_plotlyjs=True, full_html=True)
    return text


def write_plot(
    file: Path,
    results: pd.DataFrame,
    front: pd.DataFrame,
    *,
    x: str,
    y: str,
    title: str,
    standing: Standing | None = None,
) -> None:
    """Draw into a file, in the format of its suffix.

    Raises:
        SpecError: Another suffix, no such axis, or the file cannot be written.
    """
    suffix = file.suffix.lower()
    if suffix not in (*PICTURES, ".html"):
        raise SpecError(
            f"--plot takes a file that ends in {', '.join(PICTURES)} or .html, got {file.name!r}"
        )
    try:
        if suffix == ".html":
            text = front_html(results, front, x=x, y=y, title=title, standing=standing)
            file.write_text(text, encoding="utf-8")
            return
        figure = front_figure(results, front, x=x, y=y, title=title, standing=standing)
        figure.savefig(file, dpi=150)
    except OSError as error:
        raise SpecError(f"--plot {file}: cannot be written ({error.strerror})") from None


def _results(results: pd.DataFrame, front: pd.DataFrame, kind: str) -> pd.DataFrame:
    feasible = results["feasible"].astype(bool)
    if kind == "infeasible":
        return results[~feasible]
    return results[feasible & ~results.index.isin(front.index)]


def _marked(
    results: pd.DataFrame, marked: Standing
) -> list[tuple[pd.DataFrame, str, str, str, float]]:
    """Designs, name, colour, mark in matplotlib and its area, of what is marked."""
    knee = [] if marked.knee is None else [marked.knee]
    kinds = [
        (knee, "knee", KNEE, "*", 330.0),
        (list(marked.extremes.values()), "best of an objective", EXTREME, "s", 130.0),
        ([trial for trial, _ in marked.given], "given in the study file", GIVEN, "D", 60.0),
    ]
    found = (
        (results[results.index.isin(trials)], name, colour, mark, size)
        for trials, name, colour, mark, size in kinds
    )
    return [each for each in found if len(each[0])]


def _label(column: str) -> str:
    """A metric with its unit; a knob by its path."""
    known = spellings()
    return axis_label(known[column]) if column in known else column


def _words(trial: Any, row: Any) -> str:
    lines = [f"trial {trial}"]
    for name, value in row.items():
        if name != "feasible" and value == value and value is not None:
            shown = f"{value:.4g}" if isinstance(value, float) else str(value)
            lines.append(f"{name} {shown}")
    return "<br>".join(_plain(line) for line in lines)


def _plain(text: str) -> str:
    """Text in which plotly finds no markup."""
    from html import escape

    return escape(text, quote=False)
