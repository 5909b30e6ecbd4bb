"""SwarmSettings: how a particle swarm moves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dse.errors import SpecError

TOPOLOGIES = ("star", "ring")


@dataclass(frozen=True, slots=True, kw_only=True)
class SwarmSettings:
    """How a particle swarm moves; the defaults are SMPSO's [Nebro2009], but for `local`.

    Attributes:
        particles: Particles of the swarm: about a thirtieth of the budget, 10 to 200.
        inertia: w, the share of the velocity that stays.
        c1: Pull of the particle's own best position; of a range each move draws its own.
        c2: Pull of the leader; likewise.
        topology: `star`: leaders come from the archive. `ring`: from the best positions of the
            `neighbours` next particles on both sides.
        neighbours: Of a ring, on each side.
        archive: Most non-dominated positions that are kept to lead the swarm.
        mutation: Share of the moves that are followed by polynomial mutation.
        local: Share of the moves that go to a neighbour of a leader instead, see `neighbours`,
            where there are many leaders; of few less, of a single one (as with one objective, or
            before anything is feasible) none. Ours, against swarms that gather too early; only
            with `star`.
        constriction: Whether velocities shrink by the factor of [Clerc2002] where c1 + c2 > 4.
        clamp: Largest speed along an axis of the unit box; None for no limit.
        rebound: Whether a particle that meets a wall turns around; else it keeps its velocity.
        at_most: Last part of a knob's name, to the last part of the knob that it must not exceed;
            such as `t_quant: t_prune`, which holds in each layer.

    Raises:
        SpecError: A setting outside its range.

    [Nebro2009] A. J. Nebro et al., "SMPSO: a new PSO-based metaheuristic for multi-objective
        optimization", IEEE MCDM 2009.
    [Clerc2002] M. Clerc, J. Kennedy, "The particle swarm: explosion, stability, and convergence
        in a multidimensional complex space", IEEE Trans. Evol. Comput. 6(1), 2002.
    """

    particles: int = 30
    inertia: float = 0.1
    c1: tuple[float, float] = (1.5, 2.5)
    c2: tuple[float, float] = (1.5, 2.5)
    topology: str = "star"
    neighbours: int = 2
    archive: int = 100
    mutation: float = 1 / 6
    local: float = 0.95
    constriction: bool = True
    clamp: float | None = 0.5
    rebound: bool = True
    at_most: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _whole("particles", self.particles, 2)
        _whole("neighbours", self.neighbours, 1)
        _whole("archive", self.archive, 1)
        _number("inertia", self.inertia, 0.0, 1.0)
        _number("mutation", self.mutation, 0.0, 1.0)
        _number("local", self.local, 0.0, 1.0)
        object.__setattr__(self, "c1", _range("c1", self.c1))
        object.__setattr__(self, "c2", _range("c2", self.c2))
        if self.topology not in TOPOLOGIES:
            raise SpecError(
                f"sampler.topology: one of {', '.join(TOPOLOGIES)}, got {self.topology!r}"
            )
        for name, value in (("constriction", self.constriction), ("rebound", self.rebound)):
            if not isinstance(value, bool):
                raise SpecError(f"sampler.{name}: true or false, got {value!r}")
        if self.clamp is not None and not (_is_number(self.clamp) and 0 < self.clamp <= 1):
            raise SpecError(
                f"sampler.clamp: a speed above 0, up to 1 (the whole axis), got {self.clamp!r}; "
                "null sets no limit"
            )
        if not isinstance(self.at_most, Mapping) or not all(
            isinstance(part, str) for pair in self.at_most.items() for part in pair
        ):
            raise SpecError(
                "sampler.at_most: last parts of knob names, such as {t_quant: t_prune}, "
                f"got {self.at_most!r}"
            )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _whole(name: str, value: Any, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise SpecError(f"sampler.{name}: a number from {least}, got {value!r}")


def _number(name: str, value: Any, low: float, high: float) -> None:
    if not _is_number(value) or not low <= value <= high:
        raise SpecError(f"sampler.{name}: a number from {low:g} to {high:g}, got {value!r}")


def _range(name: str, value: Any) -> tuple[float, float]:
    ends = (value, value) if _is_number(value) else value
    if (
        not isinstance(ends, list | tuple)
        or len(ends) != 2
        or not all(_is_number(end) for end in ends)
        or not 0 <= ends[0] <= ends[1] <= 4
    ):
        raise SpecError(
            f"sampler.{name}: a number from 0 to 4, or two such as [1.5, 2.5] with the smaller "
            f"one first, got {value!r}"
        )
    return float(ends[0]), float(ends[1])
