from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from hw_models.chip import Chip
from hw_models.converters.saberi import SABERI
from hw_models.crossbar import Crossbar
from hw_models.encodings.twos_complement import TWOS_COMPLEMENT
from hw_models.engines.observed import Observed, driven_codes
from hw_models.engines.ou_patch import OuPatchEngine
from hw_models.engines.sre import SRE
from hw_models.errors import HardwareError, MappingError
from hw_models.estimation.estimate import estimate
from hw_models.layer import CodedLayer
from hw_models.patches import rounded_inputs, weak_inputs
from hw_models.simulation.input_codes import driven_columns
from hw_models.simulation.layers import CrossbarLinear
from tests.hw_models.coded_layers import coded_layer
from tests.hw_models.patched_layers import patched_layer


def design(engine: OuPatchEngine, *, wordlines: int = 16, dac_bits: int = 1) -> Chip:
    return Chip(
        crossbar=Crossbar(wordlines=wordlines, bitlines=16, bits_per_cell=1),
        adc=SABERI,
        adc_bits=(6,) * 9,
        engine=engine,
        encoding=TWOS_COMPLEMENT,
        dac_bits=dac_bits,
    )


def with_changes(**changes: Any) -> CodedLayer:
    layer = patched_layer(3, size=4, wordlines=10)
    assert layer.patches is not None
    return replace(layer, patches=replace(layer.patches, **changes))


def test_weights_know_the_bits_of_their_patch() -> None:
    layer = patched_layer(3, size=4, wordlines=10, outputs=3, groups=2)
    assert layer.patches is not None
    by_row = layer.patches.by_row(10)
    assert by_row.shape == (2, 10, 3)
    for matrix, row, out in np.ndindex(by_row.shape):
        assert by_row[matrix, row, out] == layer.patches.bits[matrix, row // 4, out]


def test_a_layer_without_patches_is_as_before() -> None:
    assert coded_layer().patches is None
    assert replace(patched_layer(0, size=4), patches=None).patches is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 0}, "layer: a patch has at least 1 weight, got 0"),
        ({"size": 8}, r"bits of patches of 8 must be int8 of shape \(1, 2, 4\), got int8 of"),
        ({"bits": np.zeros((1, 3, 4))}, r"int8 of shape \(1, 3, 4\), got float64"),
        ({"bits": np.full((1, 3, 4), 5, np.int8)}, r"a patch has 8, 4 or 0 bits, got \[5\]"),
        ({"bits": np.zeros((1, 3, 4), np.int8)}, "a removed patch must have no weight, got one"),
        (
            {"bits": np.full((1, 3, 4), 4, np.int8), "weak_shift": 4},
            "weights of weak patches must be 0 to 7 times 16 steps, got magnitudes",
        ),
        ({"weak_shift": 5}, "weak_shift must be 0 to 4 for 7-bit magnitudes, got 5"),
        ({"weak_shift": -1}, "weak_shift must be 0 to 4 for 7-bit magnitudes, got -1"),
        ({"weak_input_share": 0.0}, "from a share above 0 to 1 of small codes, got 0.0"),
        ({"weak_input_share": float("nan")}, "from a share above 0 to 1 .* got nan"),
        ({"small_input": 256}, "small_input must be an input code, 0 to 255, got 256"),
    ],
)
def test_patches_that_do_not_fit_the_codes_are_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(MappingError, match=message):
        with_changes(**changes)


@pytest.mark.parametrize("weight_bits", [4, 7, 8])
def test_a_weak_patch_lies_in_four_columns_of_its_own_worth(weight_bits: int) -> None:
    layer = patched_layer(5, size=4, wordlines=4, outputs=9, weight_bits=weight_bits)
    patches = layer.patches
    assert patches is not None
    crossbar = Crossbar(wordlines=16, bitlines=16, bits_per_cell=1)
    planes = list(TWOS_COMPLEMENT.planes(layer, 0, slice(0, 4), crossbar, 1))
    assert len(planes) == weight_bits + 1
    weak = patches.bits[0, 0] == 4
    assert weak.any()
    for plane in planes[:-4]:
        assert not plane.cells[:, weak].any()
    worth = [plane.factors[weak][0] / 2**patches.weak_shift for plane in planes[-4:]]
    assert worth == [-8, 4, 2, 1]
    assert all(not plane.cells[:, patches.bits[0, 0] == 0].any() for plane in planes)


