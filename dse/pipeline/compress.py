"""Second stage: prune, quantise and fine-tune under a penalty, down to integer codes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dse.datasets.dataset import ImageDataset
from dse.errors import StageError
from dse.pipeline.lower import lower
from dse.pipeline.pretrain import check_epochs
from dse.pipeline.tracing import trace_task
from dse.pruning.threshold import prune_below_
from dse.quantizers.batch_norm import batch_norms
from dse.quantizers.prepare import (
    calibrate,
    input_quantizers,
    parameter_grids,
    plain_state,
    prepare,
    real_parameters,
    threshold_parameters,
)
from dse.quantizers.quantizer import Quantizer, Refinement
from dse.quantizers.slices import nonzero_ratios_of
from dse.regularizers.regularizer import Regularizer
from dse.tasks.task import Task
from dse.training.accuracy import accuracy
from dse.training.fit import Epoch, Masked, ParameterGroup, Penalised, fit
from dse.training.recipe import Descent
from hw_models.layer import CodedLayer
from search_spaces.inputs import InputKnobs

CALIBRATION_IMAGES = 2048
"""Training images that set the input ranges where nothing is fine-tuned."""

_SHUFFLE_OFFSET = 1_000_003
"""Keeps the order of images apart from that of pre-training under the same seed."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CompressedNetwork:
    """A compressed network: what goes on crossbars, and the rest of it.

    Attributes:
        state: Parameters and buffers of the plain network on the CPU: the real weights behind the
            codes, and what stays digital. The ranges of the inputs are in the layers.
        layers: Codes, in the order of execution.
        nonzero_slice_ratios: Share of non-zero cells per slice, most significant first, over
            weights and biases, as [Zhang2019] counts them.
        metrics: `val_accuracy` (quantised, unlimited ADCs; fraction), `mean_slice_ratio`,
            `epoch` (the selected one, 0 without fine-tuning), `seconds`.

    [Zhang2019] J. Zhang et al., "Exploring Bit-Slice Sparsity in Deep Neural Networks for
        Efficient ReRAM-Based Deployment", EMC2 workshop, 2019.
    """

    state: dict[str, Tensor]
    layers: tuple[CodedLayer, ...]
    nonzero_slice_ratios: tuple[float, ...]
    metrics: dict[str, float]


