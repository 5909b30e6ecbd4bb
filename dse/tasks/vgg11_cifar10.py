"""VGG-11 without batch norm on CIFAR-10: the large network of the bit-slice paper."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from dse.tasks.task import Task, TrainingRecipe
from dse.tasks.vgg import features, initialise_
from dse.training.augmentation import CropAndFlip
from dse.training.schedule import Steps


def vgg11() -> nn.Module:
    """Eight convolutions and 512-512-512-10, configuration A of VGG for 32 x 32 images.

    Dropout is off in evaluation. The published code leaves it on there, so that its accuracies
    are with dropout noise [Zhang2019].

    [Zhang2019] J. Zhang et al., "Exploring Bit-Slice Sparsity in Deep Neural Networks for
        Efficient ReRAM-Based Deployment", EMC2 workshop, 2019; code: cifar/vgg.py.
    """
    plan = (64, "pool", 128, "pool", 256, 256, "pool", 512, 512, "pool", 512, 512, "pool")
    network = nn.Sequential(
        OrderedDict(
            features=features(plan, batch_norm=False),  # type: ignore[arg-type]
            flatten=nn.Flatten(),
            classifier=nn.Sequential(
                nn.Dropout(0.5),
                nn.Linear(512, 512),
                nn.ReLU(),
                nn.Dropout(0.5),
                nn.Linear(512, 512),
                nn.ReLU(),
                nn.Linear(512, 10),
            ),
        )
    )
    initialise_(network)
    return network


VGG11_CIFAR10 = Task(
    name="vgg11_cifar10",
    dataset="cifar10",
    network=vgg11,
    recipe=TrainingRecipe(  # [Zhang2019]: 150 epochs, the rate halved every 30, both stages
        pretrain_epochs=150,
        pretrain_l1=20.0,
        learning_rate=0.05,
        momentum=0.9,
        batch_size=128,
        schedule=Steps(milestones=(0.2, 0.4, 0.6, 0.8), by=0.5),
        augmentation=CropAndFlip(padding=4),
        finetune_schedule=Steps(milestones=(0.2, 0.4, 0.6, 0.8), by=0.5),
    ),
)
