from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hw_models.encodings.offset import ISAAC_FLIP
from hw_models.encodings.twos_complement import TWOS_COMPLEMENT
from hw_models.errors import HardwareError
from hw_models.layer import CodedLayer
from hw_models.simulation.convert import to_crossbars
from hw_models.simulation.mvm import SlicedWeights
from hw_models.simulation.nonidealities.conductance_variation import ConductanceVariation
from hw_models.simulation.nonidealities.drift import Drift
from hw_models.simulation.nonidealities.ir_drop import IrDrop
from hw_models.simulation.nonidealities.nonidealities import Nonidealities
from hw_models.simulation.nonidealities.read_noise import ReadNoise
from hw_models.simulation.nonidealities.stuck_at import StuckAt
from tests.hw_models.coded_layers import chip, coded_layer

LAYER = coded_layer(3, wordlines=150, outputs=5)
CODES = torch.randint(0, 256, (1, 150, 6), generator=torch.Generator().manual_seed(0))
WIDE = chip((9,) * 4)


def run(effects: Nonidealities | None, layer: CodedLayer = LAYER, seed: int = 0) -> Tensor:
    return SlicedWeights(layer, WIDE, effects=effects, seed=seed).product(CODES)


@pytest.mark.parametrize("encoding", [None, ISAAC_FLIP, TWOS_COMPLEMENT])
@pytest.mark.parametrize("ratio", [float("inf"), 10.0])
@pytest.mark.parametrize("adc_bits", [3, 6])
def test_without_effects_the_slow_path_is_the_exact_simulation(
    encoding: Any, ratio: float, adc_bits: int
) -> None:
    design = chip((adc_bits,) * 5)
    if encoding is not None:
        design = replace(design, encoding=encoding)
    none = Nonidealities(on_off_ratio=ratio)
    slow = SlicedWeights(LAYER, design, effects=none)
    assert slow.backend(torch.device("cpu")) == "float"
    assert torch.equal(slow.product(CODES), SlicedWeights(LAYER, design).product(CODES))


@pytest.mark.parametrize(
    "effects",
    [
        Nonidealities(variation=ConductanceVariation(sigma=0.1)),
        Nonidealities(variation=ConductanceVariation(sigma=0.1, kind="gaussian")),
        Nonidealities(stuck_at=StuckAt(off_share=0.02, on_share=0.02)),
        Nonidealities(drift=Drift(time_s=100.0, exponent=0.05, exponent_sigma=0.02)),
        Nonidealities(read_noise=ReadNoise(sigma=0.2)),
        Nonidealities(ir_drop=IrDrop(resistance=1e-4)),
    ],
)
def test_every_effect_changes_the_product_and_repeats_with_its_seed(
    effects: Nonidealities,
) -> None:
    assert not torch.equal(run(effects), run(None))
    assert torch.equal(run(effects, seed=4), run(effects, seed=4))
    if effects.ir_drop is None:
        assert not torch.equal(run(effects, seed=4), run(effects, seed=5))


def test_variation_has_the_spread_that_was_asked_for() -> None:
    rng = np.random.default_rng(0)
    ones = np.ones((500, 400))
    lognormal = ConductanceVariation(sigma=0.2).program(ones, rng)
    gaussian = ConductanceVariation(sigma=0.2, kind="gaussian").program(ones, rng)
    assert np.log(lognormal).mean() == pytest.approx(0.0, abs=0.002)
    assert np.log(lognormal).std() == pytest.approx(0.2, rel=0.01)
    assert gaussian.mean() == pytest.approx(1.0, rel=0.01)
    assert gaussian.std() == pytest.approx(0.2, rel=0.01)


def test_stuck_cells_have_the_shares_that_were_asked_for() -> None:
    cells = np.full((500, 400), 2.0)
    held = StuckAt(off_share=0.1, on_share=0.05).program(cells, 0.5, 3.5, np.random.default_rng(0))
    assert np.unique(held).tolist() == [0.5, 2.0, 3.5]
    assert (held == 0.5).mean() == pytest.approx(0.1, rel=0.05)
    assert (held == 3.5).mean() == pytest.approx(0.05, rel=0.05)


def test_all_cells_stuck_on_compute_with_the_largest_code() -> None:
    layer = coded_layer(3, wordlines=20, outputs=2, zero_share=0.0)
    layer.signs[...] = 1
    codes = torch.ones(1, 20, 1, dtype=torch.uint8)
    effects = Nonidealities(stuck_at=StuckAt(on_share=1.0))
    # The empty negative array is stuck as well: all that is left is nothing.
    assert SlicedWeights(layer, WIDE, effects=effects).product(codes).tolist() == [[[0.0], [0.0]]]
    single = replace(chip((9,) * 5), encoding=TWOS_COMPLEMENT)
    stuck = SlicedWeights(layer, single, effects=effects).product(codes)
    # Lower bits 255. The 1-bit sign cell shares the array's device: stuck on is level 3.
    assert stuck.tolist() == [[[20 * (255 - 3 * 256)], [20 * (255 - 3 * 256)]]]


