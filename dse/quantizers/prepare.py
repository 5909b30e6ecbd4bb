"""Attach quantisers to the mapped layers of a network, and read its state without them."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from dse.quantizers.inputs import InputQuantizer
from dse.quantizers.quantizer import Codes, QuantizedParameter, Quantizer

_INPUT_QUANTIZER = "input_quantizer"
_PARAMETRIZED = re.compile(r"parametrizations\.(\w+)\.original$")


def prepare(
    network: nn.Module, layers: Iterable[str], quantizer: Quantizer, knobs: Any
) -> nn.Module:
    """A copy whose named layers compute with quantised weights, biases and inputs.

    The layers stay `nn.Linear` and `nn.Conv2d`; their real parameters remain what an optimiser
    moves.

    Args:
        network: Left as it is.
        layers: Names of the modules to quantise.
        quantizer: Of weights and biases, each tensor with a step of its own.
        knobs: Of the quantiser.
    """
    prepared = copy.deepcopy(network)
    for name in layers:
        layer = prepared.get_submodule(name)
        for parameter in ("weight", "bias"):
            if getattr(layer, parameter, None) is not None:
                parametrize.register_parametrization(
                    layer, parameter, QuantizedParameter(quantizer, knobs)
                )
        layer.add_module(_INPUT_QUANTIZER, InputQuantizer())
        layer.register_forward_pre_hook(_quantize_input)
    return prepared


def plain_state(prepared: nn.Module) -> dict[str, Tensor]:
    """State of the network before it was prepared: real parameters, and what is not quantised.

    The tensors are those of the prepared network, not copies; input ranges are left out.
    """
    state: dict[str, Tensor] = {}
    for key, value in prepared.state_dict().items():
        owner, _, name = key.rpartition(".")
        if owner.endswith(_INPUT_QUANTIZER):
            continue
        state[_PARAMETRIZED.sub(r"\1", key) if name == "original" else key] = value
    return state


def input_quantizers(prepared: nn.Module) -> Iterator[InputQuantizer]:
    """The input quantisers of a prepared network."""
    return (module for module in prepared.modules() if isinstance(module, InputQuantizer))


def input_quantizer(layer: nn.Module) -> InputQuantizer:
    """The input quantiser of a prepared layer."""
    return cast("InputQuantizer", layer.get_submodule(_INPUT_QUANTIZER))


def parameter_codes(layer: nn.Module, parameter: str) -> Codes | None:
    """Codes of `weight` or `bias` of a prepared layer; None where it has none."""
    if not parametrize.is_parametrized(layer, parameter):
        return None
    held = cast("nn.ModuleDict", layer.parametrizations)[parameter]
    return cast("QuantizedParameter", cast("nn.ModuleList", held)[0]).codes(
        cast("Tensor", held.original)
    )


def real_parameters(network: nn.Module, layers: Iterable[str]) -> dict[str, nn.Parameter]:
    """Real weights and biases of the named layers, prepared or plain, by their plain names."""
    found: dict[str, nn.Parameter] = {}
    for name in layers:
        layer = network.get_submodule(name)
        for parameter in ("weight", "bias"):
            if parametrize.is_parametrized(layer, parameter):
                held = cast("nn.ModuleDict", layer.parametrizations)[parameter]
                found[f"{name}.{parameter}"] = cast("nn.Parameter", held.original)
            elif getattr(layer, parameter, None) is not None:
                found[f"{name}.{parameter}"] = getattr(layer, parameter)
    return found


@torch.no_grad()
def calibrate(prepared: nn.Module, batches: Iterable[Tensor]) -> None:
    """Set the ranges of the inputs by running a prepared network, its parameters as they are.

    Batch statistics and the like stay untouched: only the input quantisers run in training mode.

    Args:
        prepared: Changed in place; its training mode is as before afterwards.
        batches: What the network sees, `(B, C, H, W)` each.
    """
    was_training = prepared.training
    prepared.eval()
    for quantizer in input_quantizers(prepared):
        quantizer.reset()
        quantizer.train()
    for batch in batches:
        prepared(batch)
    prepared.train(was_training)


def _quantize_input(layer: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (input_quantizer(layer)(inputs[0]), *inputs[1:])
