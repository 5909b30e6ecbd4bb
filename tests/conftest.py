"""One torch thread, so that results repeat and tests share the cores fairly."""

from __future__ import annotations

import hypothesis
import torch

from tests.postgresql import any_url, postgresql_server, postgresql_url

__all__ = ["any_url", "postgresql_server", "postgresql_url"]

torch.set_num_threads(1)


hypothesis.settings.register_profile(
    "dse", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("dse")
