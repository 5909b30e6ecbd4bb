"""Crossover and mutation of positions in the unit box, of all children of a batch at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dse.samplers.knob_codec import KnobCodec

Array = NDArray[np.float64]

CROSSOVER = 0.9
"""Share of the children with two parents [Deb2002], section V."""
SPREAD = 0.5
"""Share of the children with two parents whose coordinates SBX spreads, too."""
REDRAWN = 0.3
"""Share of the mutations of ordered knobs that draw anew instead of moving a little."""
ETA_CROSSOVER = 15.0
"""Distribution index of SBX: larger values stay nearer to the parents."""
ETA_MUTATION = 20.0
"""Distribution index of polynomial mutation [Deb2002], section V."""


def numbers_per_child(n_knobs: int) -> int:
    """Random numbers that `vary` takes for each child."""
    return 1 + 4 * n_knobs


def vary(codec: KnobCodec, first: Array, second: Array, random: Array) -> Array:
    """Positions of children.

    Nine children in ten take each knob from either parent [Syswerda1989]; every second of them
    moves half of its ordered knobs, by chance, between and beyond those of its parents by
    simulated binary crossover [DebAgrawal1995]. In every child about one knob mutates: a name is
    drawn anew, anything ordered is drawn anew or moves by polynomial mutation [DebGoyal1996]. A
    knob that one parent did not have comes from the other, else it is drawn.

    Shapes:
        first, second: parents, `(children, width)`; NaN where a parent had no such knob.
        random: in 0..1, `(children, numbers_per_child)`.
        output: `(children, width)`, in 0..1.

    [Deb2002] K. Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II",
        IEEE Trans. Evol. Comput. 6(2), 2002.
    [Syswerda1989] G. Syswerda, "Uniform crossover in genetic algorithms", ICGA 1989.
    [DebAgrawal1995] K. Deb, R. B. Agrawal, "Simulated binary crossover for continuous search
        space", Complex Systems 9(2), 1995.
    [DebGoyal1996] K. Deb, M. Goyal, "A combined genetic adaptive search (GeneAS) for engineering
        design", Comput. Sci. Inform. 26, 1996.
    """
    knobs, places = list(codec.knobs.values()), list(codec.columns.values())
    nominal = np.array([knob.is_nominal for knob in knobs])
    knob_of = np.repeat(np.arange(len(knobs)), [knob.width for knob in knobs])
    mixes = random[:, :1]
    swaps, spreads, mutates, values = np.split(random[:, 1:], 4, axis=1)

    swapped = ((mixes < CROSSOVER) & (swaps < 0.5))[:, knob_of]
    first, second = (
        np.where(np.isnan(first), second, first),
        np.where(np.isnan(second), first, second),
    )
    found, other = np.where(swapped, second, first), np.where(swapped, first, second)
    spread = (mixes < CROSSOVER * SPREAD) & (spreads < 0.5) & ~nominal
    factors = _sbx_factors(2 * np.minimum(spreads, 0.5))[:, knob_of]
    blended = ((1 + factors) * found + (1 - factors) * other) / 2
    found = np.where(spread[:, knob_of], blended, found)

    rate = 1 / len(knobs)
    redrawn = mutates < np.where(nominal, rate, rate * REDRAWN)
    moved = (mutates < rate) & ~redrawn
    found = np.where(moved[:, knob_of], found + _polynomial_steps(values)[:, knob_of], found)
    redrawn |= np.isnan(found)[:, [place.start for place in places]]
    found = np.where((redrawn & ~nominal)[:, knob_of], values[:, knob_of], found)
    for child, i in np.argwhere(redrawn & nominal).tolist():
        found[child, places[i]] = knobs[i].spread(float(values[child, i]))
    return np.asarray(np.clip(found, 0.0, 1.0))


def _sbx_factors(u: Array) -> Array:
    """Spread of children over spread of parents, [DebAgrawal1995]."""
    power = 1 / (ETA_CROSSOVER + 1)
    outside = (2 * np.maximum(1 - u, 1e-12)) ** -power
    return np.asarray(np.where(u < 0.5, (2 * u) ** power, outside))


def _polynomial_steps(u: Array) -> Array:
    """Moves along an axis of length 1, [DebGoyal1996]."""
    power = 1 / (ETA_MUTATION + 1)
    return np.asarray(np.where(u < 0.5, (2 * u) ** power - 1, 1 - (2 * (1 - u)) ** power))
