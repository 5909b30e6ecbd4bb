"""patient(): a database that is gone for a while is waited for, in the middle of a run."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from optuna.distributions import BaseDistribution
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import exc

from dse.database import Database, brief
from dse.errors import StorageError
from dse.storing.quick_storage import QuickStorage
from dse.trials import ERROR, LOST

Result = TypeVar("Result")

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
_GONE = (exc.OperationalError, exc.InterfaceError, exc.TimeoutError, exc.DisconnectionError)

_logger = logging.getLogger(__name__)


def patient(database: Database, patience_s: float) -> Database:
    """The same database, whose reads and writes wait for it while it does not answer.

    Args:
        database: Open.
        patience_s: After so long without an answer an operation fails, and those after it at
            once.
    """
    if type(database.storage) is not RDBStorage:
        return database  # is patient already, or a test's own
    return replace(database, storage=PatientStorage(database.storage, patience_s=patience_s))


def is_gone(error: BaseException) -> bool:
    """Whether an error says that the database cannot be reached or written now."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, _GONE):
            return True
        if isinstance(cause, exc.DBAPIError) and cause.connection_invalidated:
            return True
        cause = cause.__cause__ or cause.__context__
    return False


class PatientStorage(QuickStorage):
    """Optuna's storage; every single read or write is tried until the database answers.

    Between two of them nothing changes, so that a trial that was half told is told to its end
    once the database is back. A write whose answer was lost is recognised when it is repeated.
    Only the thread that made the storage waits: the lease's beats do not.

    Args:
        storage: Whose place this takes.
        patience_s: So long an operation waits.

    Attributes:
        interrupted: Asked while waiting; True ends it.
    """

    def __init__(self, storage: RDBStorage, *, patience_s: float) -> None:
        super().__init__(storage)
        self.interrupted: Callable[[], bool] = lambda: False
        self._patience_s = patience_s
        self._thread = threading.get_ident()
        self._has_given_up = False
        self._last_number: dict[int, int] = {}

    def flush(self) -> None:
        """As QuickStorage does, patiently; like all that follow."""
        return self._wait(super().flush)

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        """See above."""
        return self._wait(super().set_study_user_attr, study_id, key, value)

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """See above."""
        return self._wait(super().set_study_system_attr, study_id, key, value)

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """See above."""
        return self._wait(super().get_study_user_attrs, study_id)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """See above."""
        return self._wait(super().get_study_system_attrs, study_id)

    def set_trial_intermediate_value(self, trial_id: int, step: int, value: float) -> None:
        """See above."""
        return self._wait(super().set_trial_intermediate_value, trial_id, step, value)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """See above."""
        return self._wait(super().get_trial, trial_id)

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        """See above; a trial that has the state already was told before the answer was lost."""
        tries = 0

        def write() -> bool:
            nonlocal tries
            tries += 1
            try:
                done = super(PatientStorage, self).set_trial_state_values(trial_id, state, values)
            except UpdateFinishedTrialError:
                if tries > 1 and super(PatientStorage, self).get_trial(trial_id).state == state:
                    self._pending.pop(trial_id, None)
                    return True
                raise
            return done or (tries > 1 and state == TrialState.RUNNING)

        return self._wait(write)

    def _set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
        previous_distribution: BaseDistribution | None,
    ) -> None:
        return self._wait(
            super()._set_trial_param,
            trial_id,
            param_name,
            param_value_internal,
            distribution,
            previous_distribution,
        )

    def _get_trials(self, *arguments: Any, **named: Any) -> list[FrozenTrial]:
        return self._wait(super()._get_trials, *arguments, **named)

    def _create_new_trial(
        self, study_id: int, template_trial: FrozenTrial | None = None
    ) -> FrozenTrial:
        tries = 0

        def create() -> FrozenTrial:
            nonlocal tries
            tries += 1
            return super(PatientStorage, self)._create_new_trial(study_id, template_trial)

        trial = self._wait(create)
        before = self._last_number.get(study_id)
        self._last_number[study_id] = trial.number
        if before is not None and trial.number > before + 1:
            self._end_orphans(study_id, before, trial, template_trial)
        return trial

    def _end_orphans(
        self, study_id: int, before: int, trial: FrozenTrial, template: FrozenTrial | None
    ) -> None:
        """End trials that were made by a try whose answer was lost."""
        state = TrialState.RUNNING if template is None else template.state
        if state.is_finished():
            return
        for other in self._get_trials(study_id, (state,), set(), -1):
            empty = not other.params and not other.user_attrs
            same = template is not None and other.user_attrs == template.user_attrs
            if before < other.number < trial.number and (empty if template is None else same):
                reason = "the database went away while it was made"
                self.set_trial_user_attr(other._trial_id, ERROR, reason)
                self.set_trial_user_attr(other._trial_id, LOST, True)
                self.set_trial_state_values(other._trial_id, TrialState.FAIL)

    def _wait(self, work: Callable[..., Result], *arguments: Any, **named: Any) -> Result:
        """Do it, again and again while the database is gone."""
        since: float | None = None
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                result = work(*arguments, **named)
            except (exc.SQLAlchemyError, StorageInternalError) as error:
                if not is_gone(error) or self._has_given_up or not self._is_mine():
                    raise
                if since is None:
                    since = time.monotonic()
                    _logger.warning(
                        "the database does not answer (%s); waiting for it up to %g s, results "
                        "are kept in memory meanwhile",
                        brief(error),
                        self._patience_s,
                    )
                if time.monotonic() - since + pause_s > self._patience_s:
                    self._give_up(error, f"for {self._patience_s:g} s")
                self._pause(pause_s, error)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            else:
                if since is not None:
                    away_s = time.monotonic() - since
                    _logger.warning("the database answers again after %.1f s", away_s)
                return result

    def _is_mine(self) -> bool:
        return threading.get_ident() == self._thread

    def _pause(self, seconds: float, error: BaseException) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self.interrupted():
                self._give_up(error, "until the run was interrupted")
            time.sleep(min(left, 0.1))

    def _give_up(self, error: BaseException, how_long: str) -> None:
        self._has_given_up = True
        raise StorageError(
            f"the database did not answer {how_long} (launch.database_patience_s is "
            f"{self._patience_s:g}): {brief(error)}. What was written is kept; what was running "
            "or not yet written runs again with `dse resume` once the database answers"
        ) from error
