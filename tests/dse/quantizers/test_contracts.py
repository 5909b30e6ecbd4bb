"""What every installed quantiser promises."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from dse.errors import StageError
from dse.quantizers.apot import APOT
from dse.quantizers.bits_net import BITS_NET
from dse.quantizers.exponent import EXPONENT
from dse.quantizers.fixed_point import FIXED_POINT
from dse.quantizers.level_set import LEVEL_SET
from dse.quantizers.pot import POT
from dse.quantizers.prepare import (
    parameter_codes,
    parameter_grid,
    parameter_grids,
    plain_state,
    prepare,
    real_parameters,
    threshold_parameters,
)
from dse.quantizers.quantizer import Grid, Place, Quantizer
from dse.regularizers.bit_slice_l1 import BIT_SLICE_L1
from search_spaces.inputs import InputKnobs
from search_spaces.quantizer import (
    ApotKnobs,
    BitsNetKnobs,
    ExponentKnobs,
    FixedPointKnobs,
    LevelSetKnobs,
    PotKnobs,
)
from search_spaces.regularizer import BitSliceL1Knobs

CASES: list[tuple[Quantizer, Any]] = [
    *((FIXED_POINT, FixedPointKnobs(bits=bits)) for bits in (2, 5, 8)),
    (FIXED_POINT, FixedPointKnobs(rounding="floor")),
    *((POT, PotKnobs(bits=bits)) for bits in range(3, 9)),
    *((APOT, ApotKnobs(bits=bits)) for bits in range(3, 9)),
    *((BITS_NET, BitsNetKnobs(set=number)) for number in (1, 2)),
    *((EXPONENT, ExponentKnobs(terms=terms)) for terms in (1, 2, 8)),
    (EXPONENT, ExponentKnobs(bits=6, terms=2, rule="window")),
    (LEVEL_SET, LevelSetKnobs(levels="0, 3/64, 0.5, 1")),
]
every = pytest.mark.parametrize(
    ("quantizer", "knobs"), CASES, ids=[f"{type(q).__name__}-{k}" for q, k in CASES]
)
PLACES = [
    Place(),
    Place(normalised=True),
    Place(first=True),
    Place(last=True),
    Place(parameter="bias"),
]


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 6, 3, bias=False),
        nn.ReLU(),
        nn.Conv2d(6, 8, 3, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8 * 4, 12),
        nn.ReLU(),
        nn.Linear(12, 5),
    )


LAYERS = ["0", "2", "6", "8"]


def prepared(quantizer: Quantizer, knobs: Any, clip: str = "trained") -> nn.Module:
    return prepare(
        network(),
        LAYERS,
        quantizer,
        knobs,
        input_knobs=InputKnobs(bits=4, clip=clip),
        normalised={"2": "3"},
    )


def trained(quantizer: Quantizer, knobs: Any) -> dict[str, Tensor]:
    """State after a few steps with a bit-slice penalty."""
    model = prepared(quantizer, knobs).train()
    parameters = list(real_parameters(model, LAYERS).values())
    penalty = BIT_SLICE_L1.penalty(
        BitSliceL1Knobs(strength=0.5),
        grids=list(parameter_grids(model, LAYERS).values()),
        slice_bits=2,
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    generator = torch.Generator().manual_seed(1)
    for _ in range(3):
        images = torch.randn(16, 2, 6, 6, generator=generator)
        labels = torch.randint(0, 5, (16,), generator=generator)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        penalty.add_gradient_(parameters)
        optimizer.step()
    return dict(model.state_dict())


@every
def test_gradients_reach_every_weight_and_every_threshold(
    quantizer: Quantizer, knobs: Any
) -> None:
    model = prepared(quantizer, knobs).train()
    torch.manual_seed(1)
    model(torch.randn(32, 2, 6, 6)).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.isfinite().all()), name
        assert bool(parameter.grad.any()), name
    rates = set(threshold_parameters(model).values())
    assert rates == ({0.5, 2.5} if quantizer.ends_in_8_bits else {2.5})


@every
def test_training_repeats_bit_for_bit(quantizer: Quantizer, knobs: Any) -> None:
    once, again = trained(quantizer, knobs), trained(quantizer, knobs)
    assert once.keys() == again.keys()
    assert all(torch.equal(once[key], again[key]) for key in once)
    start = prepared(quantizer, knobs).state_dict()
    moved = [key for key in start if not torch.equal(start[key], once[key])]
    assert {key for key in start if key.endswith("threshold")} <= set(moved)


@settings(deadline=None, max_examples=40)
@given(
    case=st.sampled_from(CASES),
    place=st.sampled_from(PLACES),
    scale=st.floats(1e-4, 50),
    shift=st.floats(-1, 1),
    threshold=st.floats(0.01, 6),
    seed=st.integers(0, 1000),
)
def test_codes_fit_and_are_what_training_shows(
    case: tuple[Quantizer, Any],
    place: Place,
    scale: float,
    shift: float,
    threshold: float,
    seed: int,
) -> None:
    quantizer, knobs = case
    grid = quantizer.grid(knobs, place)
    for parameter in grid.parameters():
        nn.init.constant_(parameter, threshold)
    generator = torch.Generator().manual_seed(seed)
    real = torch.randn(6, 5, generator=generator) * scale + shift * scale
    real[0, 0] = 0.0
    codes = grid.codes(real)
    assert codes.bits == (quantizer.bits(knobs) if place.parameter == "weight" else grid.bits)
    assert int(codes.magnitudes.max()) <= 2**codes.bits - 1
    assert torch.equal(codes.magnitudes > 0, codes.signs != 0)
    assert int(codes.magnitudes[0, 0]) == 0
    assert torch.equal(grid(nn.Parameter(real)).detach().double(), codes.dequantised())


@settings(deadline=None, max_examples=60)
@given(
    number=st.sampled_from([1, 2]),
    weights=st.lists(st.floats(-10, 10, width=32), min_size=3, max_size=40),
    threshold=st.floats(0.01, 6),
    normalised=st.booleans(),
)
def test_no_inner_code_of_bits_net_has_an_11(
    number: int, weights: list[float], threshold: float, normalised: bool
) -> None:
    grid = BITS_NET.grid(BitsNetKnobs(set=number), Place(normalised=normalised))
    nn.init.constant_(next(grid.parameters()), threshold)
    magnitudes = grid.codes(torch.tensor(weights)).magnitudes.long()
    for shift in (0, 2, 4, 6):
        assert not bool(((magnitudes >> shift) % 4 == 3).any())


@every
def test_a_refinement_reaches_training_and_codes_alike(quantizer: Quantizer, knobs: Any) -> None:
    def halved(levels: Tensor) -> Tensor:
        return (levels / 2).trunc()

    model = prepare(network(), LAYERS, quantizer, knobs, refine={"2": halved})
    plain = prepare(network(), LAYERS, quantizer, knobs)
    found = parameter_codes(model.get_submodule("2"), "weight")
    before = parameter_codes(plain.get_submodule("2"), "weight")
    assert found is not None
    assert before is not None
    assert torch.equal(found.magnitudes, before.magnitudes // 2)
    assert torch.equal(model.get_submodule("2").weight.double(), found.dequantised())
    untouched = parameter_codes(model.get_submodule("6"), "weight")
    expected = parameter_codes(plain.get_submodule("6"), "weight")
    assert untouched is not None
    assert expected is not None
    assert torch.equal(untouched.magnitudes, expected.magnitudes)


def test_a_refinement_that_leaves_the_code_is_an_error() -> None:
    model = prepare(
        network(), LAYERS, FIXED_POINT, FixedPointKnobs(), refine={"2": lambda levels: levels * 8}
    )
    with pytest.raises(StageError, match=r"whole numbers up to 255, got a largest magnitude of"):
        parameter_codes(model.get_submodule("2"), "weight")
    model = prepare(
        network(), LAYERS, FIXED_POINT, FixedPointKnobs(), refine={"2": lambda levels: levels / 8}
    )
    with pytest.raises(StageError, match="Keep the refinement of this layer inside its 8 bits"):
        parameter_codes(model.get_submodule("2"), "weight")


def test_a_refinement_of_an_unmapped_layer_is_an_error() -> None:
    with pytest.raises(StageError, match=r"got one for 9. Mapped: 0, 2, 6, 8"):
        prepare(network(), LAYERS, FIXED_POINT, FixedPointKnobs(), refine={"9": torch.abs})


@every
def test_the_plain_state_has_no_trace_of_the_quantiser(quantizer: Quantizer, knobs: Any) -> None:
    state = plain_state(prepared(quantizer, knobs))
    expected = network().state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[key], expected[key]) for key in expected if key[0] != "3")


@every
def test_recent_levels_are_taken_once_and_never_stale(quantizer: Quantizer, knobs: Any) -> None:
    model = prepared(quantizer, knobs)
    layer = model.get_submodule("2")
    real = real_parameters(model, ["2"])["2.weight"]
    grid = parameter_grid(layer, "weight")
    assert grid is not None

    def forward() -> None:
        assert layer.weight.shape == real.shape

    def changed(parameter: Tensor) -> None:
        with torch.no_grad():
            parameter.mul_(-0.5)

    forward()
    kept = grid._last
    assert kept is not None
    assert grid.take_recent(real) is kept[1]
    assert grid.take_recent(real) is not kept[1]
    forward()
    assert copy.deepcopy(grid)._last is None
    for parameter in (real, *grid.parameters()):
        forward()
        before = grid.refined(real)
        changed(parameter)
        recent = grid.take_recent(real)
        assert torch.equal(recent.signed, grid.refined(real).signed)
        assert not torch.equal(recent.signed * recent.step, before.signed * before.step)


def test_ends_of_a_level_set_network_are_uniform_in_8_bits() -> None:
    model = prepared(BITS_NET, BitsNetKnobs())
    for name, inner in (("0", False), ("2", True), ("6", True), ("8", False)):
        layer = model.get_submodule(name)
        grid, inputs = parameter_grid(layer, "weight"), layer.get_submodule("input_quantizer")
        assert isinstance(grid, Grid)
        assert bool(list(grid.parameters())) == inner
        assert (inputs.bits, inputs.threshold is not None) == ((4, True) if inner else (8, False))
        if not inner:
            real = real_parameters(model, [name])[f"{name}.weight"].detach()
            expected = (127 * real.abs() / real.abs().max()).round()
            codes = grid.codes(real)
            assert int((codes.magnitudes.double() - expected).abs().max()) == 0
            assert codes.step == pytest.approx(float(real.abs().max()) / 127, rel=2**-16)
