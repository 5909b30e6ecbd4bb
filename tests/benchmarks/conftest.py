"""Benchmarks are scripts: what they import lies beside them."""

from __future__ import annotations

import sys
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "benchmarks"

if str(FOLDER) not in sys.path:
    sys.path.append(str(FOLDER))
