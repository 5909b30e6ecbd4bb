"""ehvi: Gaussian processes and expected hypervolume improvement, in tenths of a second."""

from __future__ import annotations

from typing import Any

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial
from threadpoolctl import threadpool_limits

from dse.errors import SpecError
from dse.samplers.counter_seeded import DESIGN, FromStudySampler
from dse.samplers.knob_codec import Knob, name_seed
from dse.samplers.surrogate import Surrogate
from dse.samplers.told import told_by
from dse.samplers.window import check_window

_STARTS, _UNKNOWN, _PROPOSALS = 1, 2, 3  # streams of random numbers


def ehvi(seed: int, *, startup_trials: int = 10, window: int = 300) -> BaseSampler:
    """Expected hypervolume improvement under Gaussian processes; for some 20 to 500 trials.

    Args:
        seed: Of the study.
        startup_trials: Designs that cover every knob evenly before the first fit.
        window: Most finished trials that a proposal looks at; see `windowed`.
    """
    if not isinstance(startup_trials, int) or startup_trials < 2:
        raise SpecError(f"sampler.startup_trials: a number from 2, got {startup_trials!r}")
    return EhviSampler(seed=seed, startup_trials=startup_trials, window=check_window(window))


class EhviSampler(FromStudySampler):
    """Proposes the design that is expected to add most hypervolume; see `Surrogate`.

    Nothing is kept between proposals: each depends on the seed, the number of the design and the
    trials of the study.

    Args:
        seed: Of the study.
        startup_trials: Designs before the first fit.
        window: Most finished trials that a proposal looks at.
    """

    def __init__(self, *, seed: int, startup_trials: int = 10, window: int = 300) -> None:
        self._seed = seed
        self._startup = startup_trials
        self._window = window
        self._told: tuple[int, Surrogate] | None = None

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """All knobs of the trials that say something, once there are enough of them."""
        told = told_by(study, self._window, without=trial.number)
        surrogate = Surrogate(told, len(study.directions))
        self._told = (trial.number, surrogate)
        if surrogate.finished < self._startup:
            return {}
        return {name: knob.distribution for name, knob in surrogate.codec.knobs.items()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The best design that was found; nothing for a start or a design that is given."""
        if not search_space or "fixed_params" in trial.system_attrs:
            return {}
        if self._told is None or self._told[0] != trial.number:
            self.infer_relative_search_space(study, trial)
        assert self._told is not None
        rng = np.random.default_rng([self._seed, _PROPOSALS, self._count(trial)])
        with threadpool_limits(limits=1):  # small matrices; and the same sums on any machine
            params = self._told[1].propose(rng)
        return {name: params[name] for name in search_space}

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """A knob of a start, evenly spread over the starts, or one that is not known yet."""
        knob, number = Knob(param_distribution), self._count(trial)
        if number < self._startup:
            rng = np.random.default_rng([self._seed, _STARTS, name_seed(param_name)])
            order, shifts = rng.permutation(self._startup), rng.random(self._startup)
            unit = float((order[number] + shifts[number]) / self._startup)
        else:
            key = [self._seed, _UNKNOWN, name_seed(param_name), number]
            unit = float(np.random.default_rng(key).random())
        return knob.decode(knob.spread(unit))

    def reseed_rng(self) -> None:
        """Nothing to do: seeds come from the number of the design, in whichever process."""

    def _count(self, trial: FrozenTrial) -> int:
        counter = trial.user_attrs.get(DESIGN, {}).get("draw", self.counter)
        return trial.number if counter is None else int(counter)
