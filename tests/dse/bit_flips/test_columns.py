"""Laws of emptying and capping, and a search over all codes on tiny columns."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from dse.bit_flips.columns import FlipRule, cap_ones, empty_planes, flip_block
from dse.bit_flips.exponent_codes import code_tables, nearest_codes
from hw_models.crossbar import lossless_bits

RULES = st.builds(
    FlipRule,
    bits=st.integers(2, 8),
    terms=st.integers(1, 8),
    tau=st.sampled_from([0.0, 0.003, 0.03, 0.1, 0.3]),
    cap=st.sampled_from([None, 1, 3, 7]),
    rule=st.sampled_from(["free", "window"]),
)
SEEDS = st.integers(0, 2**32 - 1)


def block(seed: int, rule: FlipRule) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Codes with many zeros, and masks of forbidden planes of three kinds."""
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(1, 20)), int(rng.integers(1, 8)))
    largest = (1 << rule.bits) - 1
    codes = np.minimum(np.abs(rng.laplace(0, 0.2 * largest, shape)), largest).astype(np.uint8)
    codes[rng.random(shape) < 0.3] = 0
    kinds = np.array([0, largest, rng.integers(0, largest + 1)], dtype=np.uint8)
    return codes, kinds[rng.integers(0, 3, shape)]


