"""ADC in the loop: choose the converters' steps, and fine-tune under what the converters do.

Fine-tuning computes every mapped layer as the chip does, converters included, and takes the
gradient of the quantised layer without converters: a straight-through estimator [Bengio2013], as
for the rounding of the weights. Training with the conversion of bit-line sums in the forward pass
is [Jin2022]; it rescales the gradient besides, which we do not. Fitting the range of the
converters along with the weights, which saves several bits, is [PartialSum2023].

[Bengio2013] Y. Bengio et al., "Estimating or Propagating Gradients Through Stochastic Neurons
    for Conditional Computation", arXiv:1308.3432, 2013.
[Jin2022] Q. Jin et al., "PIM-QAT: Neural Network Quantization for Processing-In-Memory (PIM)
    Systems", arXiv:2209.08617, 2022.
[PartialSum2023] "Partial Sum Quantization for Reducing ADC Size in ReRAM-Based Neural Network
    Accelerators", IEEE Transactions on CAD of Integrated Circuits and Systems, 2023.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from dse.datasets.dataset import ImageDataset
from dse.errors import StageError
from dse.pipeline.accuracy import network_with
from dse.pipeline.adc_steps import Steps, choose_steps
from dse.pipeline.compress import CompressedNetwork
from dse.pipeline.lower import lower
from dse.pipeline.patch_codes import plan_of, with_patches
from dse.pipeline.patching import plan_masks, plan_refinements
from dse.pipeline.pretrain import check_epochs
from dse.pipeline.tracing import TracedLayer, trace_task
from dse.pruning.patches import PatchPlan
from dse.pruning.threshold import prune_below_
from dse.quantizers.batch_norm import batch_norms
from dse.quantizers.prepare import (
    parameter_grids,
    plain_state,
    prepare,
    real_parameters,
    threshold_parameters,
)
from dse.quantizers.quantizer import Quantizer
from dse.quantizers.slices import nonzero_ratios_of
from dse.regularizers.regularizer import Regularizer
from dse.tasks.task import Task
from dse.training.accuracy import accuracy
from dse.training.fit import Epoch, Masked, ParameterGroup, Penalised, fit
from dse.training.schedule import Cosine
from dse.training.straight_through import replace_straight_through
from hw_models.chip import Chip
from hw_models.layer import CodedLayer
from hw_models.simulation.convert import to_crossbars
from hw_models.simulation.trainable import crossbar_of_a_step
from search_spaces.inputs import InputKnobs

_SHUFFLE_OFFSET = 2_000_003
"""Keeps the order of images apart from those of the stages before under the same seed."""

_SMALLEST = torch.finfo(torch.float32).tiny
"""A real weight below it is taken for a pruned one."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TunedNetwork:
    """A compressed network and the steps of the converters it is meant for.

    Attributes:
        network: Its metrics `val_accuracy` and `epoch` are those with the converters in the loop,
            epoch 0 being the network as it came; `mean_slice_ratio` and `seconds` as before.
        adc_steps: For `to_crossbars`; empty at full range.
    """

    network: CompressedNetwork
    adc_steps: dict[str, tuple[int, ...]]


