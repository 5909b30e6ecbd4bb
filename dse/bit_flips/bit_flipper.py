"""What a bit flipper is: integer codes in, cheaper integer codes out, without training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dse.bit_flips.inputs import InputMoments
from hw_models.layer import CodedLayer


class BitFlipper(Protocol):
    """A scheme as the entry points `dse.bit_flips` name it."""

    @property
    def knobs(self) -> type:
        """Class of the knobs."""

    @property
    def layer_knobs(self) -> tuple[str, ...]:
        """Those that a layer may have of its own."""

    def uses_inputs(self, knobs: Any) -> bool:
        """Whether `flip` needs the moments of the inputs (`dse.bit_flips.inputs`)."""

    def flip(
        self,
        layers: Sequence[CodedLayer],
        knobs: Any,
        *,
        wordlines: int,
        mean_inputs: Mapping[str, InputMoments] | None = None,
        allowed_planes: Mapping[str, NDArray[np.uint8]] | None = None,
        layer_knobs: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> tuple[CodedLayer, ...]:
        """New codes for every layer, in the same order.

        Args:
            layers: Codes; left as they are.
            knobs: Of the scheme.
            wordlines: Rows R of a crossbar: a column of a tile has so many weights.
            mean_inputs: Moments of the inputs by layer name, where `uses_inputs`.
            allowed_planes: Mask per weight of the planes that it may use, (groups, K, N), by
                layer name; bit k of the mask is plane k. All planes where a name is missing; what
                a layer's own patches forbid need not be repeated.
            layer_knobs: Knobs that some layers have of their own, by layer name.

        Raises:
            StageError: An argument cannot be.
        """
