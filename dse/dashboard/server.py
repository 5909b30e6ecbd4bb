"""open_server(): the dashboard on an address of this machine."""

from __future__ import annotations

import ipaddress
import socket
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from dse.dashboard.app import DashboardApp
from dse.dashboard.feed import MANY
from dse.database import Database
from dse.errors import LaunchError

_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 # as the base class names it
        """A line for each request is of no use."""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def open_server(database: Database, *, host: str, port: int, last: int = MANY) -> WSGIServer:
    """Listen; `serve_forever` answers.

    Args:
        database: Open.
        host: Address of this machine.
        port: 0 takes a free one.
        last: How many trials of a study a page gets.

    Raises:
        LaunchError: The address cannot be had.
    """
    hosts = _LOCAL_NAMES | {host.lower(), f"[{host.lower()}]"} if is_loopback(host) else None
    app = DashboardApp(database, last=last, hosts=hosts)
    kind = _Server6 if ":" in host else _Server
    try:
        return make_server(host, port, app, server_class=kind, handler_class=_Quiet)
    except OSError as error:
        raise LaunchError(
            f"cannot listen on {host}, port {port}: {error.strerror or error}; choose another one "
            "with --port (0 takes any that is free), or an address of this machine with --host"
        ) from None
