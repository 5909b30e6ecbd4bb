"""`ray start` for several nodes of one machine that all listen on the loopback address only.

Ray puts every node of a cluster on the machine's outer address, unless it takes the machine for a
Mac (the environment variable below), where it refuses a second node. This lets it start.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any

os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"

from ray._private import services
from ray.scripts import scripts

_REGISTERS_WITHIN_S = 150.0


class _Constants:
    """Ray's constants, for the command alone: several nodes are allowed."""

    ENABLE_RAY_CLUSTER = True

    def __getattr__(self, name: str) -> Any:
        return getattr(_REAL, name)


def _patient_get_node(*arguments: Any, **named: Any) -> Any:
    """Ray waits 30 seconds for a node to register: too short on a busy machine."""
    deadline = time.monotonic() + _REGISTERS_WITHIN_S
    while True:
        try:
            return _GET_NODE(*arguments, **named)
        except RuntimeError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def _die_with(parent: int) -> None:
    """End all of the node when the program that started it was killed."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    threading.Thread(target=_die_with, args=(os.getppid(),), daemon=True).start()
    _GET_NODE = services.get_node
    services.get_node = _patient_get_node
    _REAL = scripts.ray_constants
    scripts.ray_constants = _Constants()
    scripts.main()
