"""AlexNet on CIFAR-10."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from dse.tasks.task import Task, TrainingRecipe
from dse.tasks.vgg import initialise_
from dse.training.augmentation import CropAndFlip
from dse.training.schedule import Steps


def alexnet() -> nn.Module:
    """Five convolutions, 64-192-384-256-256, and 1024-4096-4096-10: a form for 32 x 32 images.

    Widths of [Krizhevsky2014]; all kernels are 3 x 3 and the pooling is 2 x 2, because the 11 x 11
    and 5 x 5 kernels of the original leave nothing of a small image. No batch norm.

    [Krizhevsky2014] A. Krizhevsky, "One Weird Trick for Parallelizing Convolutional Neural
        Networks", arXiv:1404.5997, 2014.
    """
    network = nn.Sequential(
        OrderedDict(
            features=nn.Sequential(
                nn.Conv2d(3, 64, 3, stride=2, padding=1),
                nn.ReLU(),
                nn.MaxPool2d(2),
                nn.Conv2d(64, 192, 3, padding=1),
                nn.ReLU(),
                nn.MaxPool2d(2),
                nn.Conv2d(192, 384, 3, padding=1),
                nn.ReLU(),
                nn.Conv2d(384, 256, 3, padding=1),
                nn.ReLU(),
                nn.Conv2d(256, 256, 3, padding=1),
                nn.ReLU(),
                nn.MaxPool2d(2),
            ),
            flatten=nn.Flatten(),
            classifier=nn.Sequential(
                nn.Dropout(0.5),
                nn.Linear(1024, 4096),
                nn.ReLU(),
                nn.Dropout(0.5),
                nn.Linear(4096, 4096),
                nn.ReLU(),
                nn.Linear(4096, 10),
            ),
        )
    )
    initialise_(network)
    return network


ALEXNET_CIFAR10 = Task(
    name="alexnet_cifar10",
    dataset="cifar10",
    network=alexnet,
    recipe=TrainingRecipe(  # [Krizhevsky2012], Sec. 5: rate, momentum, decay, batch, three drops
        pretrain_epochs=90,
        pretrain_l1=0.0,
        learning_rate=0.01,
        momentum=0.9,
        batch_size=128,
        weight_decay=5e-4,
        schedule=Steps(milestones=(0.5, 0.75, 0.9), by=0.1),
        augmentation=CropAndFlip(padding=4),
        finetune_learning_rate=0.001,
    ),
)
"""[Krizhevsky2012] A. Krizhevsky et al., "ImageNet Classification with Deep Convolutional Neural
Networks", NIPS 2012."""
