"""tpe: density estimates of good and bad designs; for conditional spaces and small budgets."""

from __future__ import annotations

from typing import Any

from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import FrozenTrial

from dse.errors import SpecError
from dse.samplers.window import WindowedSampler, check_window, windowed


def tpe(seed: int, *, startup_trials: int = 10, window: int = 1000) -> BaseSampler:
    """Multivariate TPE; conditional knobs are grouped, running trials count as bad.

    Args:
        seed: Seed of this proposal.
        startup_trials: Random designs before the first estimate.
        window: Most finished trials that an estimate looks at; see `windowed`.
    """
    if not isinstance(startup_trials, int) or startup_trials < 1:
        raise SpecError(f"sampler.startup_trials: a number from 1, got {startup_trials!r}")
    return WindowedTPESampler(
        window=check_window(window),
        n_startup_trials=startup_trials,
        multivariate=True,
        group=True,
        constant_liar=True,
        seed=seed,
    )


class WindowedTPESampler(WindowedSampler, TPESampler):
    """TPE whose estimates look at a bounded number of trials."""

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """As Optuna's, by the window."""
        return super().sample_independent(
            windowed(study, self._window), trial, param_name, param_distribution
        )
