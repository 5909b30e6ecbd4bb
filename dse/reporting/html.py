"""html_report(): a study as one HTML page that needs no network."""

from __future__ import annotations

import base64
import hashlib
import json
from importlib.resources import files
from typing import Any

import jinja2
import numpy as np

from dse.database import Database
from dse.errors import StudyError
from dse.reading.source import Source
from dse.reporting import front_end
from dse.reporting.designs import DesignViews
from dse.reporting.labels import finite, number
from dse.reporting.views import study_view

MAX_DRILL_DOWNS = 150
"""Designs whose costs by component and layer are in the file."""

_DRILL_DOWN_BYTES = 2_000_000
_MAX_PRINTED = 200
_TEMPLATE = "report.html.j2"
_START = """\
"use strict";
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const designs = read("designs");
  const views = window.dseViews.mount(document.getElementById("views"), {
    view: read("view"),
    design: async (trial) => designs[trial] ?? null,
    commands: true,
  });
  const linked = () => {
    const found = /^#design-(\\d+)$/.exec(location.hash);
    if (found) views.ready.then(() => views.open(Number(found[1])));
  };
  window.addEventListener("hashchange", linked);
  linked();
})();
"""


def html_report(source: Source, database: Database, name: str) -> str:
    """A study for a person, as `assets/views.js` draws it.

    The drill-downs of some designs are in the file: those that stand out, those that the study
    file gave, and evenly chosen ones of the front. Text of the database is data in the page, never
    markup; the page's policy lets no other script run and fetches nothing.

    Args:
        source: The database, to read the trials column by column.
        database: The same, with the reports of its designs.
        name: Of the study.

    Raises:
        StudyError: There is no such study, or dse did not make it.
        StorageError: The database fails.
    """
    view = study_view(source, name)
    scripts = [_script(text) for text in (front_end.plotly(), front_end.script(), _START)]
    return _template().render(
        name=name,
        policy=_policy(scripts),
        style=front_end.style(),
        scripts=scripts,
        view=_json(view),
        designs=_json(_drill_downs(database, name, view)),
        printed=_printed(view),
        n_front=view["drawn"]["front_total"],
        n_results=view["drawn"]["results"],
        number=number,
    )


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(
        files("dse.reporting").joinpath(_TEMPLATE).read_text(encoding="utf-8")
    )


def _drill_downs(database: Database, name: str, view: dict[str, Any]) -> dict[int, Any]:
    """Designs in full, by trial, as many as fit."""
    designs = DesignViews(database, name)
    told = view["designs"]
    numbers = told["trial"]
    first = [t for t, m, g in zip(numbers, told["marks"], told["given"], strict=True) if m or g]
    front = [t for t, on_front in zip(numbers, told["front"], strict=True) if on_front]
    found: dict[int, Any] = {}
    left = _DRILL_DOWN_BYTES
    chosen = [*first, *front] or numbers[:1]
    if chosen:
        size = len(_json(designs.view(chosen[0])))
        chosen = [*first, *_evenly(front, min(MAX_DRILL_DOWNS, left // size))]
    for trial in chosen:
        if trial in found:
            continue
        try:
            found[trial] = designs.view(trial)
        except StudyError:  # of another version; what the columns say of it is shown
            continue
        left -= len(_json(found[trial]))
        if left < 0:
            break
    return found


def _evenly(trials: list[int], most: int) -> list[int]:
    if len(trials) <= most:
        return trials
    return [trials[i] for i in np.linspace(0, len(trials) - 1, most).round().astype(int)]


def _printed(view: dict[str, Any]) -> dict[str, Any]:
    """The front as a table, for who runs no scripts."""
    columns = view["columns"]
    front = [at for at, on_front in enumerate(view["designs"]["front"]) if on_front]

    def text(column: dict[str, Any], at: int) -> str:
        value = column["values"][at]
        return number(value if value is None or not column["words"] else column["words"][value])

    return {
        "headings": ["trial", *(column["label"] for column in columns)],
        "rows": [
            [str(view["designs"]["trial"][at]), *(text(column, at) for column in columns)]
            for at in front[:_MAX_PRINTED]
        ],
    }


def _json(value: Any) -> str:
    """JSON that ends no element that it stands in."""
    text = json.dumps(finite(value), allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _script(text: str) -> str:
    return text.replace("</script", "<\\/script")


def _policy(scripts: list[str]) -> str:
    """What the page may do: run these scripts, draw; nothing is fetched from anywhere."""
    digests = (hashlib.sha256(f"\n{text}\n".encode()).digest() for text in scripts)
    allowed = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
