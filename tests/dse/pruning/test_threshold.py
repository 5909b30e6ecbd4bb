from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from dse.errors import StageError
from dse.pruning.threshold import prune_below_


def test_magnitudes_below_the_threshold_become_zero() -> None:
    weight = nn.Parameter(torch.tensor([0.5, -0.25, 0.125, -0.75]))
    bias = nn.Parameter(torch.tensor([0.5, 0.5]))
    masks = prune_below_({"w": weight, "b": bias}, 0.25)
    assert weight.tolist() == [0.5, -0.25, 0.0, -0.75]
    assert {name: mask.tolist() for name, mask in masks.items()} == {"w": [1, 1, 0, 1]}


def test_a_threshold_of_zero_prunes_nothing() -> None:
    weight = nn.Parameter(torch.tensor([0.0, 1.0]))
    assert prune_below_({"w": weight}, 0.0) == {}


@pytest.mark.parametrize("threshold", [-0.1, math.nan, math.inf])
def test_an_impossible_threshold_is_refused(threshold: float) -> None:
    with pytest.raises(StageError, match=f"a number from 0 on, got {threshold}"):
        prune_below_({}, threshold)
