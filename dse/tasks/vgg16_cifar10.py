"""VGG-16 with batch norm on CIFAR-10."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from dse.tasks.task import Task, TrainingRecipe
from dse.tasks.vgg import features, initialise_
from dse.training.augmentation import CropAndFlip
from dse.training.schedule import Cosine


def vgg16() -> nn.Module:
    """Thirteen convolutions with batch norm and one linear layer, 512-10: 14 715 584 weights.

    Configuration D of VGG. This weight count and the 185 856 inputs of its layers are those of
    the overheads that PQ-PIM prints for its VGG16.
    """
    plan = (
        *(64, 64, "pool", 128, 128, "pool", 256, 256, 256, "pool"),
        *(512, 512, 512, "pool", 512, 512, 512, "pool"),
    )
    network = nn.Sequential(
        OrderedDict(
            features=features(plan, batch_norm=True),  # type: ignore[arg-type]
            flatten=nn.Flatten(),
            classifier=nn.Linear(512, 10),
        )
    )
    initialise_(network)
    return network


VGG16_CIFAR10 = Task(
    name="vgg16_cifar10",
    dataset="cifar10",
    network=vgg16,
    recipe=TrainingRecipe(  # as the public repository kuangliu/pytorch-cifar trains its networks
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
