"""ResNet-18 on CIFAR-10."""

from __future__ import annotations

from torch import nn

from dse.tasks.resnet import CifarResNet, projection
from dse.tasks.task import Task, TrainingRecipe
from dse.training.augmentation import CropAndFlip
from dse.training.schedule import Cosine


def resnet18() -> nn.Module:
    """ResNet-18 [He2016], Table 1, with the stem for 32 x 32 images: 3 x 3, no pooling.

    [He2016] K. He et al., "Deep Residual Learning for Image Recognition", CVPR 2016.
    """
    return CifarResNet(widths=(64, 128, 256, 512), blocks=2, shortcut=projection)


RESNET18_CIFAR10 = Task(
    name="resnet18_cifar10",
    dataset="cifar10",
    network=resnet18,
    recipe=TrainingRecipe(  # as the public repository kuangliu/pytorch-cifar trains it
        pretrain_epochs=200,
        pretrain_l1=0.0,
        learning_rate=0.1,
        momentum=0.9,
        batch_size=128,
        weight_decay=5e-4,
        schedule=Cosine(),
        augmentation=CropAndFlip(padding=4),
        finetune_learning_rate=0.01,
    ),
)
