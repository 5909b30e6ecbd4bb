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

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import nn

from hw_models.encodings.column_sums import planes_of
from hw_models.errors import MappingError
from hw_models.simulation.adc_range_kernel import add_losses, count_sums
from hw_models.simulation.columns import MAX_STEP_BITS
from hw_models.simulation.convert import to_crossbars
from hw_models.simulation.layers import CrossbarConv2d, CrossbarLinear

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from hw_models.chip import Chip
    from hw_models.encodings.encoding import ColumnPlane
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Sums:
    """Column sums of the columns of a row block that hold any cell that is not 0.

    Attributes:
        matrix: Group of a grouped layer.
        plane: The columns.
        columns: int64 (N,) their numbers; one number for a unit column.
        values: float32 (N, digits, M) whole numbers.
    """

    matrix: int
    plane: ColumnPlane
    columns: NDArray[np.int64]
    values: NDArray[np.float32]


def _column_sums(layer: CodedLayer, chip: Chip, codes: NDArray[np.integer]) -> Iterator[_Sums]:
    """All sums that a layer's converters read; those of empty columns are 0 and left out."""
    shifts = np.array(_shifts(layer, chip))[:, np.newaxis]
    mask = (1 << chip.dac_bits) - 1
    for matrix, rows, planes in planes_of(layer, chip):
        digits = (codes[matrix, rows].astype(np.int64)[:, np.newaxis] >> shifts) & mask
        driven = digits.astype(np.float32).reshape(len(digits), -1)
        for plane in planes:
            columns = np.flatnonzero(plane.cells.any(axis=0))
            if len(columns):
                cells = np.ascontiguousarray(plane.cells.T[columns], dtype=np.float32)
                values = (cells @ driven).reshape(len(columns), len(shifts), -1)
                yield _Sums(matrix=matrix, plane=plane, columns=columns, values=values)


def _shifts(layer: CodedLayer, chip: Chip) -> range:
    return range(0, layer.input_bits, chip.dac_bits)


