"""DashboardStorage: trials that carry constraints as optuna-dashboard reads them."""

from __future__ import annotations

from typing import Any

from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial

from dse.database import Database

_CONSTRAINTS = "constraints"


class DashboardStorage(RDBStorage):
    """To be read by optuna-dashboard 0.21, which knows only the list of constraints of Optuna 4.

    Optuna 5 stores each constraint under its name; a dashboard that overlooks them calls designs
    optimal that break one. Nothing is written: the list is added to what is read, in the order of
    the names.

    Args:
        database: Open.
    """

    def __init__(self, database: Database) -> None:
        self.__dict__.update(database.storage.__dict__)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """With the list."""
        return with_list(super().get_trial(trial_id))

    def _get_trials(self, *arguments: Any, **named: Any) -> list[FrozenTrial]:
        return [with_list(trial) for trial in super()._get_trials(*arguments, **named)]


def with_list(trial: FrozenTrial) -> FrozenTrial:
    """The trial itself; what its constraints are does not change."""
    if trial.constraints and _CONSTRAINTS not in trial.system_attrs:
        named = sorted(trial.constraints.items())
        trial.system_attrs = {**trial.system_attrs, _CONSTRAINTS: [value for _, value in named]}
    return trial