def compress(
    task: Task,
    data: ImageDataset,
    pretrained: Mapping[str, Tensor],
    *,
    quantizer: Quantizer,
    quantizer_knobs: Any,
    regularizer: Regularizer,
    regularizer_knobs: Any,
    threshold: float,
    slice_bits: int,
    epochs: int,
    seed: int,
    input_knobs: InputKnobs | None = None,
    refine: Mapping[str, Refinement] | None = None,
    extra_masks: Mapping[str, Tensor] | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    device: str | torch.device = "cpu",
) -> CompressedNetwork:
    """Prune at `threshold`, then fine-tune on the quantiser's grid under the penalty.

    The selected epoch has the highest validation accuracy plus mean share of zero cells per
    slice. [Zhang2019] selects by the same sum, but on the test set.

    Args:
        task: Whose network it is.
        data: Its training images only.
        pretrained: State from `pretrain`.
        quantizer: Grid of weights and biases.
        quantizer_knobs: Its knobs.
        regularizer: Penalty while fine-tuning.
        regularizer_knobs: Its knobs.
        threshold: Magnitudes below it are set to 0 and stay so.
        slice_bits: Bits of a cell.
        epochs: 0 quantises after training: no fine-tuning, inputs calibrated on training images.
        seed: Of the order of the images, and dropout.
        input_knobs: Of the inputs of mapped layers; 8 bits over the range seen by default.
        refine: Per layer, moves the signed whole levels of its weight; see `prepare`.
        extra_masks: By name of the parameter (`layer.weight`), 0 or 1 in its shape: what is 0
            is removed, besides what `threshold` removes.
        on_epoch: Called after every epoch.
        device: Where to compute.

    Raises:
        StageError: An argument cannot be.
        TrainingError: Training diverged.
    """
    check_epochs(epochs)
    began = time.perf_counter()
    traced = trace_task(task, data)
    names = [layer.name for layer in traced]
    network = task.build(seed)
    network.load_state_dict(dict(pretrained))
    network.to(device)
    example = data.normalised(data.train_images[:2]).to(device)
    masks = prune_below_(real_parameters(network, names), threshold)
    _mask_also_(masks, real_parameters(network, names), extra_masks or {})
    prepared = prepare(
        network,
        names,
        quantizer,
        quantizer_knobs,
        input_knobs=input_knobs,
        normalised=batch_norms(network, example),
        refine=refine,
    )
    parameters = real_parameters(prepared, names)

    def ratios(prepared: nn.Module) -> tuple[float, ...]:
        grids = parameter_grids(prepared, names)
        real = real_parameters(prepared, names)
        return nonzero_ratios_of(
            (grid.codes(real[name]) for name, grid in grids.items()), slice_bits=slice_bits
        )

    def score(prepared: nn.Module, val_accuracy: float) -> float:
        return val_accuracy + 1 - _mean(ratios(prepared))

    if epochs > 0:
        penalty = regularizer.penalty(
            regularizer_knobs,
            grids=tuple(parameter_grids(prepared, names).values()),
            slice_bits=slice_bits,
        )
        descent = task.recipe.fine_tuning()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            best = fit(
                prepared,
                data,
                epochs=epochs,
                **descent,
                generator=torch.Generator().manual_seed(seed + _SHUFFLE_OFFSET),
                penalised=Penalised(penalty=penalty, parameters=tuple(parameters.values())),
                masked=[
                    Masked(parameter=parameters[name], mask=mask) for name, mask in masks.items()
                ],
                groups=_threshold_groups(prepared, descent),
                score=score,
                on_epoch=on_epoch,
                device=device,
            )
        epoch, val_accuracy = best.number, best.val_accuracy
    else:
        epoch, val_accuracy = 0, _calibrated_accuracy(prepared, data, device)
    found = ratios(prepared)
    return CompressedNetwork(
        state={key: value.detach().cpu().clone() for key, value in plain_state(prepared).items()},
        layers=lower(prepared, traced),
        nonzero_slice_ratios=found,
        metrics={
            "val_accuracy": val_accuracy,
            "mean_slice_ratio": _mean(found),
            "epoch": float(epoch),
            "seconds": time.perf_counter() - began,
        },
    )


def _calibrated_accuracy(
    prepared: nn.Module, data: ImageDataset, device: str | torch.device
) -> float:
    fit_index, val_index = data.fit_and_validation()
    images = data.train_images[fit_index[:CALIBRATION_IMAGES]]
    calibrate(prepared, (data.normalised(part.to(device)) for part in torch.split(images, 256)))
    for inputs in input_quantizers(prepared):
        inputs.lower_threshold()
    return accuracy(
        prepared, data, data.train_images[val_index], data.train_labels[val_index], device=device
    )


@torch.no_grad()
def _mask_also_(
    masks: dict[str, Tensor], parameters: Mapping[str, nn.Parameter], extra: Mapping[str, Tensor]
) -> None:
    """Multiply masks into those of the threshold and into the parameters, in place."""
    for name, mask in extra.items():
        if name not in parameters or mask.shape != parameters[name].shape:
            held = {key: tuple(parameter.shape) for key, parameter in parameters.items()}
            raise StageError(
                "a mask belongs to a parameter of a mapped layer and has its shape, got "
                f"{tuple(mask.shape)} for {name}. Parameters: {held}"
            )
        kept = mask.to(parameters[name])
        masks[name] = masks[name] * kept if name in masks else kept
        parameters[name].mul_(kept)


def _threshold_groups(prepared: nn.Module, descent: Descent) -> list[ParameterGroup]:
    """Clipping thresholds with learning rates of their own."""
    rates = threshold_parameters(prepared)
    return [
        ParameterGroup(
            parameters=[parameter for parameter, own in rates.items() if own == rate],
            learning_rate=descent["learning_rate"] * rate,
            weight_decay=descent["weight_decay"],
        )
        for rate in sorted(set(rates.values()))
    ]


def _mean(values: tuple[float, ...]) -> float:
    return sum(values) / len(values)
