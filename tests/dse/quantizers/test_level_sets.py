from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from dse.quantizers.apot import apot_levels
from dse.quantizers.batch_norm import batch_norms
from dse.quantizers.bits_net import BITS_NET
from dse.quantizers.clipped import ClippedGrid
from dse.quantizers.pot import pot_levels
from dse.quantizers.prepare import calibrate, parameter_codes, parameter_grid, prepare
from dse.quantizers.quantizer import Place
from hw_models.published.bits_net import SET_1, SET_2
from search_spaces.domains import Choice, Text, is_within
from search_spaces.quantizer import BitsNetKnobs, LevelSetKnobs, read_levels


def test_the_published_tables_of_additive_powers_of_two() -> None:
    assert apot_levels(3) == (0, 0.25, 0.5, 1)
    assert apot_levels(4) == pytest.approx((0, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1))
    assert [len(apot_levels(bits)) for bits in range(3, 9)] == [4, 8, 16, 32, 64, 128]
    for bits in range(3, 9):
        levels = apot_levels(bits)
        assert levels[0] == 0
        assert levels[-1] == 1
        assert list(levels) == sorted(set(levels))
    assert max(apot_levels(5)) * 0.75 == 0.75
    assert 2**-1 / 0.75 in apot_levels(5)
    assert apot_levels(8)[1] == pytest.approx(2**-10 / (0.875 + 2**-7))


def test_powers_of_two() -> None:
    assert pot_levels(3) == (0, 0.25, 0.5, 1)
    assert pot_levels(4) == (0, *(2.0**-i for i in range(6, -1, -1)))
    assert len(pot_levels(8)) == 128


def weights() -> nn.Parameter:
    return nn.Parameter(
        torch.randn(40, 30, generator=torch.Generator().manual_seed(0)) * 0.2 + 0.05
    )


@pytest.mark.parametrize("normalised", [True, False])
@pytest.mark.parametrize("levels", [SET_1, SET_2, apot_levels(4)])
def test_projection_and_gradients_follow_the_equations(
    levels: tuple[float, ...], normalised: bool
) -> None:
    """Written out with automatic differentiation: mean and std constant, straight through."""
    grid, real = ClippedGrid(levels, normalised=normalised), weights()
    nn.init.constant_(grid.threshold, 1.3)
    pull = torch.randn(40, 30, generator=torch.Generator().manual_seed(1))
    shown = grid(real)
    (shown * pull).sum().backward()

    w, a = real.detach().double(), 1.3
    spread = float(w.std())
    w_hat = (w - w.mean()) / spread
    held = torch.tensor([round(64 * level) / 64 for level in levels], dtype=torch.float64)
    u = (w_hat / a).clamp(-1, 1)
    nearest = held[(u.abs().unsqueeze(-1) - held).abs().argmin(-1)] * u.sign()
    scale = 1.0 if normalised else spread
    torch.testing.assert_close(shown.detach().double(), scale * a * nearest, rtol=2e-5, atol=1e-7)
    assert real.grad is not None
    torch.testing.assert_close(real.grad.double(), pull.double() * scale / spread)
    slope = torch.where(w_hat.abs() > a, w_hat.sign(), nearest - w_hat / a)
    assert grid.threshold.grad is not None
    expected = float((slope * pull * scale).sum())
    assert float(grid.threshold.grad) == pytest.approx(expected, rel=1e-4)
    assert bool((w_hat.abs() > a).any())


def test_a_pruned_weight_has_code_zero_and_no_say_in_mean_and_spread() -> None:
    grid = ClippedGrid(tuple(i / 64 for i in range(65)), normalised=False)
    real = weights().detach() + 3.0  # a mean far from zero
    kept = torch.rand(real.shape, generator=torch.Generator().manual_seed(2)) > 0.5
    found = grid.codes(real * kept)
    alone = grid.codes(real[kept])
    assert not bool(found.magnitudes[~kept].any())
    assert torch.equal(found.magnitudes[kept], alone.magnitudes)
    assert found.step == alone.step


