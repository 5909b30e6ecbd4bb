"""What our studies gave for published rows that need training, from `measured.csv`.

Nothing here is computed: a row is the figures of one run of the study or benchmark that
`rows.csv` names for it, with the settings of that run.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredRow:
    """One trained row.

    Attributes:
        id: Of the published row.
        ours: In its units and order, separated by `|`.
        settings: What was trained on what, and where that differs from the paper.
    """

    id: str
    ours: str
    settings: str

    def numbers(self) -> tuple[float, ...]:
        """The figures."""
        return tuple(float(text) for text in self.ours.split("|"))


@cache
def measured_rows() -> dict[str, MeasuredRow]:
    """All rows by id."""
    text = (files("hw_models.published") / "measured.csv").read_text(encoding="utf-8")
    rows = (MeasuredRow(**entry) for entry in csv.DictReader(text.splitlines()))
    return {row.id: row for row in rows}
