"""First stage: train the network in fp32, or take the user's checkpoint."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from dse.datasets.dataset import ImageDataset
from dse.errors import StageError
from dse.pipeline.tracing import trace_task
from dse.quantizers.prepare import real_parameters
from dse.regularizers.l1 import L1Penalty
from dse.tasks.task import Task
from dse.training.accuracy import accuracy
from dse.training.fit import Epoch, Penalised, fit


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainedNetwork:
    """A trained fp32 network.

    Attributes:
        state: Its parameters and buffers, on the CPU.
        metrics: `val_accuracy` (fraction), `epoch` (the selected one, 0 for a checkpoint),
            `seconds`.
    """

    state: dict[str, Tensor]
    metrics: dict[str, float]


def pretrain(
    task: Task,
    data: ImageDataset,
    *,
    epochs: int,
    seed: int,
    on_epoch: Callable[[Epoch], None] | None = None,
    device: str | torch.device = "cpu",
) -> TrainedNetwork:
    """Train in fp32, with the L1 penalty of the recipe on the layers that will be mapped.

    The epoch with the best validation accuracy is kept. A task with a checkpoint is not trained.

    Args:
        task: What to train, and how.
        data: Its training images only.
        epochs: 0 leaves the initial weights.
        seed: Of the initial weights, the order of the images, and dropout.
        on_epoch: Called after every epoch.
        device: Where to compute.

    Raises:
        TaskError: The network cannot be mapped, or the checkpoint cannot be used.
        TrainingError: Training diverged.
    """
    check_epochs(epochs)
    began = time.perf_counter()
    layers = [layer.name for layer in trace_task(task, data)]
    network = task.build(seed)
    best: Epoch | None = None
    if task.checkpoint is not None:
        task.load_checkpoint_(network)
    network.to(device)
    if task.checkpoint is None and epochs > 0:
        penalised = None
        if task.recipe.pretrain_l1 > 0:
            penalised = Penalised(
                penalty=L1Penalty(task.recipe.pretrain_l1),
                parameters=tuple(real_parameters(network, layers).values()),
            )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            best = fit(
                network,
                data,
                epochs=epochs,
                **task.recipe.pretraining(),
                generator=torch.Generator().manual_seed(seed),
                penalised=penalised,
                on_epoch=on_epoch,
                device=device,
            )
    if best is None:
        _, held_out = data.fit_and_validation()
        val_accuracy = accuracy(
            network, data, data.train_images[held_out], data.train_labels[held_out], device=device
        )
    else:
        val_accuracy = best.val_accuracy
    return TrainedNetwork(
        state={key: value.detach().cpu().clone() for key, value in network.state_dict().items()},
        metrics={
            "val_accuracy": val_accuracy,
            "epoch": float(best.number if best else 0),
            "seconds": time.perf_counter() - began,
        },
    )


def check_epochs(epochs: int) -> None:
    """Raise StageError unless `epochs` is a possible number of epochs."""
    if epochs < 0:
        raise StageError(f"training takes 0 or more epochs, got {epochs}. Use 0 for none")
