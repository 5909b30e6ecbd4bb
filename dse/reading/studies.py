"""The studies of a database, with their attributes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dse.errors import StudyError
from dse.objectives import Objective
from dse.reading.source import Source
from dse.trial_attributes import SPEC

_METRIC_NAMES = "study:metric_names"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredStudy:
    """A study as its database holds it, without its trials.

    Attributes:
        study_id: Its key in the tables.
        name: Of the study.
        directions: `minimize` or `maximize`, by objective.
        user_attrs: Set by dse and by users.
        metric_names: Of its objectives; None if it was not made by dse.
    """

    study_id: int
    name: str
    directions: tuple[str, ...]
    user_attrs: Mapping[str, Any]
    metric_names: tuple[str, ...] | None

    def spec(self, source: Source) -> Mapping[str, Any]:
        """The spec, as it was stored: checked when it was, and not again.

        Raises:
            StudyError: dse did not make the study.
        """
        spec: Mapping[str, Any] | None = self.user_attrs.get(SPEC)
        if spec is None:
            raise StudyError(f"study {self.name!r} in {source.url} was not made by dse")
        return spec

    def objectives(self, source: Source) -> tuple[Objective, ...]:
        """The objectives of the spec.

        Raises:
            StudyError: dse did not make the study.
        """
        return tuple(Objective.parse(text) for text in self.spec(source)["objectives"])


def study_names(source: Source) -> list[str]:
    """Names of the studies, sorted."""
    return sorted(name for (name,) in source.rows("SELECT study_name FROM studies"))


def read_study(source: Source, name: str) -> StoredStudy:
    """The study of that name.

    Raises:
        StudyError: There is none.
    """
    found = list(source.rows("SELECT study_id FROM studies WHERE study_name = ?", name))
    if not found:
        names = ", ".join(study_names(source)) or "none"
        raise StudyError(f"there is no study {name!r} in {source.url}; studies: {names}")
    study_id = int(found[0][0])
    directions = source.rows(
        "SELECT direction FROM study_directions WHERE study_id = ? ORDER BY objective", study_id
    )
    metric_names = _attributes(source, "system", study_id).get(_METRIC_NAMES)
    return StoredStudy(
        study_id=study_id,
        name=name,
        directions=tuple(direction.lower() for (direction,) in directions),
        user_attrs=_attributes(source, "user", study_id),
        metric_names=None if metric_names is None else tuple(metric_names),
    )


def _attributes(source: Source, kind: str, study_id: int) -> dict[str, Any]:
    sql = f"SELECT key, value_json FROM study_{kind}_attributes WHERE study_id = ?"  # noqa: S608
    return {key: json.loads(text) for key, text in source.rows(sql, study_id)}
