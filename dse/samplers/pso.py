"""pso: a particle swarm on the backend of pyswarms; its whole state is the study."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from dse.samplers.counter_seeded import DESIGN, FromStudySampler
from dse.samplers.knob_codec import Knob, name_seed
from dse.samplers.leaders import INFEASIBLE, Score
from dse.samplers.swarm import Move, Swarm
from dse.samplers.swarm_settings import SwarmSettings
from dse.trials import LOST

SLOT = "pso:move"
"""System attribute of a trial: the move of the swarm that it evaluates.

`p` and `m`: particle and number of its move; `x` and `v`: position and velocity; `k`: checksum of
the knobs they belong to; `a`: numbers of the trials that the swarm learned just before.
"""

_UNPROPOSED = 3  # a stream of random numbers, apart from those of the swarm


def pso(
    seed: int,
    *,
    particles: int = 30,
    inertia: float = 0.1,
    c1: float | Sequence[float] = (1.5, 2.5),
    c2: float | Sequence[float] = (1.5, 2.5),
    topology: str = "star",
    neighbours: int = 2,
    archive: int = 100,
    mutation: float = 1 / 6,
    constriction: bool = True,
    clamp: float | None = 0.5,
    rebound: bool = True,
) -> BaseSampler:
    """Particle swarm for one or several objectives; SMPSO as it stands.

    Args:
        seed: Seed of the study.
        particles: About a thirtieth of the budget, 10 to 200.
        inertia: w, the share of the velocity that stays.
        c1: Pull of the particle's own best position; two numbers are a range to draw from.
        c2: Pull of the leader; likewise.
        topology: `star`: leaders from the archive; `ring`: from the neighbours.
        neighbours: Of a ring, on each side.
        archive: Most non-dominated positions that are kept to lead the swarm.
        mutation: Share of the moves that are followed by polynomial mutation.
        constriction: Shrink velocities where c1 + c2 > 4.
        clamp: Largest speed along an axis of the unit box; None for no limit.
        rebound: Turn around at walls.

    Raises:
        SpecError: A setting outside its range.
    """
    settings = SwarmSettings(
        particles=particles,
        inertia=inertia,
        c1=c1,  # type: ignore[arg-type] # a number becomes a range
        c2=c2,  # type: ignore[arg-type]
        topology=topology,
        neighbours=neighbours,
        archive=archive,
        mutation=mutation,
        constriction=constriction,
        clamp=clamp,
        rebound=rebound,
    )
    return PSOSampler(settings, seed=seed)


def pq_pim(seed: int, *, particles: int = 30) -> BaseSampler:
    """The search of PQ-PIM [PQPIM], Algorithm 1, repaired; see `PSOSampler.pq_pim`.

    Args:
        seed: Seed of the study.
        particles: Of the swarm; the paper names no number.
    """
    return PSOSampler.pq_pim(seed=seed, particles=particles)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A design that the swarm asks for.

    Attributes:
        params: Value of every knob that the swarm knows; a design takes those that it has.
        distributions: Their ranges.
        system_attrs: What its trial must carry, for the swarm to learn from it.
    """

    params: dict[str, Any]
    distributions: dict[str, BaseDistribution]
    system_attrs: dict[str, Any]


