"""qmc: points of a scrambled Sobol sequence; covers the space evenly, learns nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, QMCSampler, RandomSampler
from optuna.trial import FrozenTrial, TrialState

from dse.errors import SpecError
from dse.samplers.counter_seeded import DESIGN, FromStudySampler
from dse.samplers.knob_codec import name_seed

SEQUENCES = ("sobol", "halton")


def qmc(seed: int, *, sequence: str = "sobol") -> BaseSampler:
    """Quasi-random designs; needs scipy.

    Args:
        seed: Of the scrambling.
        sequence: `sobol` or `halton`.
    """
    if sequence not in SEQUENCES:
        raise SpecError(f"sampler.sequence: one of {', '.join(SEQUENCES)}, got {sequence!r}")
    return CountedQMCSampler(sequence=sequence, seed=seed)


class CountedQMCSampler(QMCSampler, FromStudySampler):
    """Quasi-random designs by the number of the design.

    Optuna's counts in an attribute of the study, so that a killed proposal skips a point, and
    starts its random numbers anew on resuming. Knobs that the first finished trial did not have,
    and those of the trials before it, are drawn at random.

    Args:
        sequence: `sobol` or `halton`.
        seed: Of the study.
    """

    def __init__(self, *, sequence: str, seed: int) -> None:
        super().__init__(
            qmc_type=sequence, scramble=True, seed=seed, warn_independent_sampling=False
        )
        self.sequence = sequence
        self._index = 0

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """The knobs of the first finished trial; those of running ones come too early to count."""
        states = (TrialState.COMPLETE, TrialState.PRUNED)
        if not study._get_trials(deepcopy=False, states=states, use_cache=True):
            return {}
        return super().infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The point of the sequence with the number of the design."""
        self._index = self._count(trial)
        return super().sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Even draws, by the number of the design and the name."""
        key = [self._seed, self._count(trial), name_seed(param_name)]
        seed = int(np.random.SeedSequence(key).generate_state(1)[0])
        return RandomSampler(seed=seed).sample_independent(
            study, trial, param_name, param_distribution
        )

    def _count(self, trial: FrozenTrial) -> int:
        counter = trial.user_attrs.get(DESIGN, {}).get("draw", self.counter)
        return trial.number if counter is None else int(counter)

    def _find_sample_id(self, study: Study, search_space: dict[str, BaseDistribution]) -> int:
        return self._index
