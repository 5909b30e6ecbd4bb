"""dashboard_app(): optuna-dashboard as a WSGI application that reads and never writes."""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs
from wsgiref.types import StartResponse, WSGIEnvironment

import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages._cached_storage import _CachedStorage
from optuna_dashboard import wsgi
from sqlalchemy.exc import SQLAlchemyError

from dse.dashboard.feed import MANY, StalePageError, StudyFeed
from dse.dashboard_storage import DashboardStorage
from dse.database import Database, brief
from dse.errors import DseError
from dse.sqlite_file import file_identity

_STUDY = re.compile(r"/api/studies/(\d+)/?")
_REFUSED = (
    "dse dashboard only reads: nothing can be changed from this page; studies are run and stopped "
    "with dse run and dse cancel"
)

_logger = logging.getLogger(__name__)


class DashboardApp:
    """optuna-dashboard, its answer for a study replaced by a `StudyFeed`.

    Whatever would change something is refused, by the method of the request and, should one slip
    through, by the database.

    Args:
        database: Open.
        last: How many trials of a study a page gets; see `StudyFeed`.
        hosts: Names under which it may be asked, against pages elsewhere that point a name of
            theirs at this address; any if left out.
    """

    def __init__(
        self, database: Database, *, last: int = MANY, hosts: frozenset[str] | None = None
    ) -> None:
        _read_only(database)
        self._url, self._last, self._hosts = database.url, last, hosts
        self._storage = _CachedStorage(DashboardStorage(database))
        self._dashboard: Any = wsgi(self._storage)
        self._feeds: dict[int, StudyFeed] = {}
        self._lock = threading.Lock()
        self._engine = database.storage.engine
        self._file = _identity(self._engine)

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        if self._hosts is not None and _host(environ) not in self._hosts:
            return _reason(start, "403 Forbidden", "asked under a name that is not this machine's")
        if environ["REQUEST_METHOD"] != "GET":
            return _reason(start, "403 Forbidden", _REFUSED)
        found = _STUDY.fullmatch(environ["PATH_INFO"])
        if found is None:
            answer: Iterable[bytes] = self._dashboard(environ, start)
            return answer
        after = parse_qs(environ.get("QUERY_STRING", "")).get("after", ["0"])[-1]
        if not after.isdecimal():
            return _reason(start, "400 Bad Request", f"after: expected 0 or more, got {after!r}")
        return self._study(int(found[1]), int(after), start)

    def _study(self, study_id: int, after: int, start: StartResponse) -> Iterable[bytes]:
        try:
            self._follow_file()
            body = self._feed(study_id).answer(after)
        except KeyError:
            body = None
        except StalePageError as error:
            return _reason(start, "409 Conflict", str(error))
        except (DseError, SQLAlchemyError, StorageInternalError) as error:
            _logger.warning("%s: %s", self._url, brief(error))
            return _reason(start, "503 Service Unavailable", f"{self._url}: {brief(error)}")
        if body is None:
            return _reason(start, "404 Not Found", f"study_id={study_id} is not found")
        return _json(start, "200 OK", body)

    def _follow_file(self) -> None:
        """Open an SQLite file anew that was replaced by another one."""
        with self._lock:
            now = _identity(self._engine)
            if now is not None and now != self._file:
                self._file = now
                self._engine.dispose()

    def _feed(self, study_id: int) -> StudyFeed:
        with self._lock:
            if study_id not in self._feeds:
                self._feeds[study_id] = StudyFeed(
                    self._storage, study_id, url=self._url, last=self._last
                )
            return self._feeds[study_id]


def _identity(engine: sqlalchemy.Engine) -> tuple[int, int] | None:
    if engine.name != "sqlite" or not engine.url.database:
        return None
    return file_identity(Path(engine.url.database))


def _read_only(database: Database) -> None:
    """From now on the connections of a database refuse to write."""
    engine = database.storage.engine
    statement = (
        "PRAGMA query_only = ON"
        if engine.name == "sqlite"
        else "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"
    )

    def refuse(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute(statement)
        cursor.close()
        connection.commit()

    sqlalchemy.event.listen(engine, "connect", refuse)
    engine.dispose()


def _host(environ: WSGIEnvironment) -> str:
    """The name without the port."""
    return re.sub(r":\d+$", "", environ.get("HTTP_HOST", "")).lower()


def _reason(start: StartResponse, status: str, text: str) -> Iterable[bytes]:
    return _json(start, status, json.dumps({"reason": text}).encode())


def _json(start: StartResponse, status: str, body: bytes) -> Iterable[bytes]:
    start(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
