"""A front as a picture: PNG, SVG or PDF by matplotlib, HTML by plotly."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dse.errors import SpecError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

PICTURES = (".png", ".svg", ".pdf")
_GREY, _BLUE, _RED = "#bbbbbb", "#7f9fbf", "#c0392b"


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
    marks: Sequence[tuple[int, str]] = (),
) -> Figure:
    """Results and front over two columns.

    Args:
        results: A row for every design, with a column `feasible`; indexed by trial.
        front: Those on the front.
        x: A column.
        y: A column.
        title: Above it.
        marks: Trials that are named in the picture.
    """
    from matplotlib.figure import Figure

    check_axes(results, x, y)
    figure = Figure(figsize=(6.8, 4.4), layout="constrained")
    axes = figure.subplots()
    feasible = results["feasible"].astype(bool)
    broken, rest = results[~feasible], results[feasible]
    if len(broken):
        axes.scatter(broken[x], broken[y], s=14, c=_GREY, marker="x", label="infeasible")
    axes.scatter(rest[x], rest[y], s=16, c=_BLUE, label="feasible")
    axes.scatter(front[x], front[y], s=30, c=_RED, label="front", zorder=3)
    for trial, words in marks:
        if trial in results.index:
            at = (results[x][trial], results[y][trial])
            axes.annotate(words, at, xytext=(5, 5), textcoords="offset points", fontsize=8)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_title(title)
    axes.legend()
    return figure


def front_html(results: pd.DataFrame, front: pd.DataFrame, *, x: str, y: str, title: str) -> str:
    """The same as one HTML file that needs no network; designs tell their knobs on hover."""
    import plotly.graph_objects as go

    check_axes(results, x, y)
    feasible = results["feasible"].astype(bool)
    layers: list[tuple[str, pd.DataFrame, dict[str, Any]]] = [
        ("infeasible", results[~feasible], {"color": _GREY, "symbol": "x", "size": 6}),
        ("feasible", results[feasible], {"color": _BLUE, "size": 6}),
        ("front", front, {"color": _RED, "size": 10}),
    ]
    figure = go.Figure(
        [
            go.Scatter(
                x=rows[x].tolist(),
                y=rows[y].tolist(),
                mode="markers",
                name=name,
                marker=marker,
                text=[_words(trial, row) for trial, row in rows.iterrows()],
                hoverinfo="text",
            )
            for name, rows, marker in layers
            if len(rows)
        ]
    )
    figure.update_layout(title=title, xaxis_title=x, yaxis_title=y, template="plotly_white")
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
    marks: Sequence[tuple[int, str]] = (),
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
            text = front_html(results, front, x=x, y=y, title=title)
            file.write_text(text, encoding="utf-8")
            return
        figure = front_figure(results, front, x=x, y=y, title=title, marks=marks)
        figure.savefig(file, dpi=150)
    except OSError as error:
        raise SpecError(f"--plot {file}: cannot be written ({error.strerror})") from None


def _words(trial: Any, row: Any) -> str:
    from html import escape

    lines = [f"trial {trial}"]
    for name, value in row.items():
        if name != "feasible" and value == value and value is not None:
            shown = f"{value:.4g}" if isinstance(value, float) else str(value)
            lines.append(f"{name} {shown}")
    return "<br>".join(escape(line) for line in lines)
