"""Objectives and constraints, as a study file writes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from dse.errors import SpecError
from dse.metrics import MetricName, metric_name

_CONSTRAINT = re.compile(r"^\s*(?P<metric>\w+)\s*(?P<sign><=|>=)\s*(?P<bound>\S+)\s*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """A metric to be made large or small, in the unit of the study file."""

    metric: MetricName
    direction: Literal["maximize", "minimize"]

    @classmethod
    def parse(cls, text: str) -> Objective:
        """Read `maximize accuracy` or `minimize energy_uj`."""
        words = text.split()
        if len(words) != 2 or words[0] not in ("maximize", "minimize"):
            raise SpecError(
                "an objective reads 'maximize METRIC' or 'minimize METRIC' such as "
                f"'minimize energy_uj', got {text!r}"
            )
        direction: Literal["maximize", "minimize"] = (
            "maximize" if words[0] == "maximize" else "minimize"
        )
        return cls(metric=metric_name(words[1]), direction=direction)

    @property
    def name(self) -> str:
        """The metric as written."""
        return self.metric.written

    def __str__(self) -> str:
        return f"{self.direction} {self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint:
    """A bound on a metric, in the unit of the study file."""

    metric: MetricName
    at_most: bool
    bound: float

    @classmethod
    def parse(cls, text: str) -> Constraint:
        """Read `accuracy_loss <= 0.03` or `accuracy >= 0.95`."""
        match = _CONSTRAINT.match(text)
        try:
            bound = float(match["bound"]) if match else float("nan")
        except ValueError:
            bound = float("nan")
        if match is None or bound != bound:
            raise SpecError(
                "a constraint reads 'METRIC <= NUMBER' or 'METRIC >= NUMBER' such as "
                f"'accuracy_loss <= 0.03', got {text!r}"
            )
        return cls(metric=metric_name(match["metric"]), at_most=match["sign"] == "<=", bound=bound)

    def violation(self, metrics: Mapping[str, float]) -> float:
        """By how much the bound is missed; met at or below 0, as in Optuna."""
        value = self.metric.of(metrics)
        return value - self.bound if self.at_most else self.bound - value

    def __str__(self) -> str:
        return f"{self.metric.written} {'<=' if self.at_most else '>='} {self.bound:g}"
