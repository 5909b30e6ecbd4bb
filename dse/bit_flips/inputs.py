"""What the wordlines of every layer see on calibration images: mean and mean square."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from dse.errors import StageError
from hw_models.layer import CodedLayer
from hw_models.simulation.convert import to_crossbars
from hw_models.simulation.layers import CrossbarConv2d, CrossbarLinear

BATCH = 250
"""Images at once; a matter of memory."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InputMoments:
    """Real inputs `input_step * q + input_offset` of a layer, over images and output positions.

    A tap in the zero padding counts as the zero it is.

    Attributes:
        mean: (groups, K), in real units.
        mean_square: (groups, K), in real units squared.
    """

    mean: NDArray[np.float64]
    mean_square: NDArray[np.float64]


def measure_inputs(
    network: nn.Module, layers: Mapping[str, CodedLayer], images: Tensor
) -> dict[str, InputMoments]:
    """Moments of the inputs of every layer in the integer network with unlimited converters.

    Args:
        network: Whose modules the codes belong to; left as it is.
        layers: Codes by module name.
        images: Calibration images as the network takes them, `(B, C, H, W)`; training data.

    Raises:
        StageError: There are no images, or a layer sees none of them.
    """
    if not len(images):
        raise StageError("calibration takes at least 1 image, got none. Give training images")
    exact = to_crossbars(network, layers, None)
    modules = dict(exact.named_modules(remove_duplicate=False))
    sums = {name: _Sums() for name in layers}
    for name in layers:
        module = modules[name]
        assert isinstance(module, CrossbarConv2d | CrossbarLinear)
        _watch(module, sums[name])
    with torch.no_grad():
        for batch in torch.split(images, BATCH):
            exact(batch)
    return {name: sums[name].moments(layer) for name, layer in layers.items()}


@dataclass(slots=True)
class _Sums:
    """Running sums over the MVMs of a layer, (groups, K) each."""

    mvms: int = 0
    codes: Tensor | float = 0.0
    squares: Tensor | float = 0.0
    inside: Tensor | float = 0.0

    def moments(self, layer: CodedLayer) -> InputMoments:
        name = layer.shape.name
        if not self.mvms:
            raise StageError(
                f"{name}: a layer sees inputs in calibration, got none. Calibrate with images "
                "that reach it"
            )
        step, offset = layer.input_step, layer.input_offset
        codes, squares, inside = (
            torch.as_tensor(total).cpu().numpy() / self.mvms
            for total in (self.codes, self.squares, self.inside)
        )
        # a tap in the padding has code 0, so that codes * inside = codes
        return InputMoments(
            mean=step * codes + offset * inside,
            mean_square=step**2 * squares + 2 * step * offset * codes + offset**2 * inside,
        )


def _watch(module: CrossbarConv2d | CrossbarLinear, sums: _Sums) -> None:
    def add(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        codes = module.input_columns(inputs[0]).double()
        mvms = codes.shape[2]
        sums.mvms += mvms
        sums.codes = sums.codes + codes.sum(dim=2)
        sums.squares = sums.squares + codes.square().sum(dim=2)
        sums.inside = sums.inside + mvms * _share_inside(module, inputs[0], codes.shape[:2])

    module.register_forward_pre_hook(add)


def _share_inside(
    module: CrossbarConv2d | CrossbarLinear, inputs: Tensor, shape: torch.Size
) -> Tensor:
    """Share of the output positions at which a tap lies in the image, (groups, K)."""
    if isinstance(module, CrossbarLinear):
        return torch.ones(shape, dtype=torch.float64, device=inputs.device)
    ones = torch.ones(1, *inputs.shape[-3:], dtype=torch.float64, device=inputs.device)
    padded = F.pad(ones, module.padding, mode=module.padding_mode)
    windows = F.unfold(padded, module.kernel_size, dilation=module.dilation, stride=module.stride)
    return windows[0].mean(dim=1).reshape(shape)
