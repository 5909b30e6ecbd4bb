"""LeNet-5 on MNIST."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from dse.tasks.task import Task


def lenet5() -> nn.Module:
    """LeNet-5 [LeCun1998] in its modern form: ReLU, max pooling, no sparse connection table.

    6 and 16 filters of 5 x 5, then 120-84-10; the 28 x 28 images are padded by 2.

    [LeCun1998] Y. LeCun et al., "Gradient-Based Learning Applied to Document Recognition",
        Proc. IEEE 86(11), 1998.
    """
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 6, 5, padding=2),
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


LENET5_MNIST = Task(name="lenet5_mnist", dataset="mnist", network=lenet5)
