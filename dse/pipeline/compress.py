"""Second stage: prune, quantise and fine-tune under a penalty, down to integer codes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dse.datasets.dataset import ImageDataset
from dse.pipeline.lower import lower
from dse.pipeline.pretrain import check_epochs
from dse.pipeline.tracing import TracedLayer, trace_task
from dse.pruning.threshold import prune_below_
from dse.quantizers.prepare import (
    calibrate,
    parameter_codes,
    plain_state,
    prepare,
    real_parameters,
)
from dse.quantizers.quantizer import Quantizer
from dse.quantizers.slices import nonzero_slice_ratios
from dse.regularizers.regularizer import Regularizer
from dse.tasks.task import Task
from dse.training.accuracy import accuracy
from dse.training.fit import Epoch, Masked, Penalised, fit
from hw_models.layer import CodedLayer

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
    masks = prune_below_(real_parameters(network, names), threshold)
    prepared = prepare(network, names, quantizer, quantizer_knobs)
    parameters = real_parameters(prepared, names)
    bits = quantizer.bits(quantizer_knobs)

    def ratios(prepared: nn.Module) -> tuple[float, ...]:
        return _slice_ratios(prepared, traced, bits=bits, slice_bits=slice_bits)

    def score(prepared: nn.Module, val_accuracy: float) -> float:
        return val_accuracy + 1 - _mean(ratios(prepared))

    if epochs > 0:
        penalty = regularizer.penalty(
            regularizer_knobs,
            quantizer=quantizer,
            quantizer_knobs=quantizer_knobs,
            slice_bits=slice_bits,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            best = fit(
                prepared,
                data,
                epochs=epochs,
                learning_rate=task.recipe.learning_rate,
                momentum=task.recipe.momentum,
                batch_size=task.recipe.batch_size,
                generator=torch.Generator().manual_seed(seed + _SHUFFLE_OFFSET),
                penalised=Penalised(penalty=penalty, parameters=tuple(parameters.values())),
                masked=[
                    Masked(parameter=parameters[name], mask=mask) for name, mask in masks.items()
                ],
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
    return accuracy(
        prepared, data, data.train_images[val_index], data.train_labels[val_index], device=device
    )


def _slice_ratios(
    prepared: nn.Module, traced: tuple[TracedLayer, ...], *, bits: int, slice_bits: int
) -> tuple[float, ...]:
    held = [
        parameter_codes(prepared.get_submodule(layer.name), parameter)
        for layer in traced
        for parameter in ("weight", "bias")
    ]
    return nonzero_slice_ratios(
        [codes.magnitudes for codes in held if codes is not None], bits=bits, slice_bits=slice_bits
    )


def _mean(values: tuple[float, ...]) -> float:
    return sum(values) / len(values)
