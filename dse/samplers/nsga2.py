"""nsga2: evolution by non-dominated rank and crowding; for many trials and several objectives."""

from __future__ import annotations

from optuna import Study
from optuna.samplers import BaseSampler, NSGAIISampler
from optuna.trial import FrozenTrial

from dse.errors import SpecError


def nsga2(seed: int, *, population: int = 20) -> BaseSampler:
    """NSGA-II [Deb2002]; constraints by its feasibility rules.

    Args:
        seed: Seed of this proposal.
        population: Designs of one generation.

    [Deb2002] K. Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II",
        IEEE Trans. Evol. Comput. 6(2), 2002.
    """
    if not isinstance(population, int) or population < 2:
        raise SpecError(f"sampler.population: a number from 2, got {population!r}")
    return OrderedNSGAIISampler(population_size=population, seed=seed)


class OrderedNSGAIISampler(NSGAIISampler):
    """NSGA-II whose parents stand in the order of their trials.

    Optuna's stand by rank in the first proposal of a generation and by trial in the later ones,
    so that a driver killed in between would go on with another child.
    """

    def get_parent_population(self, study: Study, generation: int) -> list[FrozenTrial]:
        """As Optuna's, in the order of the trials."""
        parents = super().get_parent_population(study, generation)
        return sorted(parents, key=lambda trial: trial.number)
