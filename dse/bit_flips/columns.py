"""Codes of one column block: empty whole bit planes of a column, then cap its ones.

A block is the magnitudes of one sign in one tile: R wordlines by N columns, zero where a weight
has the other sign. Every function treats all columns of a block at once.

[Liu2021] F. Liu et al., "Bit-Transformer: Transforming Bit-level Sparsity into Higher Performance
    in ReRAM-based Accelerator", ICCAD 2021. Its abstract names both steps; how they choose what
    to flip is not public and is ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dse.bit_flips.exponent_codes import Rule, code_tables, lowered_codes


@dataclass(frozen=True, slots=True, kw_only=True)
class FlipRule:
    """What the codes of a column must look like afterwards.

    Attributes:
        bits: Bits of a magnitude.
        terms: S, the most set bits of a code.
        tau: Share of the column's sum of squares that emptying may add as squared error.
        cap: P, the most ones in a plane of the column; None is any number.
        rule: Which codes of S terms are allowed.
    """

    bits: int = 8
    terms: int = 2
    tau: float = 0.1
    cap: int | None = None
    rule: Rule = "free"


def flip_block(
    magnitudes: NDArray[np.uint8],
    rule: FlipRule,
    *,
    forbidden: NDArray[np.uint8] | None = None,
    importance: NDArray[np.float64] | None = None,
) -> NDArray[np.uint8]:
    """New codes of a block: exponent quantisation, emptying, cap.

    Args:
        magnitudes: Codes before.
        rule: What is asked for.
        forbidden: Mask of planes that a weight must not use; None is none.
        importance: What a squared error on a wordline counts; None is 1 everywhere.

    Shapes:
        magnitudes, forbidden, returns: (R, N).
        importance: (R,).
    """
    emptied = empty_planes(magnitudes, rule, forbidden=forbidden, importance=importance)
    closed = emptied if forbidden is None else emptied | forbidden
    tables = code_tables(rule.bits, rule.terms, rule.rule)
    codes: NDArray[np.uint8] = tables[closed, magnitudes]
    if rule.cap is None:
        return codes
    return cap_ones(magnitudes, codes, rule, forbidden=closed, importance=importance)


def empty_planes(
    magnitudes: NDArray[np.uint8],
    rule: FlipRule,
    *,
    forbidden: NDArray[np.uint8] | None = None,
    importance: NDArray[np.float64] | None = None,
) -> NDArray[np.uint8]:
    """Mask of the planes that each column gives up.

    Greedy: the plane whose loss leaves the smallest squared error goes first (the more significant
    one on a tie), every weight moving to the nearest code without it, as long as

        sum_i c_i (Q(A_i) - A_i)**2  -  the same without emptying  <=  tau * sum_i c_i A_i**2

    The error of a column under a mask is a product of its histogram of magnitudes and a table.

    Shapes:
        magnitudes, forbidden: (R, N).
        importance: (R,).
        returns: (N,), as wide as a magnitude.
    """
    size = 1 << rule.bits
    columns = magnitudes.shape[1]
    codes = np.arange(size)
    tables = code_tables(rule.bits, rule.terms, rule.rule)
    squared = (tables.astype(np.float64) - codes) ** 2  # (masks, magnitudes)
    energy = np.zeros(columns)
    errors = np.zeros((columns, size))
    masks = np.unique(forbidden) if forbidden is not None else np.zeros(1, dtype=np.uint8)
    for mask in masks.tolist():
        chosen = None if forbidden is None else forbidden == mask
        histogram = _histograms(magnitudes, size, chosen=chosen, importance=importance)
        energy += histogram @ (codes.astype(np.float64) ** 2)
        errors += histogram @ squared[codes | mask].T
    budget = errors[:, 0] + rule.tau * energy

    emptied = np.zeros(columns, dtype=np.int64)
    planes = 1 << np.arange(rule.bits - 1, -1, -1)
    active = np.arange(columns)
    while active.size:
        held = emptied[active, np.newaxis]
        after = errors[active[:, np.newaxis], held | planes]
        after[held & planes > 0] = np.inf
        best = after.argmin(axis=1)
        fits = after[np.arange(active.size), best] <= budget[active]
        active = active[fits]
        emptied[active] |= planes[best[fits]]
    return emptied.astype(np.uint8)


def cap_ones(
    magnitudes: NDArray[np.uint8],
    codes: NDArray[np.uint8],
    rule: FlipRule,
    *,
    forbidden: NDArray[np.uint8] | None = None,
    importance: NDArray[np.float64] | None = None,
) -> NDArray[np.uint8]:
    """Codes with at most `rule.cap` ones in every plane of a column.

    From the most significant plane down: where a plane has too many ones, the weights whose
    squared error grows least give theirs up and move to the largest code below that keeps the
    planes above; the first wordline wins a tie. Lower planes may fill up, and come later.

    Args:
        magnitudes: Codes that errors are taken to.
        codes: Codes to start from, at most `rule.terms` set bits each.
        rule: Its cap is not None.
        forbidden: Mask of planes that a weight must not use, (R, N) or (N,).
        importance: What a squared error on a wordline counts; None is 1 everywhere.

    Shapes:
        magnitudes, codes, returns: (R, N).
        importance: (R,).
    """
    assert rule.cap is not None
    result = codes.copy()
    closed = np.zeros(1, dtype=np.uint8) if forbidden is None else forbidden
    masks = np.broadcast_to(closed, codes.shape)
    for plane in range(rule.bits - 1, -1, -1):
        ones = (result >> plane & 1).astype(np.bool_)
        excess = ones.sum(axis=0) - rule.cap
        full = np.flatnonzero(excess > 0)
        if not full.size:
            continue
        old, target = result[:, full], magnitudes[:, full].astype(np.float64)
        new = lowered_codes(rule.bits, rule.terms, plane, rule.rule)[masks[:, full], old]
        growth = (new - target) ** 2 - (old - target) ** 2
        if importance is not None:
            growth *= importance[:, np.newaxis]
        growth[~ones[:, full]] = np.inf
        order = growth.argsort(axis=0, kind="stable")
        rank = np.empty_like(order)
        np.put_along_axis(rank, order, np.arange(len(order))[:, np.newaxis], axis=0)
        result[:, full] = np.where(rank < excess[full], new, old)
    return result


def _histograms(
    magnitudes: NDArray[np.uint8],
    size: int,
    *,
    chosen: NDArray[np.bool_] | None,
    importance: NDArray[np.float64] | None,
) -> NDArray[np.float64]:
    """Importance of the chosen weights of every column by magnitude, (N, size)."""
    rows, columns = np.nonzero(magnitudes if chosen is None else magnitudes * chosen)
    index = columns * size + magnitudes[rows, columns]
    weights = None if importance is None else importance[rows]
    counts = np.bincount(index, weights=weights, minlength=size * magnitudes.shape[1])
    return counts.reshape(-1, size).astype(np.float64)
