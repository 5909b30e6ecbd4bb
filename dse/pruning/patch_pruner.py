"""What a patch-wise pruner is: plans of which patches go and which have 4 bits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor

from dse.pruning.patches import PatchPlan


class PatchPruner(Protocol):
    """A patch-wise pruner as the entry points `dse.patches` name it."""

    @property
    def knobs(self) -> type:
        """Class of the knobs."""

    @property
    def layer_knobs(self) -> tuple[str, ...]:
        """Knobs that a layer may have of its own."""

    def rounds(self, knobs: Any) -> int:
        """Times that patches are planned and the rest is trained on; 0 plans nothing."""

    def plans(
        self,
        weights: Mapping[str, Tensor],
        knobs: Any,
        *,
        deviations: Mapping[str, float],
        layers: Mapping[str, Mapping[str, Any]],
        progress: float,
    ) -> dict[str, PatchPlan]:
        """A plan for every layer.

        Args:
            weights: Real weights (C_out, ...) by layer, in the order of execution.
            knobs: For the whole network.
            deviations: Standard deviations of the pre-trained weights by layer.
            layers: Knobs that some layers have of their own, by layer and knob.
            progress: Part of the way to the final thresholds, above 0 to 1.
        """
