"""nsga2: evolution by non-dominated rank and crowding; for many trials and several objectives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.samplers import BaseSampler

from dse.errors import SpecError
from dse.samplers.population import Child, Population
from dse.samplers.study_backed import StudyBackedSampler

SLOT = "nsga2:child"
"""System attribute of a trial: the child that it evaluates.

`n`: its number; `x`: its position; `k`: checksum of the knobs that it belongs to; `a`: numbers of
the trials that the population learned just before.
"""


def nsga2(seed: int, *, population: int = 20) -> BaseSampler:
    """NSGA-II [Deb2002] for one or several objectives; constraints by its feasibility rules.

    Args:
        seed: Seed of the study.
        population: Survivors.

    Raises:
        SpecError: A setting outside its range.

    [Deb2002] K. Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II",
        IEEE Trans. Evol. Comput. 6(2), 2002.
    """
    return NSGA2Sampler(population, seed=seed)


class NSGA2Sampler(StudyBackedSampler[Child]):
    """NSGA-II whose whole state is the study; see `Population` for how it evolves.

    * Any number of workers: nobody waits for a generation.
    * Mixed spaces: see `Knob`. Knobs that a parent did not have come from the other one.
    * Known designs are not proposed again while a few redrawn knobs lead elsewhere.

    Args:
        population: Survivors.
        seed: Of the study.
    """

    slot = SLOT
    _search: Population

    def __init__(self, population: int = 20, *, seed: int) -> None:
        if not isinstance(population, int) or isinstance(population, bool) or population < 2:
            raise SpecError(f"sampler.population: a number from 2, got {population!r}")
        self.population = population
        super().__init__(seed=seed)

    def _new_search(self) -> Population:
        return Population(self.population, seed=self._seed)

    def _written(self, move: Child) -> dict[str, Any]:
        layout = self._search.codec.layouts[len(move.position)]
        return {"n": move.number, "x": list(move.position), "k": layout}

    def _read(self, slot: Mapping[str, Any]) -> Child | None:
        known = self._search.codec.layouts.get(len(slot["x"])) == slot["k"]
        return Child(int(slot["n"]), tuple(slot["x"]) if known else ())

    def _key(self, move: Child) -> tuple[int, int]:
        return move.number, 0

    def _start(self, name: str, move: Child) -> float | None:
        return self._search.start(name, move.number)
