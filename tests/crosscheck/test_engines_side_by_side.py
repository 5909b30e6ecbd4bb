"""Engines on one LeNet 20-50-500-10: counts that follow from the shapes, and who reads more.

The figures were counted once, by a walk of its own over this network on 128 x 128 arrays of
single-bit cells, with this convention: the bits of a weight lie side by side in two's complement
columns, an operation unit (OU) is h rows by w columns, one OU is read per array and cycle, and a
partly filled array is a whole one. No engine is asked to follow it in everything; each test says
which of its counts does, and how the others convert.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil

import numpy as np
import pytest
from numpy.typing import NDArray

from hw_models.chip import Chip
from hw_models.converters.saberi import SABERI
from hw_models.crossbar import Crossbar
from hw_models.encodings.differential import DIFFERENTIAL
from hw_models.encodings.encoding import Encoding
from hw_models.encodings.twos_complement import TWOS_COMPLEMENT
from hw_models.engines.bit_plane import BitPlaneEngine
from hw_models.engines.bits_net import BitsNetEngine
from hw_models.engines.crmp import CrmpEngine
from hw_models.engines.engine import Engine
from hw_models.engines.isaac import ISAAC
from hw_models.engines.observed import Observed
from hw_models.engines.ou_patch import OuPatchEngine
from hw_models.engines.sre import INDEX_BITS, SreEngine
from hw_models.estimation.estimate import Estimate, estimate
from hw_models.layer import CodedLayer, LayerShape

SHAPES = (
    LayerShape(name="conv1", wordlines=25, outputs=20, positions=24 * 24),
    LayerShape(name="conv2", wordlines=500, outputs=50, positions=8 * 8),
    LayerShape(name="fc1", wordlines=800, outputs=500, positions=1),
    LayerShape(name="fc2", wordlines=500, outputs=10, positions=1),
)
WEIGHTS = sum(shape.wordlines * shape.outputs for shape in SHAPES)
ARRAY = 128
PATCH = 8


def coded(shape: LayerShape, weights: NDArray[np.integer], bits: int) -> CodedLayer:
    """Signed codes of `bits` bits, sign included, and inputs of as many."""
    return CodedLayer(
        shape=shape,
        magnitudes=np.abs(weights).astype(np.uint8),
        signs=np.sign(weights).astype(np.int8),
        weight_bits=bits - 1,
        weight_step=1.0,
        input_bits=bits,
        input_step=1.0,
    )


def full(bits: int) -> tuple[list[CodedLayer], list[Observed]]:
    """Minus one everywhere, which sets every bit in two's complement, and all input bits set."""
    layers = [
        coded(shape, np.full((1, shape.wordlines, shape.outputs), -1), bits) for shape in SHAPES
    ]
    inputs = [np.full((1, 3, shape.wordlines), (1 << bits) - 1) for shape in SHAPES]
    return layers, [Observed(input_codes=codes) for codes in inputs]


def on(
    engine: Engine,
    layers: list[CodedLayer],
    observed: list[Observed] | None = None,
    *,
    encoding: Encoding = TWOS_COMPLEMENT,
    ou_wordlines: int | None = None,
) -> tuple[Estimate, Chip]:
    chip = Chip(
        crossbar=Crossbar(
            wordlines=ARRAY, bitlines=ARRAY, bits_per_cell=1, ou_wordlines=ou_wordlines
        ),
        adc=SABERI,
        adc_bits=(8,) * 9,
        engine=engine,
        encoding=encoding,
    )
    return estimate(layers, chip, observed=observed), chip


def patch_reads(result: Estimate, chip: Chip) -> float:
    """OU reads of `ou_patch`: it adds one partial sum for each."""
    return result.components["tile_shift_add"][0] / chip.tile.shift_add_energy_j


def side_by_side(bits: int, ou_rows: int, ou_columns: int) -> tuple[int, int, int]:
    """OU reads, conversions and whole arrays of the dense network, from its shapes alone."""
    reads = conversions = arrays = 0
    for shape in SHAPES:
        columns = bits * shape.outputs
        steps = shape.positions * bits * ceil(shape.wordlines / ou_rows)
        reads += steps * ceil(columns / ou_columns)
        conversions += steps * columns
        arrays += ceil(shape.wordlines / ARRAY) * ceil(columns / ARRAY)
    return reads, conversions, arrays


DENSE = {8: (2_386_480, 19_091_840, 246), 6: (1_354_680, 10_739_160, 185)}
"""The figures in full: 2.39e6, 1.91e7, 246 and 1.35e6, 1.07e7, 185."""


