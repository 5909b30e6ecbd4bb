"""Which design promises most if it climbs: by what it came to below, and what others gained."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from optuna import Study
from threadpoolctl import threadpool_limits

from dse.samplers.surrogate import Surrogate
from dse.samplers.told import told_by

_PROMOTIONS = 4  # stream of random numbers, beside those of `ehvi`
_WINDOW = 300


def most_promising(study: Study, numbers: Sequence[int], *, seed: int) -> int | None:
    """The trial whose design is expected to add most hypervolume on the last rung.

    Args:
        study: Its trials.
        numbers: Of the trials to choose from.
        seed: Of the study.

    Returns:
        One of the numbers; None while too few designs have climbed to tell, and where none
        promises anything.
    """
    told = told_by(study, _WINDOW, use_cache=False)
    if not told or len(told[0].rungs) == 1:
        return None
    places = {number: place for place, each in enumerate(told) for number in each.numbers}
    known = [number for number in numbers if number in places]
    if not known:
        return None
    rng = np.random.default_rng([seed, _PROMOTIONS, len(told)])
    with threadpool_limits(limits=1):
        surrogate = Surrogate(told, len(study.directions))
        values = surrogate.promises([places[number] for number in known], rng)
    best = int(np.argmax(values))
    return known[best] if values[best] > 0 else None