def test_drift_is_the_power_law() -> None:
    drift = Drift(time_s=1000.0, exponent=0.1, reference_s=10.0)
    held = drift.program(np.array([1.0, 3.0]), np.random.default_rng(0))
    assert held == pytest.approx(np.array([1.0, 3.0]) * 100.0**-0.1)


def test_read_noise_is_new_in_every_read_and_has_its_spread() -> None:
    layer = SlicedWeights(LAYER, WIDE, effects=Nonidealities(read_noise=ReadNoise(sigma=0.3)))
    assert not torch.equal(layer.product(CODES), layer.product(CODES))
    cells = torch.tensor([[1.0], [2.0]], dtype=torch.float64)
    digits = torch.tensor([[1.0], [3.0]], dtype=torch.float64).expand(2, 200_000)
    drawn = ReadNoise(sigma=0.3).noise(cells, digits, torch.Generator().manual_seed(0))
    assert drawn.std().item() == pytest.approx(0.3 * (1 + 36) ** 0.5, rel=0.01)


def test_ir_drop_is_the_first_order_of_the_solved_circuit() -> None:
    """Nodal analysis of one bitline; halving the resistance quarters what is left over."""
    rng = np.random.default_rng(0)
    cells = rng.integers(0, 4, (12, 1)).astype(np.float64)
    digits = rng.integers(0, 3, (12, 1)).astype(np.float64)

    def left_over(resistance: float) -> tuple[float, float]:
        wire = 1.0 / resistance
        matrix, source = np.zeros((12, 12)), np.zeros(12)
        for row in range(12):
            on = cells[row, 0] if digits[row, 0] > 0 else 0.0
            matrix[row, row] += on + wire  # towards the converter, ground after row 11
            source[row] = on * digits[row, 0]
            if row < 11:
                matrix[row, row + 1] -= wire
            if row > 0:
                matrix[row, row] += wire
                matrix[row, row - 1] -= wire
        current = np.linalg.solve(matrix, source)[11] * wire
        ideal = float((cells * digits).sum())
        lost = IrDrop(resistance=resistance).lost(torch.tensor(cells), torch.tensor(digits))
        return ideal - current, abs(ideal - current - lost.item())

    fall, error = left_over(1e-4)
    assert error < 0.02 * fall
    assert left_over(5e-5)[1] == pytest.approx(error / 4, rel=0.05)


def test_a_network_with_effects_repeats_and_layers_draw_for_themselves() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Flatten())
    network.append(nn.Linear(100, 6))
    first = coded_layer(1, wordlines=9, outputs=4, positions=25, name="0")
    layers = {"0": first, "3": coded_layer(2, wordlines=100, outputs=6, name="3")}
    effects = Nonidealities(variation=ConductanceVariation(sigma=0.2))
    images = torch.rand(2, 1, 5, 5, generator=torch.Generator().manual_seed(0))
    both = to_crossbars(network, layers, WIDE, effects=effects, seed=3)
    again = to_crossbars(network, layers, WIDE, effects=effects, seed=3)
    assert torch.equal(both(images), again(images))
    alone = to_crossbars(network, {"0": first}, WIDE, effects=effects, seed=3)
    conv, same = both.get_submodule("0"), alone.get_submodule("0")
    assert torch.equal(conv(images), same(images))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ConductanceVariation(sigma=-1.0), "sigma must be at least 0, got -1.0"),
        (
            lambda: ConductanceVariation(sigma=0.1, kind="uniform"),  # type: ignore[arg-type]
            "must be lognormal or gaussian, got 'uniform'",
        ),
        (lambda: StuckAt(off_share=0.6, on_share=0.5), "at most 1 together, got 0.6 and 0.5"),
        (lambda: Drift(time_s=0.5, exponent=0.1), "time_s at least reference_s, got 1.0 and 0.5"),
        (
            lambda: Drift(time_s=2.0, exponent=0.1, exponent_sigma=-1.0),
            "exponent_sigma must be at least 0, got -1.0",
        ),
        (lambda: ReadNoise(sigma=-0.1), "read noise: sigma must be at least 0, got -0.1"),
        (lambda: IrDrop(resistance=-1.0), "resistance must be at least 0, got -1.0"),
        (lambda: Nonidealities(on_off_ratio=1.0), "on_off_ratio must be above 1, got 1.0"),
        (
            lambda: SlicedWeights(LAYER, None, effects=Nonidealities()),
            "device effects need the arrays of a chip, got chip=None",
        ),
    ],
)
def test_impossible_effects_are_refused(make: Any, message: str) -> None:
    with pytest.raises(HardwareError, match=message):
        make()
