"""LeNet-5 on MNIST with tanh and average pooling."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from dse.tasks.task import Task, TrainingRecipe


def lenet5_tanh() -> nn.Module:
    """LeNet-5 close to its classic form [LeCun1998]: tanh, average pooling.

    The pooling has no weights and every map of the second convolution sees all of the first. The
    inputs of its layers have both signs.

    [LeCun1998] Y. LeCun et al., "Gradient-Based Learning Applied to Document Recognition",
        Proc. IEEE 86(11), 1998.
    """
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 6, 5, padding=2),
            tanh1=nn.Tanh(),
            pool1=nn.AvgPool2d(2),
            conv2=nn.Conv2d(6, 16, 5),
            tanh2=nn.Tanh(),
            pool2=nn.AvgPool2d(2),
            flatten=nn.Flatten(),
            fc1=nn.Linear(400, 120),
            tanh3=nn.Tanh(),
            fc2=nn.Linear(120, 84),
            tanh4=nn.Tanh(),
            fc3=nn.Linear(84, 10),
        )
    )


LENET5_TANH_MNIST = Task(
    name="lenet5_tanh_mnist",
    dataset="mnist",
    network=lenet5_tanh,
    recipe=TrainingRecipe(pretrain_l1=0.0),
)
