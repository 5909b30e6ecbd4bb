from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from dse.datasets.dataset import ImageDataset
from dse.errors import StageError
from dse.pipeline.accuracy import network_with
from dse.pipeline.adc_steps import choose_steps
from dse.pipeline.adc_tuning import Loop, TunedNetwork, tune
from dse.pipeline.compress import CompressedNetwork, compress
from dse.pipeline.patching import compress_in_rounds
from dse.pipeline.pretrain import TrainedNetwork, pretrain
from dse.pipeline.tracing import trace_task
from dse.pruning.pq_pim import PQ_PIM
from dse.quantizers.fixed_point import FIXED_POINT
from dse.quantizers.pot import POT
from dse.quantizers.prepare import calibrate, plain_state, prepare, real_parameters
from dse.regularizers.bit_slice_l1 import BIT_SLICE_L1
from dse.regularizers.none import NONE
from dse.training.accuracy import accuracy
from hw_models.chip import Chip
from hw_models.encodings.offset import OFFSET
from hw_models.encodings.twos_complement import TWOS_COMPLEMENT
from hw_models.errors import MappingError
from hw_models.simulation.convert import to_crossbars
from search_spaces.patches import PatchKnobs
from search_spaces.quantizer import FixedPointKnobs, PotKnobs
from search_spaces.regularizer import BitSliceL1Knobs, NoRegularizerKnobs
from tests.dse.tiny import STRIPES, stripes
from tests.hw_models.coded_layers import chip

DATA = stripes()
FEW = chip((1, 2, 2, 2))
WIDE = chip((14,) * 4)
PLAIN: dict[str, Any] = {
    "quantizer": FIXED_POINT,
    "quantizer_knobs": FixedPointKnobs(),
    "regularizer": NONE,
    "regularizer_knobs": NoRegularizerKnobs(),
}


@pytest.fixture(scope="module")
def trained() -> TrainedNetwork:
    return pretrain(STRIPES, DATA, epochs=6, seed=0)


@pytest.fixture(scope="module")
def compressed(trained: TrainedNetwork) -> CompressedNetwork:
    return compress(
        STRIPES, DATA, trained.state, threshold=0.03, slice_bits=2, epochs=1, seed=0, **PLAIN
    )


def tuned(compressed: CompressedNetwork, design: Chip = FEW, **settings: Any) -> TunedNetwork:
    arguments = {"chip": design, "adc_range": "full", "epochs": 2, "seed": 0, **PLAIN}
    return tune(STRIPES, DATA, compressed, **(arguments | settings))


def loop(state: dict[str, Tensor], design: Chip, steps: dict[str, tuple[int, ...]]) -> Loop:
    traced = trace_task(STRIPES, DATA)
    prepared = prepare(
        network_with(STRIPES, state),
        [each.name for each in traced],
        FIXED_POINT,
        FixedPointKnobs(),
    )
    calibrate(prepared, [DATA.normalised(DATA.train_images)])
    return Loop(prepared=prepared, traced=traced, plans={}, chip=design, steps=steps)


def simulated(found: TunedNetwork, design: Chip, data: ImageDataset = DATA) -> float:
    network = to_crossbars(
        network_with(STRIPES, found.network.state),
        {layer.shape.name: layer for layer in found.network.layers},
        design,
        adc_steps=found.adc_steps,
    )
    _, held_out = data.fit_and_validation()
    return accuracy(network, data, data.train_images[held_out], data.train_labels[held_out])


DESIGNS = {
    "differential": FEW,
    "rows of 20": chip((2, 2, 2, 2), wordlines=20),
    "1-bit cells": chip((2,) * 8, bits_per_cell=1),
    "2-bit inputs": replace(chip((3,) * 4), dac_bits=2),
    "offset": replace(chip((4,) * 5), encoding=OFFSET),
    "two's complement": replace(chip((3,) * 5), encoding=TWOS_COMPLEMENT),
}


