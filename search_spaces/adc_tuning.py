"""Knobs of the converters' ranges, and of fine-tuning with the converters in the loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from search_spaces.domains import Choice, FloatRange, IntRange


@dataclass(frozen=True, slots=True, kw_only=True)
class AdcLoopKnobs:
    """How a network and its converters are fitted to each other.

    Attributes:
        range: `full` keeps a step of one unit of column sum, so that a converter clips above
            2**bits - 1; `calibrated` chooses a power-of-two step per layer and slice group on
            training images.
        tune_epochs: Epochs of fine-tuning with the converters in the forward pass; 0 for none.
        learning_rate: Its first learning rate over that of the task's fine-tuning.
    """

    range: Annotated[str, Choice("full", "calibrated")] = "full"
    tune_epochs: Annotated[int, IntRange(0, 50)] = 0
    learning_rate: Annotated[float, FloatRange(0.01, 10.0, log=True)] = 1.0
