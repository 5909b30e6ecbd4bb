"""BackOff: how long to wait before the next try, the longer the more have failed in a row."""

from __future__ import annotations

import time
from collections.abc import Callable

_FIRST_S = 1.0
_LONGEST_S = 30.0


class BackOff:
    """A second try at once; then 1, 2, 4 and up to 30 seconds between two of them.

    Args:
        clock: Seconds that never run backwards.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures = 0
        self._until = 0.0

    def failed(self) -> None:
        """One more try has failed."""
        if self._failures > 0:
            self._until = self._clock() + self.pause_s
        self._failures += 1

    def succeeded(self) -> None:
        """A try was worth it."""
        self._failures = 0
        self._until = 0.0

    @property
    def pause_s(self) -> float:
        """What the next failure would cost."""
        if self._failures == 0:
            return 0.0
        return min(_FIRST_S * 2.0 ** min(self._failures - 1, 16), _LONGEST_S)

    @property
    def is_over(self) -> bool:
        """Whether the next try may begin."""
        return self._clock() >= self._until
