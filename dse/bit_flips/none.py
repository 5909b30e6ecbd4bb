"""No bit flips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dse.bit_flips.inputs import InputMoments
from hw_models.layer import CodedLayer
from search_spaces.bit_flips import NoBitFlipKnobs


class NoBitFlips:
    """Codes as they are."""

    knobs: type[NoBitFlipKnobs] = NoBitFlipKnobs
    layer_knobs: tuple[str, ...] = ()

    def uses_inputs(self, knobs: NoBitFlipKnobs) -> bool:
        """No."""
        return False

    def flip(
        self,
        layers: Sequence[CodedLayer],
        knobs: NoBitFlipKnobs,
        *,
        wordlines: int,
        mean_inputs: Mapping[str, InputMoments] | None = None,
        allowed_planes: Mapping[str, NDArray[np.uint8]] | None = None,
        layer_knobs: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> tuple[CodedLayer, ...]:
        """The layers themselves."""
        return tuple(layers)


NONE = NoBitFlips()
