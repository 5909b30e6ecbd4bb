"""serve(): listen, answer, and end cleanly; runs that were started go on."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy
import uvicorn

from dse.database import open_database
from dse.errors import LaunchError, SpecError
from dse.serving.app import make_app
from dse.serving.hosts import AllowedHosts, is_loopback
from dse.serving.runs import ProcessLauncher
from dse.serving.settings import ServeSettings
from dse.sqlite_file import sqlite_file

TOKEN = "DSE_TOKEN"  # noqa: S105  (the name of a variable)
SHORTEST_TOKEN = 16
_LAST_ANSWERS_S = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """How a server is asked to listen.

    Attributes:
        host: Address or name of this machine.
        port: 0 takes a free one.
        names: Further names that it is called by.
        token_file: Holds the token; `DSE_TOKEN` otherwise.
    """

    host: str
    port: int
    names: tuple[str, ...] = ()
    token_file: Path | None = None

    @property
    def is_reached_from_elsewhere(self) -> bool:
        """Whether other machines may reach it: straight, or through a proxy that has its name."""
        return bool(self.names) or not is_loopback(self.host)


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """What a server is allowed to do.

    Attributes:
        code: See `ServeSettings.allow_code`.
        data_root: See `ServeSettings.data_root`.
        runs: See `ServeSettings.max_runs`.
        create: Whether a database that does not exist is made.
    """

    code: bool = False
    data_root: Path | None = None
    runs: int = 4
    create: bool = False


def serve(
    storage: str, listening: Listening, allowed: Allowed, tell: Callable[[str], None]
) -> None:
    """Serve until Ctrl-C or SIGTERM.

    Args:
        storage: URL of the database.
        listening: Where.
        allowed: What it may do.
        tell: Prints a line.

    Raises:
        StorageError: The database cannot be opened.
        SpecError: A token or folder cannot be used.
        LaunchError: The address cannot be listened at.
    """
    token = _token(listening)
    root = _data_root(allowed.data_root)
    if allowed.create:
        open_database(storage, write=True).storage.engine.dispose()
    database = open_database(storage, write=False)
    with _listen(listening) as sock:
        port = sock.getsockname()[1]
        made = token is None and listening.is_reached_from_elsewhere
        if made:
            token = secrets.token_urlsafe(32)
        settings = ServeSettings(
            storage=_absolute(storage),
            shown=database.url,
            home=database.home,
            hosts=AllowedHosts.of(listening.host, listening.names),
            token=token,
            allow_code=allowed.code,
            data_root=root,
            max_runs=allowed.runs,
            cookie=f"dse_session_{port}",
        )
        launcher = ProcessLauncher(settings.storage, settings.home, most=settings.max_runs)
        app = make_app(settings, database, launcher)
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=_LAST_ANSWERS_S,
            )
        )
        tell(f"Serving {database.url} at http://{_shown_host(listening.host)}:{port}/")
        if made:
            tell(f"Token: {token}")
        elif token is None:
            tell("No token: everybody on this machine may use it. --token-file FILE asks for one.")
        tell("Ctrl-C ends the server; studies that run go on.")
        try:
            server.run(sockets=[sock])
        except KeyboardInterrupt:
            tell("Ended.")


def _token(listening: Listening) -> str | None:
    file = listening.token_file
    if file is None:
        token, where = os.environ.get(TOKEN, "").strip() or None, TOKEN
    else:
        where = f"--token-file {file}"
        try:
            token = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            raise SpecError(f"{where}: cannot be read: {reason}") from None
    if token is not None and (len(token) < SHORTEST_TOKEN or not token.isascii() or " " in token):
        raise SpecError(
            f"{where}: a token has at least {SHORTEST_TOKEN} characters without blanks, got "
            f'{len(token)}. Make one: python -c "import secrets; print(secrets.token_urlsafe(32))"'
        )
    return token


def _data_root(folder: Path | None) -> Path | None:
    if folder is None:
        return None
    root = folder.expanduser().resolve()
    if not root.is_dir():
        raise SpecError(f"--data-root {folder}: is a folder, which this is not")
    return root


def _listen(listening: Listening) -> socket.socket:
    where = f"--host {listening.host} --port {listening.port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            listening.host, listening.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise LaunchError(f"{where}: is no address of this machine: {error}") from None
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(128)
    except OSError as error:
        sock.close()
        raise LaunchError(
            f"{where}: cannot be listened at ({error.strerror}); give another --port, or 0 for a "
            "free one"
        ) from None
    return sock


def _absolute(storage: str) -> str:
    """A URL that means the same in every folder."""
    url = sqlalchemy.engine.make_url(storage)
    if url.get_backend_name() == "sqlite":
        url = url.set(database=str(sqlite_file(url.database, storage)))
    return url.render_as_string(hide_password=False)


def _shown_host(host: str) -> str:
    if host in ("0.0.0.0", "::"):  # noqa: S104  (everywhere: a browser needs a name)
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host
