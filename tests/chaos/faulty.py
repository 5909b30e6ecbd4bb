"""Evaluations that go wrong in every way that a worker can, for Ray workers; imports no torch."""

from __future__ import annotations

import os
import time
from pathlib import Path

from dse.evaluation import Evaluation, Failure, Outcome
from dse.spec_sections import Fidelity
from search_spaces.design_point import DesignPoint
from tests.chaos.made_up import made_up

LIMIT_S = 4.0


class Faulty:
    """The first design hangs, the second kills one worker, the third runs out of memory once, the
    fourth kills every worker that tries it.

    Args:
        folder: Remembers, beyond any worker's life, who came when.
    """

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def outcome(
        self, point: DesignPoint, *, fidelity: Fidelity | None = None, sweep: bool = False
    ) -> Outcome:
        mine = self._folder / point.digest()
        is_first_time = not mine.exists()
        if is_first_time:
            mine.write_text(str(len(list(self._folder.iterdir()))))
        number = int(mine.read_text())
        if number == 0:
            time.sleep(3600)
        elif (number == 1 and is_first_time) or number == 3:
            os._exit(1)
        elif number == 2 and is_first_time:
            return Failure(reason="out of memory: there is no more", lost=True)
        return Evaluation(metrics=made_up(point), stages={}, report={}, seconds=0.0)
