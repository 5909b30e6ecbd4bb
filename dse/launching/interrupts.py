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
    and RUNNING. Outside the main thread, where Python delivers no signals, only `request` does
    anything, between two pieces of allowed work.
    """

    def __init__(self) -> None:
        self._is_allowed = False
        self._waiting = False
        self._is_held = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold interrupts back, those in `allowed` excepted; one still waiting is raised last."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before: list[Any] = [signal.signal(number, self._receive) for number in _SIGNALS]
        self._is_held = True
        try:
            yield
        finally:
            self._is_held = False
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

    def shielded(self, work: Callable[[], Result]) -> Result:
        """Do a piece of allowed work that may not be interrupted."""
        was_allowed, self._is_allowed = self._is_allowed, False
        try:
            result = work()
        finally:
            self._is_allowed = was_allowed
        if was_allowed and self._waiting:
            self._interrupt()
        return result

    @property
    def is_waiting(self) -> bool:
        """Whether an interrupt waits for a safe moment."""
        return self._waiting

    def request(self) -> None:
        """Interrupt as Ctrl-C would; from another thread."""
        main = threading.main_thread()
        if self._is_held and main.ident is not None:
            signal.pthread_kill(main.ident, signal.SIGINT)
        else:
            self._waiting = True

    def forget(self) -> None:
        """Drop an interrupt that waits: its reason was dealt with."""
        self._waiting = False

    def _receive(self, _number: int, _frame: FrameType | None) -> None:
        self._waiting = True
        if self._is_allowed:
            self._interrupt()

    def _interrupt(self) -> None:
        self._waiting = False
        self._is_allowed = False
        raise KeyboardInterrupt
