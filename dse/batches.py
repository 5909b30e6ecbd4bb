"""StudyBatches: a study asked for many designs at once, and told in one transaction."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from dse.errors import StageError
from dse.evaluation import Evaluation, Failure, Outcome, RuledOut
from dse.nesting import distribution_of
from dse.patience import PatientStorage
from dse.samplers.batch import BatchSampler
from dse.storing.bulk_writer import BulkWriter, NumbersMovedError
from dse.storing.trial_rows import to_json
from dse.study import Study
from dse.trials import DESIGN, DUPLICATE_OF, ERROR, METRICS, RULED_OUT, SECONDS, STAGES
from search_spaces.design_point import DesignPoint
from search_spaces.domains import Value
from search_spaces.repeated_draw import RepeatedDraw

_MOST_REMEMBERED = 2_000
_CONSTRAINT = "constraints:"


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A design that is being evaluated, or a further proposal of a known one.

    Attributes:
        draw: The how-manieth proposal of the study.
        digest: Of the design.
        params: The knobs that it asks for.
        system_attrs: By which its sampler learns from it.
        attempt: 1, or more if a worker died under it.
    """

    draw: int
    digest: str
    params: dict[str, Value]
    system_attrs: dict[str, Any]
    attempt: int = 1


class StudyBatches:
    """What `Study.ask` and `Study.tell` do, for many designs that are not in the database yet.

    A trial is written when it is finished, with the attributes that `Study.tell` writes, its
    report excepted. Nothing of a design that is being evaluated is stored: whoever dies loses it,
    and the next driver asks for it again.

    Args:
        study: Owned by this process.
        sampler: Its sampler, for batches.
    """

    def __init__(self, study: Study, sampler: BatchSampler) -> None:
        self._study = study
        self._sampler = sampler
        self._designs = RepeatedDraw(study.space)
        self.space = pickle.dumps(study.space)
        """The space, as a batch carries it."""
        self._writer = BulkWriter(study.optuna)
        self._next_number = self._writer.next_number()
        self._new: list[FrozenTrial] | None = None
        self._copies: list[Asked] = []
        self._recent: dict[str, FrozenTrial] = {}
        self._distributions: dict[tuple[str, ...], dict[str, BaseDistribution]] = {}
        self.n_known_in_a_row = 0
        """Of the last proposals, how many were of known designs."""

    @property
    def next_draw(self) -> int:
        """Number of the next proposal."""
        return self._study._next_draw

    @property
    def next_number(self) -> int:
        """Number of the next trial."""
        return self._next_number

    def point(self, asked: Asked) -> DesignPoint:
        """The design itself."""
        return self._designs.point(asked.params)

    def ask(self, count: int) -> list[Asked]:
        """The next proposals, those of known designs left out; they are stored by `tell`."""
        study, designs, found = self._study, self._designs, []
        first = study._next_draw
        proposals = self._sampler.ask(study.optuna, count, first=first, new=self._new)
        self._new = []
        for draw, proposal in enumerate(proposals, start=first):
            params = designs.asked(proposal.params)
            asked = Asked(draw, designs.digest(params), params, proposal.system_attrs)
            if asked.digest in study._known or asked.digest in study._running:
                self._copies.append(asked)
                self.n_known_in_a_row += 1
            else:
                study._running.add(asked.digest)
                study._counted.add(asked.digest)
                self.n_known_in_a_row = 0
                found.append(asked)
        study._next_draw += count
        return found

    def tell(self, told: Sequence[tuple[Asked, Outcome]], *, since: datetime) -> None:
        """Store outcomes, all or none, and the copies of designs that are known by now.

        Args:
            told: No lost ones.
            since: When their evaluation began.
        """
        study, now = self._study, datetime.now()
        outcomes: list[tuple[Asked, Outcome | None]] = list(told)
        if self._copies:
            known = {asked.digest for asked, _ in told}
            ready = [a for a in self._copies if a.digest in known or a.digest in study._known]
            self._copies = [a for a in self._copies if a not in ready]
            outcomes = sorted([*told, *((a, None) for a in ready)], key=lambda pair: pair[0].draw)
        if not outcomes:
            return
        while True:
            trials = self._trials(outcomes, since, now)
            try:
                self._write(trials)
                break
            except NumbersMovedError as error:  # somebody else wrote to the study
                self._next_number, self._new = error.first, None
        self._next_number += len(trials)
        if self._new is not None:
            self._new += trials
        for (asked, outcome), trial in zip(outcomes, trials, strict=True):
            if outcome is None:
                continue
            untrained = isinstance(outcome, RuledOut) and not outcome.trained
            study.ruled_out_in_a_row = study.ruled_out_in_a_row + 1 if untrained else 0
            if untrained:
                study._counted.discard(asked.digest)
            study._running.discard(asked.digest)
            study._known[asked.digest] = trial.number
            if len(self._recent) >= _MOST_REMEMBERED:
                self._recent.clear()
            self._recent[asked.digest] = trial

    def _trials(
        self,
        outcomes: Sequence[tuple[Asked, Outcome | None]],
        since: datetime,
        now: datetime,
    ) -> list[FrozenTrial]:
        found: list[FrozenTrial] = []
        here: dict[str, FrozenTrial] = {}
        for number, (asked, outcome) in enumerate(outcomes, start=self._next_number):
            design = {"draw": asked.draw, "digest": asked.digest, "attempt": asked.attempt}
            user: dict[str, Any] = {DESIGN: design}
            system = dict(asked.system_attrs)
            if outcome is None:
                state, values = self._copy(asked, here, user, system)
            else:
                state, values = self._result(outcome, user, system)
            trial = FrozenTrial(
                number=number,
                trial_id=-1,  # the database's
                state=state,
                value=None,
                values=values,
                datetime_start=since,
                datetime_complete=now,
                params=asked.params,
                distributions=self._ranges(asked.params),
                user_attrs=user,
                system_attrs=system,
                intermediate_values={},
            )
            found.append(trial)
            if outcome is not None:
                here[asked.digest] = trial
        return found

    def _result(
        self, outcome: Outcome, user: dict[str, Any], system: dict[str, Any]
    ) -> tuple[TrialState, list[float] | None]:
        """Attributes, state and values, as `Study.tell` writes them."""
        if isinstance(outcome, Evaluation):
            try:
                values, broken = self._study._numbers(outcome)
            except StageError as error:
                outcome = Failure(reason=str(error))
            else:
                for name, violation in broken.items():
                    system[_CONSTRAINT + name] = violation
                user[METRICS] = dict(outcome.metrics)
                user[STAGES] = {stage: dict(trace) for stage, trace in outcome.stages.items()}
                user[SECONDS] = outcome.seconds
                return TrialState.COMPLETE, values
        if isinstance(outcome, RuledOut):
            for name, violation in outcome.violations.items():
                system[_CONSTRAINT + name] = violation
            user[SECONDS] = outcome.seconds
            user[RULED_OUT] = {"reason": outcome.reason, "trained": outcome.trained}
            return TrialState.PRUNED, None
        assert isinstance(outcome, Failure)
        user[ERROR] = outcome.reason
        return TrialState.FAIL, None

    def _copy(
        self,
        asked: Asked,
        here: Mapping[str, FrozenTrial],
        user: dict[str, Any],
        system: dict[str, Any],
    ) -> tuple[TrialState, list[float] | None]:
        """Attributes, state and values of a known design, as `Study` copies them."""
        original = here.get(asked.digest) or self._recent.get(asked.digest) or self._read(asked)
        user[DUPLICATE_OF] = original.number
        if original.state == TrialState.FAIL:
            user[ERROR] = f"as trial {original.number}: {original.user_attrs[ERROR]}"
            return original.state, None
        for name, violation in original.constraints.items():
            system[_CONSTRAINT + name] = violation
        for name in (METRICS, RULED_OUT):
            if name in original.user_attrs:
                user[name] = original.user_attrs[name]
        user[SECONDS] = 0.0
        return original.state, original.values

    def _read(self, asked: Asked) -> FrozenTrial:
        optuna = self._study.optuna
        number = self._study._known[asked.digest]
        at = optuna._storage.get_trial_id_from_study_id_trial_number(optuna._study_id, number)
        found = self._recent[asked.digest] = optuna._storage.get_trial(at)
        return found

    def _ranges(self, params: Mapping[str, Value]) -> dict[str, BaseDistribution]:
        key = tuple(params)
        if (found := self._distributions.get(key)) is None:
            domains = self._study.space.domains
            found = self._distributions[key] = {p: distribution_of(domains[p]) for p in params}
        return found

    def _write(self, trials: list[FrozenTrial]) -> None:
        """Write, once; a database that is gone is waited for, as with single trials."""
        first, tries = self._next_number, 0

        def write() -> None:
            nonlocal tries
            tries += 1
            mine = to_json(trials[0].user_attrs[DESIGN])
            if tries > 1 and self._writer.attribute(first, DESIGN) == mine:
                return  # it was written, and the answer was lost
            self._writer.write(trials, first=first)

        storage = self._study.database.storage
        if isinstance(storage, PatientStorage):
            storage._wait(write)
        else:
            write()
