"""Ports for servers that are told their port before they bind it."""

from __future__ import annotations

import secrets
import socket

_FIRST, _LAST = 20_000, 31_999
"""Above those of Ray's workers and below those that systems give to outgoing connections: neither
takes one meanwhile."""


def free_port() -> int:
    """A port of the loopback address on which nobody listens; no two callers choose alike.

    Raises:
        RuntimeError: All that were tried are taken.
    """
    for _ in range(100):
        port = _FIRST + secrets.randbelow(_LAST - _FIRST + 1)
        with socket.socket() as free:
            try:
                free.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no free port from {_FIRST} to {_LAST}")
