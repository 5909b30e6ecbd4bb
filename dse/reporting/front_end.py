"""The parts of the page that draws a study: our scripts and styles, and plotly.js."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

SCRIPTS = (
    "words.js",
    "model.js",
    "charts.js",
    "front.js",
    "parallel.js",
    "table.js",
    "panels.js",
    "design.js",
    "views.js",
)
"""In the order in which they are loaded; `views.js` says how they are used."""

_STYLE = "views.css"


@cache
def script() -> str:
    """All of our scripts as one; plotly.js has to be loaded before it."""
    return "\n".join(_asset(name) for name in SCRIPTS)


@cache
def style() -> str:
    """The style sheet."""
    return _asset(_STYLE)


@cache
def plotly() -> str:
    """plotly.js, minified, from the installed plotly package."""
    from plotly.offline import get_plotlyjs

    text: str = get_plotlyjs()
    return text


def _asset(name: str) -> str:
    return files("dse.reporting").joinpath("assets", name).read_text(encoding="utf-8")
