"""Evaluations that take a moment and train nothing, for Ray workers; no torch is imported."""

from __future__ import annotations

import hashlib
import math
import os
import time
from pathlib import Path
from typing import Any

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


class Held:
    """Takes some seconds over every design, and then waits while too many are told.

    So a kill that comes late, on a machine that is busy, finds somebody to kill.

    Args:
        settings: `seconds` of one evaluation; `folder` with the drivers' logs and, by `hold_at`,
            the number of designs from which on evaluations wait. A process that evaluates leaves
            a file `began-PID` there.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self._made_up = MadeUp(settings["seconds"])
        self._folder = Path(settings["folder"])

    def outcome(
        self, point: DesignPoint, *, fidelity: Fidelity | None = None, sweep: bool = False
    ) -> Outcome:
        (self._folder / f"began-{os.getpid()}").touch()
        outcome = self._made_up.outcome(point)
        while told_in(self._folder) >= hold_in(self._folder):
            time.sleep(0.05)
        return outcome


def told_in(folder: Path) -> int:
    """How many designs the drivers were told, by their logs."""
    return sum(file.read_text().count("told ") for file in folder.glob("*.log"))


def hold_in(folder: Path) -> float:
    """From how many on evaluations wait."""
    try:
        return float((folder / "hold").read_text())
    except FileNotFoundError:
        return math.inf


def hold_at(folder: Path, designs: float) -> None:
    """Let evaluations wait from so many designs on."""
    new = folder / "hold.new"
    new.write_text(str(designs))
    new.replace(folder / "hold")