def tune(
    task: Task,
    data: ImageDataset,
    compressed: CompressedNetwork,
    *,
    chip: Chip,
    quantizer: Quantizer,
    quantizer_knobs: Any,
    regularizer: Regularizer,
    regularizer_knobs: Any,
    adc_range: Literal["full", "calibrated"],
    epochs: int,
    seed: int,
    learning_rate: float = 1.0,
    input_knobs: InputKnobs | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    device: str | torch.device = "cpu",
) -> TunedNetwork:
    """Choose steps, fine-tune with the converters in the loop, keep the best on validation data.

    The network that comes in competes with every epoch, so that the validation accuracy with
    converters never falls. Weights that are zero stay zero, patches keep their precision. The
    learning rate falls as half a cosine to zero. Steps are chosen again after every epoch. Cells
    are ideal.

    Args:
        task: Whose network it is.
        data: Its training images only.
        compressed: From `compress` or `compress_in_rounds`, before any bit flip.
        chip: Its converters are in the loop; any encoding and engine. The differential encoding
            on the CPU is fast.
        quantizer: The grid that `compressed` is on. Clipping thresholds start anew.
        quantizer_knobs: Its knobs.
        regularizer: Penalty while fine-tuning.
        regularizer_knobs: Its knobs.
        adc_range: `full` clips above 2**bits - 1; `calibrated` chooses steps.
        epochs: Of fine-tuning; 0 only chooses steps.
        seed: Of the order of the images, of dropout and of the choice of calibration inputs.
        learning_rate: Over that of the task's fine-tuning.
        input_knobs: Of the inputs of mapped layers, as in `compress`.
        on_epoch: Called after every epoch.
        device: Where to compute.

    Raises:
        StageError: An argument cannot be.
        MappingError: The network does not fit the chip.
        TrainingError: Training diverged.
    """
    check_epochs(epochs)
    if adc_range not in ("full", "calibrated"):
        raise StageError(
            f"the range of converters is 'full' or 'calibrated', got {adc_range!r}. Choose one"
        )
    if learning_rate <= 0:
        raise StageError(f"a learning rate factor is above 0, got {learning_rate}. Use 1")
    began = time.perf_counter()
    steps: dict[str, tuple[int, ...]] = {}
    if adc_range == "calibrated":
        steps = choose_steps(
            task, data, compressed.state, compressed.layers, chip, seed=seed, device=device
        )
    start = _accuracy_on_chip(task, data, compressed, chip, steps, device)
    untuned = TunedNetwork(
        network=_with_metrics(compressed, val_accuracy=start, epoch=0, began=began),
        adc_steps=steps,
    )
    if epochs == 0:
        return untuned
    loop = _prepare(
        task, data, compressed, chip, quantizer, quantizer_knobs, input_knobs, steps, device
    )
    parameters = real_parameters(loop.prepared, loop.names)
    penalty = regularizer.penalty(
        regularizer_knobs,
        grids=tuple(parameter_grids(loop.prepared, loop.names).values()),
        slice_bits=chip.crossbar.bits_per_cell,
    )
    steps_of_epoch: dict[int, dict[str, tuple[int, ...]]] = {}

    def after_epoch(epoch: Epoch) -> None:
        steps_of_epoch[epoch.number] = loop.steps
        if epoch.number < epoch.of and adc_range == "calibrated":
            loop.steps = choose_steps(
                task,
                data,
                plain_state(loop.prepared),
                loop.lowered(),
                chip,
                seed=seed,
                also=(loop.steps,),
                device=device,
            )
        if on_epoch:
            on_epoch(epoch)

    descent = task.recipe.fine_tuning()
    descent["learning_rate"] *= learning_rate
    descent["schedule"] = Cosine()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        best = fit(
            loop.prepared,
            data,
            epochs=epochs,
            **descent,
            generator=torch.Generator().manual_seed(seed + _SHUFFLE_OFFSET),
            groups=_threshold_groups(loop.prepared, descent["learning_rate"]),
            penalised=Penalised(penalty=penalty, parameters=tuple(parameters.values())),
            masked=[
                Masked(parameter=parameters[name], mask=mask) for name, mask in loop.masks.items()
            ],
            on_epoch=after_epoch,
            device=device,
        )
    if best.val_accuracy < start:
        return untuned
    state = plain_state(loop.prepared)
    tuned = CompressedNetwork(
        state={key: value.detach().cpu().clone() for key, value in state.items()},
        layers=loop.lowered(),
        nonzero_slice_ratios=_ratios(loop, chip.crossbar.bits_per_cell),
        metrics=compressed.metrics,
    )
    return TunedNetwork(
        network=_with_metrics(
            tuned, val_accuracy=best.val_accuracy, epoch=best.number, began=began
        ),
        adc_steps=steps_of_epoch[best.number],
    )


