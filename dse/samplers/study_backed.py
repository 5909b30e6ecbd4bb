"""StudyBackedSampler: a search whose whole state is the study, asked one by one or in batches."""

from __future__ import annotations

import math
import threading
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from dse.samplers.counter_seeded import DESIGN, FromStudySampler
from dse.samplers.directions import signs_of
from dse.samplers.knob_codec import Knob, KnobCodec, name_seed
from dse.samplers.leaders import INFEASIBLE, Score
from dse.trials import LOST, RUNG_RESULT

_UNPROPOSED = 3  # a stream of random numbers, apart from those of the searches

MoveT = TypeVar("MoveT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A design that a search asks for.

    Attributes:
        params: Value of every knob that the search knows; a design takes those that it has.
        distributions: Their ranges.
        system_attrs: What its trial must carry, for the search to learn from it.
    """

    params: dict[str, Any]
    distributions: dict[str, BaseDistribution]
    system_attrs: dict[str, Any]


class Search(Protocol[MoveT]):
    """What makes moves and learns from their results.

    Its state is a function of its seed and of what it was told, in that order; asking for moves
    does not change it.
    """

    codec: KnobCodec

    def begin(self, move: MoveT) -> None:
        """A move is being evaluated; the same one may begin again after `give_back`."""

    def give_back(self, move: MoveT) -> None:
        """A move ended without a result; it is the next to be made."""

    def learn(
        self,
        score: Score,
        params: Mapping[str, Any],
        distributions: Mapping[str, BaseDistribution],
        move: MoveT | None,
    ) -> None:
        """Take in a result; without a move, that of a design which came from elsewhere."""

    def moves(self, count: int) -> list[MoveT]:
        """The next moves."""

    def params(self, moves: Sequence[MoveT]) -> list[dict[str, Any]]:
        """Values of the known knobs at the moves."""

    def full_position(self, move: MoveT) -> Sequence[float]:
        """Coordinates of a move in the unit box of all known knobs."""


class StudyBackedSampler(FromStudySampler, Generic[MoveT]):
    """A search whose whole state is the study.

    * Every trial carries its move, and the numbers of the trials that were learned just before.
      This object only keeps what it worked out; a new one learns the same in the same order.
    * A trial that failed or was pruned counts as infeasible, by its constraints if it has broken
      ones, else as worse than any.
    * A trial with the user attribute `lost` says nothing: the move is made again.
    * Trials that the search did not propose (given designs, other samplers') teach, too.

    Args:
        seed: Of the study.
    """

    slot: ClassVar[str]
    """System attribute of a trial: the move that it evaluates."""

    def __init__(self, *, seed: int) -> None:
        self._seed = seed
        self._lock = threading.RLock()
        self._study: tuple[object, int] | None = None
        self._caught_up_for: int | None = None
        self._forget()

    @abstractmethod
    def _new_search(self) -> Search[MoveT]:
        """A search that was told nothing yet."""

    @abstractmethod
    def _written(self, move: MoveT) -> dict[str, Any]:
        """A move as JSON."""

    @abstractmethod
    def _read(self, slot: Mapping[str, Any]) -> MoveT | None:
        """A move from JSON; None if it is not one of this search's."""

    @abstractmethod
    def _key(self, move: MoveT) -> tuple[int, int]:
        """What tells a move from all others, however often it is made."""

    @abstractmethod
    def _start(self, name: str, move: MoveT) -> float | None:
        """Where a first move begins along a knob that no trial had, 0..1; None for later ones."""

    def ask_batch(
        self, study: Study, count: int, *, new: Sequence[FrozenTrial] | None = None
    ) -> list[Proposal]:
        """Several designs at once, for trials that are stored when they are finished.

        The moves count as begun: whoever drops a proposal without storing a trial with its
        system attributes leaves it unfinished as long as this object lives.

        Args:
            study: What the search learns from first.
            count: Number of designs.
            new: All trials stored since the last call, by number, from a caller that knows them:
                reading a list of all trials takes a storage longer than everything done here.

        Raises:
            ValueError: No trial has finished yet, or `new` leaves trials out.
        """
        with self._lock:
            self._catch_up(study, new)
            if not self._search.codec.knobs:
                raise ValueError(
                    "a batch needs a study with at least one finished trial, to know its knobs; "
                    "evaluate one trial by study.ask() and study.tell() first"
                )
            moves = self._search.moves(count)
            for move in moves:
                self._search.begin(move)
                self._begun.add(self._key(move))
            params = self._search.params(moves)
            space = self._space()
            return [
                Proposal(params=p, distributions=space, system_attrs={self.slot: self._fill(move)})
                for p, move in zip(params, moves, strict=True)
            ]

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """All knobs of the finished trials, whether or not every trial had them."""
        with self._lock:
            self._catch_up(study)
            self._caught_up_for = trial.number
            return self._space()

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The next move; nothing for a design that is given."""
        with self._lock:
            if self._caught_up_for != trial.number:
                self._catch_up(study)
            move = self._move_of(trial)
            if move is None:
                return {}
            self._search.begin(move)
            self._open[trial.number] = move
            study._storage.set_trial_system_attr(trial._trial_id, self.slot, self._fill(move))
            params = self._search.params([move])[0]
            return {name: params[name] for name in search_space if name in params}

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """A knob that no finished trial had, or one whose range has changed."""
        with self._lock:
            knob = Knob(param_distribution)
            move = self._open.get(trial.number)
            place = self._search.codec.columns.get(param_name)
            if move is not None and place is not None and place.stop - place.start == knob.width:
                return knob.decode(self._search.full_position(move)[place])
            unit = None if move is None else self._start(param_name, move)
            if unit is None:
                draw = trial.user_attrs.get(DESIGN, {}).get("draw", trial.number)
                who = (draw,) if move is None else self._key(move)
                key = [self._seed, _UNPROPOSED, name_seed(param_name), *who]
                unit = float(np.random.default_rng(key).random())
            return knob.decode(knob.spread(unit))

    def reseed_rng(self) -> None:
        """Nothing to do: random numbers come from the moves' own, in whichever process."""

    def _forget(self) -> None:
        self._search: Search[MoveT] = self._new_search()
        self._n_seen = 0
        self._open: dict[int, MoveT | None] = {}  # unfinished trials
        self._ended: dict[int, tuple[FrozenTrial, MoveT | None]] = {}  # not yet learned from
        self._begun: set[tuple[int, int]] = set()  # in batches, their trials not seen yet
        self._lost: dict[int, MoveT] = {}  # by draw
        self._learned: list[int] = []  # since the last slot was written
        self._caught_up_for = None

    def _space(self) -> dict[str, BaseDistribution]:
        return {name: knob.distribution for name, knob in self._search.codec.knobs.items()}

    def _fill(self, move: MoveT) -> dict[str, Any]:
        learned, self._learned = self._learned, []
        return {**self._written(move), "a": learned}

    def _move_of(self, trial: FrozenTrial) -> MoveT | None:
        if (move := self._move_in(trial)) is not None:  # a copy of a trial, by Optuna's own retry
            return move
        draw = trial.user_attrs.get(DESIGN, {}).get("draw")
        if draw is not None and draw in self._lost:
            return self._lost[draw]
        if "fixed_params" in trial.system_attrs:
            return None
        return self._search.moves(1)[0]

    def _move_in(self, trial: FrozenTrial) -> MoveT | None:
        slot = trial.system_attrs.get(self.slot)
        return None if slot is None else self._read(slot)

    def _catch_up(self, study: Study, new: Sequence[FrozenTrial] | None = None) -> None:
        """Learn from the trials that ended; in a new object, in the order of the one before."""
        if self._study is None or self._study != (study._storage, study._study_id):
            self._forget()
            self._study = (study._storage, study._study_id)
        signs = signs_of(study.directions).tolist()
        if new is None or self._open:
            trials = study._get_trials(deepcopy=False, use_cache=False)
            for number in [n for n in self._open if trials[n].state.is_finished()]:
                self._end(trials[number], self._open.pop(number))
            new = trials[self._n_seen :]
        elif [t.number for t in new] != list(range(self._n_seen, self._n_seen + len(new))):
            raise ValueError(
                f"`new` must hold every trial from number {self._n_seen} on, in order, got "
                f"{[t.number for t in new][:5]}; leave it out to read them from the study"
            )
        for trial in new:
            self._see(trial, signs)
        self._n_seen += len(new)
        for number in sorted(self._ended):
            self._learn(number, signs)

    def _see(self, trial: FrozenTrial, signs: Sequence[float]) -> None:
        move = None
        if (slot := trial.system_attrs.get(self.slot)) is not None:
            if learned := slot["a"]:
                for number in learned:
                    if number in self._ended:
                        self._learn(number, signs)
                done = set(learned)
                self._learned = [n for n in self._learned if n not in done]
            move = self._read(slot)
        if move is not None:
            if self._begun and (key := self._key(move)) in self._begun:
                self._begun.discard(key)
            elif trial.state == TrialState.WAITING:
                move = None  # a copy: begins when it is asked for
            else:
                self._search.begin(move)
        if trial.state.is_finished():
            self._ended[trial.number] = (trial, move)
        else:
            self._open[trial.number] = move

    def _end(self, trial: FrozenTrial, move: MoveT | None) -> None:
        if move is None and (move := self._move_in(trial)) is not None:
            self._search.begin(move)  # asked for by another process
        self._ended[trial.number] = (trial, move)

    def _learn(self, number: int, signs: Sequence[float]) -> None:
        trial, move = self._ended.pop(number)
        self._learned.append(number)
        if LOST in trial.user_attrs:
            if move is not None:
                self._search.give_back(move)
                if (draw := trial.user_attrs.get(DESIGN, {}).get("draw")) is not None:
                    self._lost[draw] = move
            return
        self._search.learn(_score(trial, signs), trial.params, trial.distributions, move)


def _score(trial: FrozenTrial, signs: Sequence[float]) -> Score:
    """What a trial came to; on a lower rung, as far as it was evaluated.

    Args:
        trial: Finished.
        signs: 1 for an objective that is to be small, -1 for one that is to be large.
    """
    constraints = trial.constraints
    excess = sum(v for v in constraints.values() if v > 0) if constraints else 0.0
    rung = trial.user_attrs.get(RUNG_RESULT) if trial.state == TrialState.PRUNED else None
    if trial.state != TrialState.COMPLETE and rung is None:
        return Score(excess if excess > 0 else INFEASIBLE, ())
    values = trial.values if rung is None else rung["values"]
    losses = tuple([v * sign for v, sign in zip(values, signs, strict=True)])
    return Score(excess if all(map(math.isfinite, losses)) else INFEASIBLE, losses)