def _losses(values: int, adc_bits: int) -> NDArray[np.float64]:
    """What a converter takes off the sums 0 .. values - 1, (values, MAX_STEP_BITS + 1)."""
    sums = np.arange(values)
    kept = np.stack([read_out(sums, adc_bits, step) for step in range(MAX_STEP_BITS + 1)], axis=1)
    return (sums[:, np.newaxis] - kept).astype(np.float64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ConversionErrors:
    """What the converters of a layer do to its sums and outputs, for every step.

    Attributes:
        squared: (G, MAX_STEP_BITS + 1) squared error of the converted column sums, summed over
            row blocks, columns, outputs that a column serves, MVMs and input digits, each
            weighted by what it is worth there: (factor * 2**(digit * dac_bits) * (S - value))**2.
        products: (G, MAX_STEP_BITS + 1, G, MAX_STEP_BITS + 1) inner products of what each slice
            group's converters change in the outputs: with steps k[g], the squared error of the
            outputs, summed over outputs and MVMs, is the sum over g and h of entry
            (g, k[g], h, k[h]). None if they were not asked for.
    """

    squared: NDArray[np.float64]
    products: NDArray[np.float64] | None


def conversion_errors(
    layer: CodedLayer, chip: Chip, codes: NDArray[np.integer], *, products: bool = True
) -> ConversionErrors:
    """Errors of a layer's converters, the most significant slice group first.

    Args:
        layer: Codes.
        chip: Geometry, encoding and ADC resolutions.
        codes: (groups, K, M) input codes of calibration MVMs; products are taken over the first
            of them where M is too many.
        products: Whether to work out those of the outputs, too.
    """
    adc_bits = chip.adc_bits_for(layer.shape.name, layer.weight_bits)
    groups, choices = len(adc_bits), MAX_STEP_BITS + 1
    scales = 2.0 ** np.array(_shifts(layer, chip))
    squared = np.zeros((groups, choices))
    shape = layer.shape
    mvms = max(1, MAX_ERRORS // (groups * choices * shape.groups * shape.outputs))
    mvms = min(mvms, codes.shape[2]) if products else 0
    errors = np.zeros((groups, shape.groups, shape.outputs, mvms, choices))
    for sums in _column_sums(layer, chip, codes):
        plane = sums.plane
        lost = _losses(int(sums.values.max()) + 1, adc_bits[plane.group])
        factors = plane.factors.astype(np.float64)
        # A unit column has one error and the factors of all outputs.
        worth = np.square(factors)
        worth = np.array([worth.sum()]) if plane.unit else worth[sums.columns]
        often = np.zeros((len(scales), len(lost)))
        count_sums(sums.values, worth, often)
        squared[plane.group] += np.square(scales) @ often @ np.square(lost)
        if mvms and plane.unit:
            there = errors[plane.group, sums.matrix]
            add_losses(sums.values[:, :, :mvms], factors, scales, lost, there)
        elif mvms:
            there = errors[plane.group, sums.matrix]
            found = np.zeros((len(sums.columns), mvms, choices))
            add_losses(sums.values[:, :, :mvms], factors[sums.columns], scales, lost, found)
            there[sums.columns] += found
    if not mvms:
        return ConversionErrors(squared=squared, products=None)
    flat = np.moveaxis(errors.reshape(groups, -1, choices), 2, 1).reshape(groups * choices, -1)
    crossed: NDArray[np.float64] = flat @ flat.T
    return ConversionErrors(
        squared=squared, products=crossed.reshape(groups, choices, groups, choices)
    )


def best_steps(errors: ConversionErrors) -> tuple[int, ...]:
    """log2 of the step with the least squared error of the sums per slice group.

    The smaller step on a tie.
    """
    return tuple(int(step) for step in errors.squared.argmin(axis=1))


def best_output_steps(errors: ConversionErrors) -> tuple[int, ...]:
    """log2 of the step per slice group with a small squared error of the outputs.

    From `best_steps`, one group after the other takes its best step for those of the others,
    until none changes, at most `MAX_PASSES` times.

    Args:
        errors: With products.
    """
    products = errors.products
    assert products is not None, "the caller asks for what it needs"
    steps = list(best_steps(errors))
    groups = range(len(steps))
    for _ in range(MAX_PASSES):
        before = list(steps)
        for group in groups:
            others = [g for g in groups if g != group]
            alone = np.diagonal(products[group, :, group])
            crossed = sum((products[group, :, g, steps[g]] for g in others), np.zeros(len(alone)))
            wrong = alone + 2.0 * crossed
            if wrong.min() < wrong[steps[group]]:
                steps[group] = int(wrong.argmin())
        if steps == before:
            break
    return tuple(steps)


def calibrations(
    network: nn.Module,
    layers: Mapping[str, CodedLayer],
    chip: Chip,
    images: Tensor,
    *,
    seed: int,
    mvms: int = 256,
    criteria: Sequence[Criterion] = ("column_sums", "outputs"),
) -> dict[Criterion, dict[str, tuple[int, ...]]]:
    """Steps of every layer for `to_crossbars`, by each criterion, from one pass over the sums.

    Inputs of a layer are those of the integer network with unlimited converters.

    Args:
        network: As in `to_crossbars`.
        layers: Codes by module name.
        chip: Geometry, encoding and ADC resolutions.
        images: Calibration images, one batch.
        seed: Of the choice of MVMs.
        mvms: MVMs per layer, drawn without replacement from those of all images.
        criteria: What the steps keep small, see above.
    """
    for criterion in criteria:
        if criterion not in ("column_sums", "outputs"):
            raise MappingError(
                f"steps are chosen by 'column_sums' or 'outputs', got '{criterion}'. Take one of "
                "them."
            )
    if mvms < 1:
        raise MappingError(f"calibration needs at least 1 MVM per layer, got mvms={mvms}.")
    rng = np.random.default_rng(seed)
    exact = to_crossbars(network, layers, None)
    modules = dict(exact.named_modules(remove_duplicate=False))
    steps: dict[Criterion, dict[str, tuple[int, ...]]] = {each: {} for each in criteria}
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
        errors = conversion_errors(layer, chip, kept[name], products="outputs" in criteria)
        for criterion in criteria:
            choose = best_steps if criterion == "column_sums" else best_output_steps
            steps[criterion][name] = choose(errors)
    return steps
