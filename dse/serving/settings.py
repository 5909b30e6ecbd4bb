"""ServeSettings: what a server was started with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dse.serving.hosts import AllowedHosts

MAX_BODY_BYTES = 256 * 1024
"""A request with more is refused: a study file is a few hundred lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeSettings:
    """What a server may do, and for whom.

    Attributes:
        storage: URL of the database, absolute; it may hold a password.
        shown: The same without the password.
        home: Folder of reports, stage results, and what the server starts.
        hosts: Names that a browser may call the server by.
        token: What a client must know; None asks nothing, on the loopback address.
        allow_code: Whether study files that come through the page may name `module:attribute`,
            and whatever else leads to code or to another machine.
        data_root: Below it their checkpoints and data folders may lie; None for nowhere.
        max_runs: So many runs of this server at the same time.
        cookie: Name of the session's cookie; cookies of a host do not know ports.
    """

    storage: str
    shown: str
    home: Path
    hosts: AllowedHosts
    token: str | None = None
    allow_code: bool = False
    data_root: Path | None = None
    max_runs: int = 4
    cookie: str = "dse_session"
