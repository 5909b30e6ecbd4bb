"""One test per defect that was found in published simulators; each would fail if we had it.

The list: crossbar counts that ignore the bits of a cell; accuracy and cost that disagree on them;
positive and negative arrays merged before the converter; a converter's range taken from the batch;
clipping at 2^N; remainder channels dropped; "GS/s" read as a bit clock; unit slips of a thousand;
a total area that is not the sum of its parts; batch norm and residual additions left out; a
network typed by hand beside the network.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dse.pipeline.tracing import trace
from hw_models.converters.mnsim import MnsimAdc
from hw_models.converters.saberi import SABERI
from hw_models.encodings.differential import DIFFERENTIAL
from hw_models.encodings.encoding import Encoding
from hw_models.encodings.offset import ISAAC_FLIP, OFFSET
from hw_models.encodings.twos_complement import TWOS_COMPLEMENT
from hw_models.engines.crmp import CRMP
from hw_models.engines.engine import Engine
from hw_models.engines.isaac import ISAAC
from hw_models.errors import MappingError
from hw_models.estimation.estimate import estimate
from hw_models.layer import CodedLayer, LayerShape
from hw_models.simulation.columns import changed_columns
from hw_models.simulation.convert import to_crossbars
from hw_models.simulation.mvm import Backend, SlicedWeights
from hw_models.simulation.residual_additions import residual_additions
from hw_models.units import NANO, PICO
from tests.hw_models.coded_layers import chip, coded_layer

BACKENDS: tuple[Backend, ...] = ("numba", "torch")


def single(rows: list[int], signs: list[int], *, weight_bits: int = 2) -> CodedLayer:
    """One output whose weights are given, on 1-bit inputs."""
    layer = coded_layer(
        wordlines=len(rows), outputs=1, weight_bits=weight_bits, input_bits=1, bias=False
    )
    layer.magnitudes[0, :, 0] = rows
    layer.signs[0, :, 0] = signs
    return layer


def driven(layer: CodedLayer) -> Tensor:
    return torch.ones(1, layer.shape.wordlines, 1, dtype=torch.uint8)


@pytest.mark.parametrize("engine", [ISAAC, CRMP], ids=lambda engine: engine.name)
@pytest.mark.parametrize(("bits_per_cell", "slices"), [(1, 8), (2, 4), (3, 3), (4, 2)])
def test_crossbars_follow_the_bits_per_cell(
    engine: Engine, bits_per_cell: int, slices: int
) -> None:
    layer = coded_layer(wordlines=300, outputs=130)
    design = replace(chip((8,) * slices, bits_per_cell=bits_per_cell), engine=engine)
    assert estimate([layer], design).crossbars == 2 * slices * ceil(300 / 128) * ceil(130 / 128)


@pytest.mark.parametrize(
    "encoding", [DIFFERENTIAL, OFFSET, ISAAC_FLIP, TWOS_COMPLEMENT], ids=lambda e: e.name
)
@pytest.mark.parametrize("bits_per_cell", [1, 2, 3, 4])
def test_accuracy_and_cost_count_the_same_columns(encoding: Encoding, bits_per_cell: int) -> None:
    """Conversions of one image: those of the estimator, and the simulator's columns."""
    layer = coded_layer(wordlines=200, outputs=5, positions=3, input_bits=4, zero_share=0.0)
    layer.magnitudes[...] = 255  # every slice conducts
    groups = encoding.slice_groups(8, bits_per_cell)
    design = replace(chip((1,) * groups, bits_per_cell=bits_per_cell), encoding=encoding)
    simulated = 0
    for rows in (slice(0, 128), slice(128, 200)):
        planes = encoding.planes(layer, 0, rows, design.crossbar, design.dac_bits)
        # Converters stand on every array, also where no output needs the unit column.
        simulated += sum(0 if plane.unit else plane.cells.shape[1] for plane in planes)
        simulated += groups if encoding in (OFFSET, ISAAC_FLIP) else 0
    assert estimate([layer], design).adc_conversions == simulated * 4 * 3
    largest = max(int(block.columns.cells.max()) for block in changed_columns(layer, design))
    assert largest == 2**bits_per_cell - 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_positive_and_negative_columns_are_converted_before_they_are_subtracted(
    backend: Backend,
) -> None:
    """Ten rows of +3 and four of -3: a clipped 30 less 12, not the 18 of a merged column."""
    layer = single([3] * 14, [1] * 10 + [-1] * 4)
    for bits, expected in ((5, 30 - 12), (4, 15 - 12), (3, 7 - 7)):
        weights = SlicedWeights(layer, chip((bits,)), backend=backend)
        assert weights.product(driven(layer)).item() == expected


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_range_of_a_converter_does_not_depend_on_the_batch(backend: Backend) -> None:
    layer = coded_layer(3, outputs=4)
    weights = SlicedWeights(layer, chip((4,) * 4), step_bits=(0, 1, 2, 2), backend=backend)
    generator = torch.Generator().manual_seed(0)
    weak = torch.randint(0, 4, (1, 150, 5), generator=generator)
    strong = torch.full((1, 150, 5), 255)
    together = weights.product(torch.cat([weak, strong], dim=2))
    assert torch.equal(together[:, :, :5], weights.product(weak))
    assert torch.equal(together[:, :, 5:], weights.product(strong))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("bits", range(1, 8))
