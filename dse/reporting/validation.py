"""Every published number beside ours: as a table, JSON and the page in docs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from hw_models.published.measured import MeasuredRow, measured_rows
from hw_models.published.reproductions import Reproduction, reproduce
from hw_models.published.rows import PAPERS, PublishedRow, published_rows

OFF = "off"
NOT_COMPUTED = "not computed yet"
MEASURED = "measured by study"
BY_STUDY = "by study: not run here"
NOT_REPRODUCED = "not reproduced yet"
CLAIM = "claim only"

_MANY = 8
"""More numbers than this are told by their largest difference."""

_MEANING = {
    "exact": "computed by our models, equal to the print within its rounding",
    "within band": "computed by our models, inside the stated band",
    OFF: "computed by our models, outside the tolerance",
    MEASURED: "needs training; these figures the named study gave once, with the settings stated",
    BY_STUDY: "needs training; the named study runs it",
    NOT_REPRODUCED: "needs training; no study of ours runs it yet",
    NOT_COMPUTED: "analytic, but nothing here computes it yet",
    CLAIM: "recorded and shown, never asserted: the paper gives too little to check it",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Validated:
    """A published row, judged.

    Attributes:
        row: As published.
        reproduction: Our numbers, where something here computes them.
        verdict: A key of the legend.
        measured: What a study of ours gave for a trained row, where one was run.
    """

    row: PublishedRow
    reproduction: Reproduction | None
    verdict: str
    measured: MeasuredRow | None = None

    @property
    def ours(self) -> str:
        """Our numbers as text."""
        if self.measured is not None:
            return self.measured.ours
        found = self.reproduction
        if found is None:
            return ""
        if len(found.ours) > _MANY:
            pairs = zip(found.ours, found.published, strict=True)
            largest = max(abs(ours - published) for ours, published in pairs)
            return f"{len(found.ours)} numbers, largest difference {largest:.2g}"
        if not self.row.published[0].isdigit():
            return str(found.ours == found.published).lower()
        return "|".join(f"{value:.5g}" for value in found.ours)

    @property
    def ratio(self) -> str:
        """Ours over theirs as text."""
        return "|".join(f"{r:.4f}" if math.isfinite(r) else "-" for r in self._ratios())

    def _ratios(self) -> tuple[float, ...]:
        if not self.row.published[0].isdigit():
            return ()
        if self.measured is not None:
            pairs = zip(self.measured.numbers(), self.row.numbers(), strict=True)
            return tuple(ours / published for ours, published in pairs)
        return () if self.reproduction is None else self.reproduction.ratios

    def _numbers(self) -> tuple[float, ...]:
        if self.measured is not None and self.row.published[0].isdigit():
            return self.measured.numbers()
        return () if self.reproduction is None else self.reproduction.ours

    def to_json(self) -> dict[str, Any]:
        """One entry of `dse validate --format json`."""
        row = self.row
        return {
            "id": row.id,
            "system": row.system,
            "model": row.model,
            "dataset": row.dataset,
            "metric": row.metric,
            "how": row.how,
            "paper": row.published,
            "tolerance": row.tolerance,
            "ours": list(self._numbers()) or None,
            "ratio": [r if math.isfinite(r) else None for r in self._ratios()] or None,
            "verdict": self.verdict,
            "recipe": row.recipe,
            "by": row.by,
            "settings": "" if self.measured is None else self.measured.settings,
        }


def validate_rows() -> tuple[Validated, ...]:
    """Compute every analytic row now, and say of every other one what became of it."""
    return tuple(_validated(row) for row in published_rows())


def _validated(row: PublishedRow) -> Validated:
    found = reproduce(row) if row.how == "A" else None
    if row.how == "A":
        verdict: str = NOT_COMPUTED if found is None else found.verdict
    elif row.how == "T":
        verdict = BY_STUDY if row.by else NOT_REPRODUCED
    else:
        verdict = CLAIM
    measured = measured_rows().get(row.id)
    return Validated(
        row=row,
        reproduction=found,
        verdict=verdict if measured is None else MEASURED,
        measured=measured,
    )


def summary(rows: Sequence[Validated]) -> str:
    """Rows by verdict, such as `10 exact, 2 within band`."""
    counted = Counter(row.verdict for row in rows)
    return ", ".join(f"{counted[verdict]} {verdict}" for verdict in _MEANING if counted[verdict])


def validation_table(rows: Sequence[Validated]) -> Table:
    """For a person."""
    table = Table(title="Published numbers", caption=summary(rows))
    for column in ("row", "model", "metric", "paper", "ours", "ratio", "verdict"):
        table.add_column(column, overflow="fold")
    for before, row in zip((None, *rows[:-1]), rows, strict=True):
        if before is not None and before.row.system != row.row.system:
            table.add_section()
        published = row.row
        table.add_row(
            published.id,
            published.model,
            published.metric,
            published.published,
            row.ours,
            row.ratio,
            _with_study(row),
        )
    return table


def validation_page(rows: Sequence[Validated]) -> str:
    """The text of docs/validation.md."""
    lines = [
        "# Published numbers",
        "",
        "Written by `dse validate --write docs/validation.md`; a test compares this page with",
        "what the code computes now. Several numbers in one cell are separated by `/`; `ratio` is",
        "ours over the paper's.",
        "",
        f"{len(rows)} rows: {summary(rows)}.",
        "",
        "| verdict | meaning |",
        "|---|---|",
    ]
    used = {row.verdict for row in rows}
    lines += [f"| {verdict} | {text} |" for verdict, text in _MEANING.items() if verdict in used]
    for system, paper in PAPERS.items():
        lines += ["", f"## {paper}", ""]
        lines += ["| row | network | metric | paper | tolerance | ours | ratio | verdict | how |"]
        lines += ["|---|---|---|---|---|---|---|---|---|"]
        lines += [_line(row) for row in rows if row.row.system == system]
    return "\n".join([*lines, ""])


def _line(row: Validated) -> str:
    published = row.row
    network = ", ".join(part for part in (published.model, published.dataset) if part != "-")
    cells = (
        f"`{published.id}`",
        network,
        published.metric,
        published.published,
        published.tolerance,
        row.ours,
        row.ratio,
        _with_study(row),
        published.recipe if row.measured is None else row.measured.settings,
    )
    return "| " + " | ".join(cell.replace("|", " / ") for cell in cells) + " |"


def _with_study(row: Validated) -> str:
    return f"{row.verdict} ({row.row.by})" if row.row.by else row.verdict
