"""Interrupts that wait for a safe moment: never in the middle of writing a trial."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

Result = TypeVar("Result")

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Ctrl-C and a polite kill take effect where `allowed`, and wait elsewhere.

    A KeyboardInterrupt in the middle of proposing or telling a trial would leave it half-written
    and RUNNING. Outside the main thread, where Python delivers no signals, this does nothing.
    """

    def __init__(self) -> None:
        self._is_allowed = False
        self._waiting = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold interrupts back, those in `allowed` excepted; one still waiting is raised last."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before: list[Any] = [signal.signal(number, self._receive) for number in _SIGNALS]
        try:
            yield
        finally:
            for number, handler in zip(_SIGNALS, before, strict=True):
                signal.signal(number, handler)
        if self._waiting:
            raise KeyboardInterrupt

    def allowed(self, work: Callable[[], Result]) -> Result:
        """Do some work that may be interrupted."""
        self._is_allowed = True
        try:
            if self._waiting:
                self._interrupt()
            return work()
        finally:
            self._is_allowed = False

    def _receive(self, _number: int, _frame: FrameType | None) -> None:
        self._waiting = True
        if self._is_allowed:
            self._interrupt()

    def _interrupt(self) -> None:
        self._waiting = False
        self._is_allowed = False
        raise KeyboardInterrupt
