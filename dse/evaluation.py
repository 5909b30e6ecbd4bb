"""What comes back from evaluating a design."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dse.spec_sections import Fidelity
from search_spaces.design_point import DesignPoint
from search_spaces.domains import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A design to be evaluated.

    Attributes:
        number: Number of its trial.
        point: The design.
        attempt: 1, or more if a worker or driver died under it.
        fidelity: How thoroughly it is evaluated.
        sweep: Whether every hardware choice for its network is looked at, too.
    """

    number: int
    point: DesignPoint
    attempt: int
    fidelity: Fidelity = "full"
    sweep: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """A design's results.

    Attributes:
        metrics: By SI name, see `dse.metrics`.
        stages: By stage: its key in the store, whether it was found there, seconds.
        report: Costs by layer and by component, as `dse explain` prints them.
        seconds: Wall time.
        nested: Where the hardware was swept: the designs of the same network that no other one
            dominates, with their results.
    """

    metrics: Mapping[str, float]
    stages: Mapping[str, Mapping[str, Any]]
    report: Mapping[str, Any]
    seconds: float
    nested: tuple[tuple[DesignPoint, Evaluation], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RuledOut:
    """A design that breaks a constraint, found out before its evaluation was over.

    Attributes:
        reason: One line for a person.
        violations: By constraint, at least by how much it is missed; as far as known.
        trained: Whether training had begun.
        seconds: Wall time.
    """

    reason: str
    violations: Mapping[str, float]
    trained: bool
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch(Job):
    """Designs to be evaluated one after the other by one worker, which is asked once.

    As a job it stands for all of them: `number` and `point` are those of the first one.

    Attributes:
        params: The knobs that each of them asks for.
        space: Their space, pickled: a worker reads it once.
    """

    params: tuple[Mapping[str, Value], ...]
    space: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """What came of a batch.

    Attributes:
        each: In the order of its designs.
    """

    each: tuple[Evaluation | RuledOut | Failure, ...]


Outcome = Evaluation | RuledOut | Failure | Outcomes
