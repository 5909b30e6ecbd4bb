"""Which bit planes the patches of a layer leave to their weights."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hw_models.layer import CodedLayer
from hw_models.patches import FULL, WEAK, WEAK_MAGNITUDE_BITS


def planes_of_patches(layer: CodedLayer) -> NDArray[np.uint8] | None:
    """Mask per weight of the planes that it may use; None where nothing is forbidden.

    A weight of a removed patch has none, one of a weak patch the three of its magnitude, so that
    it stays in its four columns (sign included).

    Shapes:
        returns: (groups, K, N).
    """
    patches = layer.patches
    if patches is None:
        return None
    everything = (1 << layer.weight_bits) - 1
    weak = ((1 << WEAK_MAGNITUDE_BITS) - 1) << patches.weak_shift & everything
    bits = patches.by_row(layer.shape.wordlines)
    masks = np.where(bits == FULL, everything, np.where(bits == WEAK, weak, 0))
    return masks.astype(np.uint8)
