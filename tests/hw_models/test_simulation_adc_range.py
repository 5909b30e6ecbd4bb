from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from hw_models.encodings.differential import DIFFERENTIAL
from hw_models.encodings.encoding import Encoding
from hw_models.encodings.offset import OFFSET
from hw_models.errors import MappingError
from hw_models.simulation.adc_range import (
    Criterion,
    best_output_steps,
    best_steps,
    calibrations,
    conversion_errors,
    read_out,
)
from hw_models.simulation.convert import to_crossbars
from hw_models.simulation.mvm import SlicedWeights
from tests.hw_models.coded_layers import chip, coded_layer


def codes_of(layer_seed: int, wordlines: int, mvms: int = 40) -> np.ndarray:
    return np.random.default_rng(layer_seed).integers(0, 256, (1, wordlines, mvms))


def calibrated_steps(
    *arguments: Any, criterion: Criterion = "column_sums", **named: Any
) -> dict[str, tuple[int, ...]]:
    return calibrations(*arguments, criteria=(criterion,), **named)[criterion]


@pytest.mark.parametrize(
    ("step_bits", "values"),
    [
        (0, [0, 1, 2, 3, 3, 3, 3, 3]),
        (1, [0, 2, 2, 4, 4, 6, 6, 6]),  # halves round up
        (2, [0, 0, 4, 4, 4, 4, 8, 8]),
    ],
)
def test_two_bit_converters_read_what_their_step_says(step_bits: int, values: list[int]) -> None:
    assert read_out(np.arange(8), 2, step_bits).tolist() == values


def test_converters_that_never_clip_keep_a_step_of_one() -> None:
    layer = coded_layer(wordlines=100, outputs=4)
    assert best_steps(conversion_errors(layer, chip((8,) * 4), codes_of(1, 100))) == (0, 0, 0, 0)


def test_narrow_converters_get_a_step_that_spans_the_sums() -> None:
    layer = coded_layer(wordlines=128, outputs=4, zero_share=0.0)
    steps = best_steps(conversion_errors(layer, chip((3,) * 4), codes_of(2, 128)))
    assert all(step >= 3 for step in steps)  # sums of about 50 in 7 steps of 8 or 16


def test_the_chosen_steps_have_the_least_error_and_improve_the_product() -> None:
    layer = coded_layer(7, wordlines=200, outputs=6)
    codes = codes_of(3, 200)
    for design in (chip((4,) * 4), replace(chip((4,) * 5), encoding=OFFSET)):
        found = conversion_errors(layer, design, codes, products=False)
        errors, steps = found.squared, best_steps(found)
        assert [errors[g, s] for g, s in enumerate(steps)] == errors.min(axis=1).tolist()
        inputs = torch.from_numpy(codes)
        exact = SlicedWeights(layer, None).product(inputs)
        clipped = SlicedWeights(layer, design).product(inputs)
        stepped = SlicedWeights(layer, design, step_bits=steps).product(inputs)
        assert (stepped - exact).square().mean() < 0.2 * (clipped - exact).square().mean()


@pytest.mark.parametrize("encoding", [DIFFERENTIAL, OFFSET], ids=lambda each: each.name)
def test_output_products_give_the_error_of_the_simulated_outputs(encoding: Encoding) -> None:
    layer = coded_layer(4, wordlines=70, outputs=3, groups=2)
    design = replace(chip((3, 2, 4, 3, 3)), encoding=encoding)
    codes = np.random.default_rng(5).integers(0, 256, (2, 70, 12))
    products = conversion_errors(layer, design, codes).products
    assert products is not None
    groups = range(len(products))
    inputs = torch.from_numpy(codes)
    exact = SlicedWeights(layer, None).product(inputs)
    for steps in ((0, 0, 0, 0, 0), (2, 1, 0, 3, 4), (8, 0, 5, 0, 2)):
        chosen = steps[-len(products) :]
        found = SlicedWeights(layer, design, step_bits=chosen).product(inputs)
        error = sum(products[g, chosen[g], h, chosen[h]] for g in groups for h in groups)
        assert error == pytest.approx(float((found - exact).square().sum()), rel=1e-9)


def test_steps_chosen_by_outputs_have_no_larger_error_there() -> None:
    better = 0
    for seed in range(6):
        layer = coded_layer(seed, wordlines=150, outputs=5)
        design, codes = chip((2, 3, 3, 3)), codes_of(seed, 150)
        inputs = torch.from_numpy(codes)
        exact = SlicedWeights(layer, None).product(inputs)
        errors = conversion_errors(layer, design, codes)
        by_sums, by_outputs = (
            float(
                (SlicedWeights(layer, design, step_bits=choose(errors)).product(inputs) - exact)
                .square()
                .sum()
            )
            for choose in (best_steps, best_output_steps)
        )
        assert by_outputs <= by_sums
        better += by_outputs < by_sums
    assert better > 0


def test_a_network_is_calibrated_layer_by_layer_and_repeats() -> None:
    network = nn.Sequential(
        nn.Conv2d(2, 6, 3, stride=2, padding=1, groups=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(54, 4),
    )
    layers = {
        "0": coded_layer(1, wordlines=9, outputs=3, groups=2, zero_share=0.0, name="0"),
        "3": coded_layer(2, wordlines=54, outputs=4, zero_share=0.0, name="3"),
    }
    design = chip((2, 2, 2, 2))
    images = torch.rand(5, 2, 6, 6, generator=torch.Generator().manual_seed(0))
    steps = calibrated_steps(network, layers, design, images, seed=1, mvms=20)
    assert steps == calibrated_steps(network, layers, design, images, seed=1, mvms=20)
    assert set(steps) == {"0", "3"}
    assert max(steps["3"]) > 0
    by_outputs = calibrated_steps(
        network, layers, design, images, seed=1, mvms=20, criterion="outputs"
    )
    assert set(by_outputs) == {"0", "3"}
    exact = to_crossbars(network, layers, None)(images)
    clipped = to_crossbars(network, layers, design)(images)
    stepped = to_crossbars(network, layers, design, adc_steps=steps)(images)
    assert (stepped - exact).square().mean() < (clipped - exact).square().mean()


def test_calibration_without_mvms_is_refused() -> None:
    with pytest.raises(MappingError, match="at least 1 MVM per layer, got mvms=0"):
        calibrated_steps(nn.Linear(4, 3), {}, chip(), torch.rand(1, 4), seed=0, mvms=0)


def test_an_unknown_criterion_is_refused() -> None:
    with pytest.raises(MappingError, match="by 'column_sums' or 'outputs', got 'luck'"):
        calibrated_steps(
            nn.Linear(4, 3),
            {},
            chip(),
            torch.rand(1, 4),
            seed=0,
            criterion="luck",  # type: ignore[arg-type]
        )
