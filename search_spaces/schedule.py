"""Knobs of the schedule: whether layers work at once, and how often they are held."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from search_spaces.domains import Choice, IntRange


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleKnobs:
    """How the layers of a network share time.

    Attributes:
        pipelined: Whether layers work on different images at once.
        crossbars: Arrays that may be filled with further copies of the slowest layers; 0 holds
            every layer once.
    """

    pipelined: Annotated[bool, Choice(False, True)] = False
    crossbars: Annotated[int, IntRange(0, 10_000_000)] = 0
