"""One step of a particle swarm by the backend of pyswarms, without its side effects."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_lock = threading.Lock()
"""pyswarms draws from NumPy's global generator: one thread at a time."""


def step(
    positions: Array,
    velocities: Array,
    *,
    own_bests: Array,
    leaders: Array,
    inertia: Array,
    c1: Array,
    c2: Array,
    clamp: float | None,
    seed: int,
) -> tuple[Array, Array]:
    """Velocities and positions after one step in the unit box [KE1995].

        v <- inertia v + c1 r1 (own best - x) + c2 r2 (leader - x);    x <- clip(x + v)

    The global generator of NumPy is left as it was.

    Shapes:
        positions, velocities, own_bests, leaders: `(particles, width)`.
        inertia, c1, c2: `(particles, 1)`.
        output: positions and velocities, `(particles, width)` both.

    Args:
        clamp: Largest speed along an axis; None for no limit.
        seed: Of r1 and r2.

    [KE1995] J. Kennedy, R. Eberhart, "Particle swarm optimization", ICNN 1995; the coefficients
        per particle are ours.
    """
    with _lock:
        make_swarm, velocity_of, position_of = _backend()
        state = np.random.get_state()  # noqa: NPY002 - the generator that pyswarms draws from
        try:
            np.random.seed(seed)  # noqa: NPY002
            swarm = make_swarm(
                position=positions,
                velocity=velocities,
                pbest_pos=own_bests,
                best_pos=leaders,
                options={"w": inertia, "c1": c1, "c2": c2},
            )
            swarm.velocity = velocity_of(swarm, None if clamp is None else (-clamp, clamp))
        finally:
            np.random.set_state(state)  # noqa: NPY002
        width = positions.shape[1]
        moved: Array = position_of(swarm, (np.zeros(width), np.ones(width)))
        return moved, swarm.velocity


@functools.cache
def _backend() -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
    """The backend, loaded once.

    On import and in every handler, pyswarms 1.3.0 sets handlers of the root logger and opens
    `report.log` in the working folder; that call is held off meanwhile.
    """
    with mock.patch("logging.config.dictConfig"):
        from pyswarms.backend import operators
        from pyswarms.backend.handlers import BoundaryHandler, VelocityHandler
        from pyswarms.backend.swarms import Swarm

        velocities = VelocityHandler(strategy="unmodified")
        bounds = BoundaryHandler(strategy="nearest")
    return (
        Swarm,
        functools.partial(operators.compute_velocity, vh=velocities),
        functools.partial(operators.compute_position, bh=bounds),
    )
