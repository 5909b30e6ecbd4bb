"""Find the layers that go on crossbars, by running the network once."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.utils.hooks import RemovableHandle

from dse.datasets.dataset import ImageDataset
from dse.errors import TaskError
from dse.tasks.task import Task
from hw_models.layer import LayerShape

logger = logging.getLogger(__name__)

_UNMAPPABLE: tuple[type[nn.Module], ...] = (
    nn.modules.conv._ConvNd,  # all but Conv2d, which is asked for first
    nn.RNNBase,
    nn.RNNCellBase,
    nn.Bilinear,
    nn.MultiheadAttention,
)
_DIGITAL: tuple[type[nn.Module], ...] = (
    nn.modules.batchnorm._NormBase,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.PReLU,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedLayer:
    """A layer as it ran.

    Attributes:
        kind: Which module it is.
        shape: Its matrix, and how often an image passes it.
    """

    kind: Literal["linear", "conv2d"]
    shape: LayerShape

    @property
    def name(self) -> str:
        """Name of the module in the network."""
        return self.shape.name


def trace_task(task: Task, data: ImageDataset) -> tuple[TracedLayer, ...]:
    """The mapped layers of a task's network, and a check that network and data fit.

    Raises:
        TaskError: The network cannot be mapped, or does not take these images.
    """
    network = task.build(seed=0)
    example = data.normalised(data.train_images[:2])
    return trace(network, example, name=task.name, classes=data.classes)


def trace(
    network: nn.Module, example: Tensor, *, name: str = "network", classes: int | None = None
) -> tuple[TracedLayer, ...]:
    """The Linear and Conv2d layers that a forward pass reaches, in order of their first use.

    A layer that is used several times appears once, with the positions of all uses.

    Args:
        network: Left as it is; it runs in evaluation mode.
        example: Normalised images `(B, C, H, W)`.
        name: Of the task, for messages.
        classes: Smallest number of scores that the network has to give per image.

    Raises:
        TaskError: A layer with weights cannot be mapped, none is reached, or the pass fails.
    """
    _refuse_unmappable(network, name)
    positions: Counter[str] = Counter()
    handles = [
        module.register_forward_hook(_count_positions(module_name, positions, len(example)))
        for module_name, module in network.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
    ]
    output = _run(network, example, name, handles)
    if not positions:
        raise TaskError(
            f"{name}: a forward pass reaches at least one nn.Linear or nn.Conv2d, got none. "
            "Use these modules, called as modules, for what should go on crossbars"
        )
    _check_scores(name, output, len(example), classes)
    for layer in positions:
        if parametrize.is_parametrized(network.get_submodule(layer)):
            raise TaskError(
                f"{name}: mapped layers have plain weights, got a parametrisation on {layer}. "
                "Apply it for good with torch.nn.utils.parametrize.remove_parametrizations"
            )
    layers = tuple(_traced(network, layer, count) for layer, count in positions.items())
    _refuse_shared_weights(network, layers, name)
    reachable = {n for n, m in network.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)}
    for unused in sorted(reachable - positions.keys()):
        logger.warning("%s: %s is never reached and stays off the chip", name, unused)
    return layers


def _count_positions(layer: str, positions: Counter[str], batch: int):  # type: ignore[no-untyped-def]
    def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        outputs = module.out_features if isinstance(module, nn.Linear) else module.out_channels
        positions[layer] += max(1, output.numel() // (batch * int(outputs)))  # type: ignore[arg-type]

    return hook


def _run(network: nn.Module, example: Tensor, name: str, handles: list[RemovableHandle]) -> object:
    was_training = network.training
    try:
        with torch.no_grad():
            output: object = network.eval()(example)
    except Exception as error:
        raise TaskError(
            f"{name}: the network takes images of shape {tuple(example.shape)}, "
            f"got {type(error).__name__}: {error}. Fit the network to the data set"
        ) from error
    finally:
        network.train(was_training)
        for handle in handles:
            handle.remove()
    return output


def _traced(network: nn.Module, name: str, positions: int) -> TracedLayer:
    module = network.get_submodule(name)
    if isinstance(module, nn.Linear):
        shape = LayerShape(
            name=name,
            wordlines=module.in_features,
            outputs=module.out_features,
            positions=positions,
        )
        return TracedLayer(kind="linear", shape=shape)
    assert isinstance(module, nn.Conv2d)
    _, channels, height, width = module.weight.shape
    shape = LayerShape(
        name=name,
        wordlines=channels * height * width,
        outputs=module.out_channels // module.groups,
        groups=module.groups,
        positions=positions,
    )
    return TracedLayer(kind="conv2d", shape=shape)


def _refuse_unmappable(network: nn.Module, name: str) -> None:
    for module_name, module in network.named_modules():
        if isinstance(module, (nn.Linear, nn.Conv2d, *_DIGITAL)):
            continue
        if isinstance(module, _UNMAPPABLE):
            raise TaskError(
                f"{name}: layers with weights are nn.Linear or nn.Conv2d, "
                f"got {module_name} of type {type(module).__name__}, which has no mapping on "
                "crossbars. Express it by these two, or leave it out"
            )
        for parameter_name, parameter in module.named_parameters(recurse=False):
            if parameter.ndim >= 2:
                logger.warning(
                    "%s: parameter %s of %s (%s) is no layer and stays digital",
                    name,
                    parameter_name,
                    module_name or "the network",
                    type(module).__name__,
                )


def _refuse_shared_weights(network: nn.Module, layers: tuple[TracedLayer, ...], name: str) -> None:
    owners: dict[int, str] = {}
    for layer in layers:
        weight = network.get_submodule(layer.name).weight
        if id(weight) in owners:
            raise TaskError(
                f"{name}: every layer has a weight tensor of its own, got one tensor in "
                f"{owners[id(weight)]} and {layer.name}. Call one module twice instead"
            )
        owners[id(weight)] = layer.name


def _check_scores(name: str, output: object, batch: int, classes: int | None) -> None:
    if not isinstance(output, Tensor) or output.ndim != 2 or len(output) != batch:
        shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise TaskError(
            f"{name}: the network gives scores of shape (images, classes), got {shape} for "
            f"{batch} images. Return the scores only"
        )
    if classes is not None and output.shape[1] < classes:
        raise TaskError(
            f"{name}: the network gives a score for each of {classes} classes, "
            f"got {output.shape[1]}. Widen its last layer"
        )
