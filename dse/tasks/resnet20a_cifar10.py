"""ResNet-20 on CIFAR-10 as published: shortcuts without weights (option A)."""

from __future__ import annotations

from torch import nn

from dse.tasks.resnet import CifarResNet, ZeroPadded
from dse.tasks.resnet20_cifar10 import RESNET20_RECIPE
from dse.tasks.task import Task


def resnet20a() -> nn.Module:
    """ResNet-20 [He2016], Sec. 4.2: 16-32-64 channels, three blocks each, option A.

    [He2016] K. He et al., "Deep Residual Learning for Image Recognition", CVPR 2016.
    """
    return CifarResNet(widths=(16, 32, 64), blocks=3, shortcut=ZeroPadded)


RESNET20A_CIFAR10 = Task(
    name="resnet20a_cifar10", dataset="cifar10", network=resnet20a, recipe=RESNET20_RECIPE
)
