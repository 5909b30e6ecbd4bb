"""Designs near others: a few knobs moved, some taken from a second one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dse.samplers.knob_codec import KnobCodec

Array = NDArray[np.float64]


def neighbours(
    codec: KnobCodec,
    first: Array,
    second: Array,
    rng: np.random.Generator,
    *,
    crossed: float = 0.5,
    swapped: float = 0.3,
    more: float = 1.0,
    eta: float = 3.0,
) -> Array:
    """Positions near `first`.

    Some of them take some of their knobs from `second`. In all of them at least one knob moves: a
    name is drawn anew, anything ordered makes a step of polynomial mutation [DebGoyal1996], of a
    level at least.

    Args:
        codec: Knobs.
        first: Where to begin; NaN where a design had no such knob.
        second: Likewise.
        rng: Random numbers.
        crossed: Share of the designs that take knobs from `second`.
        swapped: Share of their knobs that they take.
        more: Mean number of moved knobs beyond the first.
        eta: Distribution index of the steps; larger values move less.

    Shapes:
        first, second: `(designs, width)`.
        output: `(designs, width)`, in 0..1; NaN where both had no such knob.

    [DebGoyal1996] K. Deb, M. Goyal, "A combined genetic adaptive search (GeneAS) for engineering
        design", Comput. Sci. Inform. 26, 1996.
    """
    found, (count, n_knobs) = first.copy(), (len(first), len(codec.knobs))
    taken = (rng.random((count, 1)) < crossed) & (rng.random((count, n_knobs)) < swapped)
    moves = np.minimum(1 + rng.poisson(more, (count, 1)), n_knobs)
    moved = rng.random((count, n_knobs)).argsort(axis=1).argsort(axis=1) < moves
    numbers = rng.random((count, n_knobs))
    for i, (name, knob) in enumerate(codec.knobs.items()):
        place = codec.columns[name]
        rows = np.flatnonzero(taken[:, i] & ~np.isnan(second[:, place.start]))
        found[rows, place] = second[rows, place]
        rows = np.flatnonzero(moved[:, i])
        u = numbers[rows, i]
        if knob.is_nominal:
            found[rows, place] = np.eye(knob.width)[(u * knob.width).astype(int)]
            continue
        steps = np.where(
            u < 0.5, (2 * u) ** (1 / (eta + 1)) - 1, 1 - (2 * (1 - u)) ** (1 / (eta + 1))
        )
        if knob.levels:
            steps = np.where(np.abs(steps) < 1 / knob.levels, np.sign(steps) / knob.levels, steps)
        found[rows, place] += steps[:, None]
    return np.asarray(np.clip(found, 0.0, 1.0))


def snapped(codec: KnobCodec, positions: Array) -> Array:
    """Positions of the values that they stand for: middles of levels, one name of several."""
    found = positions.copy()
    for name, knob in codec.knobs.items():
        place = codec.columns[name]
        if knob.is_nominal:
            found[:, place] = np.eye(knob.width)[found[:, place].argmax(axis=1)]
        elif knob.levels:
            level = np.minimum((found[:, place] * knob.levels).astype(int), knob.levels - 1)
            found[:, place] = (level + 0.5) / knob.levels
    return found