@pytest.mark.parametrize("design", DESIGNS.values(), ids=DESIGNS)
@pytest.mark.parametrize("step", [0, 1])
def test_the_forward_value_is_the_chips_bit_for_bit(
    compressed: CompressedNetwork, design: Chip, step: int
) -> None:
    groups = len(design.adc_bits)
    steps = {"conv2": (step,) * groups, "fc": (step,) * groups}
    inside = loop(compressed.state, design, steps)
    images = DATA.normalised(DATA.test_images[:60])
    codes = {layer.shape.name: layer for layer in inside.lowered()}
    plain = network_with(STRIPES, plain_state(inside.prepared))
    expected = to_crossbars(plain, codes, design, adc_steps=steps)(images)
    found = inside.prepared.eval()(images)
    assert torch.equal(found, expected)
    assert not torch.equal(found, to_crossbars(plain, codes, None)(images))


def test_unlimited_converters_leave_the_quantised_network(compressed: CompressedNetwork) -> None:
    inside = loop(compressed.state, WIDE, {})
    images = DATA.normalised(DATA.test_images[:60])
    found = inside.prepared.eval()(images)
    quantised = prepare(
        network_with(STRIPES, compressed.state),
        inside.names,
        FIXED_POINT,
        FixedPointKnobs(),
    )
    calibrate(quantised, [DATA.normalised(DATA.train_images)])
    torch.testing.assert_close(found, quantised.eval()(images), rtol=1e-4, atol=1e-4)


def test_gradients_reach_every_parameter_as_if_there_were_no_converters(
    compressed: CompressedNetwork,
) -> None:
    """The output of the last layer is clipped; its gradient is that of the quantised product."""
    inside = loop(compressed.state, FEW, {})
    images, labels = DATA.normalised(DATA.train_images[:50]), DATA.train_labels[:50]
    seen: dict[str, Tensor] = {}
    last = inside.prepared.get_submodule("fc")
    last.register_forward_pre_hook(lambda _, inputs: seen.update(inputs=inputs[0].detach()))
    scores = inside.prepared.eval()(images)
    scores.retain_grad()
    F.cross_entropy(scores, labels).backward()
    for name, parameter in real_parameters(inside.prepared, inside.names).items():
        assert parameter.grad is not None, name
        assert bool(parameter.grad.abs().sum() > 0), name
    weight = real_parameters(inside.prepared, ["fc"])["fc.weight"]
    assert scores.grad is not None
    torch.testing.assert_close(weight.grad, scores.grad.T @ seen["inputs"])


def test_tuning_repairs_what_few_bits_break(compressed: CompressedNetwork) -> None:
    untouched = tuned(compressed, epochs=0)
    assert untouched.network.layers is compressed.layers
    assert untouched.network.metrics["epoch"] == 0
    repaired = tuned(compressed, epochs=5)
    before, after = (each.network.metrics["val_accuracy"] for each in (untouched, repaired))
    assert before == simulated(untouched, FEW)
    assert after > before + 0.1
    assert after == simulated(repaired, FEW)
    assert 1 <= repaired.network.metrics["epoch"] <= 5
    assert repaired.network.metrics["mean_slice_ratio"] == pytest.approx(
        np.mean(repaired.network.nonzero_slice_ratios)
    )


def test_calibrated_steps_are_chosen_by_the_loss_and_kept(compressed: CompressedNetwork) -> None:
    full, calibrated = (
        tuned(compressed, adc_range=range_, epochs=0) for range_ in ("full", "calibrated")
    )
    assert full.adc_steps == {}
    assert set(calibrated.adc_steps) == {"conv1", "conv2", "fc"}
    repaired = tuned(compressed, adc_range="calibrated", epochs=2)
    assert repaired.network.metrics["val_accuracy"] == simulated(repaired, FEW)
    arguments: dict[str, Any] = {"chip": FEW, "seed": 0}
    state, layers = compressed.state, compressed.layers
    chosen = choose_steps(STRIPES, DATA, state, layers, **arguments)
    assert chosen == calibrated.adc_steps
    again = choose_steps(STRIPES, DATA, state, layers, also=(chosen,), **arguments)
    assert again == chosen
    absurd = dict.fromkeys(chosen, (8, 8, 8, 8))
    assert choose_steps(STRIPES, DATA, state, layers, also=(absurd,), **arguments) == chosen


