from __future__ import annotations

import copy

import torch
from torch import nn

from dse.quantizers.fixed_point import FIXED_POINT
from dse.quantizers.prepare import (
    calibrate,
    input_quantizers,
    parameter_codes,
    plain_state,
    prepare,
    real_parameters,
)
from search_spaces.quantizer import FixedPointKnobs


def network() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * 4, 3),
    )


KNOBS = FixedPointKnobs()


def test_preparing_leaves_the_network_as_it_is() -> None:
    plain = network()
    before = copy.deepcopy(plain.state_dict())
    prepare(plain, ["0", "4"], FIXED_POINT, KNOBS)
    assert list(plain.state_dict()) == list(before)
    assert type(plain[0]) is nn.Conv2d  # type: ignore[index]


def test_the_plain_state_is_that_of_the_network_before() -> None:
    plain = network()
    state = plain_state(prepare(plain, ["0", "4"], FIXED_POINT, KNOBS))
    expected = plain.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[key], expected[key]) for key in expected)


def test_real_parameters_have_the_same_names_before_and_after() -> None:
    plain = network()
    prepared = prepare(plain, ["0", "4"], FIXED_POINT, KNOBS)
    assert list(real_parameters(plain, ["0", "4"])) == ["0.weight", "4.weight", "4.bias"]
    assert list(real_parameters(prepared, ["0", "4"])) == ["0.weight", "4.weight", "4.bias"]
    assert parameter_codes(prepared.get_submodule("0"), "bias") is None


def test_calibration_sets_ranges_and_nothing_else() -> None:
    prepared = prepare(network(), ["0", "4"], FIXED_POINT, KNOBS).train()
    mean = prepared.get_submodule("1").running_mean.clone()
    calibrate(prepared, [torch.full((2, 1, 4, 4), v) for v in (-1.0, 2.0)])
    first, second = input_quantizers(prepared)
    assert first.seen.tolist() == [-1.0, 2.0]
    assert second.seen[0] >= 0
    assert torch.equal(prepared.get_submodule("1").running_mean, mean)
    assert prepared.training
    assert first.training


def test_a_copy_of_a_prepared_network_is_independent() -> None:
    prepared = prepare(network(), ["0", "4"], FIXED_POINT, KNOBS).train()
    twin = copy.deepcopy(prepared)
    twin(torch.ones(2, 1, 4, 4))
    assert [q.seen[0].isinf().item() for q in input_quantizers(prepared)] == [True, True]
