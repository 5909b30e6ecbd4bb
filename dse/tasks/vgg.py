"""Networks of the VGG family for 32 x 32 images: the convolutional part."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from torch import nn


def features(plan: Sequence[int | Literal["pool"]], *, batch_norm: bool) -> nn.Sequential:
    """3 x 3 convolutions with ReLU, and 2 x 2 max pooling [Simonyan2015].

    Args:
        plan: Output channels of each convolution, `"pool"` between them; the input has 3.
        batch_norm: Behind every convolution, which then has no bias.

    [Simonyan2015] K. Simonyan, A. Zisserman, "Very Deep Convolutional Networks for Large-Scale
        Image Recognition", ICLR 2015.
    """
    layers = nn.Sequential()
    channels = 3
    for step in plan:
        if step == "pool":
            layers.append(nn.MaxPool2d(2))
            continue
        layers.append(nn.Conv2d(channels, step, 3, padding=1, bias=not batch_norm))
        if batch_norm:
            layers.append(nn.BatchNorm2d(step))
        layers.append(nn.ReLU())
        channels = step
    return layers


def initialise_(network: nn.Module) -> None:
    """Normal weights [He2015]: variance `2 / (outputs * k * k)`, of linear layers `2 / inputs`.

    Biases are 0. With torch's own initial values the gradient that reaches the first convolution
    of a network without batch norm is some fifteen times smaller, and it does not start to learn.

    [He2015] K. He et al., "Delving Deep into Rectifiers", ICCV 2015, Sec. 2.2.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            fan = module.out_channels * math.prod(module.kernel_size)
        elif isinstance(module, nn.Linear):
            fan = module.in_features
        else:
            continue
        nn.init.normal_(module.weight, std=math.sqrt(2 / fan))
        if module.bias is not None:
            nn.init.zeros_(module.bias)
