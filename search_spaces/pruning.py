"""Knobs of pruning before fine-tuning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from search_spaces.domains import FloatRange


@dataclass(frozen=True, slots=True, kw_only=True)
class PruningKnobs:
    """Removal of small parameters from the pre-trained network.

    Attributes:
        threshold: Parameters of smaller magnitude become and stay 0; 0 prunes nothing. The
            bit-slice paper's code uses 0.01.
    """

    threshold: Annotated[float, FloatRange(0.0, 0.1)] = 0.01
