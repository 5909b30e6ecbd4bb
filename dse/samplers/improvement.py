"""How much hypervolume a design is expected to add."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from optuna._hypervolume.box_decomposition import get_non_dominated_box_bounds
from scipy.special import ndtr  # type: ignore[import-untyped]

from dse.dominance import non_dominated

Array = NDArray[np.float64]

_AT_ONCE = 256
_UNBOUNDED = -1e6
"""A loss that nothing falls below; sums with infinity would have no value."""


class HypervolumeImprovement:
    """Expected hypervolume improvement over a front, losses being independent and normal.

    What no member of the front dominates, up to the reference point, is cut into boxes; in each,
    the expected volume is a product over the objectives [Yang2019]. With one objective it is the
    expected improvement [Jones1998].

    Args:
        losses: Of the feasible designs; `(designs, objectives)`.
        reference: `(objectives,)`; what is worse adds nothing.

    [Yang2019] K. Yang et al., "Multi-objective Bayesian global optimization using expected
        hypervolume improvement gradient", Swarm and Evolutionary Computation 44, 2019.
    [Jones1998] D. R. Jones et al., "Efficient global optimization of expensive black-box
        functions", J. Global Optim. 13, 1998.
    """

    def __init__(self, losses: Array, reference: Array) -> None:
        inside = losses[(losses < reference).all(axis=1)]
        if len(reference) == 1 or not len(inside):
            best = inside.min(axis=0) if len(inside) else reference
            self._low, self._high = np.full((1, len(reference)), _UNBOUNDED), best[None]
            return
        front = np.unique(inside[non_dominated(inside)], axis=0)
        low, self._high = get_non_dominated_box_bounds(front, reference)
        self._low = np.maximum(low, _UNBOUNDED)

    def expected(self, means: Array, deviations: Array) -> Array:
        """Of designs with these losses.

        Shapes:
            means, deviations: `(designs, objectives)`, deviations above 0.
            output: `(designs,)`.
        """
        found = np.empty(len(means))
        for begin in range(0, len(means), _AT_ONCE):
            part = slice(begin, begin + _AT_ONCE)
            volumes = np.ones((len(means[part]), len(self._low)))
            for objective in range(means.shape[1]):
                mean, deviation = means[part, objective, None], deviations[part, objective, None]
                volumes *= _below(self._high[:, objective], mean, deviation) - _below(
                    self._low[:, objective], mean, deviation
                )
            found[part] = volumes.sum(axis=1)
        return found


def _below(bound: Array, mean: Array, deviation: Array) -> Array:
    """Expected length between a normal loss and a bound above it."""
    z = (bound - mean) / deviation
    density = np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)
    return np.asarray((bound - mean) * ndtr(z) + deviation * density)
