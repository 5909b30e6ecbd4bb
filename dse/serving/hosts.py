"""AllowedHosts: names that a browser may call the server by."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedHosts:
    """Names by which requests may come.

    A site of somebody else whose name is made to lead to this machine (DNS rebinding) comes by
    its own name, and is refused. Ports are not compared: a tunnel may end at another one.

    Attributes:
        names: Lower case, without ports.
        any_address: Whether every IP address counts, too; such a name cannot be made to lead
            elsewhere.
    """

    names: frozenset[str] = LOOPBACK
    any_address: bool = False

    @classmethod
    def of(cls, host: str, also: tuple[str, ...] = ()) -> AllowedHosts:
        """Those of a server that listens at an address.

        Args:
            host: The address.
            also: Further names, such as that of a proxy.
        """
        names = {*LOOPBACK, *(name.lower() for name in also)}
        if is_loopback(host):
            return cls(names=frozenset(names))
        names |= {host.lower(), socket.gethostname().lower(), socket.getfqdn().lower()}
        return cls(names=frozenset(names), any_address=True)

    def allow(self, header: str) -> bool:
        """Whether a request's `Host` is one of them."""
        name = _name_of(f"//{header}")
        return name in self.names or (self.any_address and _is_address(name))

    def is_own(self, origin: str, host: str) -> bool:
        """Whether a page of this origin came from the server that is called by `host`."""
        scheme, _, place = origin.partition("://")
        return scheme in ("http", "https") and place.lower() == host.lower() and self.allow(host)


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone."""
    if host.lower() in LOOPBACK:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _name_of(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower()
    except ValueError:
        return ""
