"""The file of an SQLite database, checked before it is used; no SQLAlchemy, no Optuna."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from dse.errors import StorageError

DEFAULT_URL = "sqlite:///dse.db"
_OPENING_TIMEOUT_S = 5.0


def sqlite_file(name: str | None, shown: str) -> Path:
    """The file that a URL names.

    Args:
        name: What follows `sqlite:///`.
        shown: The URL, for messages.

    Raises:
        StorageError: It names no file.
    """
    if not name or name == ":memory:":
        raise StorageError(f"{shown}: a study outlives its run; give a file: {DEFAULT_URL}")
    if name.startswith("file:"):
        raise StorageError(f"{shown}: give the path of the file itself: {DEFAULT_URL}")
    return Path(name).expanduser().resolve()


def file_identity(file: Path) -> tuple[int, int] | None:
    """What tells a file from another one of its name; None if there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def probe(file: Path, shown: str, *, write: bool) -> None:
    """Open and close the file, to learn now what is wrong with it.

    Raises:
        StorageError: It cannot be opened, read or written.
    """
    if not file.exists():
        if not write:
            raise StorageError(
                f"{shown}: there is no such database. Run a study first, or say where it is with "
                "--storage or DSE_STORAGE."
            )
        if not file.parent.is_dir():
            raise StorageError(f"{shown}: the folder {file.parent} does not exist; create it")
        if not os.access(file.parent, os.W_OK):
            raise StorageError(f"{shown}: the folder {file.parent} cannot be written")
    elif not file.is_file():
        raise StorageError(f"{shown}: expected a file, found a folder or device at {file}")
    elif write and not (file.stat().st_mode & 0o222 and os.access(file, os.W_OK)):
        raise StorageError(
            f"{shown}: the database is read-only; allow writing (chmod u+w {file.name}) or give "
            "another with --storage"
        )
    try:
        connection = sqlite3.connect(
            file if write else f"file:{file}?mode=ro",
            timeout=_OPENING_TIMEOUT_S,
            uri=not write,
            isolation_level=None,
        )
        try:
            if write:
                # Write-ahead log: readers and the driver do not wait for one another. The mode
                # stays in the file.
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")
            else:
                connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        finally:
            connection.close()
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise StorageError(
                f"{shown}: another program holds the database locked; wait until it is done, or "
                "close it"
            ) from error
        if "readonly" in str(error):
            raise StorageError(
                f"{shown}: the database is read-only; give another with --storage"
            ) from error
        raise StorageError(f"{shown}: cannot be opened: {error}") from error
    except sqlite3.DatabaseError as error:
        raise StorageError(
            f"{shown}: {file.name} is not a usable SQLite database ({error}); give another with "
            "--storage"
        ) from error
