"""Activity: which knobs a design has, as the trials show."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dse.samplers.knob_codec import KnobCodec

Array = NDArray[np.float64]

_MIDDLE = 0.5


class Activity:
    """Which values of which knob bring a conditional knob along.

    A knob that not every trial had is taken to hang on the first other one, present in all of
    them, by whose value its presence can be told in every trial; on none if there is no such one.

    Args:
        codec: Knobs.
        positions: Of the trials, `(trials, width)`; NaN where a trial had no such knob.
    """

    def __init__(self, codec: KnobCodec, positions: Array) -> None:
        self._codec = codec
        self._parents: list[tuple[slice, slice, set[int]]] = []
        there = {name: ~np.isnan(positions[:, p.start]) for name, p in codec.columns.items()}
        values = {
            name: _values(codec, name, positions) for name, has in there.items() if has.all()
        }
        for name, has in there.items():
            if has.all():
                continue
            for parent, of_parent in values.items():
                if codec.knobs[parent].levels == 0:
                    continue
                present, absent = set(of_parent[has].tolist()), set(of_parent[~has].tolist())
                if not present & absent:
                    place, above = codec.columns[name], codec.columns[parent]
                    self._parents.append((place, above, absent))
                    break

    def settled(self, positions: Array) -> Array:
        """Positions with the knobs that a design does not have at the middle of their range."""
        found = positions.copy()
        names = {place.start: name for name, place in self._codec.columns.items()}
        for place, above, absent in self._parents:
            values = _values(self._codec, names[above.start], positions)
            found[np.isin(values, list(absent)), place] = _MIDDLE
        return found


def _values(codec: KnobCodec, name: str, positions: Array) -> NDArray[np.int64]:
    """Number of the level of a knob, `(designs,)`."""
    knob, block = codec.knobs[name], positions[:, codec.columns[name]]
    if knob.is_nominal:
        return np.asarray(block.argmax(axis=1))
    return np.minimum((block[:, 0] * max(knob.levels, 1)).astype(np.int64), knob.levels - 1)
