"""A converter's step, chosen on calibration data: trade rounding of small sums for range.

A converter of N bits and step 2**k reads 0 .. (2**N - 1) * 2**k (`hw_models.simulation.columns`
has the rounding). k = 0 clips and never rounds; a larger k rounds and clips later. Choosing the
range of a column's converter on data is what CrossSim calls ADC calibration and what [Xiao2022]
study; powers of two keep the shift-and-add a shift.

Two criteria choose among the steps of a layer. `column_sums`: the least squared error of the
converted sums, each slice group by itself. `outputs`: the least squared error of the layer's
outputs, in which the errors of the groups add up or cancel; that quantisation errors are to be
judged behind the sum that they enter is the point of [Nagel2020]. Neither sees what a network does
with its outputs; `dse.pipeline.adc_tuning` takes the better of both by its loss.

[Xiao2022] T. P. Xiao et al., "On the Accuracy of Analog Neural Network Inference Accelerators",
    IEEE Circuits and Systems Magazine 22(4), 2022.
[Nagel2020] M. Nagel et al., "Up or Down? Adaptive Rounding for Post-Training Quantization",
    ICML 2020.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import nn

from hw_models.encodings.column_sums import planes_of
from hw_models.errors import MappingError
from hw_models.simulation.columns import MAX_STEP_BITS
from hw_models.simulation.convert import to_crossbars
from hw_models.simulation.layers import CrossbarConv2d, CrossbarLinear

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from hw_models.chip import Chip
    from hw_models.layer import CodedLayer

Criterion = Literal["column_sums", "outputs"]

MAX_ERRORS = 1 << 24
"""Output errors held at once, 128 MiB; wide layers are judged by fewer MVMs."""

MAX_PASSES = 10
"""Over the slice groups of a layer, when their steps are chosen together."""


def read_out(sums: NDArray[np.int64], adc_bits: int, step_bits: int) -> NDArray[np.int64]:
    """min(floor((S + 2**k / 2) / 2**k), 2**N - 1) * 2**k for sums S of any shape."""
    codes = (sums + (1 << step_bits >> 1)) >> step_bits
    values: NDArray[np.int64] = np.minimum(codes, (1 << adc_bits) - 1) << step_bits
    return values


def _read_outs(values: int, adc_bits: int) -> NDArray[np.int64]:
    """`read_out` of the sums 0 .. values - 1, a row for every step."""
    sums = np.arange(values)
    return np.stack([read_out(sums, adc_bits, step) for step in range(MAX_STEP_BITS + 1)])


def squared_errors(
    layer: CodedLayer, chip: Chip, codes: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Squared error of the converted column sums for every slice group and step.

    Summed over row blocks, columns, outputs that a column serves, MVMs and input digits, each
    weighted by what it is worth there: (factor * 2**(digit * dac_bits) * (S - value))**2.

    Shapes:
        codes: (groups, K, M) input codes.
        returns: (G, MAX_STEP_BITS + 1), most significant group first.
    """
    adc_bits = chip.adc_bits_for(layer.shape.name, layer.weight_bits)
    errors = np.zeros((len(adc_bits), MAX_STEP_BITS + 1))
    mask = (1 << chip.dac_bits) - 1
    for matrix, rows, planes in planes_of(layer, chip):
        for shift in range(0, layer.input_bits, chip.dac_bits):
            digits = ((codes[matrix, rows].astype(np.int64) >> shift) & mask).astype(np.float64)
            for plane in planes:
                sums = np.rint(plane.cells.T.astype(np.float64) @ digits).astype(np.int64)
                # A unit column has one error and the factors of all outputs.
                worth = np.square(plane.factors.astype(np.float64))
                worth = np.array([worth.sum()]) if plane.unit else worth
                often = np.bincount(sums.ravel(), np.repeat(worth, sums.shape[1]))
                off = np.arange(len(often)) - _read_outs(len(often), adc_bits[plane.group])
                errors[plane.group] += 4.0**shift * (np.square(off.astype(np.float64)) @ often)
    return errors


def best_steps(layer: CodedLayer, chip: Chip, codes: NDArray[np.integer]) -> tuple[int, ...]:
    """log2 of the step with the least squared error per slice group; the smaller on a tie.

    Args:
        layer: Codes.
        chip: Geometry, encoding and ADC resolutions.
        codes: (groups, K, M) input codes of calibration MVMs.
    """
    return tuple(int(step) for step in squared_errors(layer, chip, codes).argmin(axis=1))


