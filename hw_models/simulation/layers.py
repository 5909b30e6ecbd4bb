"""Linear and Conv2d on crossbars, for inference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from hw_models.errors import MappingError
from hw_models.simulation.input_codes import driven_columns, input_codes, rounds_inputs
from hw_models.simulation.mvm import SimulationOptions, SlicedWeights

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from hw_models.chip import Chip
    from hw_models.layer import CodedLayer

IMAGE_CHUNK_MVMS = 4096
"""MVMs whose windows are laid out at once, which bounds the memory of a batch."""


class _CrossbarLayer(nn.Module):
    """What both layers share: codes in, real numbers out, in float64 inside."""

    def __init__(
        self,
        layer: CodedLayer,
        chip: Chip | None,
        simulation: SimulationOptions,
    ) -> None:
        super().__init__()
        if layer.patches is not None and chip is not None:
            layer.patches.check_digits(layer.shape.name, layer.input_bits, chip.dac_bits)
        self.layer = layer
        self.sliced = SlicedWeights(layer, chip, **simulation)
        self._offset_cache: dict[tuple[object, ...], Tensor] = {}
        self._bias = None if layer.bias is None else torch.from_numpy(layer.bias)

    def codes(self, inputs: Tensor) -> Tensor:
        """Input codes in the type of the inputs."""
        layer = self.layer
        return input_codes(
            inputs, step=layer.input_step, offset=layer.input_offset, bits=layer.input_bits
        )

    def integers(self, codes: Tensor) -> Tensor:
        """The smallest integer type that holds the codes."""
        return codes.to(torch.uint8 if self.layer.input_bits <= 8 else torch.int32)

    def driven(self, columns: Tensor) -> Tensor:
        """Codes as the wordlines get them: those of weak input patches rounded.

        Shapes:
            columns: (groups, K, M) integers, as `input_columns` gives them.
            returns: the same.
        """
        return driven_columns(self.layer, columns)

    def real(self, product: Tensor, offset_sums: Tensor | None, bias_shape: list[int]) -> Tensor:
        """Real outputs (float64) of integer products.

        Args:
            product: Integers, any layout.
            offset_sums: Sum of the signed weights over the taps inside the image, or None.
            bias_shape: Shape in which the bias broadcasts over `product`.
        """
        layer = self.layer
        result = product.to(torch.float64).mul_(layer.input_step * layer.weight_step)
        if offset_sums is not None:
            result += offset_sums * (layer.input_offset * layer.weight_step)
        if self._bias is not None:
            result += self._bias.to(result.device).reshape(bias_shape)
        return result

    def extra_repr(self) -> str:
        shape = self.layer.shape
        kind = "clipping" if self.sliced.can_clip else "exact"
        return f"{shape.groups} x {shape.wordlines} x {shape.outputs}, {kind}"


class CrossbarLinear(_CrossbarLayer):
    """A fully connected layer on crossbars.

    Shapes:
        inputs: (..., K).
        returns: (..., N), in the type of the inputs.
    """

    def __init__(
        self,
        module: nn.Linear,
        layer: CodedLayer,
        chip: Chip | None,
        **simulation: Unpack[SimulationOptions],
    ) -> None:
        """Take the place of `module`.

        Args:
            module: Checked against the codes; its own weights are not used.
            layer: Codes.
            chip: Geometry and ADC resolutions; None is unlimited ADCs.
            **simulation: As `SlicedWeights` takes them.
        """
        _check_shape(layer, (1, module.in_features, module.out_features))
        super().__init__(layer, chip, simulation)

    def input_columns(self, inputs: Tensor) -> Tensor:
        """Input codes of every MVM, (1, K, M) integers."""
        rows = self.integers(self.codes(inputs.reshape(-1, inputs.shape[-1])))
        return rows.t().unsqueeze(0)

    def forward(self, inputs: Tensor) -> Tensor:
        """Real outputs, see the shapes above."""
        columns = self.input_columns(inputs)
        with torch.no_grad():
            product = self.sliced.product(self.driven(columns))[0].t()
            sums = None
            if self.layer.input_offset != 0.0:
                sums = self.sliced.signed[0].sum(1).to(inputs.device, torch.float64)
            result = self.real(product, sums, [-1])
        return result.to(inputs.dtype).reshape(*inputs.shape[:-1], -1)


class CrossbarConv2d(_CrossbarLayer):
    """A convolution on crossbars: one MVM per output position and group.

    Strides, dilation, groups and padding are those of the replaced module. Taps in zero padding
    contribute nothing, also if input code 0 stands for a value other than zero.

    Shapes:
        inputs: (B, C_in, H, W) or (C_in, H, W).
        returns: (B, C_out, H_out, W_out) or without B, in the type of the inputs.
    """

    def __init__(
        self,
        module: nn.Conv2d,
        layer: CodedLayer,
        chip: Chip | None,
        **simulation: Unpack[SimulationOptions],
    ) -> None:
        """Take the place of `module`.

        Args:
            module: Gives strides, padding and the like; its own weights are not used.
            layer: Codes.
            chip: Geometry and ADC resolutions; None is unlimited ADCs.
            **simulation: As `SlicedWeights` takes them.
        """
        height, width = module.kernel_size
        per_group = module.in_channels // module.groups
        outputs = module.out_channels // module.groups
        _check_shape(layer, (module.groups, per_group * height * width, outputs))
        super().__init__(layer, chip, simulation)
        self.kernel_size = (height, width)
        self.stride = module.stride
        self.dilation = module.dilation
        self.groups = module.groups
        self.in_channels = module.in_channels
        self.padding_mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
        # (left, right, top, bottom); torch resolves padding='same' into it.
        self.padding = [int(side) for side in module._reversed_padding_repeated_twice]

    def input_columns(self, inputs: Tensor) -> Tensor:
        """Input codes of every MVM, (groups, K, M) integers; taps in zero padding are 0."""
        images = inputs if inputs.dim() == 4 else inputs.unsqueeze(0)
        codes = F.pad(self.codes(images), self.padding, mode=self.padding_mode)
        return self._windows(self.integers(codes))

    def forward(self, inputs: Tensor) -> Tensor:
        """Real outputs, see the shapes above."""
        images = inputs if inputs.dim() == 4 else inputs.unsqueeze(0)
        with torch.no_grad():
            codes = F.pad(self.codes(images), self.padding, mode=self.padding_mode)
            if rounds_inputs(self.layer):
                product = self._windowed(self.integers(codes))
            else:
                product = self._exact(codes)
                if self.sliced.can_clip:
                    product = self._clip(product.double(), self.integers(codes))
            sums = None
            if self.layer.input_offset != 0.0:
                sums = self._offset_sums(images)
            result = self.real(product, sums, [1, -1, 1, 1]).to(inputs.dtype)
        return result if inputs.dim() == 4 else result[0]

    def _windowed(self, codes: Tensor) -> Tensor:
        """Product of padded integer codes whose rounding differs from window to window."""
        rows, columns = self._output_size(*codes.shape[2:])
        images = max(1, IMAGE_CHUNK_MVMS // (rows * columns))
        parts = []
        for part in torch.split(codes, images):
            windows = self.driven(self._windows(part))
            parts.append(self._to_images(self.sliced.product(windows), part))
        return torch.cat(parts)

    def _exact(self, codes: Tensor) -> Tensor:
        """Exact integer convolution of padded codes, (B, C_out, H_out, W_out)."""
        if codes.device.type != "cpu":  # other back ends may use inexact convolution algorithms
            windows = self._windows(codes.double())
            product = torch.bmm(self.sliced.weights(codes.device), windows)
            return self._to_images(product, codes)
        # torch's direct and GEMM convolutions add integers in some order: exact below 2**24 in
        # float32 and 2**53 in float64. NNPACK's Winograd and FFT forms are not.
        with torch.backends.nnpack.flags(enabled=False):
            return self._convolve(codes)

    def _convolve(self, codes: Tensor) -> Tensor:
        weights = self.sliced.weights(codes.device)
        kernel = weights.reshape(-1, self.in_channels // self.groups, *self.kernel_size)
        return F.conv2d(
            codes.to(kernel.dtype),
            kernel,
            stride=self.stride,
            dilation=self.dilation,
            groups=self.groups,
        )

    def _clip(self, product: Tensor, codes: Tensor) -> Tensor:
        """Take what the ADCs cut off from the exact product, in place, a few images at a time."""
        gather = self.sliced.backend(codes.device) == "numba"
        images = max(1, IMAGE_CHUNK_MVMS // (product.shape[2] * product.shape[3]))
        for start in range(0, len(codes), images):
            part = codes[start : start + images]
            if gather:
                cut = self.sliced.clipped_at(part.contiguous(), *self._addresses(part))
                lost = self._to_images(cut.transpose(1, 2), part)
            else:
                lost = self._to_images(self.sliced.clipped(self._windows(part)), part)
            product[start : start + images] -= lost
        return product

    def _addresses(self, codes: Tensor) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where a window starts and where its taps lie from there: (M,) and (groups, K)."""
        batch, channels, height, width = codes.shape
        rows, columns = self._output_size(height, width)
        line = np.arange(rows)[:, np.newaxis] * (self.stride[0] * width)
        corner = line + np.arange(columns) * self.stride[1]
        image = np.arange(batch)[:, np.newaxis] * (channels * height * width)
        starts = (image + corner.reshape(1, -1)).reshape(-1)
        down, right = (
            np.arange(k) * d for k, d in zip(self.kernel_size, self.dilation, strict=True)
        )
        tap = (down[:, np.newaxis] * width + right).reshape(1, -1)
        taps = np.arange(channels)[:, np.newaxis] * (height * width) + tap
        return starts, taps.reshape(self.groups, -1)

    def _output_size(self, height: int, width: int) -> tuple[int, int]:
        """Output positions of a padded image."""
        sizes = zip((height, width), self.kernel_size, self.dilation, self.stride, strict=True)
        rows, columns = ((size - d * (k - 1) - 1) // s + 1 for size, k, d, s in sizes)
        return rows, columns

    def _windows(self, codes: Tensor) -> Tensor:
        """Padded codes (B, C, H, W) as wordlines: (groups, C/groups * kh * kw, B * positions)."""
        codes = codes.contiguous()
        batch, channels, height, width = codes.shape
        rows, columns = self._output_size(height, width)
        image, channel, line, pixel = codes.stride()
        windows = codes.as_strided(
            (channels, *self.kernel_size, batch, rows, columns),
            (
                channel,
                line * self.dilation[0],
                pixel * self.dilation[1],
                image,
                line * self.stride[0],
                pixel * self.stride[1],
            ),
            codes.storage_offset(),
        )
        return windows.reshape(self.groups, -1, batch * rows * columns)

    def _to_images(self, product: Tensor, codes: Tensor) -> Tensor:
        """(groups, N, B * positions) to (B, groups * N, H_out, W_out)."""
        batch, _, height, width = codes.shape
        rows, columns = self._output_size(height, width)
        outputs = product.shape[0] * product.shape[1]
        return product.reshape(outputs, batch, rows, columns).transpose(0, 1)

    def _offset_sums(self, images: Tensor) -> Tensor:
        """Sum of the signed weights over in-bounds taps, (1, C_out, H_out, W_out) float64."""
        key = (*images.shape[2:], images.device)
        if key not in self._offset_cache:
            ones = images.new_ones(1, *images.shape[1:])
            inside = F.pad(ones, self.padding, mode=self.padding_mode)
            self._offset_cache[key] = self._exact(inside).double()
        return self._offset_cache[key]


def _check_shape(layer: CodedLayer, expected: tuple[int, int, int]) -> None:
    shape = layer.shape
    got = (shape.groups, shape.wordlines, shape.outputs)
    if got != expected:
        raise MappingError(
            f"{shape.name}: the module has (groups, wordlines, outputs) = {expected}, its codes "
            f"have {got}. Lower the network that you convert."
        )
