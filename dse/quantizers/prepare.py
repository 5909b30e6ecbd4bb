"""Attach quantisers to the mapped layers of a network, and read its state without them."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from dse.errors import StageError
from dse.quantizers.clipped import ClippedGrid
from dse.quantizers.inputs import InputQuantizer
from dse.quantizers.quantizer import Codes, Grid, Place, Quantizer, Refinement
from search_spaces.inputs import InputKnobs

WEIGHT_THRESHOLD_RATE = 0.5
INPUT_THRESHOLD_RATE = 2.5
"""Learning rates of clipping thresholds relative to that of the weights: 0.02 and 0.1 beside 0.04,
the settings for ResNet-20 on CIFAR-10 in the public code of APoT (Y. Li et al., ICLR 2020)."""

_INPUT_QUANTIZER = "input_quantizer"
_PARAMETRIZED = re.compile(r"parametrizations\.(\w+)\.original$")
_GRID = re.compile(r"parametrizations\.\w+\.\d+(\.|$)")
_PARAMETERS: tuple[Literal["weight", "bias"], ...] = ("weight", "bias")


def prepare(
    network: nn.Module,
    layers: Iterable[str],
    quantizer: Quantizer,
    knobs: Any,
    *,
    input_knobs: InputKnobs | None = None,
    normalised: Mapping[str, str] | None = None,
    refine: Mapping[str, Refinement] | None = None,
) -> nn.Module:
    """A copy whose named layers compute with quantised weights, biases and inputs.

    The layers stay `nn.Linear` and `nn.Conv2d`; their real parameters remain what an optimiser
    moves, along with the clipping thresholds that a quantiser adds.

    Args:
        network: Left as it is.
        layers: Names of the modules to quantise, in the order of execution: the first and the last
            may be quantised in a way of their own, and inputs of the first always clip at their
            range.
        quantizer: Of weights and biases, each tensor with a step of its own.
        knobs: Of the quantiser.
        input_knobs: Of the inputs; 8 bits over the range seen by default.
        normalised: The batch norm that each layer goes straight into, from `batch_norms`; none by
            default. Where a quantiser scales weights by their spread there, the statistics of the
            batch norm are scaled with them.
        refine: Per layer, applied to the signed whole levels of its weight (floats in the shape of
            the weight) before they meet the step, in training and in codes alike.

    Raises:
        StageError: `refine` names another layer.
    """
    prepared = copy.deepcopy(network)
    names = list(layers)
    normalised, refine = normalised or {}, refine or {}
    inputs = input_knobs or InputKnobs()
    if unknown := sorted(refine.keys() - set(names)):
        raise StageError(
            f"refinements belong to mapped layers, got one for {', '.join(unknown)}. "
            f"Mapped: {', '.join(names)}"
        )
    for name in names:
        layer = prepared.get_submodule(name)
        first, last = name == names[0], name == names[-1]
        device = cast("Tensor", layer.weight).device
        absorbed = name in normalised and layer.bias is None
        for parameter in _PARAMETERS:
            if getattr(layer, parameter, None) is None:
                continue
            place = Place(parameter=parameter, first=first, last=last, normalised=absorbed)
            grid = quantizer.grid(knobs, place)
            grid.to(device)
            if parameter == "weight":
                grid.refine = refine.get(name)
            parametrize.register_parametrization(layer, parameter, grid)
        ends_in_8_bits = quantizer.ends_in_8_bits and (first or last)
        layer.add_module(
            _INPUT_QUANTIZER,
            InputQuantizer(
                bits=8 if ends_in_8_bits else inputs.bits,
                clip="range" if ends_in_8_bits or first else inputs.clip,
            ).to(device),
        )
        layer.register_forward_pre_hook(_quantize_input)
    for name, batch_norm in normalised.items():
        if name in names:
            _scale_statistics(prepared, name, prepared.get_submodule(batch_norm))
    return prepared


def plain_state(prepared: nn.Module) -> dict[str, Tensor]:
    """State of the network before it was prepared: real parameters, and what is not quantised.

    The tensors are those of the prepared network, not copies; input ranges and clipping thresholds
    are left out.
    """
    state: dict[str, Tensor] = {}
    for key, value in prepared.state_dict().items():
        owner, _, name = key.rpartition(".")
        if owner.endswith(_INPUT_QUANTIZER) or _GRID.search(owner):
            continue
        state[_PARAMETRIZED.sub(r"\1", key) if name == "original" else key] = value
    return state


def input_quantizers(prepared: nn.Module) -> Iterator[InputQuantizer]:
    """The input quantisers of a prepared network."""
    return (module for module in prepared.modules() if isinstance(module, InputQuantizer))


def input_quantizer(layer: nn.Module) -> InputQuantizer:
    """The input quantiser of a prepared layer."""
    return cast("InputQuantizer", layer.get_submodule(_INPUT_QUANTIZER))


def parameter_grid(layer: nn.Module, parameter: str) -> Grid | None:
    """Grid of `weight` or `bias` of a prepared layer; None where it has none."""
    if not parametrize.is_parametrized(layer, parameter):
        return None
    held = cast("nn.ModuleDict", layer.parametrizations)[parameter]
    return cast("Grid", cast("nn.ModuleList", held)[0])


def parameter_codes(layer: nn.Module, parameter: str) -> Codes | None:
    """Codes of `weight` or `bias` of a prepared layer; None where it has none."""
    grid = parameter_grid(layer, parameter)
    return None if grid is None else grid.codes(_original(layer, parameter))


def real_parameters(network: nn.Module, layers: Iterable[str]) -> dict[str, nn.Parameter]:
    """Real weights and biases of the named layers, prepared or plain, by their plain names."""
    found: dict[str, nn.Parameter] = {}
    for name in layers:
        layer = network.get_submodule(name)
        for parameter in _PARAMETERS:
            if parametrize.is_parametrized(layer, parameter):
                found[f"{name}.{parameter}"] = _original(layer, parameter)
            elif getattr(layer, parameter, None) is not None:
                found[f"{name}.{parameter}"] = getattr(layer, parameter)
    return found


def parameter_grids(prepared: nn.Module, layers: Iterable[str]) -> dict[str, Grid]:
    """Grids of the weights and biases of the named layers; keys and order of `real_parameters`."""
    found = {
        f"{name}.{parameter}": parameter_grid(prepared.get_submodule(name), parameter)
        for name in layers
        for parameter in _PARAMETERS
    }
    return {name: grid for name, grid in found.items() if grid is not None}


def threshold_parameters(prepared: nn.Module) -> dict[nn.Parameter, float]:
    """Clipping thresholds, each with its learning rate relative to that of the weights."""
    rates: dict[nn.Parameter, float] = {}
    for module in prepared.modules():
        if isinstance(module, Grid):
            rates |= dict.fromkeys(module.parameters(recurse=False), WEIGHT_THRESHOLD_RATE)
        elif isinstance(module, InputQuantizer):
            rates |= dict.fromkeys(module.parameters(recurse=False), INPUT_THRESHOLD_RATE)
    return rates


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


def _original(layer: nn.Module, parameter: str) -> nn.Parameter:
    held = cast("nn.ModuleDict", layer.parametrizations)[parameter]
    return cast("nn.Parameter", held.original)


def _quantize_input(layer: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (input_quantizer(layer)(inputs[0]), *inputs[1:])


@torch.no_grad()
def _scale_statistics(prepared: nn.Module, name: str, batch_norm: nn.Module) -> None:
    """Weights shown in units of their spread make outputs in these units."""
    layer = prepared.get_submodule(name)
    grid = parameter_grid(layer, "weight")
    if not isinstance(grid, ClippedGrid) or not grid.normalised:
        return
    _, spread = grid.normalisation(_original(layer, "weight").detach())
    mean, variance = batch_norm.running_mean, batch_norm.running_var
    if isinstance(mean, Tensor) and isinstance(variance, Tensor):
        mean.div_(spread)
        variance.div_(spread * spread)
