"""Training and crossbars compute the same: quantised floats against integer codes."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from dse.pipeline.lower import lower
from dse.pipeline.tracing import trace
from dse.quantizers.apot import APOT
from dse.quantizers.batch_norm import batch_norms
from dse.quantizers.bits_net import BITS_NET
from dse.quantizers.exponent import EXPONENT
from dse.quantizers.fixed_point import FIXED_POINT
from dse.quantizers.level_set import LEVEL_SET
from dse.quantizers.pot import POT
from dse.quantizers.prepare import calibrate, plain_state, prepare, threshold_parameters
from dse.quantizers.quantizer import Quantizer
from hw_models.simulation.convert import to_crossbars
from search_spaces.inputs import InputKnobs
from search_spaces.quantizer import (
    ApotKnobs,
    BitsNetKnobs,
    ExponentKnobs,
    FixedPointKnobs,
    LevelSetKnobs,
    PotKnobs,
)


def both(
    network: nn.Module,
    images: Tensor,
    knobs: Any,
    quantizer: Quantizer = FIXED_POINT,
    *,
    input_knobs: InputKnobs | None = None,
    normalised: bool = False,
) -> tuple[Tensor, Tensor]:
    """Scores of the quantised floats, in float64, and of the codes on crossbars."""
    traced = trace(network, images)
    names = [layer.name for layer in traced]
    pairs = batch_norms(network, images) if normalised else {}
    prepared = prepare(network, names, quantizer, knobs, input_knobs=input_knobs, normalised=pairs)
    for threshold in threshold_parameters(prepared):
        nn.init.uniform_(threshold, 1.0, 4.0)
    calibrate(prepared, [images])
    network = copy.deepcopy(network)
    network.load_state_dict(plain_state(prepared))
    layers = {layer.shape.name: layer for layer in lower(prepared, traced)}
    crossbars = to_crossbars(network, layers, None)
    with torch.no_grad():
        return prepared.double().eval()(images.double()), crossbars.double()(images.double())


@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 10_000),
    bits=st.integers(2, 8),
    rounding=st.sampled_from(["round", "floor"]),
    signed=st.booleans(),
)
def test_a_linear_layer(seed: int, bits: int, rounding: str, signed: bool) -> None:
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Flatten(), nn.Linear(24, 7))
    images = torch.randn(5, 1, 4, 6) if signed else torch.rand(5, 1, 4, 6)
    floats, integers = both(network, images, FixedPointKnobs(bits=bits, rounding=rounding))
    torch.testing.assert_close(floats, integers, rtol=1e-9, atol=1e-9)


@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 10_000),
    groups=st.sampled_from([1, 2, 4]),
    stride=st.integers(1, 2),
    padding=st.integers(0, 2),
    dilation=st.integers(1, 2),
    mode=st.sampled_from(["zeros", "reflect", "replicate", "circular"]),
)
def test_a_convolution_with_signed_inputs(
    seed: int, groups: int, stride: int, padding: int, dilation: int, mode: str
) -> None:
    torch.manual_seed(seed)
    network = nn.Sequential(
        nn.Conv2d(
            4,
            8,
            3,
            groups=groups,
            stride=stride,
            padding=padding,
            dilation=dilation,
            padding_mode=mode,
        ),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    floats, integers = both(network, torch.randn(3, 4, 7, 8), FixedPointKnobs())
    torch.testing.assert_close(floats, integers, rtol=1e-9, atol=1e-9)


def deep(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, padding=1, groups=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8 * 16, 10),
    )
    network.train()(torch.randn(32, 3, 8, 8))  # batch norm that is not the identity
    return network.eval()


@pytest.mark.parametrize("seed", range(5))
def test_a_deep_network_with_batch_norm_gives_the_same_answers(seed: int) -> None:
    floats, integers = both(deep(seed), torch.randn(40, 3, 8, 8), FixedPointKnobs())
    torch.testing.assert_close(floats, integers, rtol=1e-9, atol=1e-9)
    assert torch.equal(floats.argmax(1), integers.argmax(1))


@pytest.mark.parametrize("clip", ["range", "trained"])
@pytest.mark.parametrize("normalised", [True, False])
@pytest.mark.parametrize(
    ("quantizer", "knobs"),
    [
        (POT, PotKnobs(bits=4)),
        (APOT, ApotKnobs(bits=4)),
        (APOT, ApotKnobs(bits=8)),
        (BITS_NET, BitsNetKnobs(set=1)),
        (BITS_NET, BitsNetKnobs(set=2)),
        (EXPONENT, ExponentKnobs(terms=2)),
        (LEVEL_SET, LevelSetKnobs(levels="0,1/64,1/2,1")),
    ],
)
def test_every_quantiser_on_a_deep_network(
    quantizer: Quantizer, knobs: Any, normalised: bool, clip: str
) -> None:
    for seed in range(2):
        floats, integers = both(
            deep(seed),
            torch.randn(20, 3, 8, 8),
            knobs,
            quantizer,
            input_knobs=InputKnobs(bits=5, clip=clip),
            normalised=normalised,
        )
        torch.testing.assert_close(floats, integers, rtol=1e-9, atol=1e-9)