def test_converters_clip_at_two_to_the_n_minus_one(bits: int, backend: Backend) -> None:
    for total in (2**bits - 1, 2**bits, 2**bits + 1):
        layer = single([1] * total, [1] * total)
        crossbar = replace(chip((bits,)).crossbar, wordlines=256)
        weights = SlicedWeights(layer, replace(chip((bits,)), crossbar=crossbar), backend=backend)
        assert weights.product(driven(layer)).item() == min(total, 2**bits - 1)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("wordlines", [127, 128, 129, 255, 257, 300])
def test_rows_left_over_are_computed_and_charged(wordlines: int, backend: Backend) -> None:
    """Every row conducts 1: dropped rows would be missing from the sum and from the arrays."""
    layer = single([1] * wordlines, [1] * wordlines)
    blocks = [min(128, wordlines - start) for start in range(0, wordlines, 128)]
    design = chip((5,))
    product = SlicedWeights(layer, design, backend=backend).product(driven(layer))
    assert product.item() == sum(min(rows, 31) for rows in blocks)
    result = estimate([layer], design)
    assert result.crossbars == 2 * len(blocks)
    read_rows = result.components["dac"][0] / (design.array.dac_power_w * design.array.read_time_s)
    assert read_rows == pytest.approx(2 * wordlines)


def test_giga_samples_per_second_are_conversions() -> None:
    """ISAAC's 8-bit converter, 2 mW at 1.28 GS/s: 1.56 pJ and 0.78 ns, not 15.6 pJ and 7.8 ns."""
    for adc in (SABERI, MnsimAdc()):
        assert float(adc.energy_per_conversion_j(8)) == pytest.approx(1.5625 * PICO)
        assert float(adc.conversion_time_s(8)) == pytest.approx(0.78125 * NANO)
        for bits in (4, 6, 8):
            power = float(adc.power_w(bits))
            assert float(adc.energy_per_conversion_j(bits)) < power * 10 * NANO / 8


def test_adders_and_dacs_are_in_the_units_of_their_table() -> None:
    """A 1-bit DAC is microwatts, an addition tens of femtojoules within one clock of 1.2 GHz."""
    design = chip()
    assert design.array.dac_power_w == pytest.approx(3.9e-6, rel=0.01)  # MNSIM: 3.9 uW
    assert design.array.dac_area_m2 == pytest.approx(0.166e-12, rel=0.01)  # 0.166 um2
    addition_j = design.tile.shift_add_energy_j
    assert addition_j == pytest.approx(0.05e-3 / 1.2e9)
    assert 0.021 * PICO / 3 < addition_j < 0.21 * PICO  # library: 0.021 (16 bit), 0.21 (32 bit)
    assert design.ima.shift_add_energy_j == pytest.approx(0.021 * PICO, rel=0.1)
    eight = replace(design, dac_bits=8)
    layer = coded_layer()
    ratio = (
        estimate([layer], eight).components["dac"][0]
        / (estimate([layer], design).components["dac"][0])
    )
    assert ratio == pytest.approx(2**7 / 8)  # 128 times the power, an eighth of the reads


