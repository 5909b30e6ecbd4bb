from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dse.quantizers.exponent import EXPONENT, nearest_codes
from dse.quantizers.fixed_point import FIXED_POINT
from dse.quantizers.quantizer import codes
from search_spaces.quantizer import ExponentKnobs, FixedPointKnobs


@given(st.integers(2, 8), st.integers(1, 8), st.sampled_from(["free", "window"]))
def test_the_nearest_allowed_code_and_the_smaller_of_two(bits: int, terms: int, rule: str) -> None:
    def allowed(code: int) -> bool:
        if rule == "free":
            return bin(code).count("1") <= terms
        return len(bin(code)[2:].strip("0")) <= terms

    table = nearest_codes(bits, terms, rule).tolist()  # type: ignore[arg-type]
    for code, found in enumerate(table):
        assert allowed(found)
        distance = min(abs(code - other) for other in range(2**bits) if allowed(other))
        assert abs(code - found) == distance
        assert found <= code or not allowed(code - distance)


def test_one_term_is_powers_of_two_and_all_terms_are_off() -> None:
    assert nearest_codes(4, 1, "free").tolist() == [0, 1, 2, 2, 4, 4, 4, 8, 8, 8, 8, 8, 8, 8, 8, 8]
    assert nearest_codes(8, 8, "window").tolist() == list(range(256))


def test_a_window_is_tighter_than_free_terms() -> None:
    assert nearest_codes(8, 2, "free")[0b1000_0001] == 0b1000_0001
    assert nearest_codes(8, 2, "window")[0b1000_0001] == 0b1000_0000


@pytest.mark.parametrize("terms", [1, 2, 3])
def test_weights_take_the_nearest_code_of_their_fixed_point_code(terms: int) -> None:
    weights = torch.randn(300, generator=torch.Generator().manual_seed(0))
    uniform = codes(weights, FIXED_POINT, FixedPointKnobs())
    found = codes(weights, EXPONENT, ExponentKnobs(terms=terms))
    table = nearest_codes(8, terms, "free")
    assert torch.equal(found.magnitudes.long(), table[uniform.magnitudes.long()])
    assert found.step == uniform.step
