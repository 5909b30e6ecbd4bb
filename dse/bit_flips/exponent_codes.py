"""Tables of magnitude codes with few set bits, some bit planes forbidden.

Exponent quantisation of [Liu2021] writes a magnitude as a sum of at most S powers of two; the
window rule is that of [SME], whose set bits are consecutive places from the leading one on. A
mask names bit planes: bit k of the mask is plane k, worth 2**k.

[Liu2021] F. Liu et al., "Bit-Transformer: Transforming Bit-level Sparsity into Higher Performance
    in ReRAM-based Accelerator", ICCAD 2021.
[SME] F. Liu et al., "SME: ReRAM-based Sparse-Multiplication-Engine to Squeeze-Out Bit Sparsity of
    Neural Network", arXiv 2103.01705, 2021.
"""

from __future__ import annotations

from functools import cache
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from dse.errors import StageError

MAX_BITS = 8

Rule = Literal["free", "window"]
"""`free`: any S set bits. `window`: set bits lie in S places that start at the leading one."""


def allowed_codes(bits: int, terms: int, rule: Rule = "free") -> NDArray[np.bool_]:
    """Whether a code obeys the rule, for every code of `bits` bits; no plane is forbidden.

    Args:
        bits: Bits of a magnitude, 1 to 8.
        terms: S; `bits` or more allows every code.
        rule: Which codes of S terms are allowed.

    Shapes:
        returns: (2**bits,).

    Raises:
        StageError: An argument is out of its range.
    """
    _check(bits, terms, rule)
    codes = np.arange(1 << bits)
    set_bits = codes[:, np.newaxis] >> np.arange(bits) & 1
    if rule == "free":
        few: NDArray[np.bool_] = set_bits.sum(axis=1) <= terms
        return few
    highest = np.where(codes > 0, (set_bits * np.arange(bits)).max(axis=1), 0)
    lowest = np.where(codes > 0, set_bits.argmax(axis=1), 0)
    within: NDArray[np.bool_] = highest - lowest < terms
    return within


def nearest_codes(
    bits: int, terms: int, forbidden: int = 0, rule: Rule = "free"
) -> NDArray[np.uint8]:
    """For every magnitude the nearest code that obeys the rule and avoids the forbidden planes.

    Ties go to the smaller code. Code 0 is always allowed.

    Args:
        bits: Bits of a magnitude, 1 to 8.
        terms: S, the most set bits; 8 is off.
        forbidden: Mask of planes that must be empty.
        rule: Which codes of S terms are allowed.

    Shapes:
        returns: (2**bits,), read-only, shared between calls.

    Raises:
        StageError: An argument is out of its range.
    """
    _check(bits, terms, rule)
    if not 0 <= forbidden < 1 << bits:
        raise StageError(
            f"forbidden planes of {bits}-bit codes are a mask of 0 to {(1 << bits) - 1}, got "
            f"{forbidden}. Bit k of the mask is plane k"
        )
    table: NDArray[np.uint8] = code_tables(bits, terms, rule)[forbidden]
    return table


@cache
def code_tables(bits: int, terms: int, rule: Rule = "free") -> NDArray[np.uint8]:
    """`nearest_codes` for every mask of forbidden planes.

    Shapes:
        returns: (2**bits masks, 2**bits magnitudes), read-only, shared between calls.
    """
    obeys = allowed_codes(bits, terms, rule)
    codes = np.arange(1 << bits)
    tables = np.empty((1 << bits, 1 << bits), dtype=np.uint8)
    for mask in codes:
        allowed = codes[obeys & (codes & mask == 0)]
        above = np.searchsorted(allowed, codes).clip(max=allowed.size - 1)
        below = np.maximum(above - 1, 0)
        nearer_below = codes - allowed[below] <= np.abs(allowed[above] - codes)
        exact = allowed[above] == codes
        tables[mask] = np.where(nearer_below & ~exact, allowed[below], allowed[above])
    tables.setflags(write=False)
    return tables


@cache
def lowered_codes(bits: int, terms: int, plane: int, rule: Rule = "free") -> NDArray[np.uint8]:
    """For every code the largest one with `plane` clear and the planes above it as they are.

    It obeys the rule and avoids the forbidden planes below `plane`. A code whose bit is set only
    ever becomes smaller, so this is also the nearest such code; one whose bit is clear is kept.

    Args:
        bits: Bits of a magnitude, 1 to 8.
        terms: S, the most set bits.
        plane: Plane to clear, 0 to bits - 1.
        rule: Which codes of S terms are allowed.

    Shapes:
        returns: (2**bits masks of forbidden planes, 2**bits codes), read-only, shared.
    """
    obeys = allowed_codes(bits, terms, rule)
    codes = np.arange(1 << bits)
    low = (1 << plane) - 1
    lower = np.arange(low + 1)
    above = codes & ~(2 * low + 1)
    tables = np.empty((1 << bits, 1 << bits), dtype=np.uint8)
    for mask in codes:
        free = lower & mask == 0
        fits = obeys[above[:, np.newaxis] | lower] & free
        tables[mask] = np.where(codes >> plane & 1, above + (fits * lower).max(axis=1), codes)
    tables.setflags(write=False)
    return tables


def _check(bits: int, terms: int, rule: str) -> None:
    if not 1 <= bits <= MAX_BITS:
        raise StageError(f"a magnitude has 1 to {MAX_BITS} bits, got {bits}. Quantise to fewer")
    if terms < 1:
        raise StageError(
            f"a code has at least 1 term, got {terms}. Use {MAX_BITS} to allow every code"
        )
    if rule not in get_args(Rule):
        raise StageError(
            f"the rule of set bits is one of {', '.join(get_args(Rule))}, got {rule!r}. Choose one"
        )
