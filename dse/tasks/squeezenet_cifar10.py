"""SqueezeNet with batch norm on CIFAR-10."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from dse.tasks.task import Task, TrainingRecipe
from dse.training.augmentation import CropAndFlip
from dse.training.schedule import Cosine


class Fire(nn.Module):
    """A squeezing 1 x 1 convolution, then 1 x 1 and 3 x 3 side by side [Iandola2016], Sec. 3.2.

    Batch norm and ReLU follow every convolution.
    """

    def __init__(self, inputs: int, *, squeeze: int, expand: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, squeeze, 1)
        self.bn1 = nn.BatchNorm2d(squeeze)
        self.conv2 = nn.Conv2d(squeeze, expand, 1)
        self.bn2 = nn.BatchNorm2d(expand)
        self.conv3 = nn.Conv2d(squeeze, expand, 3, padding=1)
        self.bn3 = nn.BatchNorm2d(expand)
        self.relu1 = nn.ReLU()
        self.relu2 = nn.ReLU()
        self.relu3 = nn.ReLU()

    def forward(self, images: Tensor) -> Tensor:
        """`(B, C, H, W)` to `(B, 2 * expand, H, W)`."""
        squeezed = self.relu1(self.bn1(self.conv1(images)))
        small = self.relu2(self.bn2(self.conv2(squeezed)))
        large = self.relu3(self.bn3(self.conv3(squeezed)))
        return torch.cat([small, large], dim=1)


def squeezenet() -> nn.Module:
    """SqueezeNet 1.0 [Iandola2016], Table 1, for 32 x 32 images: 700 122 parameters.

    Its first convolution is 3 x 3 with stride 2, and the pooling is 2 x 2. There is a batch norm
    behind every convolution but the last.

    [Iandola2016] F. N. Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer
        parameters and <0.5MB model size", arXiv:1602.07360, 2016.
    """
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(3, 96, 3, stride=2, padding=1),
            bn1=nn.BatchNorm2d(96),
            relu=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            fire2=Fire(96, squeeze=16, expand=64),
            fire3=Fire(128, squeeze=16, expand=64),
            fire4=Fire(128, squeeze=32, expand=128),
            pool4=nn.MaxPool2d(2),
            fire5=Fire(256, squeeze=32, expand=128),
            fire6=Fire(256, squeeze=32, expand=192),
            fire7=Fire(384, squeeze=48, expand=192),
            fire8=Fire(384, squeeze=64, expand=256),
            pool8=nn.MaxPool2d(2),
            fire9=Fire(512, squeeze=64, expand=256),
            classifier=nn.Sequential(nn.Dropout(0.5), nn.Conv2d(512, 10, 1), nn.ReLU()),
            pool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
        )
    )


SQUEEZENET_CIFAR10 = Task(
    name="squeezenet_cifar10",
    dataset="cifar10",
    network=squeezenet,
    recipe=TrainingRecipe(  # rate, momentum and decay of the solver published with [Iandola2016]
        pretrain_epochs=120,
        pretrain_l1=0.0,
        learning_rate=0.04,
        momentum=0.9,
        batch_size=128,
        weight_decay=2e-4,
        schedule=Cosine(),
        augmentation=CropAndFlip(padding=4),
        finetune_learning_rate=0.004,
    ),
)
