from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from hw_models.errors import MappingError
from hw_models.simulation.convert import to_crossbars
from hw_models.simulation.layers import CrossbarConv2d, CrossbarLinear
from tests.hw_models.coded_layers import chip, coded_layer


def small_network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Sequential(nn.Flatten(), nn.Linear(4 * 25, 6)),
    )


LAYERS = {
    "0": coded_layer(1, wordlines=9, outputs=4, positions=25, name="0"),
    "3.1": coded_layer(2, wordlines=100, outputs=6, name="3.1"),
}


def test_named_layers_are_replaced_and_the_network_is_left_alone() -> None:
    network = small_network().train()
    converted = to_crossbars(network, LAYERS, chip())
    assert isinstance(converted.get_submodule("0"), CrossbarConv2d)
    assert isinstance(converted.get_submodule("3.1"), CrossbarLinear)
    assert not any(module.training for module in converted.modules())
    assert isinstance(network[0], nn.Conv2d)
    assert network.training
    assert converted(torch.rand(2, 1, 5, 5)).shape == (2, 6)


def test_layers_that_are_not_named_stay_digital() -> None:
    network = small_network().eval()
    converted = to_crossbars(network, {"3.1": LAYERS["3.1"]}, None)
    assert isinstance(converted.get_submodule("0"), nn.Conv2d)
    images = torch.rand(2, 1, 5, 5)
    assert torch.equal(converted.get_submodule("0")(images), network[0](images))


def test_a_module_under_two_names_is_replaced_under_both() -> None:
    network = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    network.append(network[0])
    converted = to_crossbars(network, {"0": coded_layer(wordlines=4, outputs=4)}, None)
    assert isinstance(converted.get_submodule("2"), CrossbarLinear)
    assert converted.get_submodule("2") is converted.get_submodule("0")


def test_a_network_that_is_one_layer_is_converted() -> None:
    converted = to_crossbars(nn.Linear(4, 3), {"": coded_layer(wordlines=4, outputs=3)}, None)
    assert isinstance(converted, CrossbarLinear)


def test_hooks_and_parametrisations_of_a_replaced_layer_are_gone() -> None:
    class Doubled(nn.Module):
        def forward(self, weight: Tensor) -> Tensor:
            return 2 * weight

    network = nn.Sequential(nn.Linear(4, 3))
    parametrize.register_parametrization(network[0], "weight", Doubled())
    network[0].register_forward_pre_hook(lambda module, inputs: (inputs[0] + 1,))
    layer = coded_layer(wordlines=4, outputs=3)
    plain = CrossbarLinear(nn.Linear(4, 3), layer, None)
    inputs = torch.rand(2, 4)
    assert torch.equal(to_crossbars(network, {"0": layer}, None)(inputs), plain(inputs))


def test_the_same_input_gives_the_same_output_on_every_call() -> None:
    converted = to_crossbars(small_network(), LAYERS, chip((2, 2, 2, 2)))
    images = torch.rand(3, 1, 5, 5)
    assert torch.equal(converted(images), converted(images))


def test_a_name_that_does_not_exist_is_refused_with_the_names_that_do() -> None:
    message = r"no module 'fc9'\. Its Linear and Conv2d layers: 0, 3\.1\."
    with pytest.raises(MappingError, match=message):
        to_crossbars(small_network(), {"fc9": LAYERS["0"]}, None)


def test_a_module_that_is_neither_linear_nor_conv2d_is_refused() -> None:
    with pytest.raises(MappingError, match="1 is a BatchNorm2d, crossbars take Linear and Conv2d"):
        to_crossbars(small_network(), {"1": LAYERS["0"]}, None)
