"""gp: Gaussian processes; for expensive trials, some 30 to 300 of them."""

from __future__ import annotations

from optuna.samplers import BaseSampler, GPSampler

from dse.errors import SpecError
from dse.samplers.window import WindowedSampler, check_window


def gp(seed: int, *, startup_trials: int = 10, window: int = 300) -> BaseSampler:
    """Gaussian processes with expected (hypervolume) improvement; running trials count.

    Needs torch and scipy. Knobs that not every design has are drawn at random.

    Args:
        seed: Seed of this proposal.
        startup_trials: Random designs before the first fit.
        window: Most finished trials that a fit looks at, whose time grows with the cube of them;
            see `windowed`.
    """
    if not isinstance(startup_trials, int) or startup_trials < 1:
        raise SpecError(f"sampler.startup_trials: a number from 1, got {startup_trials!r}")
    return WindowedGPSampler(
        window=check_window(window),
        n_startup_trials=startup_trials,
        seed=seed,
        warn_independent_sampling=False,
    )


class WindowedGPSampler(WindowedSampler, GPSampler):
    """Gaussian processes that look at a bounded number of trials."""
