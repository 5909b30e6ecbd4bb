"""Connecting to Ray, and how many evaluations its nodes have room for."""

from __future__ import annotations

import logging
import socket
from collections.abc import Mapping
from typing import Any

import ray

from dse.errors import LaunchError

_REACH_S = 5.0
"""So long may a cluster take to answer."""


def connect(address: str | None, *, cpus: int, gpus: int) -> None:
    """Connect to a cluster, or start Ray here, on the loopback address only.

    A cluster with token authentication takes the token from `RAY_AUTH_TOKEN` or
    `RAY_AUTH_TOKEN_PATH`, where `RAY_AUTH_MODE=token`.

    Args:
        address: Of the cluster; None starts Ray here.
        cpus: Of a Ray that is started here.
        gpus: Likewise.

    Raises:
        LaunchError: Ray cannot be started or reached.
    """
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        if address is not None:
            _probe(address)
            ray.init(address=address, **quiet)
            return
        ray.init(address="local", num_cpus=cpus, num_gpus=gpus, include_dashboard=False, **quiet)
    except (ConnectionError, RuntimeError, ValueError, OSError, TimeoutError) as error:
        where = f"the Ray cluster at {address}" if address else "a local Ray"
        raise LaunchError(f"cannot start or reach {where}: {brief(error)}") from error


def _probe(address: str) -> None:
    """Ask whether anything answers there: Ray itself would wait for minutes."""
    if address == "auto":
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise LaunchError(
            f"launch.address is 'auto', HOST:PORT or ray://HOST:PORT, got {address!r}"
        )
    with socket.create_connection((host, int(port)), timeout=_REACH_S):
        pass


def room_for(needs: Mapping[str, float]) -> int:
    """How many evaluations fit on the nodes that are there now, one node at a time.

    Args:
        needs: Of one evaluation, by Ray's names of resources.
    """
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return sum(
        min(int(node["Resources"].get(name, 0.0) / need + 1e-9) for name, need in needs.items())
        for node in nodes
        if node["Alive"]
    )


def any_node_lives() -> bool:
    """Whether the cluster still has a node."""
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return any(node["Alive"] for node in nodes)


def brief(error: BaseException) -> str:
    """Kind and first line of an error."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"
