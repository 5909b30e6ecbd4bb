"""Batch norms that stand right behind a mapped layer, and folding them into it."""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.fusion import fuse_conv_bn_weights, fuse_linear_bn_weights

from dse.errors import TaskError


@dataclass(slots=True)
class _Record:
    """What one forward pass showed, by name of the module."""

    outputs: dict[str, Any] = field(default_factory=dict)  # graph node that made the output
    inputs: dict[str, Any] = field(default_factory=dict)  # graph node that made the input
    calls: Counter[str] = field(default_factory=Counter)


def batch_norms(network: nn.Module, example: Tensor) -> dict[str, str]:
    """The batch norm of every Linear and Conv2d whose output goes into one and nowhere else.

    Found by running the network and reading the graph that automatic differentiation builds, not
    by names. Left out: modules that run several times, outputs with a second user (a shortcut that
    branches off before the batch norm), and batch norms without running statistics.

    Args:
        network: Left as it is; it runs in evaluation mode.
        example: Normalised images `(B, C, H, W)`.

    Returns:
        Name of the batch norm by name of the layer, in the order of execution.
    """
    record = _Record()
    handles = []
    for name, module in network.named_modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            handles.append(module.register_forward_hook(_note_output(record, name)))
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            handles.append(module.register_forward_pre_hook(_note_input(record, name)))
    was_training = network.training
    try:
        with torch.enable_grad():
            output = network.eval()(example.detach().clone().requires_grad_())
    finally:
        network.train(was_training)
        for handle in handles:
            handle.remove()
    users = _users(output)
    layers = {node: name for name, node in record.outputs.items() if node is not None}
    found: dict[str, str] = {}
    for batch_norm, node in record.inputs.items():
        layer = layers.get(node)
        if layer is None or users[node] != 1:
            continue
        if record.calls[layer] > 1 or record.calls[batch_norm] > 1:
            continue
        if network.get_submodule(batch_norm).running_mean is not None:
            found[layer] = batch_norm
    return found


def fold_batch_norm(network: nn.Module, example: Tensor) -> nn.Module:
    """A copy in which such layers do the work of their batch norms, which become `nn.Identity`.

    Both give the same scores in evaluation mode; the copy has a bias in every folded layer. Fold
    what will be mapped but not trained further, or train on without batch norm.

    Args:
        network: Left as it is.
        example: Normalised images `(B, C, H, W)`.

    Raises:
        TaskError: A layer to fold shows a parametrised weight.
    """
    pairs = batch_norms(network, example)
    folded = copy.deepcopy(network)
    for layer_name, norm_name in pairs.items():
        layer, norm = folded.get_submodule(layer_name), folded.get_submodule(norm_name)
        if parametrize.is_parametrized(layer):
            raise TaskError(
                f"batch norms fold into plain weights, got a parametrisation on {layer_name}. "
                "Fold before the network is prepared"
            )
        _fold(layer, cast("nn.BatchNorm2d", norm))
        _replace(folded, norm)
    return folded


@torch.no_grad()
def _fold(layer: nn.Module, norm: nn.BatchNorm2d) -> None:
    bias = cast("Tensor | None", layer.bias)
    weight = cast("Tensor", layer.weight)
    mean, variance = cast("Tensor", norm.running_mean), cast("Tensor", norm.running_var)
    fuse: Any = fuse_linear_bn_weights if isinstance(layer, nn.Linear) else fuse_conv_bn_weights
    if bias is None:
        bias = torch.zeros_like(mean)
    gain = norm.weight if norm.affine else torch.ones_like(mean)
    shift = norm.bias if norm.affine else torch.zeros_like(mean)
    layer.weight, layer.bias = fuse(weight, bias, mean, variance, norm.eps, gain, shift)


def _replace(network: nn.Module, module: nn.Module) -> None:
    """An identity in every place where the module is held."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if child is module:
                setattr(parent, name, nn.Identity())


def _note_output(record: _Record, name: str) -> Any:
    def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        record.outputs[name] = output.grad_fn
        record.calls[name] += 1

    return hook


def _note_input(record: _Record, name: str) -> Any:
    def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        record.inputs[name] = inputs[0].grad_fn
        record.calls[name] += 1

    return hook


def _users(output: Tensor) -> Counter[Any]:
    """How many operations between a node and the output take what the node made."""
    users: Counter[Any] = Counter()
    waiting, visited = [output.grad_fn], {output.grad_fn}
    while waiting:
        node = waiting.pop()
        if node is None:
            continue
        for following, _ in node.next_functions:
            users[following] += 1
            if following not in visited:
                visited.add(following)
                waiting.append(following)
    return users
