"""784-128-64-10 on MNIST."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from dse.tasks.task import Task, TrainingRecipe


def mlp_128_64() -> nn.Module:
    """Fully connected 784-128-64-10 with ReLU."""
    return nn.Sequential(
        OrderedDict(
            flatten=nn.Flatten(),
            fc1=nn.Linear(784, 128),
            relu1=nn.ReLU(),
            fc2=nn.Linear(128, 64),
            relu2=nn.ReLU(),
            fc3=nn.Linear(64, 10),
        )
    )


MLP_128_64_MNIST = Task(
    name="mlp_128_64_mnist",
    dataset="mnist",
    network=mlp_128_64,
    recipe=TrainingRecipe(pretrain_l1=0.0),
)
