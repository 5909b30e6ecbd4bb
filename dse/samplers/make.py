"""make_sampler(): the sampler that a study names, seeded by counters."""

from __future__ import annotations

import inspect

from optuna.samplers import BaseSampler

from dse.errors import SpecError
from dse.plugins import load
from dse.samplers.counter_seeded import CounterSeededSampler
from dse.spec import SamplerSpec


def make_sampler(spec: SamplerSpec) -> CounterSeededSampler:
    """The sampler that a study names.

    Raises:
        PluginError: There is no such sampler.
        SpecError: It does not take these settings.
    """
    factory = load("dse.samplers", spec.name)
    settings = spec.settings()
    known = [name for name in inspect.signature(factory).parameters if name != "seed"]
    if unknown := sorted(set(settings) - set(known)):
        raise SpecError(
            f"sampler.{unknown[0]}: {spec.name} has no such setting; it takes: "
            f"{', '.join(known) or 'none but seed'}"
        )

    def make(seed: int) -> BaseSampler:
        sampler: BaseSampler = factory(seed, **settings)
        return sampler

    make(0)  # a wrong setting shows here, before a study exists
    return CounterSeededSampler(make, seed=spec.seed)
