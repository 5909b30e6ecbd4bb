"""StudyLock: what only one process at a time may do to a study of a given name."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import filelock
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from dse.database import Database
from dse.errors import StorageError, StudyError
from dse.patience import PatientStorage

Result = TypeVar("Result")

_POLL_S = 0.05
_WARN_AFTER_S = 30.0
_GIVE_UP_AFTER_S = 300.0
_HURRIED_S = 10.0
"""So long a driver waits that was interrupted."""

_logger = logging.getLogger(__name__)


class StudyLock:
    """Held while a study is opened; and, where drivers share it, while one asks or tells.

    In PostgreSQL it is an advisory lock of a connection, which the server takes back from a
    process that dies; beside an SQLite file a locked one, under `.dse/locks`.

    Args:
        database: Where the study lives, or will.
        name: Of the study.
    """

    def __init__(self, database: Database, name: str) -> None:
        self._database = database
        self._name = name
        digest = hashlib.sha256(f"dse:{name}".encode()).digest()
        self._key = int.from_bytes(digest[:8], "big", signed=True)
        self._connection: Connection | None = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold it while the block runs; wait for whoever holds it.

        Raises:
            StudyError: Another process did not let go of it for minutes.
        """
        if self._database.storage.engine.dialect.name != "postgresql":
            with self._file().acquire():
                yield
            return
        self._take()
        try:
            yield
        finally:
            self._let_go()

    def is_still_held(self) -> bool:
        """Whether nobody else can have held it since: a server that restarts forgets its locks."""
        if self._connection is None:
            return True
        try:
            self._connection.execute(text("SELECT 1"))
        except SQLAlchemyError:
            return False
        return True

    def _file(self) -> filelock.BaseFileLock:
        file = self._database.storage.engine.url.database
        folder = Path(file).resolve().parent / ".dse" if file else self._database.home
        try:
            (folder / "locks").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"{folder / 'locks'}: cannot be made: {error}") from error
        return filelock.FileLock(folder / "locks" / f"{self._key & (2**64 - 1):016x}", timeout=-1)

    def _take(self) -> None:
        since = warned = time.monotonic()
        while not self._patiently(self._try):
            now = time.monotonic()
            if now - since > (_HURRIED_S if self._is_interrupted() else _GIVE_UP_AFTER_S):
                raise StudyError(
                    f"study {self._name!r}: another driver has been asking or telling for "
                    f"{now - since:.0f} s and does not let go; look whether it hangs "
                    "(`dse status` says where it runs)"
                )
            if now - warned > _WARN_AFTER_S:
                warned = now
                _logger.warning("waiting for another driver of study %s", self._name)
            time.sleep(_POLL_S)

    def _try(self) -> bool:
        connection = self._database.storage.engine.connect()
        try:
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
            own = connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": self._key})
            if own.scalar():
                self._connection = connection
                return True
        except BaseException:
            connection.close()
            raise
        connection.close()
        return False

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        assert connection is not None, "it is held"
        try:
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": self._key})
        except SQLAlchemyError:
            connection.invalidate()  # its lock went with it
        connection.close()

    def _patiently(self, work: Callable[[], Result]) -> Result:
        storage = self._database.storage
        return storage._wait(work) if isinstance(storage, PatientStorage) else work()

    def _is_interrupted(self) -> bool:
        storage = self._database.storage
        return isinstance(storage, PatientStorage) and storage.interrupted()
