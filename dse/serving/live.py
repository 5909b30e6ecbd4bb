"""LiveStudy: a study that is read once, and then only for what is new."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast

from dse.errors import StudyError
from dse.lease import ATTRIBUTE, SHARED, STOP, live_leases
from dse.reading.columns import TrialColumns
from dse.reading.first_trial import first_trial
from dse.reading.source import Source
from dse.reading.studies import StoredStudy, read_study

_LEAST_AGE_S = 0.4
_MOST_AGE_S = 10.0
_MOST_KNOWN = 32
_VERSIONS = itertools.count()

Result = TypeVar("Result")


class LiveStudy:
    """Columns of a study's trials, and what was computed from them since they last changed.

    It belongs to the thread that opened the source.

    Args:
        source: The database.
        name: Of the study.

    Attributes:
        source: The database.
        study: Its attributes, as they were last read.
        columns: Of its trials.
        version: Grows with every change that was seen; no two states of a study in this process
            have the same.

    Raises:
        StudyError: There is no such study.
    """

    def __init__(self, source: Source, name: str) -> None:
        self.source = source
        self.version = next(_VERSIONS)
        self._name = name
        self._known: dict[Hashable, Any] = {}
        self._read_at = time.monotonic()
        self._cost_s = 0.0
        source.moment()
        self.study: StoredStudy = read_study(source, name)
        self.columns = TrialColumns(source, self.study)
        self._began = first_trial(self.columns)

    def refresh(self) -> None:
        """Read what is new; not more often than what is computed from it takes.

        Raises:
            StudyError: The study is gone.
            StorageError: The database fails.
        """
        age = time.monotonic() - self._read_at
        if age < min(max(_LEAST_AGE_S, 3 * self._cost_s), _MOST_AGE_S):
            return
        before = self.study
        changed = self.columns.refresh()
        self.study = read_study(self.source, self._name)
        self._read_at = time.monotonic()
        began, self._began = self._began, first_trial(self.columns)
        anew = self.study.study_id != before.study_id or (began and began != self._began)
        if anew:  # deleted, and made again; SQLite gives the same keys once more
            self.columns = TrialColumns(self.source, self.study)
            self._began = first_trial(self.columns)
        elif not len(changed) and self.study.user_attrs == before.user_attrs:
            return
        self.columns.study = self.study
        self.version = next(_VERSIONS)
        self._known.clear()
        self._cost_s = 0.0

    def once(self, key: Hashable, compute: Callable[[], Result]) -> Result:
        """What a function gives, computed once for a state of the study."""
        if key not in self._known:
            began = time.monotonic()
            self._known[key] = compute()
            self._cost_s += time.monotonic() - began
        found = self._known[key]
        while len(self._known) > _MOST_KNOWN:
            del self._known[next(iter(self._known))]
        return cast("Result", found)

    @property
    def drivers(self) -> list[dict[str, Any]]:
        """Leases of the drivers that run the study: one, or several that share it."""
        return list(live_leases(self.study.user_attrs).values())

    @property
    def left_behind(self) -> list[dict[str, Any]]:
        """Leases of drivers that died."""
        attributes = self.study.user_attrs
        live = live_leases(attributes)
        return [
            lease
            for key, lease in attributes.items()
            if lease and key not in live and (key == ATTRIBUTE or key.startswith(SHARED))
        ]

    @property
    def asked_to_stop(self) -> dict[str, Any]:
        """Who asked the last driver to stop; empty if nobody did."""
        return self.study.user_attrs.get(STOP) or {}

    def require_spec(self) -> None:
        """Make sure that dse made the study.

        Raises:
            StudyError: It did not.
        """
        self.study.spec(self.source)
        if self.study.metric_names is None:  # the driver is writing it at this moment
            raise StudyError(f"study {self._name!r} is being made; look again")