@pytest.mark.parametrize("bits", [8, 6])
def test_dense_counts_in_operation_units_of_8_by_8(bits: int) -> None:
    reads, conversions, arrays = DENSE[bits]
    assert side_by_side(bits, 8, 8) == DENSE[bits]

    layers, observed = full(bits)
    dense, _ = on(ISAAC, layers, ou_wordlines=8)
    assert dense.adc_conversions == conversions
    # the same network through the engine that skips zeros, where there is none to skip
    skipping, _ = on(SreEngine(ou_wordlines=8, ou_bitlines=8), layers, observed)
    assert skipping.adc_conversions == conversions
    # a patch of 8 is an OU of 8 rows by all columns of one weight: 8 x 8 only at 8 bits
    patched, chip = on(OuPatchEngine(patch=8), layers)
    assert patched.adc_conversions == conversions
    expected = reads if bits == 8 else conversions // bits
    assert patch_reads(patched, chip) == pytest.approx(expected, rel=1e-12)
    # columns of all bits side by side in whole arrays, as this engine lays them
    cells = BitsNetEngine(cell_energy_j=(0.0, 0.0))
    together = [replace(layer, weight_bits=bits) for layer in layers]
    assert on(cells, together, encoding=DIFFERENTIAL)[0].crossbars == arrays


def test_how_dense_arrays_convert_between_conventions() -> None:
    """Bit planes on arrays of their own waste more of the last array; a sign array doubles."""
    layers, _ = full(8)
    planes = sum(
        8 * ceil(shape.wordlines / ARRAY) * ceil(shape.outputs / ARRAY) for shape in SHAPES
    )
    assert (planes, side_by_side(8, 8, 8)[2]) == (296, 246)
    assert on(ISAAC, layers)[0].crossbars == planes
    assert on(CrmpEngine(), layers)[0].crossbars == planes
    # 7-bit magnitudes and a sign: 2 x 7 planes instead of 8
    signs_apart, _ = on(CrmpEngine(), layers, encoding=DIFFERENTIAL)
    assert signs_apart.crossbars == planes * 14 // 8
    # 8-bit magnitudes in differential arrays, the baseline of the bit flips
    eight = [replace(layer, weight_bits=8) for layer in layers]
    assert on(ISAAC, eight, encoding=DIFFERENTIAL)[0].crossbars == 592


def test_whole_arrays_are_read_more_often_in_operation_units() -> None:
    """CRMP converts all 128 columns for every 8 of 128 rows, used or not."""
    layers, _ = full(8)
    crmp, _ = on(CrmpEngine(ou_bitlines=8), layers, ou_wordlines=8)
    walked = sum(
        8 * ceil(s.wordlines / ARRAY) * ceil(s.outputs / ARRAY) * s.positions * 8 * 16 * ARRAY
        for s in SHAPES
    )
    assert crmp.adc_conversions == walked
    assert crmp.adc_conversions > 4 * DENSE[8][1]


KEPT_WEIGHTS = {"conv1": 0.6, "conv2": 0.12, "fc1": 0.032, "fc2": 0.27}
"""4.1 % in all, as one magnitude for all layers leaves them: the first convolution is dense."""

KEPT_PATCHES = {"conv1": 1.0, "conv2": 0.11, "fc1": 0.055, "fc2": 0.2}
"""The first convolution is whole; a quarter of the kept patches has 8 bits, the others 4."""


def pruned(seed: int) -> list[CodedLayer]:
    """Unstructured."""
    rng = np.random.default_rng(seed)
    layers = []
    for shape in SHAPES:
        size = (1, shape.wordlines, shape.outputs)
        weights = rng.integers(1, 128, size) * rng.choice([-1, 1], size)
        layers.append(coded(shape, weights * (rng.random(size) < KEPT_WEIGHTS[shape.name]), 8))
    return layers


