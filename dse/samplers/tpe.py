"""tpe: density estimates of good and bad designs; for conditional spaces and small budgets."""

from __future__ import annotations

from optuna.samplers import BaseSampler, TPESampler

from dse.errors import SpecError


def tpe(seed: int, *, startup_trials: int = 10) -> BaseSampler:
    """Multivariate TPE; conditional knobs are grouped, running trials count as bad.

    Args:
        seed: Seed of this proposal.
        startup_trials: Random designs before the first estimate.
    """
    if not isinstance(startup_trials, int) or startup_trials < 1:
        raise SpecError(f"sampler.startup_trials: a number from 1, got {startup_trials!r}")
    return TPESampler(
        n_startup_trials=startup_trials,
        multivariate=True,
        group=True,
        constant_liar=True,
        seed=seed,
    )
