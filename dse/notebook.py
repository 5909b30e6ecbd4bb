"""LoadedStudy: a study in a notebook, its designs as pandas tables."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dse.errors import StudyError
from dse.front_choice import Condition, rows_where
from dse.front_view import SHOWN, view_front
from dse.metrics import shown
from dse.objectives import Objective
from dse.pareto import stored_front
from dse.reading.columns import TrialColumns
from dse.reading.source import open_source
from dse.reading.studies import read_study
from dse.reading.trials import TrialRow, read_trials
from dse.reporting.front import front_table
from dse.sqlite_file import DEFAULT_URL
from dse.trial_attributes import METRICS, SECONDS

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import pandas as pd
    from matplotlib.figure import Figure
    from rich.table import Table

    from dse.reading.source import Source


_ROWS = 60
"""A front that is longer is cut in the middle where a notebook shows the study."""


class LoadedStudy:
    """A study to look at; every call reads what its database holds by then.

    Args:
        name: Of the study.
        storage: URL of the database; `DSE_STORAGE`, or `sqlite:///dse.db` in the working folder,
            if left out.

    Raises:
        StudyError: There is no such study, or dse did not make it.
        StorageError: The database cannot be read.
    """

    def __init__(self, name: str, *, storage: str | None = None) -> None:
        self.name = name
        self.storage = storage or os.environ.get("DSE_STORAGE") or DEFAULT_URL
        with self._source() as source:
            stored = read_study(source, name)
            self.spec: Mapping[str, Any] = stored.spec(source)
            self.objectives: tuple[Objective, ...] = stored.objectives(source)

    def front(self, *, where: Sequence[str] = (), objectives: str | None = None) -> pd.DataFrame:
        """The feasible Pareto front, the best in the first objective first.

        Args:
            where: Conditions such as `energy_uj<5` or `regularizer==none`; the front is that of
                the designs that meet all of them.
            objectives: Other metrics than the study's objectives, comma-separated.

        Returns:
            A row for every design, by trial; columns are the objectives, other metrics,
            parameters (absent where a design does not have one) and seconds.
        """
        with self._source() as source:
            found = view_front(source, self.name, where=where, objectives=objectives).front
        return self._table(found.trials, found.objectives)

    def results(self, *, where: Sequence[str] = ()) -> pd.DataFrame:
        """All designs with a result, as `front` has them, and whether they are `feasible`.

        Args:
            where: Conditions that they meet.
        """
        with self._source() as source:
            columns = TrialColumns(source, read_study(source, self.name))
            rows = rows_where(columns, [Condition.parse(text) for text in where])
            trials = read_trials(columns, rows, attributes=SHOWN)
            broken = columns.broken()[rows]
        table = self._table(trials, self.objectives)
        table.insert(min(len(self.objectives), table.shape[1]), "feasible", ~broken)
        return table

    def counts(self) -> dict[str, int]:
        """Trials by state."""
        with self._source() as source:
            return TrialColumns(source, read_study(source, self.name)).counts()

    def hypervolume(self, reference_point: Sequence[float] | None = None) -> float:
        """Of the front.

        Args:
            reference_point: In the order and units of the objectives; the worst value of each
                among the results if left out.
        """
        if reference_point is not None and len(reference_point) != len(self.objectives):
            names = ", ".join(objective.name for objective in self.objectives)
            raise StudyError(
                f"a reference point has a number for each of {names}, got {len(reference_point)}"
            )
        with self._source() as source:
            columns = TrialColumns(source, read_study(source, self.name))
            front = stored_front(columns, self.objectives, reference_point=reference_point)
        return front.hypervolume

    def explain(self, trial: int) -> dict[str, Any]:
        """One design in full, as `dse explain --format json` prints it.

        Raises:
            StudyError: There is no such trial, or it has no results.
        """
        from dse.database import open_database
        from dse.reporting.design import explain_json
        from dse.resuming import load_optuna, load_spec

        database = open_database(self.storage, write=False)
        spec = load_spec(database, self.name)
        return explain_json(load_optuna(database, self.name), database, spec, trial)

    def plot(self, x: str | None = None, y: str | None = None) -> Figure:
        """Results in two columns of `results`, the front drawn in.

        Args:
            x: Name of a column; the second objective if left out.
            y: Likewise; the first objective.

        Raises:
            StudyError: There are no results.
            SpecError: There is no such column.
        """
        from dse.reporting.front_plot import front_figure

        results, front = self.results(), self.front()
        if not len(results):
            raise StudyError(f"study {self.name!r} has no results to plot yet")
        x, y = self.axes(x, y)
        title = f"{self.name}: {len(front)} of {len(results)} designs on the front"
        return front_figure(results, front, x=x, y=y, title=title)

    def axes(self, x: str | None = None, y: str | None = None) -> tuple[str, str]:
        """The columns of a plot: those given, else the second and the first objective."""
        names = [objective.name for objective in self.objectives]
        y = y or names[0]
        return x or next((name for name in names if name != y), "energy_uj"), y

    def __rich__(self) -> Table:
        with self._source() as source:
            return front_table(view_front(source, self.name))

    def __repr__(self) -> str:
        counts = ", ".join(f"{n} {state}" for state, n in self.counts().items() if n)
        goals = ", ".join(map(str, self.objectives))
        return f"<study {self.name}: {goals}; {counts or 'no trials yet'}>"

    def _repr_html_(self) -> str:
        from html import escape

        front = self.front().to_html(notebook=True, max_rows=_ROWS)
        return f"<p>{escape(repr(self)[1:-1])}</p>{front}"

    def _source(self) -> AbstractContextManager[Source]:
        return open_source(self.storage)

    def _table(self, trials: Sequence[TrialRow], objectives: Sequence[Objective]) -> pd.DataFrame:
        import pandas as pd

        names = [objective.name for objective in objectives]
        index = pd.Index([trial.number for trial in trials], name="trial", dtype="int64")
        if not trials:
            return pd.DataFrame(columns=names, index=index)
        return pd.DataFrame([_record(trial, names) for trial in trials], index=index)


def _record(trial: TrialRow, names: Sequence[str]) -> dict[str, Any]:
    metrics = shown(trial.user_attrs[METRICS])
    return {
        **dict(zip(names, trial.values or (), strict=True)),
        **{name: value for name, value in metrics.items() if name not in names},
        **trial.params,
        "seconds": trial.user_attrs[SECONDS],
    }
