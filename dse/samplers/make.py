"""make_sampler(): the sampler that a study names, seeded by counters."""

from __future__ import annotations

import inspect

from optuna.samplers import BaseSampler

from dse.errors import SpecError
from dse.plugins import load
from dse.samplers.counter_seeded import CounterSeededSampler, FromStudySampler
from dse.samplers.informed import informed
from dse.spec_sections import SamplerSpec


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

    first = make(spec.seed)  # a wrong setting shows here, before a study exists
    if isinstance(first, FromStudySampler):
        return CounterSeededSampler(lambda _: first, seed=spec.seed)
    return CounterSeededSampler(make, seed=spec.seed, view=informed)
