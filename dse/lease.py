"""Lease: one driver owns a study; a driver that died has lost it."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import optuna
import psutil

from dse.errors import StudyError

ATTRIBUTE = "dse:lease"
BEAT_S = 10.0
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
    study.set_user_attr(ATTRIBUTE, mine())
    stop = threading.Event()
    beating = threading.Thread(target=_beat, args=(study, stop), name="lease", daemon=True)
    beating.start()
    try:
        yield
    finally:
        stop.set()
        beating.join()
        study.set_user_attr(ATTRIBUTE, None)


def _beat(study: optuna.Study, stop: threading.Event) -> None:
    while not stop.wait(BEAT_S):
        try:
            study.set_user_attr(ATTRIBUTE, mine())
        except Exception as error:  # the driver itself will meet a database that is gone
            _logger.warning("the lease of study %s was not renewed: %s", study.study_name, error)
