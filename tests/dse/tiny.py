"""A data set of seconds and a convolutional network, for tests of stages."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from dse.datasets.dataset import ImageDataset
from dse.tasks.task import Task, TrainingRecipe


def stripes(train: int = 400, test: int = 200) -> ImageDataset:
    """Images of 6 x 6 with one bright row or column out of four places; eight classes."""
    generator = torch.Generator().manual_seed(5)
    images = torch.randint(0, 120, (train + test, 1, 6, 6), generator=generator).byte()
    labels = torch.randint(0, 8, (train + test,), generator=generator)
    for image, label in zip(images, labels.tolist(), strict=True):
        if label < 4:
            image[0, label + 1, :] = 255
        else:
            image[0, :, label - 3] = 255
    return ImageDataset(
        name="stripes",
        train_images=images[:train],
        train_labels=labels[:train],
        test_images=images[train:],
        test_labels=labels[train:],
        mean=(0.35,),
        std=(0.3,),
        digest="stripes",
    )


def small_net() -> nn.Module:
    """Every kind of layer that is mapped, and batch norm, which is not."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 8, 3, padding=1, bias=False),
            bn1=nn.BatchNorm2d(8),
            relu1=nn.ReLU(),
            conv2=nn.Conv2d(8, 8, 3, padding=1, stride=2, groups=2),
            relu2=nn.ReLU(),
            flatten=nn.Flatten(),
            dropout=nn.Dropout(0.1),
            fc=nn.Linear(72, 8),
        )
    )


STRIPES = Task(
    name="stripes",
    dataset="stripes",
    network=small_net,
    recipe=TrainingRecipe(learning_rate=0.05, batch_size=16, pretrain_l1=0.5),
)
