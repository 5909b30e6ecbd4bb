"""StudyFeed: what the dashboard's page asks of a study, kept as text and brought up to date."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.storages._cached_storage import _CachedStorage
from optuna.study._frozen import FrozenStudy
from optuna.trial import FrozenTrial, TrialState, create_trial
from optuna_dashboard._custom_plot_data import get_plotly_graph_objects
from optuna_dashboard._inmemory_cache import InMemoryCache, get_cached_extra_study_property
from optuna_dashboard._serializer import serialize_frozen_trial, serialize_study_detail
from optuna_dashboard._storage import get_study

from dse.dashboard_storage import with_list
from dse.dominance import non_dominated
from dse.errors import StudyError
from dse.metrics import shown
from dse.reading.columns import Ids, TrialColumns
from dse.reading.first_trial import first_trial
from dse.reading.lazy_trials import forget, open_lazily, plain
from dse.trial_attributes import METRICS, RUNNING, STAGES, WAITING

MANY = 10_000
"""Trials that a page bears: it draws each of them and compares each with each."""


class StalePageError(StudyError):
    """A page shows what is not here any more."""

    def __init__(self, name: str, holds: int, there: int) -> None:
        super().__init__(
            f"study {name!r}: the page holds {holds} trials, here are {there}: the study was made "
            "anew, or the dashboard started again; load the page again"
        )


class StudyFeed:
    """One study as optuna-dashboard's page wants it.

    The dashboard itself reads all trials, sorts out the front by comparing each with each, merges
    the search space and writes everything as JSON, whenever a page polls. Here a trial becomes
    text once, when it has changed; the front comes from the study's columns, and holds feasible
    designs only. A study that was deleted and made anew, in SQLite with the same keys, is read
    from its start.

    Args:
        storage: Of a relational database.
        study_id: Whose trials.
        url: Of the database, for messages.
        last: So many trials, those with the highest numbers; further ones only if they are on the
            front. Trials that are new since are added.

    Raises:
        KeyError: There is no such study.
    """

    def __init__(self, storage: _CachedStorage, study_id: int, *, url: str, last: int) -> None:
        self._storage, self._study_id = storage, study_id
        self._url, self._last = url, last
        self._lock = threading.Lock()
        self._begin()

    def _begin(self) -> None:
        """Read the study, of which nothing is kept."""
        forget(self._storage, self._study_id)
        name = self._storage.get_study_name_from_id(self._study_id)
        study = optuna.load_study(study_name=name, storage=self._storage)
        columns = open_lazily(study, self._url)
        first, rows = first_trial(columns), _first_rows(columns, self._last)
        # From here on nothing is read, nothing fails.
        self._columns, self._first = columns, first
        self._place: dict[int, int] = {}  # by the number of a trial
        self._texts: list[str] = []
        self._best: list[int] = []
        self._sortable: dict[str, bool] = {}
        self._spaces = _SearchSpaces()
        self._steps = False
        self._stale: set[int] = set(columns.numbers[rows].tolist())

    def answer(self, after: int) -> bytes | None:
        """The JSON for a page.

        Args:
            after: How many trials the page holds already, all finished.

        Returns:
            None if the study is gone.

        Raises:
            StalePageError: The page holds more trials than there are, such as those of an
                earlier study.
        """
        study = get_study(self._storage, self._study_id)
        if study is None:
            return None
        with self._lock:
            if self._is_anew(study):
                self._begin()
            self._first = self._first or first_trial(self._columns)
            changed = self._columns.refresh()
            self._stale |= set(self._columns.numbers[changed].tolist())
            if self._stale:
                self._render()
            if after > len(self._texts):
                raise StalePageError(study.study_name, after, len(self._texts))
            head = serialize_study_detail(
                study,
                best_trials=[],
                trials=[],
                intersection=self._spaces.intersection,
                union=self._spaces.union,
                union_user_attrs=sorted(self._sortable.items()),
                has_intermediate_values=self._steps,
                plotly_graph_objects=get_plotly_graph_objects(study.system_attrs),
                skipped_trial_numbers=[],
            )
            head |= {"artifacts": []}
            del head["trials"], head["best_trials"]
            best = ",".join(self._texts[self._place[number]] for number in self._best)
            trials = ",".join(self._texts[after:])
        text = json.dumps(head)
        return f'{text[:-1]}, "trials": [{trials}], "best_trials": [{best}]}}'.encode()

    def _is_anew(self, study: FrozenStudy) -> bool:
        """Whether it is another study than that whose trials were read."""
        before = self._columns.study
        directions = tuple(direction.name.lower() for direction in study.directions)
        if (study.study_name, directions) != (before.name, before.directions):
            return True
        return bool(self._first) and first_trial(self._columns) != self._first

    def _render(self) -> None:
        """Make the texts of trials that are new or have changed, and find the front again."""
        columns = self._columns
        front = columns.numbers[_front(columns)].tolist()
        self._stale |= {number for number in front if number not in self._place}
        found = self._storage.get_all_trials(self._study_id, deepcopy=False)
        trials = {trial.number: trial for trial in found}
        for number in sorted(self._stale):
            if (trial := trials.get(number)) is None:  # stored after one with a higher key
                row = np.searchsorted(columns.numbers, [number])
                trial = self._storage.get_trial(int(columns.ids(row)[0]))
            self._put(number, trial)
        self._best = front
        self._stale = set()

    def _put(self, number: int, trial: FrozenTrial) -> None:
        attributes = _attributes(trial.user_attrs)
        text = _text(self._study_id, trial, attributes)
        if number in self._place:
            self._texts[self._place[number]] = text
        else:
            self._place[number] = len(self._texts)
            self._texts.append(text)
        for key, value in attributes.items():
            number_like = isinstance(value, int | float) and not isinstance(value, bool)
            self._sortable[key] = self._sortable.get(key, True) and number_like
        self._steps = self._steps or bool(trial.intermediate_values)
        if trial.state != TrialState.FAIL:
            self._spaces.add(trial.distributions)


class _SearchSpaces:
    """Knobs that all trials have, and those that any has, as the dashboard merges them."""

    def __init__(self) -> None:
        self._seen: set[frozenset[tuple[str, BaseDistribution]]] = set()
        self._cache = InMemoryCache()
        self.intersection: list[tuple[str, BaseDistribution]] = []
        self.union: list[tuple[str, BaseDistribution]] = []

    def add(self, distributions: Mapping[str, BaseDistribution]) -> None:
        """Those of one trial; most trials have the same."""
        key = frozenset(distributions.items())
        if key in self._seen:
            return
        self._seen.add(key)
        stand_in = create_trial(
            state=TrialState.RUNNING,
            params={
                name: distribution.to_external_repr(_any(distribution))
                for name, distribution in distributions.items()
            },
            distributions=dict(distributions),
        )
        self.intersection, self.union, _, _ = get_cached_extra_study_property(
            self._cache, 0, [stand_in]
        )


def _first_rows(columns: TrialColumns, last: int) -> Ids:
    """The last trials, those that are not finished, and the front."""
    if len(columns) <= last:
        return np.arange(len(columns))
    unfinished = np.flatnonzero((columns.states == RUNNING) | (columns.states == WAITING))
    some = np.arange(len(columns) - last, len(columns))
    return np.unique(np.concatenate([some, unfinished, _front(columns)]))


def _front(columns: TrialColumns) -> Ids:
    """Rows of the feasible designs that no other one beats, of equal ones the first."""
    signs = np.array([1 if d == "minimize" else -1 for d in columns.study.directions])
    rows = columns.results()
    rows = rows[~columns.broken()[rows]]
    return rows[non_dominated(columns.values()[rows] * signs)]


def _any(distribution: BaseDistribution) -> float:
    """The internal form of some value."""
    return float(getattr(distribution, "low", 0))


def _attributes(user_attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Metrics one by one, so that a page can sort by them; without the bookkeeping of stages."""
    kept = {key: value for key, value in user_attrs.items() if key != STAGES}
    metrics = kept.get(METRICS)
    if not isinstance(metrics, dict) or not (known := shown(metrics)):
        return kept
    del kept[METRICS]
    return {**known, **kept}


def _text(study_id: int, trial: FrozenTrial, attributes: Mapping[str, Any]) -> str:
    """A trial as JSON."""
    own = plain(trial, user_attrs=dict(attributes), system_attrs={})
    serialized = serialize_frozen_trial(study_id, own, {})
    serialized["constraints"] = with_list(trial).system_attrs.get("constraints", [])
    return json.dumps(serialized)
