"""Lease: one driver owns a study; a driver that died has lost it; one that is asked to stops."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psutil

from dse.errors import StudyError

if TYPE_CHECKING:
    import optuna

ATTRIBUTE = "dse:lease"
STOP = "dse:stop"
"""Attribute of a study whose driver is asked to stop: who asks, and when."""
BEAT_S = 10.0
POLL_S = 1.0
EXPIRES_S = 60.0

_logger = logging.getLogger(__name__)


def mine() -> dict[str, Any]:
    """A lease for this process, beaten now."""
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "started": psutil.Process().create_time(),
        "beat": time.time(),
    }


def is_live(lease: dict[str, Any]) -> bool:
    """Whether the driver that wrote the lease may still run.

    On the same host the process is looked up; elsewhere its last beat must be recent.
    """
    if not lease:
        return False
    if lease["host"] == socket.gethostname():
        try:
            process = psutil.Process(lease["pid"])
            same = abs(process.create_time() - lease["started"]) < 1.0
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False
    return bool(time.time() - lease["beat"] < EXPIRES_S)


@contextmanager
def owning(study: optuna.Study) -> Iterator[None]:
    """Own the study while the block runs.

    Raises:
        StudyError: Another driver owns it.
    """
    held: dict[str, Any] = study.user_attrs.get(ATTRIBUTE) or {}
    if is_live(held):
        raise StudyError(
            f"study {study.study_name!r} is being run by process {held['pid']} on "
            f"{held['host']}; wait for it, stop it (Ctrl-C there), or run under another name"
        )
    study.set_user_attr(STOP, None)
    study.set_user_attr(ATTRIBUTE, mine())
    stop = threading.Event()
    beating = threading.Thread(target=_beat, args=(study, stop), name="lease", daemon=True)
    beating.start()
    try:
        yield
    finally:
        stop.set()
        beating.join()
        try:
            if is_mine(study.user_attrs.get(ATTRIBUTE) or {}):
                study.set_user_attr(ATTRIBUTE, None)
        except Exception as error:  # it expires by itself, and on this host at once
            _logger.warning("the lease of study %s was not returned: %s", study.study_name, error)


def is_mine(lease: dict[str, Any]) -> bool:
    """Whether this process wrote the lease."""
    own = mine()
    return bool(lease) and all(lease[key] == own[key] for key in ("host", "pid", "started"))


def _beat(study: optuna.Study, stop: threading.Event) -> None:
    while not stop.wait(BEAT_S):
        try:
            held: dict[str, Any] = study.user_attrs.get(ATTRIBUTE) or {}
            if is_mine(held) or not is_live(held):
                study.set_user_attr(ATTRIBUTE, mine())
        except Exception as error:  # the driver itself will meet a database that is gone
            _logger.warning("the lease of study %s was not renewed: %s", study.study_name, error)


def ask_to_stop(study: optuna.Study) -> dict[str, Any]:
    """Ask the driver of a study to stop: what runs goes back to the queue.

    Returns:
        The lease of the driver that was asked; empty if nobody runs the study.
    """
    held: dict[str, Any] = study.user_attrs.get(ATTRIBUTE) or {}
    if not is_live(held):
        return {}
    study.set_user_attr(STOP, {"host": socket.gethostname(), "at": time.time()})
    return held


@dataclass(slots=True)
class StopReason:
    """Why a driver was stopped from outside.

    Attributes:
        cancelled: By `dse cancel`, and where that ran.
        taken_over: By whom, where the lease was lost.
    """

    cancelled: str = ""
    taken_over: str = ""

    def __bool__(self) -> bool:
        return bool(self.cancelled or self.taken_over)


@contextmanager
def watching(study: optuna.Study, interrupt: Callable[[], None]) -> Iterator[StopReason]:
    """Look every second whether the driver of a study is asked to stop, or has lost the study.

    Args:
        study: Driven by the caller.
        interrupt: Called once, in another thread.
    """
    reason = StopReason()
    stop = threading.Event()
    arguments = (study, stop, reason, interrupt)
    thread = threading.Thread(target=_watch, args=arguments, name="watch", daemon=True)
    thread.start()
    try:
        yield reason
    finally:
        stop.set()
        thread.join()


def _watch(
    study: optuna.Study,
    stop: threading.Event,
    reason: StopReason,
    interrupt: Callable[[], None],
) -> None:
    while not stop.wait(POLL_S):
        try:
            attributes = study.user_attrs
        except Exception as error:  # the driver itself will meet a database that is gone
            _logger.debug("study %s cannot be read: %s", study.study_name, error)
            continue
        lease: dict[str, Any] = attributes.get(ATTRIBUTE) or {}
        if lease and not is_mine(lease):
            reason.taken_over = f"process {lease['pid']} on {lease['host']}"
        elif (asked := attributes.get(STOP)) is not None:
            reason.cancelled = f"`dse cancel` on {asked['host']}"
        if reason and not stop.is_set():
            interrupt()
            return
