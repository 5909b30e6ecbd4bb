"""nsga3: evolution by non-dominated rank and reference directions; for many objectives."""

from __future__ import annotations

from typing import Any

from optuna import Study
from optuna.samplers import BaseSampler, NSGAIIISampler
from optuna.trial import FrozenTrial

from dse.errors import SpecError


def nsga3(seed: int, *, population: int = 20, divisions: int = 3) -> BaseSampler:
    """NSGA-III [DebJain2014]; constraints by NSGA-II's feasibility rules.

    Args:
        seed: Seed of this proposal.
        population: Designs of one generation.
        divisions: Parts that the reference directions cut each objective into.

    [DebJain2014] K. Deb, H. Jain, "An evolutionary many-objective optimization algorithm using
        reference-point-based nondominated sorting approach, part I", IEEE Trans. Evol. Comput.
        18(4), 2014.
    """
    for name, value, least in (("population", population, 2), ("divisions", divisions, 1)):
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise SpecError(f"sampler.{name}: a number from {least}, got {value!r}")
    return OrderedNSGAIIISampler(
        population_size=population, dividing_parameter=divisions, seed=seed
    )


class OrderedNSGAIIISampler(NSGAIIISampler):
    """NSGA-III whose proposal does not depend on who selected the parents.

    Parents stand in the order of their trials, and random numbers start anew after the selection:
    Optuna's first proposal of a generation selects them and draws, the later ones read them, so
    that a driver killed in between would go on with another child.

    Args:
        seed: Of the proposal.
        settings: Optuna's own.
    """

    def __init__(self, *, seed: int, **settings: Any) -> None:
        super().__init__(seed=seed, **settings)
        self._proposal_seed = seed

    def get_parent_population(self, study: Study, generation: int) -> list[FrozenTrial]:
        """As Optuna's, in the order of the trials."""
        parents = super().get_parent_population(study, generation)
        self._rng.rng.seed(self._proposal_seed)
        return sorted(parents, key=lambda trial: trial.number)
