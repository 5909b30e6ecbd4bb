"""A small study and made-up results, for tests of what surrounds an evaluation."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dse.database import Database, open_database
from dse.evaluation import Evaluation, Job, Outcome
from dse.launching.driver import drive
from dse.resuming import driving
from dse.spec import StudySpec
from dse.study import Study
from search_spaces.design_point import DesignPoint

SPEC: dict[str, Any] = {
    "name": "small",
    "task": "mlp_mnist",
    "space": {
        "regularizer": ["none", "l1", "bit_slice_l1"],
        "regularizer.strength": "log 0.05..5",
        "adc.bits": "1..8",
    },
    "objectives": ["maximize accuracy", "minimize energy_uj"],
    "constraints": ["accuracy_loss <= 0.5"],
    "sampler": {"name": "random", "seed": 3},
    "budget": {"trials": 12, "epochs": 1},
    "launch": "serial",
}


def small_spec(**changes: Any) -> StudySpec:
    return StudySpec.from_mapping({**SPEC, **changes}, where="test")


def database_in(folder: Path) -> Database:
    return open_database(f"sqlite:///{folder / 'dse.db'}", write=True)


def made_up(point: DesignPoint) -> Evaluation:
    """More ADC bits, more accuracy and more energy; and a dash of all knobs."""
    digest = int(hashlib.sha256(point.digest().encode()).hexdigest()[:6], 16) / 0xFFFFFF
    bits = sum(point.adc.bits)
    accuracy = 0.4 + 0.5 * bits / 32 + 0.05 * digest
    return Evaluation(
        metrics={
            "accuracy": accuracy,
            "accuracy_ideal": 0.96,
            "accuracy_float": 0.97,
            "accuracy_loss": 0.97 - accuracy,
            "energy_j": (1 + bits + digest) * 1e-8,
            "adc_energy_j": bits * 1e-8,
            "adc_energy_vs_8bit": bits / 32,
            "latency_s": 1.6e-6,
            "area_m2": 3e-7,
            "crossbars": 64.0,
            "adc_conversions": 1e5,
            "nonzero_slice_ratio": 0.1,
        },
        stages={"accuracy": {"key": point.digest(), "cached": False, "seconds": 0.1}},
        report={"layers": [], "components": {}, "nonzero_slice_ratios": [0.1]},
        seconds=0.1,
    )


class FakeExecutor:
    """Evaluates by a function; finishes the oldest design first."""

    def __init__(
        self, evaluate: Callable[[Job], Outcome] = lambda job: made_up(job.point), workers: int = 1
    ) -> None:
        self._evaluate = evaluate
        self._size = workers
        self.evaluated: list[str] = []
        self._queue: list[Job] = []

    @property
    def workers(self) -> int:
        return self._size

    def submit(self, job: Job) -> None:
        assert len(self._queue) < self._size, "more in flight than there are workers"
        self._queue.append(job)

    def wait(self, timeout_s: float) -> Sequence[tuple[Job, Outcome]]:
        job = self._queue.pop(0)
        self.evaluated.append(job.point.digest())
        return [(job, self._evaluate(job))]

    def close(self) -> None:
        self._queue.clear()


def run_in_pieces(
    folder: Path, spec: StudySpec, evaluate: Callable[[Job], Outcome], stop_after: int | None
) -> Study:
    """A study run to the end of its budget, interrupted after every so many evaluations."""
    folder.mkdir(exist_ok=True)
    for _ in range(100):
        left = [10**6 if stop_after is None else stop_after]

        def counted(job: Job, left: list[int] = left) -> Outcome:
            if left[0] == 0:
                raise KeyboardInterrupt
            left[0] -= 1
            return evaluate(job)

        with driving(database_in(folder), spec) as study:
            try:
                drive(
                    study,
                    FakeExecutor(counted),
                    trials=spec.budget.trials,
                    timeout_s=None,
                    progress=lambda job, outcome: None,
                )
            except KeyboardInterrupt:
                continue
            return study
    raise AssertionError("never ends")
