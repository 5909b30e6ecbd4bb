"""The large LeNet (20-50-500-10) on MNIST."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from dse.tasks.task import Task, TrainingRecipe


def lenet() -> nn.Module:
    """The LeNet of compression papers: 20 and 50 filters of 5 x 5, then 800-500-10.

    No padding, max pooling, 430 500 weights. The Caffe example that the numbers come from has a
    ReLU behind the first linear layer only; here one follows every hidden layer, so that inputs
    of crossbars are never negative.
    """
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 20, 5),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(20, 50, 5),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            fc1=nn.Linear(800, 500),
            relu3=nn.ReLU(),
            fc2=nn.Linear(500, 10),
        )
    )


LENET_MNIST = Task(
    name="lenet_mnist",
    dataset="mnist",
    network=lenet,
    recipe=TrainingRecipe(  # rate, momentum, decay and batch of Caffe's lenet_solver.prototxt
        pretrain_epochs=12,
        pretrain_l1=0.0,
        learning_rate=0.01,
        momentum=0.9,
        batch_size=64,
        weight_decay=5e-4,
    ),
)
