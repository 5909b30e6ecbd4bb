"""Stops: asks drivers to stop, as `dse cancel` does, by the database."""

from __future__ import annotations

import socket
import threading
import time

from dse.database import Database, open_database, storage_errors
from dse.errors import LaunchError
from dse.lease import ATTRIBUTE, SHARED, STOP, is_live, live_leases, whose
from dse.resuming import load_optuna
from dse.serving.state import PAUSE


class Stops:
    """Writes the request to stop; the driver, wherever it is, sees it within a second or two.

    Args:
        url: Of the database.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._database: Database | None = None

    def ask(self, name: str, *, pause: bool) -> str:
        """Ask the driver of a study to stop: what it evaluates goes back to the queue.

        A study that nobody runs can be cancelled, too: it says so until it is resumed.

        Args:
            name: Of the study.
            pause: It is to go on later.

        Returns:
            A sentence on what was done.

        Raises:
            LaunchError: There is nobody to be paused.
            StudyError: There is no such study.
            StorageError: The database cannot be written.
        """
        database = self._open()
        with storage_errors(database):
            study = load_optuna(database, name)
            live = live_leases(study.user_attrs)
            if pause and not live:
                raise LaunchError(f"nobody runs study {name!r}: there is nothing to pause")
            asked = {"host": socket.gethostname(), "at": time.time()}
            study.set_user_attr(STOP, asked | ({PAUSE: True} if pause else {}))
            if live:
                return f"asked to stop: {', '.join(map(whose, live.values()))}"
            for key, lease in study.user_attrs.items():
                is_lease = key == ATTRIBUTE or key.startswith(SHARED)
                if is_lease and not is_live(lease or {}):
                    study.set_user_attr(key, None)  # of a process that is gone
        return f"study {name!r} is cancelled; nobody ran it"

    def _open(self) -> Database:
        with self._lock:
            if self._database is None:
                self._database = open_database(self._url, write=True)
            return self._database

    def close(self) -> None:
        """Close the connections."""
        if self._database is not None:
            self._database.storage.engine.dispose()
