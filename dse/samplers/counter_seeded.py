"""CounterSeededSampler: any Optuna sampler, without state outside the study."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from dse.trial_attributes import DESIGN as DESIGN


class FromStudySampler(BaseSampler):
    """A sampler that needs no fresh object for every design.

    What it proposes depends on its seed and on the trials of the study only; what it keeps, it
    could work out again. `make_sampler` makes one with the seed of the study.
    """

    counter: int | None = None
    """Which design is asked for, where a study counts them; `CounterSeededSampler` sets it."""


class CounterSeededSampler(BaseSampler):
    """Ask a fresh sampler for every design, its seed made from the study's seed and a counter.

    Optuna's samplers carry a random generator along; a study that is resumed starts it anew and
    repeats its first points. Here a proposal depends on the seed, on the counter and on the
    trials in the study only, so that a resumed study continues as if it had never stopped.

    The counter is the `draw` of the trial's attribute `design` if it has one (a design that is
    tried again keeps it), else `next_draw`, else the trial's number.

    Args:
        make: A sampler from a seed.
        seed: Seed of the study.
        view: How a sampler is shown the study that does not keep what it learned, such as
            `informed`; as it is when left out.
    """

    def __init__(
        self,
        make: Callable[[int], BaseSampler],
        *,
        seed: int,
        view: Callable[[Study], Study] | None = None,
    ) -> None:
        self._make = make
        self._seed = seed
        self._view = view
        self._current: tuple[int, BaseSampler] | None = None
        self._inferred_for: int | None = None
        self.next_draw: int | None = None

    def at(self, counter: int) -> BaseSampler:
        """The sampler for a design; the same one for all if it needs no fresh one."""
        return self._make(int(np.random.SeedSequence([self._seed, counter]).generate_state(1)[0]))

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """As the sampler does."""
        self._inferred_for = trial.number
        return self._sampler(trial).infer_relative_search_space(self._seen(study), trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """As the sampler does; one that keeps what it inferred (TPE's groups) infers first."""
        if self._inferred_for != trial.number:
            self.infer_relative_search_space(study, trial)
        return self._sampler(trial).sample_relative(self._seen(study), trial, search_space)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """As the sampler does."""
        return self._sampler(trial).sample_independent(
            self._seen(study), trial, param_name, param_distribution
        )

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Start the trial's own random sequence."""
        self._current = self._inferred_for = None
        self._sampler(trial).before_trial(self._seen(study), trial)

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """As the sampler does."""
        self._sampler(trial).after_trial(self._seen(study), trial, state, values)

    def reseed_rng(self) -> None:
        """Nothing to do: seeds come from the counter, in whichever process."""

    def _seen(self, study: Study) -> Study:
        if self._view is None or (
            self._current and isinstance(self._current[1], FromStudySampler)
        ):
            return study
        return self._view(study)

    def _sampler(self, trial: FrozenTrial) -> BaseSampler:
        if self._current is None or self._current[0] != trial.number:
            counter = trial.user_attrs.get(DESIGN, {}).get("draw", self.next_draw)
            counter = trial.number if counter is None else int(counter)
            sampler = self.at(counter)
            if isinstance(sampler, FromStudySampler):
                sampler.counter = counter
            self._current = (trial.number, sampler)
        return self._current[1]
