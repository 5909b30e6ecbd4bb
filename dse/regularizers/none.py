"""No penalty."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from dse.quantizers.quantizer import Grid
from search_spaces.regularizer import NoRegularizerKnobs


class NoPenalty:
    """Adds nothing."""

    def add_gradient_(self, parameters: Sequence[nn.Parameter]) -> None:
        """Nothing to add."""

    def value(self, parameters: Sequence[nn.Parameter]) -> float:
        """Zero."""
        return 0.0


class NoRegularizer:
    """Fine-tuning on the task alone."""

    knobs: type[NoRegularizerKnobs] = NoRegularizerKnobs

    def penalty(
        self, knobs: NoRegularizerKnobs, *, grids: Sequence[Grid], slice_bits: int
    ) -> NoPenalty:
        """A penalty of zero."""
        return NoPenalty()


NONE = NoRegularizer()
