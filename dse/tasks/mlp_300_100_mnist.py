"""784-300-100-10 on MNIST: LeNet-300-100."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from dse.tasks.task import Task, TrainingRecipe


def mlp_300_100() -> nn.Module:
    """Fully connected 784-300-100-10 with ReLU [LeCun1998], Sec. III.C.3.

    [LeCun1998] Y. LeCun et al., "Gradient-Based Learning Applied to Document Recognition",
        Proc. IEEE 86(11), 1998.
    """
    return nn.Sequential(
        OrderedDict(
            flatten=nn.Flatten(),
            fc1=nn.Linear(784, 300),
            relu1=nn.ReLU(),
            fc2=nn.Linear(300, 100),
            relu2=nn.ReLU(),
            fc3=nn.Linear(100, 10),
        )
    )


MLP_300_100_MNIST = Task(
    name="mlp_300_100_mnist",
    dataset="mnist",
    network=mlp_300_100,
    recipe=TrainingRecipe(pretrain_l1=0.0),
)
