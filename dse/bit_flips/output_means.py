"""Biases that restore the mean output of every channel, layer after layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from dse.errors import StageError
from hw_models.layer import CodedLayer
from hw_models.simulation.convert import to_crossbars
from hw_models.simulation.layers import CrossbarConv2d


def restore_output_means(
    network: nn.Module,
    before: Mapping[str, CodedLayer],
    after: Mapping[str, CodedLayer],
    images: Tensor,
) -> dict[str, CodedLayer]:
    """`after` with biases for which every channel has the mean output it has in `before`.

    Unlike `correction.corrected_bias` this sees the inputs that a layer really gets when the
    layers in front of it are flipped and corrected: one pass through the integer network before
    (the targets) and one after, in which every layer's outputs are shifted before they go on.
    Empirical bias correction, [Nagel2019], appendix D.

    Args:
        network: Whose modules the codes belong to; left as it is.
        before: Codes by module name.
        after: Flipped codes by module name.
        images: Calibration images as the network takes them, one batch; training data.

    Raises:
        StageError: A layer sees no image.

    [Nagel2019] M. Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias
        Correction", ICCV 2019.
    """
    if not len(images):
        raise StageError("calibration takes at least 1 image, got none. Give training images")
    targets: dict[str, Tensor] = {}
    shifts: dict[str, Tensor] = {}

    def keep(name: str, output: Tensor, channels: int) -> Tensor | None:
        targets.setdefault(name, _means(output, channels))
        return None

    def shift(name: str, output: Tensor, channels: int) -> Tensor | None:
        if name not in shifts:
            shifts[name] = targets[name] - _means(output, channels)
        shape = [1] * output.dim()
        shape[channels] = -1
        return output + shifts[name].to(output.dtype).reshape(shape)

    for layers, act in ((before, keep), (after, shift)):
        exact = to_crossbars(network, layers, None)
        modules = dict(exact.named_modules(remove_duplicate=False))
        for name in layers:
            _after(modules[name], name, act)
        with torch.no_grad():
            exact(images)
    silent = [name for name in after if name not in shifts]
    if silent:
        raise StageError(
            f"{', '.join(silent)}: a layer sees images in calibration, got none. Calibrate with "
            "images that reach it"
        )
    return {name: _shifted(layer, shifts[name]) for name, layer in after.items()}


def _after(module: nn.Module, name: str, act: Callable[[str, Tensor, int], Tensor | None]) -> None:
    channels = -3 if isinstance(module, CrossbarConv2d) else -1

    def hook(_: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
        return act(name, output, channels)

    module.register_forward_hook(hook)


def _means(output: Tensor, channels: int) -> Tensor:
    """Mean over everything but the channels, float64."""
    return output.double().movedim(channels, 0).flatten(1).mean(dim=1)


def _shifted(layer: CodedLayer, shift: Tensor) -> CodedLayer:
    bias = shift.cpu().numpy().astype(np.float64)
    return replace(layer, bias=bias if layer.bias is None else layer.bias + bias)