def test_tuning_repeats_and_follows_the_seed(compressed: CompressedNetwork) -> None:
    one, same, other = (tuned(compressed, epochs=1, seed=seed) for seed in (3, 3, 4))
    for a, b in zip(one.network.layers, same.network.layers, strict=True):
        assert np.array_equal(a.signed_codes(), b.signed_codes())
        assert (a.weight_step, a.input_step) == (b.weight_step, b.input_step)
    assert one.network.metrics["val_accuracy"] == same.network.metrics["val_accuracy"]
    assert not torch.equal(one.network.state["fc.weight"], other.network.state["fc.weight"])


def test_pruned_weights_stay_zero(compressed: CompressedNetwork) -> None:
    found = tuned(
        compressed,
        regularizer=BIT_SLICE_L1,
        regularizer_knobs=BitSliceL1Knobs(strength=0.01),
        epochs=4,
    )
    assert found.network.metrics["epoch"] > 0
    for name in ("conv1.weight", "conv2.weight", "fc.weight"):
        pruned = compressed.state[name] == 0
        assert bool(pruned.any())
        assert bool((found.network.state[name][pruned] == 0).all())
        assert not torch.equal(found.network.state[name], compressed.state[name])


def test_patches_keep_their_precision(trained: TrainedNetwork) -> None:
    knobs = PatchKnobs(patch=4, tsv=0.8, t_prune=0.6, rounds=1)
    arguments = PLAIN | {"quantizer_knobs": FixedPointKnobs(bits=7)}
    start = compress_in_rounds(
        STRIPES,
        DATA,
        trained.state,
        pruner=PQ_PIM,
        pruner_knobs=knobs,
        threshold=0.0,
        slice_bits=1,
        epochs=1,
        seed=0,
        **arguments,
    ).network
    design = replace(chip((3,) * 8, bits_per_cell=1), encoding=TWOS_COMPLEMENT)
    found = tuned(start, design, epochs=3, quantizer_knobs=FixedPointKnobs(bits=7))
    assert found.network.metrics["epoch"] > 0
    for before, after in zip(start.layers, found.network.layers, strict=True):
        assert before.patches is not None
        assert after.patches is not None
        assert np.array_equal(after.patches.bits, before.patches.bits)
    assert found.network.metrics["val_accuracy"] == simulated(found, design)


def test_grids_with_thresholds_are_tuned_too(trained: TrainedNetwork) -> None:
    arguments = PLAIN | {"quantizer": POT, "quantizer_knobs": PotKnobs(bits=4)}
    start = compress(
        STRIPES, DATA, trained.state, threshold=0.0, slice_bits=2, epochs=1, seed=0, **arguments
    )
    found = tuned(start, chip((2, 2, 2, 2)), epochs=3, **arguments)
    assert found.network.metrics["epoch"] > 0
    assert found.network.metrics["val_accuracy"] == simulated(found, chip((2, 2, 2, 2)))


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"adc_range": "wide"}, StageError, "is 'full' or 'calibrated', got 'wide'"),
        ({"epochs": -1}, StageError, "takes 0 or more epochs, got -1"),
        ({"learning_rate": 0.0}, StageError, "factor is above 0, got 0.0"),
        (
            {"design": chip((3, 3))},
            MappingError,
            "conv1 has 4 slice groups .* ADC resolutions for 2",
        ),
    ],
)
def test_what_cannot_be_is_refused(
    compressed: CompressedNetwork, settings: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        tuned(compressed, **settings)
