"""The scheme on layers: signs, tiles, patches, corrections, errors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from dse.bit_flips.bit_transformer import BIT_TRANSFORMER
from dse.bit_flips.correction import corrected_bias, least_squares_gain
from dse.bit_flips.inputs import InputMoments, measure_inputs
from dse.bit_flips.none import NONE
from dse.bit_flips.output_means import restore_output_means
from dse.bit_flips.patch_planes import planes_of_patches
from dse.errors import StageError
from hw_models.chip import Chip
from hw_models.converters.saberi import SABERI
from hw_models.crossbar import Crossbar
from hw_models.encodings.bit_planes import footprint, nonempty_columns
from hw_models.encodings.bit_slices import slice_statistics
from hw_models.engines.bit_plane import BitPlaneEngine
from hw_models.engines.isaac import ISAAC
from hw_models.estimation.estimate import estimate
from hw_models.layer import CodedLayer, LayerShape
from hw_models.patches import Patches
from hw_models.simulation.convert import to_crossbars
from search_spaces.bit_flips import BitTransformerKnobs, NoBitFlipKnobs

SEEDS = st.integers(0, 2**32 - 1)
PLAIN = {"correct_gain": False, "correct_bias": False}


def coded(
    seed: int, *, wordlines: int = 40, outputs: int = 6, groups: int = 1, name: str = "fc"
) -> CodedLayer:
    rng = np.random.default_rng(seed)
    shape = LayerShape(name=name, wordlines=wordlines, outputs=outputs, groups=groups, positions=3)
    size = (groups, wordlines, outputs)
    magnitudes = np.minimum(np.abs(rng.laplace(0, 40, size)), 255).astype(np.uint8)
    return CodedLayer(
        shape=shape,
        magnitudes=magnitudes,
        signs=np.where(magnitudes > 0, rng.choice([-1, 1], size), 0).astype(np.int8),
        weight_step=2.0**-9,
        input_step=1 / 64,
        input_offset=-0.5,
        bias=rng.normal(size=groups * outputs),
    )


def moments(seed: int, layer: CodedLayer) -> dict[str, InputMoments]:
    rng = np.random.default_rng(seed + 1)
    mean = rng.random((layer.shape.groups, layer.shape.wordlines))
    return {layer.shape.name: InputMoments(mean=mean, mean_square=mean**2 + 0.1)}


@settings(max_examples=30, deadline=None)
@given(
    seed=SEEDS,
    terms=st.integers(1, 8),
    tau=st.floats(0, 0.3),
    cap=st.sampled_from([0, 7, 15]),
    rule=st.sampled_from(["free", "window"]),
    wordlines=st.sampled_from([8, 16, 64]),
)
def test_codes_keep_signs_and_fit_the_converter_of_the_cap(
    seed: int, terms: int, tau: float, cap: int, rule: str, wordlines: int
) -> None:
    layer = coded(seed, groups=2)
    knobs = BitTransformerKnobs(terms=terms, tau=tau, cap=cap, rule=rule)
    (flipped,) = BIT_TRANSFORMER.flip(
        [layer], knobs, wordlines=wordlines, mean_inputs=moments(seed, layer)
    )
    assert (flipped.signs == layer.signs).all()
    assert np.bitwise_count(flipped.magnitudes).max() <= terms
    if cap:
        chip = Chip(
            crossbar=Crossbar(wordlines=wordlines, bitlines=16, bits_per_cell=1),
            adc=SABERI,
            adc_bits=((cap + 1).bit_length() - 1,) * 8,
            engine=ISAAC,
        )
        assert max(slice_statistics(flipped, chip.crossbar).worst_column_sum) <= cap
        module = nn.Conv2d(80, 12, 1, groups=2)
        network = nn.Sequential(module)
        named = {"0": replace(flipped, shape=replace(flipped.shape, name="0"))}
        inputs = torch.randn(2, 80, 2, 2, generator=torch.Generator().manual_seed(1)) * 3
        read = to_crossbars(network, named, chip)(inputs)
        assert torch.equal(read, to_crossbars(network, named, None)(inputs))


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS)
def test_off_is_the_identity(seed: int) -> None:
    layer = coded(seed)
    knobs = BitTransformerKnobs(terms=8, tau=0.0)
    (flipped,) = BIT_TRANSFORMER.flip(
        [layer], knobs, wordlines=16, mean_inputs=moments(seed, layer)
    )
    assert np.array_equal(flipped.magnitudes, layer.magnitudes)
    assert flipped.weight_step == pytest.approx(layer.weight_step, rel=1e-12)
    assert flipped.bias == pytest.approx(layer.bias, abs=1e-12)
    assert not BIT_TRANSFORMER.uses_inputs(BitTransformerKnobs(**PLAIN))
    assert NONE.flip([layer], NoBitFlipKnobs(), wordlines=16) == (layer,)


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, tau=st.sampled_from([0.01, 0.1, 0.3]), packed=st.booleans())
def test_footprint_is_what_the_engine_charges(seed: int, tau: float, packed: bool) -> None:
    layer = coded(seed, wordlines=40, outputs=12, groups=2)
    knobs = BitTransformerKnobs(tau=tau, **PLAIN)
    (flipped,) = BIT_TRANSFORMER.flip([layer], knobs, wordlines=16)
    crossbar = Crossbar(wordlines=16, bitlines=5, bits_per_cell=1)
    triples = strict = together = 0
    for matrix in range(2):
        for top in range(0, 40, 16):
            for sign in (1, -1):
                tile = (matrix, slice(top, top + 16))
                part = np.where(flipped.signs[tile] == sign, flipped.magnitudes[tile], 0)
                held = [int((part >> plane & 1).any(axis=0).sum()) for plane in range(8)]
                triples += sum(held)
                strict += sum(-(-columns // 5) for columns in held)
                together += -(-sum(held) // 5)
    assert int(nonempty_columns(flipped, crossbar).sum()) == triples
    expected = together if packed else strict
    assert footprint(flipped, crossbar, packed=packed) == expected
    chip = Chip(
        crossbar=crossbar, adc=SABERI, adc_bits=(5,) * 8, engine=BitPlaneEngine(packed=packed)
    )
    costs = estimate([flipped], chip)
    assert costs.crossbars == expected
    assert costs.adc_conversions == triples * layer.shape.positions * layer.input_bits
    assert estimate([layer], chip).crossbars >= expected


@pytest.mark.parametrize("cap", [0, 7])
def test_patches_keep_their_columns(cap: int) -> None:
    rng = np.random.default_rng(3)
    bits = rng.choice(np.array([8, 4, 0], dtype=np.int8), (1, 10, 6))
    by_row = np.repeat(bits, 4, axis=1)
    layer = coded(3)
    magnitudes = layer.magnitudes // 2
    magnitudes[by_row == 0] = 0
    magnitudes[by_row == 4] = np.minimum(magnitudes[by_row == 4] >> 2, 7) << 2
    layer = replace(
        layer,
        magnitudes=magnitudes,
        weight_bits=7,
        patches=Patches(size=4, bits=bits, weak_shift=2),
    )
    planes = planes_of_patches(layer)
    assert planes is not None
    assert set(planes[by_row == 4].tolist()) == {0b11100}
    knobs = BitTransformerKnobs(tau=0.2, cap=cap, **PLAIN)
    (flipped,) = BIT_TRANSFORMER.flip([layer], knobs, wordlines=16)
    assert flipped.patches is layer.patches  # and they were checked against the new codes
    assert not (flipped.magnitudes & ~planes).any()
    assert (flipped.magnitudes != layer.magnitudes).any()
    assert planes_of_patches(coded(0)) is None

    own = rng.choice(np.array([0b1111111, 0b1110], dtype=np.uint8), magnitudes.shape)
    (narrower,) = BIT_TRANSFORMER.flip([layer], knobs, wordlines=16, allowed_planes={"fc": own})
    assert not (narrower.magnitudes & ~(planes & own)).any()


def small_network() -> tuple[nn.Module, dict[str, CodedLayer], torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    network = nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 16, 5)
    )
    first = coded(1, wordlines=18, outputs=6, name="0")
    second = coded(2, wordlines=96, outputs=5, name="3")
    images = torch.randn(40, 2, 4, 4, generator=generator)
    layers = {
        "0": replace(first, input_step=0.02, input_offset=-2.5),
        "3": replace(second, input_step=0.05, input_offset=0.0),
    }
    return network, layers, images


def test_moments_of_inputs_count_padding_as_zeros() -> None:
    network, layers, images = small_network()
    seen = measure_inputs(network, layers, images)
    layer = layers["0"]
    codes = ((images - layer.input_offset) / layer.input_step).round().clamp(0, 255)
    real = codes.double() * layer.input_step + layer.input_offset
    windows = nn.functional.unfold(real, 3, padding=1).transpose(0, 1).flatten(1)
    assert seen["0"].mean[0] == pytest.approx(windows.mean(1).numpy(), abs=1e-9)
    assert seen["0"].mean_square[0] == pytest.approx(windows.square().mean(1).numpy(), rel=1e-9)


def output_errors(
    network: nn.Module,
    before: dict[str, CodedLayer],
    after: dict[str, CodedLayer],
    images: torch.Tensor,
) -> list[float]:
    """Mean over channels of |mean output after - before|, per layer."""
    found = []
    for layers in (before, after):
        means = []
        exact = to_crossbars(network, layers, None)
        for index in (0, 3):
            exact[index].register_forward_hook(  # type: ignore[index]
                lambda _, __, output, means=means: means.append(
                    output.double().movedim(1, 0).flatten(1).mean(1)
                )
            )
        exact(images)
        found.append(means)
    return [float((a - b).abs().mean()) for a, b in zip(*found, strict=True)]


def test_corrections_restore_mean_outputs() -> None:
    network, layers, images = small_network()
    seen = measure_inputs(network, layers, images)

    def flipped(**corrections: bool) -> dict[str, CodedLayer]:
        knobs = BitTransformerKnobs(tau=0.1, cap=7, **corrections)
        done = BIT_TRANSFORMER.flip(list(layers.values()), knobs, wordlines=32, mean_inputs=seen)
        return {layer.shape.name: layer for layer in done}

    plain = output_errors(network, layers, flipped(**PLAIN), images)
    for gain in (False, True):
        after = flipped(correct_gain=gain, correct_bias=True)
        errors = output_errors(network, layers, after, images)
        assert plain[0] > 1e-3
        assert errors[0] < 1e-6  # the first layer sees the inputs that were measured
        assert errors[1] < plain[1]
        followed = restore_output_means(network, layers, after, images)
        assert max(output_errors(network, layers, followed, images)) < 1e-6
        assert followed["3"].magnitudes is after["3"].magnitudes


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, only_cap=st.booleans())
def test_gain_never_adds_weight_error(seed: int, only_cap: bool) -> None:
    layer = coded(seed)
    inputs = moments(seed, layer)["fc"]
    settings = {"terms": 8, "tau": 0.0} if only_cap else {"terms": 2, "tau": 0.2}
    knobs = BitTransformerKnobs(**settings, cap=7, **PLAIN)  # type: ignore[arg-type]
    (flipped,) = BIT_TRANSFORMER.flip([layer], knobs, wordlines=40)
    gain = least_squares_gain(layer, flipped, inputs)

    def error(factor: float) -> float:
        off = layer.signed_codes() - factor * flipped.signed_codes().astype(float)
        return float((inputs.mean_square[:, :, np.newaxis] * off**2).sum())

    assert error(gain) <= error(1.0) * (1 + 1e-12)
    assert error(gain) <= min(error(gain * 0.99), error(gain * 1.01)) * (1 + 1e-12)
    if only_cap:  # magnitudes only ever fall
        assert (flipped.magnitudes <= layer.magnitudes).all()
        assert gain > 1


def test_layers_without_bias_or_weight() -> None:
    layer = replace(coded(0), bias=None)
    zero = replace(layer, magnitudes=np.zeros_like(layer.magnitudes))
    inputs = moments(0, layer)["fc"]
    assert least_squares_gain(layer, zero, inputs) == 1.0
    shift = corrected_bias(layer, zero, inputs.mean)
    expected = inputs.mean[0] @ layer.signed_codes()[0] * layer.weight_step
    assert shift == pytest.approx(expected, rel=1e-12)


def test_a_layer_may_have_thresholds_of_its_own() -> None:
    layer = coded(3)
    other = replace(layer, shape=replace(layer.shape, name="other"))
    wide = BitTransformerKnobs(**{**PLAIN, "terms": 8, "tau": 0.0})
    own = {"other": {"terms": 1, "tau": 0.2}}
    same, changed = BIT_TRANSFORMER.flip([layer, other], wide, wordlines=16, layer_knobs=own)
    (alone,) = BIT_TRANSFORMER.flip(
        [other], BitTransformerKnobs(**{**PLAIN, **own["other"]}), wordlines=16
    )
    assert np.array_equal(same.magnitudes, layer.magnitudes)
    assert np.array_equal(changed.magnitudes, alone.magnitudes)
    assert np.bitwise_count(changed.magnitudes).max() == 1
    with pytest.raises(StageError, match="bit flips of single layers are those of fc, got 'no'"):
        BIT_TRANSFORMER.flip([layer], wide, wordlines=16, layer_knobs={"no": {"tau": 0.1}})
    with pytest.raises(StageError, match="fc: a layer has a terms, tau, cap of its own, got 'ru"):
        BIT_TRANSFORMER.flip([layer], wide, wordlines=16, layer_knobs={"fc": {"rule": "free"}})


def test_bad_arguments() -> None:
    layer = coded(0)
    knobs = BitTransformerKnobs()
    with pytest.raises(StageError, match="fc: corrections and weight_by_inputs need the moments"):
        BIT_TRANSFORMER.flip([layer], knobs, wordlines=16)
    with pytest.raises(
        StageError, match=r"moments .* shape \(groups, K\) = \(1, 40\), got \(1, 8"
    ):
        BIT_TRANSFORMER.flip(
            [layer], knobs, wordlines=16, mean_inputs=moments(0, coded(0, wordlines=8))
        )
    with pytest.raises(StageError, match="at least 1 wordline, got 0"):
        BIT_TRANSFORMER.flip([layer], knobs, wordlines=0, mean_inputs=moments(0, layer))
    with pytest.raises(StageError, match=r"allowed planes are uint8 masks of shape \(1, 40, 6\)"):
        BIT_TRANSFORMER.flip(
            [layer],
            BitTransformerKnobs(**PLAIN),
            wordlines=16,
            allowed_planes={"fc": np.zeros((1, 40), dtype=np.uint8)},
        )
    network, layers, images = small_network()
    with pytest.raises(StageError, match="at least 1 image, got none"):
        measure_inputs(network, layers, images[:0])
    with pytest.raises(StageError, match="at least 1 image, got none"):
        restore_output_means(network, layers, layers, images[:0])

    class Unused(nn.Sequential):
        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return self[0](inputs)  # type: ignore[no-any-return]

    unused = Unused(*network)
    with pytest.raises(StageError, match="3: a layer sees inputs in calibration, got none"):
        measure_inputs(unused, layers, images)
    with pytest.raises(StageError, match="3: a layer sees images in calibration, got none"):
        restore_output_means(unused, layers, layers, images)
