"""Compiled inner loops of `adc_range`: what converters lose of column sums, by step.

numba ships no types; what is compiled here is called only by `adc_range.py`.
"""

from __future__ import annotations

from typing import Any

from numba import njit


@njit(nogil=True, cache=True)
def count_sums(sums: Any, worth: Any, often: Any) -> None:
    """often[d, sums[n, d, m]] += worth[n].

    Args:
        sums: float32 (N, D, M) column sums, whole numbers.
        worth: float64 (N,) of a column.
        often: float64 (D, values) what is added to.
    """
    for n in range(sums.shape[0]):
        for d in range(sums.shape[1]):
            for m in range(sums.shape[2]):
                often[d, int(sums[n, d, m])] += worth[n]


@njit(nogil=True, cache=True)
def add_losses(sums: Any, factors: Any, scales: Any, lost: Any, errors: Any) -> None:
    """errors[n, m, k] += factors[n] * sum over d of scales[d] * lost[sums[n, d, m], k].

    Args:
        sums: float32 (N, D, M) column sums, whole numbers; (1, D, M) if all columns are one.
        factors: float64 (N,) what a unit of column sum is worth.
        scales: float64 (D,) of the input digits.
        lost: float64 (values, steps) what the converter takes off a sum.
        errors: float64 (N, M, steps) what is added to.
    """
    steps = lost.shape[1]
    for n in range(factors.shape[0]):
        column = n if sums.shape[0] > 1 else 0
        if factors[n] == 0.0:
            continue
        for m in range(sums.shape[2]):
            for d in range(sums.shape[1]):
                value = int(sums[column, d, m])
                factor = factors[n] * scales[d]
                for k in range(steps):
                    errors[n, m, k] += factor * lost[value, k]