def output_products(
    layer: CodedLayer, chip: Chip, codes: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Inner products of what each slice group's converters change in the outputs, by step.

    With steps k[g], the squared error of the outputs, summed over outputs and MVMs, is the sum
    over g and h of entry (g, k[g], h, k[h]).

    Shapes:
        codes: (groups, K, M) input codes; fewer MVMs are used where M is too many.
        returns: (G, MAX_STEP_BITS + 1, G, MAX_STEP_BITS + 1).
    """
    adc_bits = chip.adc_bits_for(layer.shape.name, layer.weight_bits)
    choices = MAX_STEP_BITS + 1
    held = len(adc_bits) * choices * layer.shape.groups * layer.shape.outputs
    codes = codes[:, :, : max(1, MAX_ERRORS // held)]
    errors = np.zeros(
        (len(adc_bits), choices, layer.shape.groups, layer.shape.outputs, codes.shape[2])
    )
    mask = (1 << chip.dac_bits) - 1
    for matrix, rows, planes in planes_of(layer, chip):
        for shift in range(0, layer.input_bits, chip.dac_bits):
            digits = ((codes[matrix, rows].astype(np.int64) >> shift) & mask).astype(np.float64)
            for plane in planes:
                sums = np.rint(plane.cells.T.astype(np.float64) @ digits).astype(np.int64)
                factors = plane.factors[:, np.newaxis] * 2.0**shift
                values = int(sums.max()) + 1
                off = np.arange(values) - _read_outs(values, adc_bits[plane.group])
                for step, lost in enumerate(off.astype(np.float64)):
                    errors[plane.group, step, matrix] += factors * lost.take(sums)
    flat = errors.reshape(len(adc_bits) * choices, -1)
    products: NDArray[np.float64] = flat @ flat.T
    return products.reshape(len(adc_bits), choices, len(adc_bits), choices)


def best_output_steps(
    layer: CodedLayer, chip: Chip, codes: NDArray[np.integer]
) -> tuple[int, ...]:
    """log2 of the step per slice group with a small squared error of the outputs.

    From `best_steps`, one group after the other takes its best step for those of the others,
    until none changes, at most `MAX_PASSES` times.

    Args:
        layer: Codes.
        chip: Geometry, encoding and ADC resolutions.
        codes: (groups, K, M) input codes of calibration MVMs.
    """
    products = output_products(layer, chip, codes)
    steps = list(best_steps(layer, chip, codes))
    groups = range(len(steps))
    for _ in range(MAX_PASSES):
        before = list(steps)
        for group in groups:
            others = [g for g in groups if g != group]
            alone = np.diagonal(products[group, :, group])
            crossed = sum((products[group, :, g, steps[g]] for g in others), np.zeros(len(alone)))
            errors = alone + 2.0 * crossed
            if errors.min() < errors[steps[group]]:
                steps[group] = int(errors.argmin())
        if steps == before:
            break
    return tuple(steps)


def calibrated_steps(
    network: nn.Module,
    layers: Mapping[str, CodedLayer],
    chip: Chip,
    images: Tensor,
    *,
    seed: int,
    mvms: int = 256,
    criterion: Criterion = "column_sums",
) -> dict[str, tuple[int, ...]]:
    """Steps of every layer for `to_crossbars(..., adc_steps=...)`.

    Inputs of a layer are those of the integer network with unlimited converters.

    Args:
        network: As in `to_crossbars`.
        layers: Codes by module name.
        chip: Geometry, encoding and ADC resolutions.
        images: Calibration images, one batch.
        seed: Of the choice of MVMs.
        mvms: MVMs per layer, drawn without replacement from those of all images.
        criterion: What the steps keep small, see above.
    """
    if criterion not in ("column_sums", "outputs"):
        raise MappingError(
            f"steps are chosen by 'column_sums' or 'outputs', got '{criterion}'. Take one of them."
        )
    choose = best_steps if criterion == "column_sums" else best_output_steps
    if mvms < 1:
        raise MappingError(f"calibration needs at least 1 MVM per layer, got mvms={mvms}.")
    rng = np.random.default_rng(seed)
    exact = to_crossbars(network, layers, None)
    modules = dict(exact.named_modules(remove_duplicate=False))
    steps: dict[str, tuple[int, ...]] = {}
    kept: dict[str, NDArray[np.int64]] = {}

    def watch(name: str, module: CrossbarConv2d | CrossbarLinear) -> None:
        def keep(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            codes = module.input_columns(inputs[0])
            chosen = rng.permutation(codes.shape[2])[:mvms]
            kept[name] = codes[:, :, torch.from_numpy(chosen)].cpu().numpy().astype(np.int64)

        module.register_forward_pre_hook(keep)

    for name in layers:
        module = modules[name]
        assert isinstance(module, CrossbarConv2d | CrossbarLinear)
        watch(name, module)
    with torch.no_grad():
        exact(images)
    for name, layer in layers.items():
        if name not in kept:
            raise MappingError(
                f"{name} saw no input in calibration. Calibrate with images that reach it."
            )
        steps[name] = choose(layer, chip, kept[name])
    return steps
