"""784-100-10 on MNIST: the network of the bit-slice paper."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from dse.tasks.task import Task


def mlp() -> nn.Module:
    """Fully connected 784-100-10 with ReLU and biases [Zhang2019], Sec. 3.

    [Zhang2019] J. Zhang et al., "Exploring Bit-Slice Sparsity in Deep Neural Networks for
        Efficient ReRAM-Based Deployment", EMC2 workshop, 2019.
    """
    return nn.Sequential(
        OrderedDict(
            flatten=nn.Flatten(), fc1=nn.Linear(784, 100), relu=nn.ReLU(), fc2=nn.Linear(100, 10)
        )
    )


MLP_MNIST = Task(name="mlp_mnist", dataset="mnist", network=mlp)
