"""Interrupts wait for a safe moment."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from dse.launching.interrupts import Interrupts


def interrupt(number: int = signal.SIGINT) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_allowed_work_is_interrupted_at_once(number: int) -> None:
    interrupts = Interrupts()
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), interrupts.held():
        interrupts.allowed(lambda: interrupt(number))
    assert signal.getsignal(number) is before


def test_other_work_is_finished_first() -> None:
    interrupts = Interrupts()
    done: list[str] = []

    def work() -> None:
        with interrupts.held():
            interrupt()
            done.append("written")
            interrupts.allowed(lambda: done.append("begun"))

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["written"]


def test_an_interrupt_that_waits_to_the_end_is_not_lost() -> None:
    interrupts = Interrupts()
    with pytest.raises(KeyboardInterrupt), interrupts.held():
        interrupt()


def test_work_after_an_interrupt_is_whole() -> None:
    """Putting designs back is not interrupted by a second Ctrl-C; that one is raised last."""
    interrupts = Interrupts()
    done: list[str] = []

    def clean_up() -> None:
        try:
            interrupts.allowed(interrupt)
        except KeyboardInterrupt:
            interrupt()
            done.append("put back")

    with pytest.raises(KeyboardInterrupt), interrupts.held():
        clean_up()
    assert done == ["put back"]


def test_other_threads_are_left_alone() -> None:
    results: list[int] = []

    def work() -> None:
        interrupts = Interrupts()
        with interrupts.held():
            results.append(interrupts.allowed(lambda: 7))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert results == [7]
