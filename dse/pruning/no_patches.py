"""No patch-wise pruning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from dse.pruning.patches import PatchPlan
from search_spaces.patches import NoPatchKnobs


class NoPatches:
    """Every weight keeps all its bits."""

    knobs: type[NoPatchKnobs] = NoPatchKnobs
    layer_knobs: tuple[str, ...] = ()

    def rounds(self, knobs: NoPatchKnobs) -> int:
        """None."""
        return 0

    def plans(
        self,
        weights: Mapping[str, Tensor],
        knobs: NoPatchKnobs,
        *,
        deviations: Mapping[str, float],
        layers: Mapping[str, Mapping[str, Any]],
        progress: float,
    ) -> dict[str, PatchPlan]:
        """Nothing is planned."""
        return {}


NONE = NoPatches()
