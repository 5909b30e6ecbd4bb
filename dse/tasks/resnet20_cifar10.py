"""ResNet-20 on CIFAR-10, with weights in the shortcuts (option B)."""

from __future__ import annotations

from torch import nn

from dse.tasks.resnet import CifarResNet, projection
from dse.tasks.task import Task, TrainingRecipe
from dse.training.augmentation import CropAndFlip
from dse.training.schedule import Steps

RESNET20_RECIPE = TrainingRecipe(
    pretrain_epochs=164,
    pretrain_l1=0.0,
    learning_rate=0.1,
    momentum=0.9,
    batch_size=128,
    weight_decay=1e-4,
    schedule=Steps(milestones=(0.5, 0.75), by=0.1),
    augmentation=CropAndFlip(padding=4),
    finetune_learning_rate=0.01,
)
"""[He2016], Sec. 4.2: 64 000 steps of 128 images are 164 epochs of our 45 000 training images;
a tenth of the rate at half and at three quarters. The rate of fine-tuning is ours."""


def resnet20() -> nn.Module:
    """ResNet-20 [He2016], Sec. 4.2, with option B: 16-32-64 channels, three blocks each.

    [He2016] K. He et al., "Deep Residual Learning for Image Recognition", CVPR 2016.
    """
    return CifarResNet(widths=(16, 32, 64), blocks=3, shortcut=projection)


RESNET20_CIFAR10 = Task(
    name="resnet20_cifar10", dataset="cifar10", network=resnet20, recipe=RESNET20_RECIPE
)
