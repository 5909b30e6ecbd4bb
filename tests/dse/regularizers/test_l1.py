from __future__ import annotations

import pytest
import torch
from torch import nn

from dse.quantizers.fixed_point import FixedPointGrid
from dse.regularizers.l1 import L1
from dse.regularizers.none import NONE
from search_spaces.regularizer import L1Knobs, NoRegularizerKnobs


def tensors() -> list[nn.Parameter]:
    torch.manual_seed(0)
    made = [nn.Parameter(torch.randn(3, 4)), nn.Parameter(torch.randn(5))]
    for each in made:
        each.grad = torch.zeros_like(each)
    return made


def test_l1_is_the_gradient_of_its_value() -> None:
    ours = tensors()
    penalty = L1.penalty(
        L1Knobs(strength=10.0),
        grids=[FixedPointGrid(8) for _ in ours],
        slice_bits=2,
    )
    penalty.add_gradient_(ours)
    theirs = tensors()
    for each in theirs:
        each.grad = None
    value = 10.0 * sum(each.abs().sum() for each in theirs) / 17
    assert isinstance(value, torch.Tensor)
    value.backward()
    assert penalty.value(ours) == pytest.approx(value.item())
    for mine, reference in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.grad, reference.grad)


def test_no_regulariser_adds_nothing() -> None:
    ours = tensors()
    penalty = NONE.penalty(
        NoRegularizerKnobs(),
        grids=[FixedPointGrid(8) for _ in ours],
        slice_bits=2,
    )
    penalty.add_gradient_(ours)
    assert penalty.value(ours) == 0
    assert all(not bool(each.grad.any()) for each in ours if each.grad is not None)
