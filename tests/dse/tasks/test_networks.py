from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from dse.pipeline.tracing import trace
from dse.tasks.resnet import ZeroPadded
from dse.tasks.task import Task

CIFAR, MNIST = (2, 3, 32, 32), (2, 1, 28, 28)

NETWORKS = {
    # task: weights of mapped layers, parameters, floats of the state (with running statistics)
    "mlp_300_100_mnist": (266_200, 266_610, 266_610),
    "mlp_128_64_mnist": (109_184, 109_386, 109_386),
    "lenet5_tanh_mnist": (61_470, 61_706, 61_706),
    "lenet_mnist": (430_500, 431_080, 431_080),
    "lenet5_cifar10": (61_770, 62_006, 62_006),
    "vgg11_cifar10": (9_747_136, 9_750_922, 9_750_922),
    "vgg16_cifar10": (14_715_584, 14_724_042, 14_732_490),
    "alexnet_cifar10": (23_262_912, 23_272_266, 23_272_266),
    "squeezenet_cifar10": (691_232, 700_122, 706_042),
    "resnet20_cifar10": (270_896, 272_474, 274_042),
    "resnet20a_cifar10": (268_336, 269_722, 271_098),
    "resnet18_cifar10": (11_164_352, 11_173_962, 11_183_562),
}
"""The floats of the state of the networks with batch norm are the sizes of public checkpoints."""


def task(name: str) -> Task:
    made = getattr(importlib.import_module(f"dse.tasks.{name}"), name.upper())
    assert isinstance(made, Task)
    return made


def example(of: Task) -> torch.Tensor:
    shape = CIFAR if of.dataset == "cifar10" else MNIST
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_has_its_published_size_and_can_be_mapped(name: str) -> None:
    this = task(name)
    assert this.name == name
    network = this.build(0)
    layers = trace(network, example(this), name=name, classes=10)
    mapped = sum(network.get_submodule(layer.name).weight.numel() for layer in layers)
    state = network.state_dict()
    floats = sum(value.numel() for value in state.values() if value.is_floating_point())
    parameters = sum(parameter.numel() for parameter in network.parameters())
    assert (mapped, parameters, floats) == NETWORKS[name]


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_reach_every_parameter_from_the_first_step(name: str) -> None:
    this = task(name)
    network = this.build(0)
    loss = nn.functional.cross_entropy(network(example(this)), torch.tensor([1, 2]))
    loss.backward()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None, parameter_name
        if parameter_name.startswith("conv1") or parameter_name == "features.0.weight":
            assert bool((parameter.grad != 0).any())


@pytest.mark.parametrize(
    ("name", "first", "last", "count"),
    [
        ("resnet20_cifar10", "conv1.weight", "layer3.2.bn2.running_var", 9),
        ("resnet18_cifar10", "conv1.weight", "layer4.1.bn2.running_var", 8),
        ("squeezenet_cifar10", "fire2.conv1.weight", "classifier.1.bias", 8),
    ],
)
def test_tensors_are_named_as_in_public_checkpoints(
    name: str, first: str, last: str, count: int
) -> None:
    state = task(name).build(0).state_dict()
    assert {first, last} <= set(state)
    blocks = {key.rpartition(".")[0].rpartition(".")[0] for key in state if ".bn2." in key}
    assert len(blocks) == count
    downsampled = {key.split(".downsample.")[1] for key in state if "downsample" in key}
    if name.startswith("resnet"):
        assert {"0.weight", "1.weight", "1.bias", "1.running_mean"} <= downsampled


def test_a_shortcut_without_weights_takes_every_second_pixel_and_pads_channels() -> None:
    images = torch.arange(2 * 2 * 4 * 4, dtype=torch.float32).view(2, 2, 4, 4)
    out = ZeroPadded(2, 6, 2)(images)
    assert out.shape == (2, 6, 2, 2)
    assert torch.equal(out[:, 2:4], images[:, :, ::2, ::2])
    assert not out[:, [0, 1, 4, 5]].any()
    assert not any("downsample" in key for key in task("resnet20a_cifar10").build(0).state_dict())


def test_the_layers_of_vgg16_take_the_inputs_that_pq_pim_counts() -> None:
    """185 856 inputs per image: the network behind the overheads printed by PQ-PIM."""
    network = task("vgg16_cifar10").build(0).eval()
    inputs: list[int] = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_pre_hook(lambda _, given: inputs.append(given[0][0].numel()))
    network(example(task("vgg16_cifar10")))
    assert len(inputs) == 14
    assert sum(inputs) == 185_856


def test_dropout_is_off_in_evaluation() -> None:
    network = task("vgg11_cifar10").build(0).eval()
    images = example(task("vgg11_cifar10"))
    assert torch.equal(network(images), network(images))


def test_a_checkpoint_of_half_precision_loads_as_float32(tmp_path: Path) -> None:
    this = task("squeezenet_cifar10")
    state = {
        key: value.half()
        for key, value in this.build(3).state_dict().items()
        if value.is_floating_point()
    }
    save_file(state, tmp_path / "half.safetensors")
    network = this.build(0)
    replace(this, checkpoint=tmp_path / "half.safetensors").load_checkpoint_(network)
    assert {value.dtype for value in network.parameters()} == {torch.float32}
    assert torch.equal(network.fire9.conv3.weight, state["fire9.conv3.weight"].float())
