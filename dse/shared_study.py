"""SharedStudy: a study that several drivers work on at once, no design evaluated twice."""

from __future__ import annotations

import logging
import socket
import time
from typing import Any

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from dse.database import Database
from dse.errors import StudyError
from dse.evaluation import Job, Outcome
from dse.lease import EXPIRES_S, SHARED, is_live, whose
from dse.patience import PatientStorage
from dse.samplers.counter_seeded import CounterSeededSampler
from dse.spec import StudySpec
from dse.storing.study_lock import StudyLock
from dse.study import Study
from dse.trials import DRIVER, DUPLICATE_OF, design_of, fail, reclaim

_LOOK_EVERY_S = 2.0

_logger = logging.getLogger(__name__)


class SharedStudy(Study):
    """A study of which this process is one driver of several.

    One driver at a time asks or tells. It takes in first what the others did: their designs count
    towards the budget, are not proposed again, and a proposal of one that runs elsewhere waits
    for its result. Every trial says whose it is; those of a driver that died go back to the queue.

    Args:
        study: Optuna's study; `sampler` is its sampler.
        spec: What is searched.
        sampler: Where proposals come from.
        database: Where the study lives, in PostgreSQL.
        lock: Held by the caller now, and by whoever asks or tells.
        lease: Attribute of the study that holds this driver's lease.
    """

    def __init__(
        self,
        study: optuna.Study,
        *,
        spec: StudySpec,
        sampler: CounterSeededSampler,
        database: Database,
        lock: StudyLock,
        lease: str,
    ) -> None:
        self._lock = lock
        self._settled: set[int] = set()
        self._elsewhere: dict[int, str] = {}
        self._beats: dict[str, tuple[float, float]] = {}
        self._budget = spec.budget.trials
        self._looked = -float("inf")
        super().__init__(study, spec=spec, sampler=sampler, database=database)
        self.lease = lease
        self._marks = {DRIVER: lease}
        if isinstance(database.storage, PatientStorage):
            database.storage.taker = lease
        self._settled.update(t.number for t in self.trials() if t.state.is_finished())
        self._take_in()

    def wants(self, trials: int) -> bool:
        """See `Study`; what the others did is looked at every other second."""
        self._budget = trials
        if time.monotonic() - self._looked > _LOOK_EVERY_S:
            with self._lock.held():
                self._take_in()
        return super().wants(trials)

    def ask(self) -> Job | None:
        """See `Study`; None also if the others took what was left of the budget."""
        while True:
            with self._lock.held():
                self._take_in()
                if not super().wants(self._budget):
                    return None
                running, counted = set(self._running), set(self._counted)
                try:
                    job = super().ask()
                except UpdateFinishedTrialError as error:  # another driver reclaimed it
                    _logger.warning("the lock was lost while a design was asked: %s", error)
                    self._running, self._counted = running, counted
                    continue
                if job is None or self._lock.is_still_held():
                    return job
            with self._lock.held():  # somebody else may have asked for the same design meanwhile
                self.give_back_held(job, reason="the lock was lost while it was asked")

    def tell(self, job: Job, outcome: Outcome) -> None:
        """See `Study`.

        Raises:
            StudyError: The others hold this driver for dead, and the design is theirs now.
        """
        with self._lock.held():
            try:
                self._forget_finished()
                if job.number not in self._open:
                    raise UpdateFinishedTrialError(f"trial {job.number} is finished")
                super().tell(job, outcome)
            except UpdateFinishedTrialError:
                raise StudyError(
                    f"study {self.spec.name!r}: the other drivers took trial {job.number} over, "
                    f"for this one was not heard of for {EXPIRES_S:g} s; its result is dropped"
                ) from None

    def give_back(self, job: Job, *, reason: str) -> None:
        """See `Study`."""
        with self._lock.held():
            self.give_back_held(job, reason=reason)

    def give_back_held(self, job: Job, *, reason: str) -> None:
        """The same, the lock being held."""
        super().give_back(job, reason=reason)

    def leave(self) -> None:
        """End the copies that wait for results of other drivers."""
        for digest, followers in self._followers.items():
            for number in followers:
                _logger.info("trial %d is a design that another driver evaluates", number)
                try:
                    fail(self.optuna, number, reason=f"proposed twice; {digest} runs elsewhere")
                except Exception as error:  # the other drivers, or the next one, end it
                    _logger.warning("trial %d was not ended: %s", number, error)
        self._followers.clear()

    def _take_in(self) -> None:
        """Learn what the other drivers did, and take over from those that died."""
        self._looked = time.monotonic()
        self._forget_finished()
        self._bury_the_dead()
        trials = self.trials()
        for trial in trials:
            if trial.number not in self._settled:
                self._note(trial)
        self.n_waiting = sum(trial.state == TrialState.WAITING for trial in trials)
        for digest in [d for d in self._followers if d in self._known]:
            for follower in self._followers.pop(digest):
                self._copy(self._known[digest], follower)

    def _note(self, trial: FrozenTrial) -> None:
        if trial.state.is_finished():
            self._settled.add(trial.number)
        design = design_of(trial)
        if design is not None and design.get(DRIVER) == self.lease:
            return
        if trial.state == TrialState.RUNNING:
            if design is not None and DUPLICATE_OF not in trial.user_attrs:
                self._elsewhere[trial.number] = design["digest"]
                self._running.add(design["digest"])
        elif (digest := self._elsewhere.pop(trial.number, None)) is not None:
            self._running.discard(digest)
        self._remember(trial)

    def _bury_the_dead(self) -> None:
        """Put back what drivers left running that are gone."""
        leases: dict[str, dict[str, Any]] = {
            key: lease
            for key, lease in self.optuna.user_attrs.items()
            if key.startswith(SHARED) and lease
        }
        dead = {k for k, held in leases.items() if k != self.lease and self._is_dead(k, held)}
        living = leases.keys() - dead
        for trial in self.optuna.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            driver = (design_of(trial) or {}).get(DRIVER)
            if trial.number in self._open or (driver in living and driver != self.lease):
                continue
            reclaim(self.optuna, trial, attempts=self.spec.launch.attempts)
        for key in dead:
            _logger.warning("the driver that was %s is gone", whose(leases[key]))
            self.optuna.set_user_attr(key, None)

    def _is_dead(self, key: str, lease: dict[str, Any]) -> bool:
        """Whether a driver is gone: its process, or, elsewhere, its beat for a minute of ours."""
        if lease["host"] == socket.gethostname():
            return not is_live(lease)
        now = time.monotonic()
        beat, since = self._beats.get(key, (None, now))
        if beat != lease["beat"]:
            self._beats[key] = lease["beat"], now
            return False
        return now - since > EXPIRES_S

    def _forget_finished(self) -> None:
        """Drop what is open here and was ended by another driver."""
        trials = self.trials()
        for number in [n for n in self._open if trials[n].state.is_finished()]:
            del self._open[number]
        for followers in self._followers.values():
            followers[:] = [number for number in followers if number in self._open]
