"""Knobs of one crossbar and of its memory cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from search_spaces.domains import Choice


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossbarKnobs:
    """Size of one array; the defaults are ISAAC's [Shafiee2016], Table I.

    Attributes:
        wordlines: Input rows.
        bitlines: Output columns.

    [Shafiee2016] A. Shafiee et al., "ISAAC", ISCA 2016.
    """

    wordlines: Annotated[int, Choice(32, 64, 128, 256, 512)] = 128
    bitlines: Annotated[int, Choice(32, 64, 128, 256, 512)] = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class CellKnobs:
    """The memory cell.

    Attributes:
        bits: Weight bits that one cell stores; ISAAC uses 2.
    """

    bits: Annotated[int, Choice(1, 2, 4)] = 2
