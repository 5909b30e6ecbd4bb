"""Lower a prepared network to integer codes, and codes to flat tensors and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dse.errors import StageError
from dse.pipeline.tracing import TracedLayer
from dse.quantizers.prepare import input_quantizer, parameter_codes
from hw_models.layer import CodedLayer, LayerShape

_SHAPE_FIELDS = ("wordlines", "outputs", "groups", "positions", "weight_bits", "input_bits")
_SCALE_FIELDS = ("weight_step", "input_step", "input_offset")


def lower(prepared: nn.Module, layers: Iterable[TracedLayer]) -> tuple[CodedLayer, ...]:
    """The codes that crossbars hold, one per traced layer.

    Weights and input ranges become integers and scales; the quantised bias, which is added
    digitally, becomes float64.

    Args:
        prepared: From `quantizers.prepare`, trained or calibrated.
        layers: The layers it was prepared for.
    """
    return tuple(_lower_layer(prepared.get_submodule(each.name), each.shape) for each in layers)


def _lower_layer(layer: nn.Module, shape: LayerShape) -> CodedLayer:
    weight, bias = parameter_codes(layer, "weight"), parameter_codes(layer, "bias")
    assert weight is not None
    inputs = input_quantizer(layer).grid()
    return CodedLayer(
        shape=shape,
        magnitudes=_matrix(weight.magnitudes, shape).astype(np.uint8),
        signs=_matrix(weight.signs, shape).astype(np.int8),
        weight_bits=weight.bits,
        weight_step=weight.step,
        input_bits=inputs.bits,
        input_step=inputs.step,
        input_offset=inputs.offset,
        bias=None if bias is None else bias.dequantised().cpu().numpy(),
    )


def _matrix(weight: Tensor, shape: LayerShape) -> NDArray[np.generic]:
    """`(C_out, ...)` as `(groups, K, N)`, contiguous."""
    rows = weight.reshape(shape.groups, shape.outputs, shape.wordlines)
    matrix: NDArray[np.generic] = rows.transpose(1, 2).contiguous().cpu().numpy()
    return matrix


def coded_to_tensors(layers: Sequence[CodedLayer]) -> dict[str, Tensor]:
    """Codes as a flat dictionary of tensors, such as safetensors stores; keys `layer/field`."""
    tensors: dict[str, Tensor] = {}
    for index, layer in enumerate(layers):
        shape = layer.shape
        integers = [index, shape.wordlines, shape.outputs, shape.groups, shape.positions]
        integers += [layer.weight_bits, layer.input_bits]
        scales = [layer.weight_step, layer.input_step, layer.input_offset]
        tensors[f"{shape.name}/magnitudes"] = torch.tensor(layer.magnitudes)
        tensors[f"{shape.name}/signs"] = torch.tensor(layer.signs)
        tensors[f"{shape.name}/integers"] = torch.tensor(integers, dtype=torch.int64)
        tensors[f"{shape.name}/scales"] = torch.tensor(scales, dtype=torch.float64)
        if layer.bias is not None:
            tensors[f"{shape.name}/bias"] = torch.tensor(layer.bias)
    return tensors


def coded_from_tensors(tensors: Mapping[str, Tensor]) -> tuple[CodedLayer, ...]:
    """The codes that `coded_to_tensors` wrote, bit for bit.

    Raises:
        StageError: A tensor is missing.
    """
    names = {key.rpartition("/")[0] for key in tensors}
    numbered = [_from_tensors(name, tensors) for name in names]
    return tuple(layer for _, layer in sorted(numbered, key=lambda pair: pair[0]))


def _from_tensors(name: str, tensors: Mapping[str, Tensor]) -> tuple[int, CodedLayer]:
    missing = [
        field
        for field in ("magnitudes", "signs", "integers", "scales")
        if f"{name}/{field}" not in tensors
    ]
    if missing:
        raise StageError(
            f"stored codes of layer {name!r} have magnitudes, signs, integers and scales, "
            f"got none for {', '.join(missing)}. Remove the stored stage; it is computed again"
        )
    index, *shape_and_bits = tensors[f"{name}/integers"].tolist()
    integers = dict(zip(_SHAPE_FIELDS, shape_and_bits, strict=True))
    scales = dict(zip(_SCALE_FIELDS, tensors[f"{name}/scales"].tolist(), strict=True))
    bias = tensors.get(f"{name}/bias")
    weight_bits, input_bits = integers.pop("weight_bits"), integers.pop("input_bits")
    return index, CodedLayer(
        shape=LayerShape(name=name, **integers),
        magnitudes=tensors[f"{name}/magnitudes"].numpy(),
        signs=tensors[f"{name}/signs"].numpy(),
        weight_bits=weight_bits,
        input_bits=input_bits,
        bias=None if bias is None else bias.numpy(),
        **scales,
    )