@pytest.mark.parametrize("real", [torch.zeros(4), torch.tensor([0.0, 2.0]), torch.full((3,), 0.5)])
def test_weights_without_a_spread_have_codes(real: torch.Tensor) -> None:
    codes = ClippedGrid(SET_1, normalised=False).codes(real)
    assert math.isfinite(codes.step)
    assert codes.step > 0
    assert bool((codes.magnitudes[real == 0] == 0).all())


def test_a_threshold_below_zero_does_no_harm() -> None:
    grid = ClippedGrid(SET_1, normalised=True)
    nn.init.constant_(grid.threshold, -1.0)
    assert grid.codes(weights()).step > 0


def test_a_batch_norm_takes_out_the_spread() -> None:
    """The same scores in evaluation whether or not the spread is put back."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.Conv2d(4, 8, 3, bias=False),
        nn.BatchNorm2d(8, eps=1e-12),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32, 3),
    )
    images = torch.randn(20, 3, 6, 6)
    network.train()(images)
    layers, knobs = ["0", "1", "5"], BitsNetKnobs()
    pairs = batch_norms(network, images)
    assert pairs == {"1": "2"}
    plain = prepare(network, layers, BITS_NET, knobs).eval()
    absorbed = prepare(network, layers, BITS_NET, knobs, normalised=pairs).eval()
    steps = []
    for model in (plain, absorbed):
        calibrate(model, [images])
        codes = parameter_codes(model.get_submodule("1"), "weight")
        assert codes is not None
        steps.append(codes.step)
    assert steps[1] == 3 / 64
    assert steps[0] < 1 / 64
    with torch.no_grad():
        torch.testing.assert_close(plain(images), absorbed(images), rtol=1e-3, atol=1e-4)
    assert torch.equal(network[2].running_var, network.state_dict()["2.running_var"])


def test_a_layer_with_a_bias_before_its_batch_norm_keeps_its_spread() -> None:
    network = nn.Sequential(
        nn.Linear(3, 4), nn.Linear(4, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2)
    )
    model = prepare(network, ["0", "1", "4"], BITS_NET, BitsNetKnobs(), normalised={"1": "2"})
    grid = parameter_grid(model.get_submodule("1"), "weight")
    assert isinstance(grid, ClippedGrid)
    assert not grid.normalised
    assert torch.equal(model.get_submodule("2").running_var, torch.ones(4))


def test_a_set_without_a_batch_norm_multiplies_the_spread_back() -> None:
    real = weights().detach()
    grids = [BITS_NET.grid(BitsNetKnobs(), Place(normalised=n)) for n in (False, True)]
    back, absorbed = (grid.codes(real) for grid in grids)
    assert torch.equal(back.magnitudes, absorbed.magnitudes)
    assert back.step / absorbed.step == pytest.approx(float(real.std()), rel=2**-15)


def test_a_level_set_is_read_from_text() -> None:
    assert read_levels("0,12/32,16/32,20/32,1") == SET_2
    assert read_levels(" 0, 0.3438, .375, 0.4063 , .5, .6250, .6563, 1.0") == SET_1
    assert LevelSetKnobs(levels="0,1").code_bits == 8


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0, half, 1", r"a level is a number such as 0.5 or 16/32, got 'half'"),
        ("0, 1/0, 1", r"a level is a number .*, got '1/0'"),
        ("", r"a level is a number .*, got ''"),
        ("0, 0.1, 1", r"a multiple of 1/64, got 0.1 in .*would round to 6/64. Write 6/64"),
        ("0.5, 1", r"starts at 0 and ends at 1, got '0.5, 1'"),
        ("0, 0.5", r"starts at 0 and ends at 1, got '0, 0.5'"),
        ("0, 1, 0.5, 1", r"levels ascend, each once, got"),
        ("0, 0.5, 0.5, 1", r"levels ascend, each once, got"),
    ],
)
def test_a_bad_level_set_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_levels(text)


def test_a_text_domain_holds_what_its_check_takes() -> None:
    domain = Text(read_levels, "a level set")
    assert "0,1" in domain
    assert "0,2" not in domain
    assert 5 not in domain
    assert str(domain) == "a level set"
    assert is_within(Choice("0,1", "0,1/2,1"), domain)
    assert not is_within(Choice("0,1", "0"), domain)
    assert is_within(domain, Text(read_levels, "a level set"))
    assert not is_within(domain, Choice("0,1"))
