"""Rows as SQL for SQLite, and as lines for PostgreSQL's COPY."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dse.storing.trial_rows import COLUMNS, Row, Shape


def insertion(table: str) -> str:
    """The statement that inserts one row."""
    columns = COLUMNS[table]
    marks = ", ".join("?" * len(columns))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608 # our names


def insertion_of(shape: Shape) -> str:
    """The statement that inserts all rows of a trial at once: its id, then the values.

    What trials have in common stands in the statement, so that it is neither bound nor copied for
    every row: half the time.
    """
    rows = []
    for number, (before, *behind) in enumerate(shape.around, start=2):
        fields = ["?1", _literal(before), f"?{number}", *map(_literal, behind)]
        rows.append(f"({', '.join(fields)})")
    columns = ", ".join(COLUMNS[shape.table])
    return f"INSERT INTO {shape.table} ({columns}) VALUES {', '.join(rows)}"  # noqa: S608 # literals


def single_rows(shape: Shape, rows: Iterable[Row]) -> list[Row]:
    """The rows one by one, as `insertion` takes them."""
    return [
        (at, before, value, *behind)
        for at, *values in rows
        for (before, *behind), value in zip(shape.around, values, strict=True)
    ]


def copied(row: Row) -> str:
    r"""A row in the text format of COPY: tabs between, `\N` for NULL."""
    return "\t".join(map(_field, row)) + "\n"


def copied_rows(shape: Shape, rows: Iterable[Row]) -> list[str]:
    """The rows of every trial in the text format of COPY."""
    lines = []
    for number, (before, *behind) in enumerate(shape.around, start=1):
        fields = ["{0}", _braced(before), f"{{{number}}}", *map(_braced, behind)]
        lines.append("\t".join(fields) + "\n")
    text = "".join(lines).format
    return [text(*map(_field, row)) for row in rows]


def _literal(value: Any) -> str:
    """A text or number in SQL."""
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"


def _braced(value: Any) -> str:
    return _field(value).replace("{", "{{").replace("}", "}}")


def _field(value: Any) -> str:
    if type(value) is str:
        if "\\" in value or not value.isprintable():
            return value.translate(_ESCAPES)
        return value
    return r"\N" if value is None else repr(value)


_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})
