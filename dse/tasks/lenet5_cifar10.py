"""LeNet-5 on CIFAR-10."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from dse.tasks.task import Task, TrainingRecipe
from dse.training.augmentation import CropAndFlip
from dse.training.schedule import Cosine


def lenet5_colour() -> nn.Module:
    """LeNet-5 for three channels, without padding: ReLU, max pooling, 62 006 parameters."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(3, 6, 5),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(6, 16, 5),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            fc1=nn.Linear(400, 120),
            relu3=nn.ReLU(),
            fc2=nn.Linear(120, 84),
            relu4=nn.ReLU(),
            fc3=nn.Linear(84, 10),
        )
    )


LENET5_CIFAR10 = Task(
    name="lenet5_cifar10",
    dataset="cifar10",
    network=lenet5_colour,
    recipe=TrainingRecipe(
        pretrain_epochs=30,
        pretrain_l1=0.0,
        schedule=Cosine(),
        augmentation=CropAndFlip(padding=4),
        finetune_learning_rate=0.001,
    ),
)