@pytest.mark.parametrize("layers", [1, 3])
def test_the_whole_is_the_sum_of_its_parts(layers: int) -> None:
    network = [coded_layer(n, wordlines=130 * n + 9, outputs=70) for n in range(layers)]
    result = estimate(network, chip((3, 5, 6, 8)), additions=[40] * layers)
    energies, areas = zip(*result.components.values(), strict=True)
    assert sum(areas) == pytest.approx(result.area_m2, rel=1e-12)
    assert sum(energies) == pytest.approx(result.energy_j, rel=1e-12)
    by_layer = sum(sum(layer.energy_j.values()) for layer in result.layers)
    assert by_layer == pytest.approx(result.energy_j, rel=1e-12)
    assert min(areas) >= 0.0


class Residual(nn.Module):
    """A convolution, a batch norm and a shortcut around both."""

    def __init__(self, *, stride: int = 1) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, stride=stride, padding=1)
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4, 10)

    def forward(self, images: Tensor) -> Tensor:
        inner = F.relu(self.stem(images))
        inner = F.relu(self.norm(self.conv(inner)) + inner)
        return self.fc(inner.mean((2, 3)))


def coded(shape: LayerShape) -> CodedLayer:
    return coded_layer(
        name=shape.name,
        wordlines=shape.wordlines,
        outputs=shape.outputs,
        positions=shape.positions,
        groups=shape.groups,
    )


def test_batch_norm_and_residual_additions_are_charged_or_named() -> None:
    network, images = Residual(), torch.rand(2, 3, 8, 8)
    layers = [coded(traced.shape) for traced in trace(network, images)]
    counts = residual_additions(network, images, [layer.shape.name for layer in layers])
    assert counts == {"stem": 0, "conv": 4 * 64, "fc": 0}
    result = estimate(layers, chip(), additions=tuple(counts.values()))
    tile = chip().tile
    outputs = 4 * 64 + 4 * 64 + 10  # each scaled and biased once: what a batch norm folds into
    assert result.components["scale_bias"][0] == pytest.approx(
        outputs * (tile.scale_energy_j + tile.shift_add_energy_j)
    )
    assert tile.scale_energy_j == pytest.approx(0.25 * PICO)
    assert result.components["residual_add"][0] > 4 * 64 * tile.shift_add_energy_j
    uncounted = estimate(layers, chip()).to_json()["not_charged"]
    assert any("residual additions" in line for line in uncounted)  # type: ignore[attr-defined]


def test_the_layers_are_those_of_the_network_as_it_runs() -> None:
    """What is priced is traced; codes of another network are refused where they are simulated."""
    images = torch.rand(2, 3, 8, 8)
    shapes = {each.name: each.shape for each in trace(Residual(), images)}
    strided = {each.name: each.shape for each in trace(Residual(stride=2), images)}
    assert (shapes["stem"].wordlines, shapes["stem"].outputs) == (27, 4)
    assert (shapes["conv"].positions, strided["conv"].positions) == (64, 16)
    typed = {"conv": coded(replace(shapes["conv"], wordlines=27))}
    with pytest.raises(MappingError, match=r"the module has .* = \(1, 36, 4\), its codes have"):
        to_crossbars(Residual(), typed, chip())
    codes = {name: coded(shape) for name, shape in shapes.items()}
    converted = to_crossbars(Residual(), codes, chip((4,) * 4))
    assert np.isfinite(converted(images).detach().numpy()).all()
