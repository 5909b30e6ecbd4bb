"""Constriction, mutation and redrawing of particles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dse.samplers.knob_codec import KnobCodec

Array = NDArray[np.float64]

_ETA = 20.0
"""Distribution index of polynomial mutation [Nebro2009]: larger values move less."""


def constriction_factors(phi: Array) -> Array:
    """The factor of [Clerc2002], equation 15, for phi = c1 + c2; 1 up to phi = 4."""
    safe = np.maximum(phi, 4.0)
    return np.asarray(2.0 / np.abs(2.0 - safe - np.sqrt(safe * safe - 4.0 * safe)))


def polynomial_mutation(codec: KnobCodec, row: Array, rng: np.random.Generator) -> None:
    """Move about one knob of a position, usually a little; names are drawn anew.

    Shapes:
        row: `(width,)`, changed in place.

    [Deb1996] K. Deb, M. Goyal, "A combined genetic adaptive search (GeneAS) for engineering
        design", Comput. Sci. Inform. 26, 1996.
    """
    chosen = rng.random(len(codec.knobs)) < 1 / max(1, len(codec.knobs))
    for hit, (name, knob) in zip(chosen, codec.knobs.items(), strict=True):
        if not hit:
            continue
        place, u = codec.columns[name], rng.random()
        if knob.is_nominal:
            row[place] = knob.spread(u)
        elif u < 0.5:
            row[place] += (2 * u) ** (1 / (_ETA + 1)) - 1
        else:
            row[place] += 1 - (2 * (1 - u)) ** (1 / (_ETA + 1))
    np.clip(row, 0.0, 1.0, out=row)


def redraw(codec: KnobCodec, row: Array, share: float, rng: np.random.Generator) -> None:
    """Draw a share of the knobs of a position anew, evenly; in place."""
    chosen = rng.random(len(codec.knobs)) < share
    for hit, (name, knob) in zip(chosen, codec.knobs.items(), strict=True):
        if hit:
            row[codec.columns[name]] = knob.spread(rng.random())
