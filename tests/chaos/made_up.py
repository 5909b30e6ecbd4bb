"""An evaluation that takes a moment and trains nothing, for Ray workers; imports no torch."""

from __future__ import annotations

import hashlib
import time

from dse.evaluation import Evaluation, Outcome
from dse.spec_sections import Fidelity
from search_spaces.design_point import DesignPoint


def made_up(point: DesignPoint) -> dict[str, float]:
    """Metrics of a design: more ADC bits, more of both, and a dash of all knobs."""
    digest = int(hashlib.sha256(point.digest().encode()).hexdigest()[:8], 16) / 0xFFFFFFFF
    bits = sum(point.adc.bits)
    return {
        "accuracy": 0.4 + 0.5 * bits / 32 + 0.05 * digest,
        "energy_j": (1 + bits + digest) * 1e-8,
    }


class MadeUp:
    """Takes some seconds over every design."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def outcome(
        self, point: DesignPoint, *, fidelity: Fidelity | None = None, sweep: bool = False
    ) -> Outcome:
        time.sleep(self._seconds)
        return Evaluation(metrics=made_up(point), stages={}, report={}, seconds=self._seconds)