class PSOSampler(FromStudySampler):
    """Particle swarm whose whole state is the study.

    * Every trial carries its particle's move. Best positions, leaders and busy particles follow
      from the trials; this object only keeps what it worked out, and a new one works out the same.
    * Any number of workers: the idle particle with the fewest moves goes next; nobody waits for a
      generation.
    * Mixed spaces: see `Knob`. Knobs that a design did not have pull nobody.
    * Deb's rules on Optuna's constraints (feasible at <= 0). A trial that failed or was pruned
      counts as infeasible, by its constraints if it has broken ones, else as worse than any.
    * A trial with the user attribute `lost` says nothing: the move is made again.
    * Trials that no particle proposed (given designs, other samplers') may lead, too.
    * Known designs are not proposed again while a few redrawn knobs lead elsewhere.

    Args:
        settings: How the swarm moves.
        seed: Of the study.
    """

    def __init__(self, settings: SwarmSettings | None = None, *, seed: int) -> None:
        self.settings = settings or SwarmSettings()
        self._seed = seed
        self._lock = threading.RLock()
        self._study: tuple[object, int] | None = None
        self._caught_up_for: int | None = None
        self._forget()

    @classmethod
    def pq_pim(cls, *, seed: int, particles: int = 30) -> PSOSampler:
        """The search of PQ-PIM [PQPIM], Algorithm 1, repaired.

        A textbook swarm: v <- 0.729 v + 1.494 r1 (own best - x) + 1.494 r2 (best - x), x clipped
        to the box, T_quant at most T_prune in the network and in each layer. Feasible beats
        infeasible, two feasible compare by compression, two infeasible by accuracy loss; the best
        of all time leads. In a study, the particle (log TSV, T_prune, T_quant, T_act of every
        layer, patch size) reads, with the knobs of further layers likewise:

            space:
              patches.pq_pim.patch: [4, 8, 16, 32]
              patches.pq_pim.layer.fc1.tsv: log 0.1..3
              patches.pq_pim.layer.fc1.t_prune: 0.5..1
              patches.pq_pim.layer.fc1.t_quant: 0..1
              patches.pq_pim.layer.fc1.t_act: 0.5..1
            constraints: [accuracy_loss <= 0.03]

        As printed, lines 11 and 12 choose the leader without regard to the accuracy, lines 13 to
        15 overwrite the current position instead of the best one, and line 18 returns the current
        one.

        [PQPIM] "PQ-PIM: a pruning-quantization joint optimization framework for ReRAM-based
            processing-in-memory DNN accelerator", Algorithm 1.
        """
        settings = SwarmSettings(
            particles=particles,
            inertia=0.729,
            c1=(1.494, 1.494),
            c2=(1.494, 1.494),
            mutation=0.0,
            constriction=False,
            clamp=None,
            rebound=False,
            at_most={"t_quant": "t_prune"},
        )
        return cls(settings, seed=seed)

    def ask_batch(
        self, study: Study, count: int, *, new: Sequence[FrozenTrial] | None = None
    ) -> list[Proposal]:
        """Several designs at once, for trials that are stored when they are finished.

        The moves count as begun: whoever drops a proposal without storing a trial with its
        system attributes keeps its particle busy as long as this object lives.

        Args:
            study: What the swarm learns from first.
            count: Number of designs; particles take several moves if there are fewer of them.
            new: All trials stored since the last call, by number, from a caller that knows them:
                reading a list of all trials takes a storage longer than everything done here.

        Raises:
            ValueError: No trial has finished yet, or `new` leaves trials out.
        """
        with self._lock:
            self._catch_up(study, new)
            if not self._swarm.codec.knobs:
                raise ValueError(
                    "a batch needs a study with at least one finished trial, to know its knobs; "
                    "evaluate one trial by study.ask() and study.tell() first"
                )
            moves = self._swarm.moves(count)
            for move in moves:
                self._swarm.begin(move)
                self._begun.add((move.particle, move.number))
            params = self._swarm.params(moves)
            space = self._space()
            return [
                Proposal(params=p, distributions=space, system_attrs={SLOT: self._slot(move)})
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
        """Where the next particle goes; nothing for a design that is given."""
        with self._lock:
            if self._caught_up_for != trial.number:
                self._catch_up(study)
            move = self._move_of(trial)
            if move is None:
                return {}
            self._swarm.begin(move)
            self._open[trial.number] = move
            study._storage.set_trial_system_attr(trial._trial_id, SLOT, self._slot(move))
            params = self._swarm.params([move])[0]
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
            place = self._swarm.codec.columns.get(param_name)
            if move is not None and place is not None and place.stop - place.start == knob.width:
                return knob.decode(self._swarm.full_position(move)[place])
            if move is not None and move.number == 0:
                unit = self._swarm.start(param_name, move.particle)
            else:
                draw = trial.user_attrs.get(DESIGN, {}).get("draw", trial.number)
                who = (draw,) if move is None else (move.particle, move.number)
                key = [self._seed, _UNPROPOSED, name_seed(param_name), *who]
                unit = float(np.random.default_rng(key).random())
            return knob.decode(knob.spread(unit))

    def reseed_rng(self) -> None:
        """Nothing to do: random numbers come from particle and move, in whichever process."""

    def _forget(self) -> None:
        self._swarm = Swarm(self.settings, seed=self._seed)
        self._n_seen = 0
        self._open: dict[int, Move | None] = {}  # unfinished trials
        self._ended: dict[int, tuple[FrozenTrial, Move | None]] = {}  # not yet learned from
        self._begun: set[tuple[int, int]] = set()  # in batches, their trials not seen yet
        self._lost: dict[int, Move] = {}  # by draw
        self._learned: list[int] = []  # since the last slot was written
        self._caught_up_for = None

    def _space(self) -> dict[str, BaseDistribution]:
        return {name: knob.distribution for name, knob in self._swarm.codec.knobs.items()}

    def _slot(self, move: Move) -> dict[str, Any]:
        learned, self._learned = self._learned, []
        return {
            "p": move.particle,
            "m": move.number,
            "x": list(move.position),
            "v": list(move.velocity),
            "k": self._swarm.codec.layouts[len(move.position)],
            "a": learned,
        }

    def _move_of(self, trial: FrozenTrial) -> Move | None:
        if (move := self._read(trial)) is not None:  # a copy of a trial, by Optuna's own retry
            return move
        draw = trial.user_attrs.get(DESIGN, {}).get("draw")
        if draw is not None and draw in self._lost:
            return self._lost[draw]
        if "fixed_params" in trial.system_attrs:
            return None
        return self._swarm.moves(1)[0]

    def _read(self, trial: FrozenTrial) -> Move | None:
        slot = trial.system_attrs.get(SLOT)
        if slot is None or slot["p"] >= self.settings.particles:
            return None
        known = self._swarm.codec.layouts.get(len(slot["x"])) == slot["k"]
        x, v = (tuple(slot["x"]), tuple(slot["v"])) if known else ((), ())
        return Move(int(slot["p"]), int(slot["m"]), x, v)

    def _catch_up(self, study: Study, new: Sequence[FrozenTrial] | None = None) -> None:
        """Learn from the trials that ended; in a new object, in the order of the one before."""
        if self._study is None or self._study != (study._storage, study._study_id):
            self._forget()
            self._study = (study._storage, study._study_id)
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
            self._see(study, trial)
        self._n_seen += len(new)
        for number in sorted(self._ended):
            self._learn(study, number)

    def _see(self, study: Study, trial: FrozenTrial) -> None:
        if (slot := trial.system_attrs.get(SLOT)) is not None:
            for number in slot["a"]:
                if number in self._ended:
                    self._learn(study, number)
            self._learned = [n for n in self._learned if n not in slot["a"]]
        move = self._read(trial)
        if move is not None and (move.particle, move.number) in self._begun:
            self._begun.discard((move.particle, move.number))
        elif move is not None and trial.state == TrialState.WAITING:
            move = None  # a copy: begins when it is asked for
        elif move is not None:
            self._swarm.begin(move)
        if trial.state.is_finished():
            self._ended[trial.number] = (trial, move)
        else:
            self._open[trial.number] = move

    def _end(self, trial: FrozenTrial, move: Move | None) -> None:
        if move is None and (move := self._read(trial)) is not None:
            self._swarm.begin(move)  # asked for by another process
        self._ended[trial.number] = (trial, move)

    def _learn(self, study: Study, number: int) -> None:
        trial, move = self._ended.pop(number)
        self._learned.append(number)
        if LOST in trial.user_attrs:
            if move is not None:
                self._swarm.give_back(move)
                if (draw := trial.user_attrs.get(DESIGN, {}).get("draw")) is not None:
                    self._lost[draw] = move
            return
        self._swarm.learn(_score(trial, study.directions), trial.params, trial.distributions, move)


def _score(trial: FrozenTrial, directions: Sequence[StudyDirection]) -> Score:
    constraints = trial.constraints
    excess = sum(v for v in constraints.values() if v > 0) if constraints else 0.0
    if trial.state != TrialState.COMPLETE:
        return Score(excess if excess > 0 else INFEASIBLE, ())
    losses = tuple(
        v if direction == StudyDirection.MINIMIZE else -v
        for v, direction in zip(trial.values, directions, strict=True)
    )
    return Score(excess if np.isfinite(losses).all() else INFEASIBLE, losses)
