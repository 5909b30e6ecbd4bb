"""PostgreSQL: its address, how a connection behaves, and what is wrong with one that fails."""

from __future__ import annotations

import math
import time
from typing import Any

from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL, Engine
from sqlalchemy.event import listen
from sqlalchemy.exc import InvalidatePoolError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from dse.errors import StorageError

DRIVER = "postgresql+psycopg"
"""psycopg 3."""

_CONNECT_TIMEOUT_S = 10
_LOCK_TIMEOUT_MS = 60_000
_SILENCE_MS = 30_000
_TRIED_AFTER_S = 1.0
_WORKED = "dse:worked"

_CONNECTING: dict[str, Any] = {
    "connect_timeout": _CONNECT_TIMEOUT_S,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": _SILENCE_MS,
    "application_name": "dse",
    "options": f"-c lock_timeout={_LOCK_TIMEOUT_MS} -c tcp_keepalives_idle=30"
    " -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3",
}
"""A host that vanished is noticed after half a minute, by both sides: its locks are free then. A
lock is waited for a minute, as with SQLite. Parameters that stand in the URL win."""


def with_driver(parsed: URL, shown: str) -> URL:
    """The address with psycopg 3 as its driver, which `postgresql://` stands for.

    Args:
        parsed: Of backend `postgresql`.
        shown: The URL without its password, for messages.

    Raises:
        StorageError: It names another driver, or no database.
    """
    if parsed.drivername not in ("postgresql", DRIVER):
        raise StorageError(
            f"{shown}: PostgreSQL is reached through psycopg 3; write postgresql://..., not "
            f"{parsed.drivername}://..."
        )
    if not parsed.database:
        raise StorageError(
            f"{shown}: names no database; write postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
        )
    return parsed.set(drivername=DRIVER)


def engine_options(parsed: URL) -> dict[str, Any]:
    """How SQLAlchemy is to connect."""
    given = {name: value for name, value in _CONNECTING.items() if name not in parsed.query}
    return {"connect_args": given}


def try_before_use(engine: Engine) -> None:
    """Let a connection that was not used for a second be tried before it is used again.

    One that was used a moment ago is not: that would be a round trip more for every operation.
    """

    def worked(_connection: Any, record: Any) -> None:
        record.info[_WORKED] = time.monotonic()

    def taken(connection: Any, record: Any, _proxy: Any) -> None:
        if time.monotonic() - record.info.get(_WORKED, -math.inf) > _TRIED_AFTER_S:
            try:
                engine.dialect.do_ping(connection)
            except engine.dialect.loaded_dbapi.Error as error:
                raise InvalidatePoolError from error  # the pool connects again

    listen(engine, "connect", worked)
    listen(engine, "checkin", worked)
    listen(engine, "checkout", taken)


def probe(parsed: URL, shown: str, *, write: bool) -> None:
    """Connect once, to learn now what is wrong.

    Args:
        parsed: With its driver.
        shown: Without its password, for messages.
        write: Whether studies will be written; else there must be some.

    Raises:
        StorageError: There is no server, no such database, no way in, or nothing to read.
    """
    engine = create_engine(parsed, poolclass=NullPool, **engine_options(parsed))
    try:
        with engine.connect() as connection:
            standby = connection.execute(text("SELECT pg_is_in_recovery()")).scalar()
            read_only = connection.execute(text("SHOW transaction_read_only")).scalar() == "on"
            empty = connection.execute(text("SELECT to_regclass('studies') IS NULL")).scalar()
    except SQLAlchemyError as error:
        raise StorageError(
            f"{shown}: {_in_words(str(error.__cause__ or error), parsed)}"
        ) from None
    finally:
        engine.dispose()
    if write and (standby or read_only):
        what = "is a standby" if standby else "is read-only"
        raise StorageError(f"{shown}: the database {what}; give one that can be written")
    if not write and empty:
        raise StorageError(
            f"{shown}: this database holds no studies. Run a study first, or say where it is "
            "with --storage or DSE_STORAGE."
        )


def _in_words(said: str, parsed: URL) -> str:
    """What the server or the network said, and what to do; it never repeats the password."""
    reason = " ".join(said.split())
    if parsed.password:
        reason = reason.replace(str(parsed.password), "***")
    last = reason.rsplit("FATAL: ", 1)[-1].strip().rstrip(".")
    who, what = parsed.username or "this user", parsed.database
    if "password authentication failed" in reason or "no password supplied" in reason:
        return (
            f"the server refuses the password of {who}; correct it in the URL, in PGPASSWORD or "
            "in ~/.pgpass"
        )
    if "does not exist" in last and "database" in last:
        return f"the server has no database {what!r}; create it with: createdb {what}"
    if "does not exist" in last and "role" in last:
        return f"the server knows no user {who!r}; create it with: createuser {who}"
    if "pg_hba.conf" in reason:
        return f"the server lets {who} not in from here ({last}); see its pg_hba.conf"
    if any(each in reason for each in _NOBODY):
        host = parsed.query.get("host") or parsed.host or "this machine"
        why = next(each for each in _NOBODY if each in reason)
        return (
            f"no PostgreSQL server answers at {host}, port {parsed.port or 5432} ({why}); start "
            "it, or correct the address"
        )
    return f"cannot be opened: {last}"


_NOBODY = (
    "Connection refused",
    "No such file or directory",
    "timeout expired",
    "timed out",
    "could not translate host name",
    "failed to resolve host",
    "Name or service not known",
    "No route to host",
    "Network is unreachable",
    "the database system is starting up",
    "the database system is shutting down",
)
