"""Knobs of one crossbar, of its memory cells and of their drivers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from search_spaces.domains import Choice, IntRange


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossbarKnobs:
    """Size of one array; the defaults are ISAAC's [Shafiee2016], Table I.

    Attributes:
        wordlines: Input rows.
        bitlines: Output columns.
        ou_wordlines: Rows of an operation unit (OU), read at once; 0 is the whole array.

    [Shafiee2016] A. Shafiee et al., "ISAAC", ISCA 2016.
    """

    wordlines: Annotated[int, Choice(32, 64, 128, 256, 512)] = 128
    bitlines: Annotated[int, Choice(32, 64, 128, 256, 512)] = 128
    ou_wordlines: Annotated[int, IntRange(0, 512)] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CellKnobs:
    """The memory cell.

    Attributes:
        bits: Weight bits that one cell stores; ISAAC uses 2.
    """

    bits: Annotated[int, Choice(1, 2, 4)] = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class DacKnobs:
    """The drivers of the wordlines.

    Attributes:
        bits: Input bits that one read takes; 1 is bit-serial, as in ISAAC.
    """

    bits: Annotated[int, IntRange(1, 8)] = 1