def planes_of(codes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Ones of every plane of every column, (8, N)."""
    return (codes[np.newaxis] >> np.arange(8).reshape(8, 1, 1) & 1).sum(axis=1)


@settings(max_examples=80, deadline=None)
@given(seed=SEEDS, rule=RULES, forbid=st.booleans(), weigh=st.booleans())
def test_what_every_flipped_block_obeys(
    seed: int, rule: FlipRule, forbid: bool, weigh: bool
) -> None:
    magnitudes, masks = block(seed, rule)
    importance = np.random.default_rng(seed).random(len(magnitudes)) if weigh else None
    forbidden = masks if forbid else None
    emptied = empty_planes(magnitudes, rule, forbidden=forbidden, importance=importance)
    codes = flip_block(magnitudes, rule, forbidden=forbidden, importance=importance)

    set_bits = planes_of(codes.reshape(1, -1)).sum(axis=0)
    assert set_bits.max() <= rule.terms
    assert not (codes & emptied).any()
    if forbid:
        assert not (codes & masks).any()
    if rule.cap is not None:
        ones = planes_of(codes)
        assert ones.max() <= rule.cap
        assert lossless_bits(int(ones.max())) <= int(np.ceil(np.log2(rule.cap + 1)))
    assert not codes[magnitudes == 0].any()


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, rule=RULES, weigh=st.booleans())
def test_emptying_stays_in_its_error_budget(seed: int, rule: FlipRule, weigh: bool) -> None:
    magnitudes, masks = block(seed, rule)
    rows = len(magnitudes)
    importance = np.random.default_rng(seed).random(rows) if weigh else np.ones(rows)
    emptied = empty_planes(
        magnitudes, rule, forbidden=masks, importance=importance if weigh else None
    )
    tables = code_tables(rule.bits, rule.terms, rule.rule)

    def error(closed: NDArray[np.uint8]) -> NDArray[np.float64]:
        off = tables[closed, magnitudes].astype(np.float64) - magnitudes
        return importance @ off**2

    budget = rule.tau * (importance @ magnitudes.astype(np.float64) ** 2)
    added = error(masks | emptied) - error(masks)
    assert (added <= budget * (1 + 1e-9) + 1e-9).all()
    # greedy to the end: no further plane fits
    for column, plane in product(range(magnitudes.shape[1]), range(rule.bits)):
        if not emptied[column] >> plane & 1:
            more = emptied.copy()
            more[column] |= 1 << plane
            grown = (error(masks | more) - error(masks))[column]
            assert grown > budget[column] * (1 - 1e-9) - 1e-9


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, rule=RULES)
def test_greedy_walk_of_one_column(seed: int, rule: FlipRule) -> None:
    magnitudes, _ = block(seed, rule)
    column = magnitudes[:, 0].astype(np.int64)

    def error(mask: int) -> int:
        table = nearest_codes(rule.bits, rule.terms, mask, rule.rule).astype(np.int64)
        return int(((table[column] - column) ** 2).sum())

    mask = 0
    while open_planes := [k for k in reversed(range(rule.bits)) if not mask >> k & 1]:
        best = min(open_planes, key=lambda k: error(mask | 1 << k))
        if error(mask | 1 << best) > error(0) + rule.tau * int((column**2).sum()):
            break
        mask |= 1 << best
    assert empty_planes(magnitudes, rule)[0] == mask


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, rule=RULES)
def test_nothing_happens_where_nothing_is_asked(seed: int, rule: FlipRule) -> None:
    magnitudes, _ = block(seed, rule)
    off = FlipRule(bits=rule.bits, terms=8, tau=0.0)
    assert np.array_equal(flip_block(magnitudes, off), magnitudes)


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, rule=RULES)
def test_flipping_again_without_emptying_changes_nothing(seed: int, rule: FlipRule) -> None:
    magnitudes, masks = block(seed, rule)
    once = flip_block(magnitudes, rule, forbidden=masks)
    still = FlipRule(bits=rule.bits, terms=rule.terms, tau=0.0, cap=rule.cap, rule=rule.rule)
    assert np.array_equal(flip_block(once, still, forbidden=masks), once)


@settings(max_examples=60, deadline=None)
@given(
    column=st.lists(st.integers(0, 7), min_size=1, max_size=5),
    cap=st.integers(1, 3),
    terms=st.integers(1, 3),
)
def test_the_cap_flips_the_cheapest_weights_of_each_plane(
    column: list[int], cap: int, terms: int
) -> None:
    """Plane by plane, against all choices of weights to flip and all codes for them."""
    rule = FlipRule(bits=3, terms=terms, tau=0.0, cap=cap)
    target = np.array(column)
    codes = nearest_codes(3, terms)[target].astype(np.int64)
    allowed = [c for c in range(8) if c.bit_count() <= terms]
    cost = 0
    for plane in (2, 1, 0):
        ones = np.flatnonzero(codes >> plane & 1)
        excess = max(0, len(ones) - cap)

        def cheapest(i: int, plane: int = plane, codes: NDArray[np.int64] = codes) -> int:
            keeps = [c for c in allowed if c >> plane == (codes[i] >> plane) - 1]
            return min(keeps, key=lambda c: abs(c - target[i]))

        def growth(flipped: tuple[int, ...], codes: NDArray[np.int64] = codes) -> int:
            return sum(
                (cheapest(i) - target[i]) ** 2 - (codes[i] - target[i]) ** 2 for i in flipped
            )

        best = min(combinations(ones.tolist(), excess), key=growth)
        cost += growth(best)
        codes = codes.copy()
        for i, code in [(i, cheapest(i)) for i in best]:
            codes[i] = code
    before = nearest_codes(3, terms)[target]
    result = cap_ones(target.astype(np.uint8)[:, np.newaxis], before[:, np.newaxis], rule)[
        :, 0
    ].astype(np.int64)
    assert result.tolist() == codes.tolist()
    assert ((result - target) ** 2).sum() - ((before - target) ** 2).sum() == cost


def test_the_other_bits_of_a_weight_make_up_for_an_emptied_plane() -> None:
    """Without the planes 4 to 2, 100 becomes 96 and 28 becomes 32: an error of 16 each."""
    magnitudes = np.array([[0b1100100], [0b0011100]], dtype=np.uint8)
    rule = FlipRule(terms=8, tau=0.003)  # 32.4, a share of 100**2 + 28**2
    assert empty_planes(magnitudes, rule).tolist() == [0b10011111]
    assert flip_block(magnitudes, rule)[:, 0].tolist() == [96, 32]
    tighter = FlipRule(terms=8, tau=0.0029)
    assert flip_block(magnitudes, tighter)[:, 0].tolist() == [100, 32]
