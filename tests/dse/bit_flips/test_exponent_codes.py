"""Tables of codes against a search over all codes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dse.bit_flips.exponent_codes import allowed_codes, lowered_codes, nearest_codes
from dse.errors import StageError

RULES = st.sampled_from(["free", "window"])


def obeys(code: int, terms: int, rule: str) -> bool:
    places = [k for k in range(8) if code >> k & 1]
    if rule == "free":
        return len(places) <= terms
    return not places or places[-1] - places[0] < terms


@settings(max_examples=60, deadline=None)
@given(bits=st.integers(1, 8), terms=st.integers(1, 8), mask=st.integers(0, 255), rule=RULES)
def test_nearest_code_of_all_that_obey(bits: int, terms: int, mask: int, rule: str) -> None:
    forbidden = mask & ((1 << bits) - 1)
    candidates = [c for c in range(1 << bits) if obeys(c, terms, rule) and c & forbidden == 0]
    expected = [min(candidates, key=lambda c: (abs(c - a), c)) for a in range(1 << bits)]
    assert nearest_codes(bits, terms, forbidden, rule).tolist() == expected  # type: ignore[arg-type]


@settings(max_examples=40, deadline=None)
@given(terms=st.integers(1, 8), plane=st.integers(0, 7), mask=st.integers(0, 255), rule=RULES)
def test_lowered_code_is_the_largest_that_clears_the_plane(
    terms: int, plane: int, mask: int, rule: str
) -> None:
    table = lowered_codes(8, terms, plane, rule)[mask]  # type: ignore[arg-type]
    for code in range(256):
        if not obeys(code, terms, rule):
            continue
        if not code >> plane & 1:
            assert table[code] == code
            continue
        below = [
            c
            for c in range(code)
            if c >> plane == (code >> plane) - 1
            and obeys(c, terms, rule)
            and c & mask & ((1 << plane) - 1) == 0
        ]
        assert table[code] == max(below)


def test_known_codes() -> None:
    powers = nearest_codes(8, 1)
    assert [powers[a] for a in (3, 6, 12, 96, 97, 255)] == [2, 4, 8, 64, 128, 128]  # ties go down
    assert nearest_codes(8, 2)[255] == 192
    assert nearest_codes(8, 8).tolist() == list(range(256))
    assert nearest_codes(8, 2, 0b11111111).tolist() == [0] * 256
    window = nearest_codes(8, 2, rule="window")
    assert (window[9], nearest_codes(8, 2)[9]) == (8, 9)  # 1001 spans four places


@pytest.mark.parametrize("rule", ["free", "window"])
def test_nearest_codes_stay(rule: str) -> None:
    for terms in range(1, 9):
        table = nearest_codes(8, terms, 0, rule)  # type: ignore[arg-type]
        assert np.array_equal(table[table], table)
        assert np.array_equal(table == np.arange(256), allowed_codes(8, terms, rule))  # type: ignore[arg-type]


def test_tables_are_shared_and_read_only() -> None:
    with pytest.raises(ValueError, match="read-only"):
        nearest_codes(8, 2)[0] = 1


def test_bad_arguments() -> None:
    with pytest.raises(StageError, match="a magnitude has 1 to 8 bits, got 9"):
        nearest_codes(9, 2)
    with pytest.raises(StageError, match="at least 1 term, got 0"):
        nearest_codes(8, 0)
    with pytest.raises(StageError, match="mask of 0 to 15, got 16"):
        nearest_codes(4, 2, 16)
    with pytest.raises(StageError, match="one of free, window, got 'loose'"):
        nearest_codes(8, 2, 0, "loose")  # type: ignore[arg-type]