def test_wider_cells_and_row_blocks_over_patches_store_all_bits() -> None:
    layer = patched_layer(5, size=4, wordlines=8)
    wide = Crossbar(wordlines=16, bitlines=16, bits_per_cell=2)
    narrow = Crossbar(wordlines=16, bitlines=16, bits_per_cell=1)
    plain = replace(layer, patches=None)
    for crossbar, rows in ((wide, slice(0, 4)), (narrow, slice(0, 8))):
        ours = TWOS_COMPLEMENT.planes(layer, 0, rows, crossbar, 1)
        theirs = TWOS_COMPLEMENT.planes(plain, 0, rows, crossbar, 1)
        for mine, other in zip(ours, theirs, strict=True):
            assert np.array_equal(mine.cells, other.cells)
            assert np.array_equal(mine.factors, other.factors)


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.integers(1, 9),
    wordlines=st.integers(1, 20),
    share=st.floats(0.05, 1.0),
    bits=st.integers(1, 10),
)
def test_counting_and_computing_round_the_same_inputs(
    seed: int, size: int, wordlines: int, share: float, bits: int
) -> None:
    layer = patched_layer(
        seed,
        size=size,
        wordlines=wordlines,
        groups=2,
        input_bits=bits,
        weak_input_share=share,
        small_input=(1 << bits) // 16,
    )
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 1 << bits, (2, 5, wordlines)) // rng.choice([1, 8], (2, 5, wordlines))
    ours = driven_codes("any", layer, Observed(input_codes=codes))
    theirs = driven_columns(layer, torch.from_numpy(codes.transpose(0, 2, 1)))
    assert np.array_equal(ours.transpose(0, 2, 1), theirs.numpy())
    assert ours.max() < 1 << bits
    weak = np.repeat(weak_inputs(codes, size, share, (1 << bits) // 16), size, axis=2)
    assert (ours == codes)[~weak[:, :, :wordlines]].all()
    assert not (ours[weak[:, :, :wordlines]] % (1 << max(0, bits - 4))).any()


def test_rounding_goes_to_the_top_four_bits_halves_up_and_stays_in_range() -> None:
    codes = np.array([0, 7, 8, 24, 39, 240, 247, 248, 255])
    assert rounded_inputs(codes, 8).tolist() == [0, 0, 16, 32, 32, 240, 240, 240, 240]
    assert rounded_inputs(np.array([0, 7, 15]), 4).tolist() == [0, 7, 15]


def test_a_short_last_input_patch_counts_its_true_length() -> None:
    codes = np.array([[9, 0, 0, 0, 9]])
    assert weak_inputs(codes, 4, 0.75, 0).tolist() == [[True, False]]
    assert weak_inputs(codes, 4, 1.0, 9).tolist() == [[True, True]]


def test_a_layer_without_the_rule_sees_its_codes_as_they_are() -> None:
    layer = patched_layer(1, size=4)
    codes = np.zeros((1, 3, 21), dtype=np.int64)
    assert driven_codes("any", layer, Observed(input_codes=codes)) is codes
    columns = torch.zeros(1, 21, 3)
    assert driven_columns(layer, columns) is columns


def test_the_engine_takes_its_patch_size_from_the_layers() -> None:
    layers = [patched_layer(0, size=4), coded_layer(name="digital")]
    assert OuPatchEngine(patch=8).for_layers(layers).patch == 4
    assert OuPatchEngine(patch=2).for_layers([coded_layer()]).patch == 2
    with pytest.raises(MappingError, match=r"one patch size, got \[4, 8\]"):
        OuPatchEngine().for_layers([*layers, patched_layer(0, size=8)])


def test_precisions_come_from_the_layer_unless_they_are_observed() -> None:
    layer = patched_layer(0, size=4, wordlines=16)
    patches = layer.patches
    assert patches is not None
    engine = OuPatchEngine(patch=4)
    full = np.where(patches.bits == 0, 0, 8)
    ours = estimate([layer], design(engine)).adc_conversions
    assert ours == 8 * int(patches.bits.sum())
    observed = [Observed(patch_bits=full)]
    assert estimate([layer], design(engine), observed=observed).adc_conversions == 8 * full.sum()


@pytest.mark.parametrize(
    ("engine", "chip", "message"),
    [
        (OuPatchEngine(patch=8), {}, "its patches have 4 weights, those of the ou_patch engine 8"),
        (
            OuPatchEngine(patch=4, weak_input_share=0.5),
            {},
            "round inputs from a share of 0.75 of codes up to 15, .* counts 0.5 up to 15",
        ),
        (OuPatchEngine(patch=4), {"dac_bits": 3}, "leave out 4 of 8 bits in whole digits, got"),
        (OuPatchEngine(patch=4), {"wordlines": 18}, "whole patches, got patches of 4 in 18"),
    ],
)
def test_an_engine_that_contradicts_the_patches_is_refused(
    engine: OuPatchEngine, chip: dict[str, Any], message: str
) -> None:
    layer = patched_layer(0, size=4, weak_input_share=0.75)
    observed = [Observed(input_codes=np.zeros((1, 2, 21), dtype=np.int64))]
    with pytest.raises(HardwareError, match=message):
        estimate([layer], design(engine, **chip), observed=observed)


def test_digits_across_the_cut_are_refused_by_the_simulator_too() -> None:
    layer = patched_layer(0, size=4, weak_input_share=0.75)
    chip = design(OuPatchEngine(patch=4), dac_bits=3)
    with pytest.raises(MappingError, match="Choose a DAC whose bits divide 4"):
        CrossbarLinear(nn.Linear(21, 4), layer, chip)


def test_the_row_compression_engine_counts_rounded_inputs() -> None:
    layer = patched_layer(0, size=4, wordlines=20, weak_input_share=0.5)
    chip = replace(design(OuPatchEngine(patch=4)), engine=SRE)
    codes = np.full((1, 2, 20), 7)  # all small: every patch becomes 0
    observed = [Observed(input_codes=codes)]
    assert estimate([layer], chip, observed=observed).adc_conversions == 0
    plain = replace(layer, patches=None)
    assert estimate([plain], chip, observed=observed).adc_conversions > 0
