"""The compiled loop of `table_gradient`; importing it loads numba."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def add_from_table(gradient: Any, table: Any, signed: Any) -> None:
    """`gradient[i] += table[signed[i] + limit]` over flat arrays."""
    limit = np.int32((table.size - 1) // 2)
    for i in range(gradient.size):
        gradient[i] += table[np.int32(signed[i]) + limit]