@dataclass(slots=True, kw_only=True)
class Loop:
    """A prepared network whose mapped layers give what the chip gives.

    Attributes:
        prepared: The network; changing its parameters changes what the chip would hold.
        traced: Its mapped layers.
        plans: Their patches, by layer.
        chip: Geometry, encoding and converters.
        steps: In force; assign others to recalibrate.
        masks: What stays zero, by name of the parameter.
    """

    prepared: nn.Module
    traced: Sequence[TracedLayer]
    plans: Mapping[str, PatchPlan]
    chip: Chip
    steps: dict[str, tuple[int, ...]]
    masks: Mapping[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for each in self.traced:
            self.prepared.get_submodule(each.name).register_forward_hook(self._hook(each))

    @property
    def names(self) -> list[str]:
        """Names of the mapped layers."""
        return [each.name for each in self.traced]

    def lowered(self) -> tuple[CodedLayer, ...]:
        """Codes of all layers as they are now."""
        return tuple(self._lowered(each) for each in self.traced)

    def _lowered(self, layer: TracedLayer) -> CodedLayer:
        (coded,) = lower(self.prepared, (layer,))
        plan = self.plans.get(layer.name)
        return coded if plan is None else with_patches(coded, plan)

    def _hook(self, layer: TracedLayer) -> Callable[..., Tensor]:
        def on_chip(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            """The chip's output with the gradient of the quantised layer's."""
            quantised = inputs[0].detach()  # on the grid: its codes come out as they went in
            crossbar = crossbar_of_a_step(
                module,
                self._lowered(layer),
                self.chip,
                quantised.device,
                step_bits=self.steps.get(layer.name),
            )
            return replace_straight_through(output, crossbar(quantised))

        return on_chip


def _prepare(
    task: Task,
    data: ImageDataset,
    compressed: CompressedNetwork,
    chip: Chip,
    quantizer: Quantizer,
    quantizer_knobs: Any,
    input_knobs: InputKnobs | None,
    steps: dict[str, tuple[int, ...]],
    device: str | torch.device,
) -> Loop:
    """The compressed network on its grid again, zeros masked, with the chip in its forward."""
    traced = trace_task(task, data)
    names = [each.name for each in traced]
    network = network_with(task, compressed.state).to(device)
    real = real_parameters(network, names)
    plans = {
        layer.shape.name: plan
        for layer in compressed.layers
        if (plan := plan_of(layer, real[f"{layer.shape.name}.weight"].shape)) is not None
    }
    masks = plan_masks(plans.values(), besides=prune_below_(real, _SMALLEST))
    masks = {name: mask.to(real[name]) for name, mask in masks.items()}
    with torch.no_grad():
        for name, mask in masks.items():
            real[name].mul_(mask)
    bits = {layer.shape.name: layer.weight_bits for layer in compressed.layers}
    prepared = prepare(
        network,
        names,
        quantizer,
        quantizer_knobs,
        input_knobs=input_knobs,
        normalised=batch_norms(network, data.normalised(data.train_images[:2]).to(device)),
        refine=plan_refinements(plans.values(), bits),
    )
    return Loop(prepared=prepared, traced=traced, plans=plans, chip=chip, steps=steps, masks=masks)


def _accuracy_on_chip(
    task: Task,
    data: ImageDataset,
    compressed: CompressedNetwork,
    chip: Chip,
    steps: Steps,
    device: str | torch.device,
) -> float:
    """Validation accuracy with converters."""
    network = to_crossbars(
        network_with(task, compressed.state),
        {layer.shape.name: layer for layer in compressed.layers},
        chip,
        adc_steps=steps,
    )
    _, held_out = data.fit_and_validation()
    return accuracy(
        network.to(device),
        data,
        data.train_images[held_out],
        data.train_labels[held_out],
        device=device,
    )


def _threshold_groups(prepared: nn.Module, learning_rate: float) -> list[ParameterGroup]:
    """Clipping thresholds with learning rates of their own."""
    rates = threshold_parameters(prepared)
    return [
        ParameterGroup(
            parameters=[parameter for parameter, own in rates.items() if own == rate],
            learning_rate=learning_rate * rate,
        )
        for rate in sorted(set(rates.values()))
    ]


def _ratios(loop: Loop, slice_bits: int) -> tuple[float, ...]:
    grids = parameter_grids(loop.prepared, loop.names)
    real = real_parameters(loop.prepared, loop.names)
    return nonzero_ratios_of(
        (grid.codes(real[name]) for name, grid in grids.items()), slice_bits=slice_bits
    )


def _with_metrics(
    network: CompressedNetwork, *, val_accuracy: float, epoch: int, began: float
) -> CompressedNetwork:
    ratios = network.nonzero_slice_ratios
    return replace(
        network,
        metrics={
            **network.metrics,
            "val_accuracy": val_accuracy,
            "mean_slice_ratio": sum(ratios) / len(ratios),
            "epoch": float(epoch),
            "seconds": time.perf_counter() - began,
        },
    )
