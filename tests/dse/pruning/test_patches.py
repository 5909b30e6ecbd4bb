from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dse.errors import StageError
from dse.pruning.patches import CompressionRatios, PatchGrid, compression_ratios, plan_layer
from hw_models.published import pq_pim

FIGURE_2 = {"t_prune": 0.75, "t_quant": 0.25}


def shares(weight: torch.Tensor, size: int, small: float) -> list[list[float]]:
    """Share of small weights of every patch, weight by weight."""
    found = []
    for row in weight.reshape(len(weight), -1).tolist():
        patches = [row[start : start + size] for start in range(0, len(row), size)]
        found.append([sum(abs(w) <= small for w in each) / len(each) for each in patches])
    return found


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.sampled_from([1, 3, 4, 8]),
    t_prune=st.sampled_from([0.5, 0.6, 0.75, 1.0]),
    t_quant=st.sampled_from([0.0, 0.25, 0.5, 0.9]),
    removable=st.booleans(),
)
def test_every_patch_has_the_class_of_its_share_of_small_weights(
    seed: int, size: int, t_prune: float, t_quant: float, removable: bool
) -> None:
    generator = torch.Generator().manual_seed(seed % 2**31)
    weight = torch.randint(-4, 5, (3, 2, 5), generator=generator) / 4
    plan = plan_layer(
        "conv", weight, size=size, small=0.5, t_prune=t_prune, t_quant=t_quant, removable=removable
    )
    assert plan.bits.dtype == torch.int8
    for row, patches in enumerate(shares(weight, size, 0.5)):
        for patch, share in enumerate(patches):
            expected = 8 if share <= min(t_quant, t_prune) else 4
            if share >= t_prune:
                expected = 0 if removable else 4
            assert plan.bits[row, patch] == expected
    by_weight = plan.by_weight().reshape(3, -1)
    for row, column in np.ndindex(3, 10):
        assert by_weight[row, column] == plan.bits[row, column // size]
    assert torch.equal(plan.mask() > 0, plan.by_weight() > 0)
    assert torch.equal(plan.weak(), plan.by_weight() == 4)


def test_a_weight_at_the_threshold_is_small_and_shares_at_the_bounds_go_down() -> None:
    """PSV 0.75 is removed and PSV 0.25 important, as the `>=` and `<=` of Figure 2 say."""
    weight = torch.tensor([[0.5, 0.5, 0.5, 1.0, 0.5, 1.0, 1.0, 1.0, 0.5, 0.5, 1.0, 1.0]])
    plan = plan_layer("fc", weight, size=4, small=0.5, **FIGURE_2)
    assert plan.bits.tolist() == [[0, 8, 4]]


def test_a_short_last_patch_counts_its_true_length() -> None:
    weight = torch.tensor([[1.0, 1.0, 1.0, 1.0, 0.1]])
    assert plan_layer("fc", weight, size=4, small=0.5, **FIGURE_2).bits.tolist() == [[8, 0]]


@pytest.mark.parametrize(("size", "small"), [(0, 0.5), (4, -1.0), (4, float("nan"))])
def test_impossible_patches_are_refused(size: int, small: float) -> None:
    with pytest.raises(StageError, match=f"fc: patches have .* got size {size} and {small}"):
        plan_layer("fc", torch.ones(2, 4), size=size, small=small, **FIGURE_2)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**31 - 1), bits=st.integers(2, 8), largest=st.floats(0.0, 1.0))
def test_weak_levels_move_to_the_smallest_four_bit_grid_that_covers_them(
    seed: int, bits: int, largest: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randint(-4, 5, (6, 16), generator=generator) / 4
    plan = plan_layer("fc", weight, size=4, small=0.5, **FIGURE_2)
    limit = round(largest * (2**bits - 1))
    levels = torch.randint(-limit, limit + 1, (6, 16), generator=generator).float()
    before = levels.clone()
    held = PatchGrid(plan, bits=bits)(levels)
    assert torch.equal(levels, before)

    by_weight = plan.by_weight()
    assert not held[by_weight == 0].any()
    assert torch.equal(held[by_weight == 8], levels[by_weight == 8])
    weak, was = held[by_weight == 4], levels[by_weight == 4]
    if not len(weak):
        return
    widest = max(0, bits - 3)
    steps = [k for k in range(widest + 1) if round(float(was.abs().max()) / 2**k) <= 7]
    step = 2 ** (steps[0] if steps else widest)
    assert not (weak % step).any()
    assert int(weak.abs().max()) <= 7 * step
    assert int(held.abs().max()) < 2**bits
    inside = was.abs() <= 7 * step
    assert ((weak - was)[inside].abs() <= step / 2).all()


@pytest.mark.parametrize(
    ("largest", "bits", "shift"),
    [
        (7, 7, 0),
        (8, 7, 1),
        (14, 7, 1),
        (15, 7, 2),
        (29, 7, 2),
        (30, 7, 3),
        (127, 7, 4),
        (112, 8, 4),
        (120, 8, 5),
        (255, 8, 5),
        (7, 3, 0),
        (3, 2, 0),
    ],
)
def test_a_grid_covers_what_rounds_to_its_largest_level(
    largest: int, bits: int, shift: int
) -> None:
    plan = plan_layer("fc", torch.tensor([[0.1, 1.0]]), size=2, small=0.5, **FIGURE_2)
    grid = PatchGrid(plan, bits=bits)
    assert grid.shift(torch.tensor([1.0, -float(largest)])) == shift
    expected = min(7, round(largest / 2**shift)) * 2**shift
    assert grid(torch.tensor([[0.0, -float(largest)]])).tolist() == [[0.0, -expected]]


def test_ratios_are_those_of_the_definition() -> None:
    """16 weights in patches of 4: one full, one weak, two removed, 6 bits of index."""
    weight = torch.tensor([[1.0] * 4 + [0.1] * 4, [0.1, 0.1, 1.0, 1.0] + [0.1] * 4])
    plan = plan_layer("fc", weight, size=4, small=0.5, **FIGURE_2)
    assert plan.bits.tolist() == [[8, 0], [4, 0]]
    stored = 4 * 8 + 4 * 4
    assert compression_ratios([plan]) == CompressionRatios(
        cr32=32 * 16 / stored,
        cr32i=32 * 16 / (stored + 4),
        cr32_apib=32 * 16 / (stored + 4 + 2),
        cr8=8 * 16 / stored,
    )
    twice = compression_ratios([plan, plan])
    assert twice == compression_ratios([plan])
    assert plan.kept() == 2


def test_the_flag_bits_of_whole_patches_are_the_published_table() -> None:
    weight = torch.ones(512, 64)
    plan = plan_layer("fc", weight, size=8, small=0.5, **FIGURE_2)
    ratios = compression_ratios([plan])
    assert 32 * 512 * 64 / ratios.cr32i - 32 * 512 * 64 / ratios.cr32 == pytest.approx(
        pq_pim.flag_bits(512 * 64, 8)
    )


def test_a_network_without_patches_left_has_no_ratio() -> None:
    plan = plan_layer("fc", torch.zeros(2, 4), size=4, small=0.5, **FIGURE_2)
    with pytest.raises(StageError, match=r"at least one kept patch, got none\. Lower the TSV"):
        compression_ratios([plan])
