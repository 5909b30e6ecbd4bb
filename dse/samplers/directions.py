"""Directions of a study, as factors."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from optuna.study import StudyDirection


def signs_of(directions: Iterable[StudyDirection]) -> NDArray[np.float64]:
    """By what values are multiplied so that all are to be small; `(objectives,)`."""
    return np.array([1.0 if d == StudyDirection.MINIMIZE else -1.0 for d in directions])
