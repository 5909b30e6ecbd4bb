"""A user's own set of weight levels."""

from __future__ import annotations

from dse.quantizers.clipped import level_set_grid
from dse.quantizers.quantizer import Grid, Place
from hw_models.published.bits_net import CODE_BITS
from search_spaces.quantizer import LevelSetKnobs, read_levels


class LevelSet:
    """Levels that the study file lists, stored in Q2.6; clipping and gradients as in APoT."""

    knobs: type[LevelSetKnobs] = LevelSetKnobs
    ends_in_8_bits = True

    def bits(self, knobs: LevelSetKnobs) -> int:
        """Bits of a magnitude in Q2.6."""
        return CODE_BITS

    def grid(self, knobs: LevelSetKnobs, place: Place) -> Grid:
        """The grid of one parameter.

        Raises:
            ValueError: The text is no level set.
        """
        return level_set_grid(read_levels(knobs.levels), place)


LEVEL_SET = LevelSet()
