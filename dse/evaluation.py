"""What comes back from evaluating a design."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from search_spaces.design_point import DesignPoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A design to be evaluated.

    Attributes:
        number: Number of its trial.
        point: The design.
        attempt: 1, or more if a worker or driver died under it.
    """

    number: int
    point: DesignPoint
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """A design's results.

    Attributes:
        metrics: By SI name, see `dse.metrics`.
        stages: By stage: its key in the store, whether it was found there, seconds.
        report: Costs by layer and by component, as `dse explain` prints them.
        seconds: Wall time.
    """

    metrics: Mapping[str, float]
    stages: Mapping[str, Mapping[str, Any]]
    report: Mapping[str, Any]
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a design has no results.

    Attributes:
        reason: One line for a person.
        lost: The worker died; the design itself may be fine and is tried again.
    """

    reason: str
    lost: bool = False


Outcome = Evaluation | Failure
