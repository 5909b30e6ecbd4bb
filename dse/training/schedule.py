"""Schedules of the learning rate: the factor on it in every epoch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from dse.errors import TaskError


class Schedule(Protocol):
    """A frozen dataclass; its `repr` is part of what identifies a training."""

    def factor(self, epoch: int, epochs: int) -> float:
        """What multiplies the learning rate in epoch `epoch` (from 1) of `epochs`."""


@dataclass(frozen=True, slots=True)
class Constant:
    """The learning rate stays."""

    def factor(self, epoch: int, epochs: int) -> float:
        """1."""
        return 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """The learning rate is multiplied by `by` at every milestone.

    Attributes:
        milestones: Shares of the training, above 0 and below 1, ascending: 0.5 is after half of
            the epochs. So a shortened training keeps the form of its schedule.
        by: The factor, above 0, at most 1.
    """

    milestones: tuple[float, ...]
    by: float = 0.1

    def __post_init__(self) -> None:
        ascending = all(a < b for a, b in zip(self.milestones, self.milestones[1:], strict=False))
        if not (self.milestones and ascending and all(0 < m < 1 for m in self.milestones)):
            raise TaskError(
                "the milestones of a schedule are ascending shares of the training between 0 and "
                f"1, got {self.milestones}. Divide the epochs of the drops by all epochs"
            )
        if not 0 < self.by <= 1:
            raise TaskError(
                f"a step multiplies the learning rate by above 0 to 1, got {self.by}. "
                "Give the factor, not the divisor"
            )

    def factor(self, epoch: int, epochs: int) -> float:
        """`by` to the power of the milestones passed before this epoch."""
        passed = sum((epoch - 1) >= milestone * epochs for milestone in self.milestones)
        return self.by**passed


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosine:
    """Half a cosine from 1 in the first epoch down to `last` behind the last one [Loshchilov2017].

    Attributes:
        last: Factor that the schedule ends in, 0 to 1.

    [Loshchilov2017] I. Loshchilov, F. Hutter, "SGDR: Stochastic Gradient Descent with Warm
        Restarts", ICLR 2017, Eq. (5).
    """

    last: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.last <= 1:
            raise TaskError(
                f"a cosine schedule ends in a factor from 0 to 1, got {self.last}. Correct it"
            )

    def factor(self, epoch: int, epochs: int) -> float:
        """`last + (1 - last) (1 + cos(pi (epoch - 1) / epochs)) / 2`."""
        share = (epoch - 1) / epochs
        return self.last + (1 - self.last) * (1 + math.cos(math.pi * share)) / 2
