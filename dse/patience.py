"""patient(): a database that is gone for a while is waited for, in the middle of a run."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from optuna.distributions import BaseDistribution
from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import exc
from sqlalchemy.orm import Session

from dse.database import Database, brief
from dse.errors import StorageError
from dse.storing.quick_storage import QuickStorage
from dse.storing.trial_rows import SYSTEM
from dse.trials import DESIGN, ERROR, LOST

Result = TypeVar("Result")

TAKEN_BY = "dse:taken_by"
"""System attribute of a trial that waited: who took it, where several drivers share a study."""

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
        taker: By what a trial that waited says who took it, where others may take it, too.
    """

    def __init__(self, storage: RDBStorage, *, patience_s: float) -> None:
        super().__init__(storage)
        self.interrupted: Callable[[], bool] = lambda: False
        self.taker: str | None = None
        self._patience_s = patience_s
        self._thread = threading.get_ident()
        self._has_given_up = False
        self._template: FrozenTrial | None = None

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
        if state == TrialState.RUNNING:
            return self._take(trial_id)
        tries = 0

        def write() -> bool:
            nonlocal tries
            tries += 1
            try:
                return super(PatientStorage, self).set_trial_state_values(trial_id, state, values)
            except UpdateFinishedTrialError:
                if tries > 1 and super(PatientStorage, self).get_trial(trial_id).state == state:
                    self._pending.pop(trial_id, None)
                    return True
                raise

        return self._wait(write)

    def _take(self, trial_id: int) -> bool:
        """Let a trial run that waits; False if another driver took it."""
        tries = 0

        def write() -> bool:
            nonlocal tries
            tries += 1
            if self.taker is not None:
                mark = {TAKEN_BY: json.dumps(self.taker)}
                self._keep(trial_id).attributes.setdefault(SYSTEM, {}).update(mark)
            try:
                done = super(PatientStorage, self).set_trial_state_values(
                    trial_id, TrialState.RUNNING
                )
            finally:
                self._pending.pop(trial_id, None)  # if it is another driver's, it stays as it is
            return done or (tries > 1 and self._has_taken(trial_id))

        return self._wait(write)

    def _has_taken(self, trial_id: int) -> bool:
        if self.taker is None:
            return True  # nobody else does
        trial = super().get_trial(trial_id)
        return trial.system_attrs.get(TAKEN_BY) == self.taker

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

        try:
            trial = self._wait(create)
        finally:
            self._template = None
        if tries > 1 and template_trial is None:
            self._end_orphans(study_id, trial)
        return trial

    def _get_prepared_new_trial(
        self, study_id: int, template_trial: FrozenTrial | None, session: Session
    ) -> models.TrialModel:
        """One that was made of the same template, by a try whose answer was lost, is not again.

        Optuna calls this once for every try, its own ones among them, with the study locked.
        """
        if template_trial is not None and template_trial is self._template:
            made = _made(session, study_id, template_trial)
            if made is not None:
                return made
        self._template = template_trial
        return super()._get_prepared_new_trial(study_id, template_trial, session)

    def _end_orphans(self, study_id: int, trial: FrozenTrial) -> None:
        """End empty trials that were made by a try whose answer was lost."""
        for other in self._get_trials(study_id, (TrialState.RUNNING,), set(), -1):
            if other.number < trial.number and not other.params and not other.user_attrs:
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


def _made(session: Session, study_id: int, template: FrozenTrial) -> models.TrialModel | None:
    """The trial of a design, if it was stored; of two tries of a design the attributes differ."""
    attribute = models.TrialUserAttributeModel
    return (
        session.query(models.TrialModel)
        .join(attribute, attribute.trial_id == models.TrialModel.trial_id)
        .filter(
            models.TrialModel.study_id == study_id,
            models.TrialModel.state == template.state,
            attribute.key == DESIGN,
            attribute.value_json == json.dumps(template.user_attrs.get(DESIGN)),
        )
        .first()
    )
