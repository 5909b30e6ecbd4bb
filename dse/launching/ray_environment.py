"""What Ray must find in the environment before it is imported."""

from __future__ import annotations

import os


def prepare_ray(*, local: bool) -> None:
    """Set Ray's environment; variables that a user has set stay.

    Args:
        local: Ray will be started here: on the loopback address only. Ray has no option for it
            but this variable, which makes every platform behave as its macOS build does.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no calls home
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # no word about no GPU
    os.environ.setdefault("RAY_COLOR_PREFIX", "0")
    if local:
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
