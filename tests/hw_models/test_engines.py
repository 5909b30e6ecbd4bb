"""What every engine refuses and promises."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import entry_points
from math import fsum

import numpy as np
import pytest

from hw_models.chip import Chip
from hw_models.converters.saberi import SABERI
from hw_models.crossbar import Crossbar
from hw_models.encodings.bit_planes import footprint
from hw_models.encodings.differential import DIFFERENTIAL
from hw_models.encodings.encoding import Encoding
from hw_models.encodings.offset import ISAAC_FLIP
from hw_models.encodings.twos_complement import TWOS_COMPLEMENT
from hw_models.engines.bit_plane import BIT_PLANE, BitPlaneEngine
from hw_models.engines.bits_net import BITS_NET
from hw_models.engines.crmp import CRMP, CrmpEngine
from hw_models.engines.engine import Engine
from hw_models.engines.isaac import ISAAC
from hw_models.engines.observed import Observed
from hw_models.engines.ou_patch import OU_PATCH, OuPatchEngine
from hw_models.engines.sre import SRE, SreEngine
from hw_models.errors import HardwareError, MappingError
from hw_models.estimation.estimate import estimate, estimate_designs
from hw_models.layer import CodedLayer
from tests.hw_models.coded_layers import coded_layer

ENGINES = (ISAAC, CRMP, SRE, BITS_NET, BIT_PLANE, BitPlaneEngine(packed=True), OU_PATCH)


def network() -> list[CodedLayer]:
    return [
        coded_layer(1, wordlines=150, outputs=20, positions=4, weight_bits=7, name="conv"),
        coded_layer(2, wordlines=9, outputs=1, groups=4, positions=9, weight_bits=7, name="dw"),
        coded_layer(3, wordlines=300, outputs=10, weight_bits=7, name="fc"),
    ]


def seen(layers: list[CodedLayer]) -> list[Observed]:
    rng = np.random.default_rng(0)
    return [
        Observed(input_codes=rng.integers(0, 256, (layer.shape.groups, 5, layer.shape.wordlines)))
        for layer in layers
    ]


def design(engine: Engine, *, adc_bits: int = 6, encoding: Encoding | None = None) -> Chip:
    if encoding is None:
        encoding = TWOS_COMPLEMENT if engine is OU_PATCH else DIFFERENTIAL
    cell_bits = 2 if engine is BITS_NET else 1
    return Chip(
        crossbar=Crossbar(wordlines=128, bitlines=128, bits_per_cell=cell_bits),
        adc=SABERI,
        adc_bits=(adc_bits,) * 8,
        engine=engine,
        encoding=encoding,
    )


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_components_and_layers_sum_to_the_totals_in_every_engine(engine: Engine) -> None:
    layers = network()
    given = {"observed": seen(layers)} if engine in (SRE, OU_PATCH) else {}
    result = estimate(layers, design(engine), **given)
    energies, areas = zip(*result.components.values(), strict=True)
    assert fsum(energies) == pytest.approx(result.energy_j, rel=1e-12)
    assert fsum(areas) == pytest.approx(result.area_m2, rel=1e-12)
    by_layer = [fsum(layer.energy_j.values()) for layer in result.layers]
    assert fsum(by_layer) == pytest.approx(result.energy_j, rel=1e-12)
    assert fsum(layer.latency_s for layer in result.layers) == pytest.approx(
        result.latency_s, rel=1e-12
    )
    assert sum(layer.crossbars for layer in result.layers) == result.crossbars > 0
    assert (result.engine, result.adc) == (engine.name, "saberi")


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_one_more_adc_bit_costs_energy_in_every_engine(engine: Engine) -> None:
    layers = network()
    given = {"observed": seen(layers)} if engine in (SRE, OU_PATCH) else {}
    groups = 8
    costs = estimate_designs(layers, design(engine), [[5] * groups, [6] * groups], **given)
    assert costs.energy_j[1] > costs.energy_j[0]
    assert costs.latency_s[1] >= costs.latency_s[0]


def test_a_shared_converter_has_the_largest_resolution_of_all_groups() -> None:
    layers = network()
    chip = design(OU_PATCH)
    mixed, largest = estimate_designs(layers, chip, [[1, 7, 2, 3, 4, 5, 6, 1], [7] * 8]).energy_j
    assert mixed == largest
    used = estimate(layers, replace(chip, adc_bits=(1, 7, 2, 3, 4, 5, 6, 1))).layers[0]
    assert used.adc_bits_used == (7,) * 8


def test_every_engine_is_an_entry_point_under_its_name() -> None:
    found = {entry.name: entry.load() for entry in entry_points(group="hw_models.engines")}
    for name in ("isaac", "bits_net", "ou_patch", "sre", "crmp", "bit_plane"):
        assert found[name].name == name


def test_zero_weights_cost_sre_and_patches_nothing_and_isaac_the_same() -> None:
    dense = coded_layer(wordlines=128, outputs=16, weight_bits=7, zero_share=0.0)
    zeros = np.zeros_like(dense.magnitudes)
    half = dense.magnitudes.copy()
    half[:, :64] = 0
    empty, halved = (
        replace(dense, magnitudes=codes, signs=(dense.signs * (codes > 0)).astype(np.int8))
        for codes in (zeros, half)
    )
    for engine in (SRE, OU_PATCH):
        chip = design(engine)
        conversions = [
            estimate([layer], chip, observed=seen([layer])).adc_conversions
            for layer in (empty, halved, dense)
        ]
        assert conversions[0] == 0 < conversions[1] < conversions[2]
    isaac = [estimate([layer], design(ISAAC)).adc_conversions for layer in (empty, dense)]
    assert isaac[0] == isaac[1]


def test_packed_planes_share_arrays() -> None:
    layer = coded_layer(wordlines=100, outputs=10, weight_bits=8)
    crossbar = design(BIT_PLANE).crossbar
    assert footprint(layer, crossbar) == 2 * 8  # ten columns in every array
    assert footprint(layer, crossbar, packed=True) == 2  # eighty columns in one
    assert estimate([layer], design(BIT_PLANE)).crossbars == 16
    assert estimate([layer], design(BitPlaneEngine(packed=True))).crossbars == 2


def test_a_flipped_column_saves_an_adc_bit_and_costs_a_column() -> None:
    layer = coded_layer(wordlines=128, outputs=128, weight_bits=7)
    crossbar = Crossbar(wordlines=128, bitlines=128, bits_per_cell=2)
    plain = Chip(crossbar=crossbar, adc=SABERI, adc_bits=(9,) * 4, engine=ISAAC)
    flipped = replace(plain, adc_bits=(crossbar.encoded_adc_bits(),) * 4, encoding=ISAAC_FLIP)
    before, after = estimate([layer], plain), estimate([layer], flipped)
    assert flipped.adc_bits == (8, 8, 8, 8)
    assert after.crossbars * 2 == before.crossbars
    assert after.adc_conversions * 128 * 2 == before.adc_conversions * 129
    assert after.adc_energy_j < before.adc_energy_j / 2


def test_row_compression_has_nothing_to_drop_under_an_offset() -> None:
    chip = replace(design(SRE), encoding=ISAAC_FLIP)
    with pytest.raises(HardwareError, match=r"sre: rows of zero cells.*got encoding 'isaac_flip'"):
        estimate(network(), chip)


def test_crmp_takes_two_arrays_per_bit_of_the_layer() -> None:
    layers = [
        coded_layer(wordlines=576, outputs=200, weight_bits=bits, name=f"{bits}-bit")
        for bits in (3, 6)
    ]
    result = estimate(layers, design(CRMP))
    assert [layer.crossbars for layer in result.layers] == [2 * 3 * 5 * 2, 2 * 6 * 5 * 2]


def test_patches_at_four_bits_take_half_the_columns() -> None:
    layer = coded_layer(wordlines=8, outputs=10, weight_bits=7, zero_share=0.0)
    for bits, conversions in ((8, 8 * 8 * 10), (4, 8 * 4 * 10)):
        patches = np.full((1, 1, 10), bits, dtype=np.int8)
        result = estimate([layer], design(OU_PATCH), observed=[Observed(patch_bits=patches)])
        assert result.adc_conversions == conversions


def test_an_engine_that_counts_inputs_asks_for_them() -> None:
    with pytest.raises(HardwareError, match=r"conv: the sre engine counts real input bits.*none"):
        estimate(network(), design(SRE))
    chip = replace(design(OU_PATCH), engine=OuPatchEngine(weak_input_share=0.75))
    with pytest.raises(HardwareError, match="conv: the ou_patch engine counts real input bits"):
        estimate(network(), chip)


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (np.zeros((1, 150), dtype=int), r"must be \(groups, positions, K\) = \(1, S, 150\)"),
        (np.full((1, 2, 150), 256), "input codes must be 0 to 255, got 256 to 256"),
    ],
)
def test_input_codes_that_do_not_fit_are_refused(codes: np.ndarray, message: str) -> None:
    with pytest.raises(MappingError, match=message):
        estimate(network()[:1], design(SRE), observed=[Observed(input_codes=codes)])


def test_observations_of_another_network_are_refused() -> None:
    with pytest.raises(MappingError, match="one entry per layer, got 1 for 3 layers"):
        estimate(network(), design(SRE), observed=[Observed()])


def test_a_removed_patch_with_weights_is_refused() -> None:
    layer = coded_layer(wordlines=8, outputs=1, weight_bits=7, zero_share=0.0)
    patches = np.zeros((1, 1, 1), dtype=np.int8)
    with pytest.raises(MappingError, match="a removed patch must have no weight, got one"):
        estimate([layer], design(OU_PATCH), observed=[Observed(patch_bits=patches)])
    with pytest.raises(MappingError, match=r"patch_bits must be 8, 4 or 0 in shape \(1, 1, 1\)"):
        estimate([layer], design(OU_PATCH), observed=[Observed(patch_bits=patches + 2)])


@pytest.mark.parametrize(
    ("engine", "changes", "message"),
    [
        (SreEngine(ou_bitlines=129), {}, "sre: ou_bitlines must be 1 to the 128 bitlines"),
        (CrmpEngine(ou_bitlines=0), {}, "crmp: ou_bitlines must be 1 to the 128 .* got 0"),
        (OuPatchEngine(patch=129), {}, "ou_patch: a patch must have 1 to 128 weights.* got 129"),
        (OU_PATCH, {"encoding": DIFFERENTIAL}, "encoding 'differential'. Choose cell.bits = 1"),
        (BIT_PLANE, {"encoding": TWOS_COMPLEMENT}, "got encoding 'twos_complement'"),
        (BITS_NET, {"encoding": TWOS_COMPLEMENT}, "signs kept apart, got encoding 'twos_comp"),
        (
            BITS_NET,
            {"crossbar": Crossbar(wordlines=8, bitlines=8, bits_per_cell=1)},
            "energy per stored state is known for 4 states, got cells of 1 bits",
        ),
    ],
)
def test_a_chip_that_an_engine_cannot_use_is_refused(
    engine: Engine, changes: dict[str, object], message: str
) -> None:
    chip = replace(design(engine), **changes)
    layers = network()
    with pytest.raises(HardwareError, match=message):
        estimate(layers, chip)


@pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)
def test_an_empty_network_is_refused_by_every_engine(engine: Engine) -> None:
    with pytest.raises(MappingError, match="at least one layer, got none"):
        estimate([], design(engine))
