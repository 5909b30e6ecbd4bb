"""pso: a particle swarm on the backend of pyswarms; its whole state is the study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from optuna.samplers import BaseSampler

from dse.samplers.study_backed import StudyBackedSampler
from dse.samplers.swarm import Move, Swarm
from dse.samplers.swarm_settings import SwarmSettings

SLOT = "pso:move"
"""System attribute of a trial: the move of the swarm that it evaluates.

`p` and `m`: particle and number of its move; `x` and `v`: position and velocity; `k`: checksum of
the knobs they belong to; `a`: numbers of the trials that the swarm learned just before.
"""


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
    local: float = 0.95,
    constriction: bool = True,
    clamp: float | None = 0.5,
    rebound: bool = True,
) -> BaseSampler:
    """Particle swarm for one or several objectives: SMPSO, and moves to neighbours of leaders.

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
        local: Share of the moves that go to a neighbour of a leader instead; of few leaders less.
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
        local=local,
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


class PSOSampler(StudyBackedSampler[Move]):
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

    slot = SLOT
    _search: Swarm

    def __init__(self, settings: SwarmSettings | None = None, *, seed: int) -> None:
        self.settings = settings or SwarmSettings()
        super().__init__(seed=seed)

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
            local=0.0,
            constriction=False,
            clamp=None,
            rebound=False,
            at_most={"t_quant": "t_prune"},
        )
        return cls(settings, seed=seed)

    def _new_search(self) -> Swarm:
        return Swarm(self.settings, seed=self._seed)

    def _written(self, move: Move) -> dict[str, Any]:
        return {
            "p": move.particle,
            "m": move.number,
            "x": list(move.position),
            "v": list(move.velocity),
            "k": self._search.codec.layouts[len(move.position)],
        }

    def _read(self, slot: Mapping[str, Any]) -> Move | None:
        if slot["p"] >= self.settings.particles:
            return None
        known = self._search.codec.layouts.get(len(slot["x"])) == slot["k"]
        x, v = (tuple(slot["x"]), tuple(slot["v"])) if known else ((), ())
        return Move(int(slot["p"]), int(slot["m"]), x, v)

    def _key(self, move: Move) -> tuple[int, int]:
        return move.particle, move.number

    def _start(self, name: str, move: Move) -> float | None:
        return self._search.start(name, move.particle) if move.number == 0 else None
