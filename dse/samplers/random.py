"""random: every knob drawn on its own; the baseline of any comparison."""

from __future__ import annotations

from optuna.samplers import BaseSampler, RandomSampler


def random(seed: int) -> BaseSampler:
    """Independent uniform draws."""
    return RandomSampler(seed=seed)
