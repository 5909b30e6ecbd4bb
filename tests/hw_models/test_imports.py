"""Pricing and sweeping need numpy and nothing heavy."""

from __future__ import annotations

import subprocess
import sys

PRICING = "hw_models.estimation.estimate", "hw_models.sweep.sweep", "hw_models.published.rows"
HEAVY = "torch", "optuna", "ray", "yaml", "numba", "pydantic"


def test_the_cost_side_loads_no_torch_and_no_other_heavy_package() -> None:
    code = (
        "import importlib, sys\n"
        f"for name in {PRICING!r}: importlib.import_module(name)\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"