def digits_and_activations(seed: int) -> list[Observed]:
    """Inputs like those of MNIST: four of five pixels and half of the activations are zero."""
    rng = np.random.default_rng(seed)
    observed = []
    for shape in SHAPES:
        codes = np.minimum(np.abs(rng.normal(0, 40, (1, 64, shape.wordlines))), 255).astype(int)
        blank = 0.8 if shape.name == "conv1" else 0.5
        codes *= np.repeat(rng.random((1, 64, -(-shape.wordlines // 5))) > blank, 5, axis=2)[
            :, :, : shape.wordlines
        ]
        observed.append(Observed(input_codes=codes))
    return observed


def kept_cells(result: Estimate, chip: Chip, ou_bitlines: int) -> float:
    """Cells of the rows that SRE keeps, from the index it reads for each."""
    per_bit = chip.tile.edram_energy_j_per_bit + chip.tile.bus_energy_j_per_bit
    rows = sum(
        layer.energy_j["index"] / per_bit / INDEX_BITS / shape.positions
        for layer, shape in zip(result.layers, SHAPES, strict=True)
    )
    return rows * ou_bitlines


def test_cells_that_row_compression_keeps_at_4_percent() -> None:
    """8.6 arrays in OUs 8 wide: one weight each, so every non-zero weight. 16.5 in OUs 16 wide.

    Two weights share a row there, and a row stays for either of them.
    """
    layers = pruned(seed=1)
    nonzero = sum(int(np.count_nonzero(layer.magnitudes)) for layer in layers)
    observed = digits_and_activations(2)
    narrow, chip = on(SreEngine(ou_wordlines=8, ou_bitlines=8), layers, observed)
    assert kept_cells(narrow, chip, 8) == pytest.approx(8 * nonzero, rel=1e-9)
    assert kept_cells(narrow, chip, 8) / ARRAY**2 == pytest.approx(8.6, abs=0.15)
    wide, chip = on(SreEngine(ou_wordlines=16, ou_bitlines=16), layers, observed)
    assert kept_cells(wide, chip, 16) / ARRAY**2 == pytest.approx(16.5, abs=0.6)
    assert narrow.crossbars == sum(
        ceil(8 * int(np.count_nonzero(layer.magnitudes)) / ARRAY**2) for layer in layers
    )
    # 16 x 16 reads half as often and converts about as much: 9.7e4 / 1.55e6 to 1.98e5 / 1.58e6
    assert 1.5 < (narrow.adc_conversions / 8) / (wide.adc_conversions / 16) < 2.5
    assert 0.75 < wide.adc_conversions / narrow.adc_conversions < 1.3


def patched(seed: int) -> tuple[list[CodedLayer], list[NDArray[np.int8]]]:
    """Patches of 8 at CR32 = 102."""
    rng = np.random.default_rng(seed)
    layers, precisions = [], []
    for shape in SHAPES:
        patches = (1, -(-shape.wordlines // PATCH), shape.outputs)
        kept = KEPT_PATCHES[shape.name]
        drawn = rng.random(patches)
        bits = np.where(drawn < kept / 4, 8, np.where(drawn < kept, 4, 0))
        by_row = np.repeat(bits, PATCH, axis=1)[:, : shape.wordlines]
        size = by_row.shape
        weights = rng.integers(1, 128, size) * rng.choice([-1, 1], size) * (by_row > 0)
        layers.append(coded(shape, weights, 8))
        precisions.append(bits.astype(np.int8))
    return layers, precisions


def test_patches_take_the_cells_of_the_compression_ratio() -> None:
    """CR32 = 32 M / cells, so 102 is 8.2 arrays of cells, whatever the patches are."""
    assert round(32 * WEIGHTS / 102 / ARRAY**2, 1) == 8.2
    layers, precisions = patched(seed=3)
    cells = sum(PATCH * int(bits.sum()) for bits in precisions)
    assert 32 * WEIGHTS / cells == pytest.approx(102, rel=0.05)
    observed = [Observed(patch_bits=bits) for bits in precisions]
    result, _ = on(OuPatchEngine(patch=PATCH), layers, observed)
    arrays = sum(
        ceil(PATCH * b * int((bits == b).sum()) / ARRAY**2) for bits in precisions for b in (8, 4)
    )
    assert result.crossbars == arrays
    # less than a 20th of the dense 6-bit network's arrays, before they are rounded up
    assert DENSE[6][2] / (cells / ARRAY**2) > 20


def test_who_converts_more() -> None:
    """Dense 8, dense 6, patches, patches with weak inputs, row compression with zero inputs."""
    layers, precisions = patched(seed=3)
    seen = digits_and_activations(2)
    observed = [
        replace(inputs, patch_bits=bits) for inputs, bits in zip(seen, precisions, strict=True)
    ]
    fixed, fixed_chip = on(OuPatchEngine(patch=PATCH), layers, observed)
    dynamic, dynamic_chip = on(OuPatchEngine(patch=PATCH, weak_input_share=0.75), layers, observed)
    sparse = pruned(seed=1)
    skipping, _ = on(SreEngine(ou_wordlines=8, ou_bitlines=8), sparse, seen)
    order = [DENSE[8][1], DENSE[6][1], fixed.adc_conversions, dynamic.adc_conversions]
    order.append(skipping.adc_conversions)
    assert order == sorted(order, reverse=True)
    assert patch_reads(dynamic, dynamic_chip) < patch_reads(fixed, fixed_chip)
    # the whole first convolution dominates the reads of patches
    first = 8 * SHAPES[0].positions * int((precisions[0] > 0).sum())
    assert first > 0.5 * patch_reads(fixed, fixed_chip)


def test_removing_empty_columns_never_costs() -> None:
    """Bit planes against the dense engine on the same differential arrays, all rows at once."""
    layers = pruned(seed=1)
    dense, _ = on(ISAAC, layers, encoding=DIFFERENTIAL)
    strict, _ = on(BitPlaneEngine(), layers, encoding=DIFFERENTIAL)
    packed, _ = on(BitPlaneEngine(packed=True), layers, encoding=DIFFERENTIAL)
    assert packed.crossbars <= strict.crossbars <= dense.crossbars
    assert packed.adc_conversions == strict.adc_conversions < dense.adc_conversions
