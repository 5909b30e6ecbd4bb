"""compress() with the quantisers, inputs, refinements and masks that a study may name."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dse.datasets.mnist import MNIST
from dse.errors import StageError
from dse.pipeline.accuracy import simulated_accuracy
from dse.pipeline.compress import CompressedNetwork, compress
from dse.pipeline.pretrain import pretrain
from dse.quantizers.apot import APOT
from dse.quantizers.bits_net import BITS_NET
from dse.quantizers.exponent import EXPONENT
from dse.quantizers.fixed_point import FIXED_POINT
from dse.quantizers.pot import POT
from dse.quantizers.quantizer import Quantizer
from dse.regularizers.bit_slice_l1 import BIT_SLICE_L1
from dse.tasks.task import Task, TrainingRecipe
from search_spaces.inputs import InputKnobs
from search_spaces.quantizer import (
    ApotKnobs,
    BitsNetKnobs,
    ExponentKnobs,
    FixedPointKnobs,
    PotKnobs,
)
from search_spaces.regularizer import BitSliceL1Knobs

DATA = MNIST.load().subset(train=800, test=100)


def network() -> nn.Module:
    return nn.Sequential(
        nn.AvgPool2d(2),
        nn.Conv2d(1, 4, 3, stride=2, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 8, 3, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8 * 16, 24),
        nn.ReLU(),
        nn.Linear(24, 10),
    )


TASK = Task(
    name="small",
    dataset="mnist",
    network=network,
    recipe=TrainingRecipe(learning_rate=0.02, batch_size=32),
)


@cache
def start() -> dict[str, Tensor]:
    return pretrain(TASK, DATA, epochs=2, seed=0).state


def squeeze(
    quantizer: Quantizer = FIXED_POINT, knobs: Any = None, *, epochs: int = 1, **more: Any
) -> CompressedNetwork:
    return compress(
        TASK,
        DATA,
        start(),
        quantizer=quantizer,
        quantizer_knobs=knobs or FixedPointKnobs(),
        regularizer=BIT_SLICE_L1,
        regularizer_knobs=BitSliceL1Knobs(strength=0.01),
        threshold=0.0,
        slice_bits=2,
        epochs=epochs,
        seed=0,
        **more,
    )


@pytest.mark.parametrize("epochs", [0, 1])
@pytest.mark.parametrize(
    ("quantizer", "knobs"),
    [
        (BITS_NET, BitsNetKnobs(set=1)),
        (POT, PotKnobs()),
        (APOT, ApotKnobs(bits=5)),
        (EXPONENT, ExponentKnobs(bits=6, terms=2)),
    ],
)
def test_codes_score_as_the_quantised_network_does(
    quantizer: Quantizer, knobs: Any, epochs: int
) -> None:
    found = squeeze(
        quantizer, knobs, epochs=epochs, input_knobs=InputKnobs(bits=6, clip="trained")
    )
    assert {layer.weight_bits for layer in found.layers} == {knobs.code_bits}
    level_set = quantizer.ends_in_8_bits
    assert [layer.input_bits for layer in found.layers] == (
        [8, 6, 6, 8] if level_set else [6, 6, 6, 6]
    )
    simulated = simulated_accuracy(TASK, DATA, found.state, found.layers, chip=None)
    if epochs:
        assert simulated > 0.5
    again = squeeze(
        quantizer, knobs, epochs=epochs, input_knobs=InputKnobs(bits=6, clip="trained")
    )
    assert all(
        (a.magnitudes == b.magnitudes).all()
        for a, b in zip(found.layers, again.layers, strict=True)
    )
    assert [a.weight_step for a in found.layers] == [b.weight_step for b in again.layers]


def test_masks_and_refinements_hold_in_the_codes() -> None:
    mask = torch.ones(24, 128)
    mask[:, ::3] = 0

    def coarse(levels: Tensor) -> Tensor:
        return (levels / 16).round().clamp(-15, 15) * 16

    found = squeeze(extra_masks={"8.weight": mask}, refine={"4": coarse})
    by_name = {layer.shape.name: layer for layer in found.layers}
    assert (by_name["8"].magnitudes[0].T[:, ::3] == 0).all()
    assert (by_name["8"].magnitudes[0].T[:, 1::3] != 0).any()
    assert (by_name["4"].magnitudes % 16 == 0).all()
    assert (by_name["1"].magnitudes % 16 != 0).any()
    assert bool((found.state["8.weight"][:, ::3] == 0).all())


def test_a_mask_adds_to_that_of_the_threshold() -> None:
    weight = TASK.build(0).state_dict()["8.weight"]
    mask = (torch.arange(weight.numel()).view_as(weight) % 2).float()
    found = compress(
        TASK,
        DATA,
        TASK.build(0).state_dict(),
        quantizer=FIXED_POINT,
        quantizer_knobs=FixedPointKnobs(),
        regularizer=BIT_SLICE_L1,
        regularizer_knobs=BitSliceL1Knobs(),
        threshold=0.05,
        slice_bits=2,
        epochs=1,
        seed=0,
        extra_masks={"8.weight": mask},
    )
    kept = (weight.abs() >= 0.05) & mask.bool()
    assert torch.equal(found.state["8.weight"] != 0, kept)


@pytest.mark.parametrize("name", ["8.weight", "nowhere.weight"])
def test_a_mask_of_another_parameter_is_refused(name: str) -> None:
    with pytest.raises(
        StageError, match=re.escape(f"got (3,) for {name}. Parameters: {{'1.weight'")
    ):
        squeeze(extra_masks={name: torch.ones(3)}, epochs=0)
