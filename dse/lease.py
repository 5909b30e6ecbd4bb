"""Lease: who drives a study, alone or together; who died has lost it; who is asked to stops."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dse.errors import StudyError

if TYPE_CHECKING:
    import optuna

ATTRIBUTE = "dse:lease"
"""Attribute of a study: the lease of the driver that owns it alone."""
SHARED = "dse:lease:"
"""What the attributes begin with that are leases of drivers that share a study."""
STOP = "dse:stop"
"""Attribute of a study whose driver is asked to stop: who asks, and when."""
BEAT_S = 10.0
POLL_S = 1.0
EXPIRES_S = 60.0

_logger = logging.getLogger(__name__)


def mine() -> dict[str, Any]:
    """A lease for this process, beaten now."""
    import psutil  # the commands that read a study nobody runs do without

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
        import psutil

        try:
            process = psutil.Process(lease["pid"])
            same = abs(process.create_time() - lease["started"]) < 1.0
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False
    return bool(time.time() - lease["beat"] < EXPIRES_S)


def live_leases(attributes: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The leases of drivers that may still run, by the attribute of the study that holds them."""
    return {
        key: lease
        for key, lease in attributes.items()
        if (key == ATTRIBUTE or key.startswith(SHARED)) and is_live(lease or {})
    }


def whose(lease: Mapping[str, Any]) -> str:
    """A driver, for a person."""
    return f"process {lease['pid']} on {lease['host']}"


def take(study: optuna.Study, *, join: bool = False) -> str:
    """Become the driver of a study, or one of several.

    Nobody else may be doing the same; see `StudyLock`.

    Args:
        study: Not driven by this process.
        join: Whether to share it with other drivers.

    Returns:
        The attribute of the study that holds the lease.

    Raises:
        StudyError: Another driver owns it, or drivers share it that this one does not join.
    """
    live = live_leases(study.user_attrs)
    if (alone := live.get(ATTRIBUTE)) is not None:
        joining = (
            "; `--join` joins drivers that were started with `--join`, which it was not"
            if join
            else ""
        )
        raise StudyError(
            f"study {study.study_name!r} is being run by {whose(alone)}; wait for it, stop it "
            f"(Ctrl-C there), or run under another name{joining}"
        )
    if live and not join:
        drivers = ", ".join(map(whose, live.values()))
        raise StudyError(
            f"study {study.study_name!r} is being run by {drivers}; join with --join, wait, or "
            f"stop them with: dse cancel {study.study_name}"
        )
    own = mine()
    key = f"{SHARED}{own['host']}:{own['pid']}:{own['started']:.2f}" if join else ATTRIBUTE
    if not live:
        study.set_user_attr(STOP, None)
    study.set_user_attr(key, own)
    return key


@contextmanager
def beating(study: optuna.Study, key: str) -> Iterator[None]:
    """Keep a lease alive while the block runs, and return it then.

    Args:
        study: Driven by this process.
        key: Attribute that holds the lease.
    """
    stop = threading.Event()
    thread = threading.Thread(target=_beat, args=(study, key, stop), name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        try:
            if is_mine(study.user_attrs.get(key) or {}):
                study.set_user_attr(key, None)
        except Exception as error:  # it expires by itself, and on this host at once
            _logger.warning("the lease of study %s was not returned: %s", study.study_name, error)


def is_mine(lease: dict[str, Any]) -> bool:
    """Whether this process wrote the lease."""
    own = mine()
    return bool(lease) and all(lease[key] == own[key] for key in ("host", "pid", "started"))


def _beat(study: optuna.Study, key: str, stop: threading.Event) -> None:
    while not stop.wait(BEAT_S):
        try:
            held: dict[str, Any] = study.user_attrs.get(key) or {}
            if is_mine(held) or (key == ATTRIBUTE and not is_live(held)):
                study.set_user_attr(key, mine())
        except Exception as error:  # the driver itself will meet a database that is gone
            _logger.warning("the lease of study %s was not renewed: %s", study.study_name, error)


def ask_to_stop(study: optuna.Study) -> list[dict[str, Any]]:
    """Ask the drivers of a study to stop: what runs goes back to the queue.

    Returns:
        The leases of the drivers that were asked; none if nobody runs the study.
    """
    held = list(live_leases(study.user_attrs).values())
    if held:
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
def watching(
    study: optuna.Study, interrupt: Callable[[], None], *, key: str = ATTRIBUTE
) -> Iterator[StopReason]:
    """Look every second whether the driver of a study is asked to stop, or has lost the study.

    Args:
        study: Driven by the caller.
        interrupt: Called once, in another thread.
        key: Attribute that holds the caller's lease.
    """
    reason = StopReason()
    stop = threading.Event()
    arguments = (study, key, stop, reason, interrupt)
    thread = threading.Thread(target=_watch, args=arguments, name="watch", daemon=True)
    thread.start()
    try:
        yield reason
    finally:
        stop.set()
        thread.join()


def _watch(
    study: optuna.Study,
    key: str,
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
        lease: dict[str, Any] = attributes.get(key) or {}
        if lease and not is_mine(lease):
            reason.taken_over = whose(lease)
        elif not lease and key != ATTRIBUTE:
            reason.taken_over = "the other drivers"
        elif (asked := attributes.get(STOP)) is not None:
            reason.cancelled = f"`dse cancel` on {asked['host']}"
        if reason and not stop.is_set():
            interrupt()
            return
