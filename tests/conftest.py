"""One torch thread, so that results repeat and tests share the cores fairly."""

from __future__ import annotations

from typing import Any

import hypothesis
import torch

from tests.postgresql import any_url, postgresql_server, postgresql_url

__all__ = ["any_url", "postgresql_server", "postgresql_url"]

torch.set_num_threads(1)


# The same commit gives the same result; `--hypothesis-profile explore` looks for new cases.
_BOUNDS: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [hypothesis.HealthCheck.too_slow],
}
hypothesis.settings.register_profile("explore", **_BOUNDS)
hypothesis.settings.register_profile("dse", derandomize=True, **_BOUNDS)
hypothesis.settings.load_profile("dse")
