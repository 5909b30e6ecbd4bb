"""Batches: many designs at once, from the samplers that can; for trials that cost nothing."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna import Study
from optuna._transform import _SearchSpaceTransform
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.samplers import RandomSampler
from optuna.trial import FrozenTrial

from dse.samplers.counter_seeded import CounterSeededSampler
from dse.samplers.knob_codec import name_seed
from dse.samplers.qmc import CountedQMCSampler
from dse.samplers.study_backed import Proposal, StudyBackedSampler
from search_spaces.domains import Choice, Domain, FloatRange, IntRange, Value

_DRAWS = 4  # a stream of random numbers, apart from those of the searches
_BLOCK = 256
_NO_TRIAL: Any = None


class BatchSampler(ABC):
    """Asks for many designs at once.

    Attributes:
        learns: Whether its designs depend on earlier results. Those of the others depend on
            their numbers alone, however they are divided into batches.
    """

    learns = False

    @abstractmethod
    def ask(
        self, study: Study, count: int, *, first: int, new: Sequence[FrozenTrial] | None
    ) -> list[Proposal]:
        """The next designs, each with a value for every knob of the space.

        Args:
            study: Whose designs.
            count: How many.
            first: Number of the first one among the study's designs.
            new: All trials stored since the last call, by number; None if the caller does not
                know them.
        """


def batch_sampler(
    sampler: CounterSeededSampler, *, seed: int, domains: Mapping[str, Domain]
) -> BatchSampler | None:
    """How a sampler asks for batches; None for one that proposes a design at a time.

    Args:
        sampler: Of a study.
        seed: Of the study.
        domains: Of the knobs that are free.
    """
    own = sampler.at(0)
    if isinstance(own, StudyBackedSampler):
        return SearchBatches(own, seed=seed, domains=domains)
    if isinstance(own, CountedQMCSampler):
        return QMCBatches(own, seed=seed, domains=domains)
    if type(own) is RandomSampler:
        return RandomBatches(seed=seed, domains=domains)
    return None


class RandomBatches(BatchSampler):
    """Independent uniform draws.

    Not those that `random` draws one by one, whose generators would take longer than the trials:
    a knob's values come from a stream of its own, 256 designs at a time.

    Args:
        seed: Of the study.
        domains: Of the knobs that are free.
    """

    def __init__(self, *, seed: int, domains: Mapping[str, Domain]) -> None:
        self._seed = seed
        self._domains = domains
        self._streams: dict[tuple[str, int], NDArray[np.float64]] = {}

    def ask(
        self, study: Study, count: int, *, first: int, new: Sequence[FrozenTrial] | None
    ) -> list[Proposal]:
        """The designs with these numbers."""
        rows = self.values(self._domains, count, first=first)
        return [Proposal(params=row, distributions={}, system_attrs={}) for row in rows]

    def values(self, paths: Iterable[str], count: int, *, first: int) -> list[dict[str, Any]]:
        """Values of some knobs in the designs with these numbers."""
        blocks = range(first // _BLOCK, (first + count - 1) // _BLOCK + 1)
        skip = first - blocks[0] * _BLOCK
        columns = []
        for path in (names := list(paths)):
            units = np.concatenate([self._stream(path, block) for block in blocks])
            columns.append(decoded(self._domains[path], units[skip : skip + count]))
        if not columns:
            return [{} for _ in range(count)]
        return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]

    def _stream(self, path: str, block: int) -> NDArray[np.float64]:
        if (found := self._streams.get((path, block))) is None:
            if len(self._streams) > 8 * len(self._domains):
                self._streams.clear()
            rng = np.random.default_rng([self._seed, _DRAWS, name_seed(path), block])
            found = self._streams[path, block] = rng.random(_BLOCK)
        return found


class QMCBatches(BatchSampler):
    """The points that `qmc` proposes one by one.

    Knobs that the first finished trial did not have are drawn as by `RandomBatches`.

    Args:
        sampler: Knows the sequence and its knobs.
        seed: Of the study.
        domains: Of the knobs that are free.
    """

    def __init__(
        self, sampler: CountedQMCSampler, *, seed: int, domains: Mapping[str, Domain]
    ) -> None:
        self._sampler = sampler
        self._seed = seed
        self._others = RandomBatches(seed=seed, domains=domains)
        self._domains = domains
        self._space: dict[str, BaseDistribution] = {}
        self._engine: Any = None
        self._next = -1

    def ask(
        self, study: Study, count: int, *, first: int, new: Sequence[FrozenTrial] | None
    ) -> list[Proposal]:
        """The points with these numbers."""
        if not self._space:
            self._space = self._sampler.infer_relative_search_space(study, _NO_TRIAL)
        if not (space := self._space):
            return self._others.ask(study, count, first=first, new=new)
        if self._engine is None or self._next != first:
            from scipy.stats import qmc  # type: ignore[import-untyped] # takes a second

            make = qmc.Sobol if self._sampler.sequence == "sobol" else qmc.Halton
            self._engine = make(len(space), seed=self._seed, scramble=True)
            if first:
                self._engine.fast_forward(first)
        self._next = first + count
        categories = {n: d for n, d in space.items() if isinstance(d, CategoricalDistribution)}
        numbers = {name: FloatDistribution(0, len(d.choices)) for name, d in categories.items()}
        transform = _SearchSpaceTransform({**space, **numbers}, transform_0_1=True)
        missing = [path for path in self._domains if path not in space]
        rest = self._others.values(missing, count, first=first)
        found = []
        for point, row in zip(self._engine.random(count), rest, strict=True):
            params = transform.untransform(point)
            for name, choices in categories.items():
                params[name] = choices.to_external_repr(int(params[name]))
            found.append(Proposal(params=params | row, distributions={}, system_attrs={}))
        return found


class SearchBatches(BatchSampler):
    """The moves of a search, which learns from a batch before it makes the next one.

    Knobs that it has not met yet are drawn as by `RandomBatches`.

    Args:
        sampler: The search.
        seed: Of the study.
        domains: Of the knobs that are free.
    """

    learns = True

    def __init__(
        self, sampler: StudyBackedSampler[Any], *, seed: int, domains: Mapping[str, Domain]
    ) -> None:
        self._sampler = sampler
        self._domains = domains
        self._others = RandomBatches(seed=seed, domains=domains)

    def ask(
        self, study: Study, count: int, *, first: int, new: Sequence[FrozenTrial] | None
    ) -> list[Proposal]:
        """The next moves."""
        proposals = self._sampler.ask_batch(study, count, new=new)
        missing = [path for path in self._domains if path not in proposals[0].params]
        if missing:
            rest = self._others.values(missing, count, first=first)
            for proposal, row in zip(proposals, rest, strict=True):
                proposal.params.update(row)
        return proposals


def decoded(domain: Domain, units: NDArray[np.float64]) -> list[Value]:
    """Values at places of a knob's range.

    Shapes:
        units: `(designs,)`, each from 0 to below 1.
    """
    if isinstance(domain, Choice):
        places = (units * len(domain.values)).astype(np.int64)
        return [domain.values[place] for place in places.tolist()]
    if isinstance(domain, IntRange):
        numbers = domain.low + (units * (domain.high - domain.low + 1)).astype(np.int64)
        return list(numbers.tolist())
    assert isinstance(domain, FloatRange), "a free text is listed"
    low, high = domain.low, domain.high
    if domain.log:
        values = np.exp(math.log(low) + units * (math.log(high) - math.log(low)))
    else:
        values = low + units * (high - low)
    return list(np.clip(values, low, high).tolist())
