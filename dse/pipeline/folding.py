"""Batch norm multiplied into the weights before anything is quantised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor, nn

from dse.datasets.dataset import ImageDataset
from dse.pipeline.accuracy import network_with
from dse.quantizers.batch_norm import fold_batch_norm
from dse.tasks.task import Task


def folded_task(task: Task, data: ImageDataset) -> Task:
    """The task whose network has no batch norm behind its mapped layers.

    Its layers have biases instead; other batch norms stay.

    Args:
        task: With batch norm.
        data: Two of its training images show which batch norm follows which layer.
    """
    example = data.normalised(data.train_images[:2])

    def network() -> nn.Module:
        return fold_batch_norm(task.build(seed=0).eval(), example)

    return replace(task, network=network, checkpoint=None)


def folded_state(task: Task, data: ImageDataset, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """State of the folded network that computes what the trained one does.

    Args:
        task: With batch norm.
        data: As in `folded_task`.
        state: What `pretrain` gives.
    """
    example = data.normalised(data.train_images[:2])
    return dict(fold_batch_norm(network_with(task, state), example).state_dict())
