"""ResNet-20 with public weights for CIFAR-10, as benchmarks fine-tune it for a short time."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from dse.datasets.cifar10 import CIFAR10
from dse.datasets.dataset import ImageDataset
from dse.pipeline.accuracy import float_accuracy
from dse.pipeline.pretrain import pretrain
from dse.tasks.resnet20_cifar10 import RESNET20_CIFAR10
from dse.tasks.resnet20a_cifar10 import RESNET20A_CIFAR10
from dse.tasks.task import Normalisation, Task
from dse.training.fit import Epoch
from dse.training.schedule import Cosine

CHECKPOINTS = {
    "akamaster": replace(
        RESNET20A_CIFAR10,
        checkpoint=Path("resnet20_optA_cifar10_akamaster.safetensors"),
        normalisation=Normalisation(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
    ),
    "distiller": replace(
        RESNET20_CIFAR10,
        checkpoint=Path("resnet20_optB_cifar10_distiller.safetensors"),
        normalisation=Normalisation(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What a benchmark starts from.

    Attributes:
        task: With the checkpoint and the recipe of the short fine-tuning.
        data: The images that are used.
        state: The public weights.
        accuracy: Theirs in float on the test images, a fraction.
    """

    task: Task
    data: ImageDataset
    state: dict[str, Tensor]
    accuracy: float


def parser(
    description: str | None, *, train_images: int, test_images: int | None, epochs: int
) -> argparse.ArgumentParser:
    """The options that the benchmarks share, with defaults of their own."""
    found = argparse.ArgumentParser(description=description)
    found.add_argument("--data", type=Path, default=None, help="folder of CIFAR-10 (DSE_DATA)")
    found.add_argument(
        "--checkpoints",
        type=Path,
        default=Path(os.environ.get("DSE_CHECKPOINTS", "checkpoints")),
        help="folder of the public weights (DSE_CHECKPOINTS)",
    )
    found.add_argument("--checkpoint", choices=sorted(CHECKPOINTS), default="akamaster")
    found.add_argument("--train-images", type=int, default=train_images)
    found.add_argument("--test-images", type=int, default=test_images, help="all when left out")
    found.add_argument("--epochs", type=int, default=epochs)
    found.add_argument("--learning-rate", type=float, default=0.01)
    found.add_argument("--seed", type=int, default=0)
    found.add_argument("--threads", type=int, default=1)
    return found


def start(arguments: argparse.Namespace) -> Start:
    """Load weights and images as the options say, and print what they are."""
    torch.set_num_threads(arguments.threads)
    task = CHECKPOINTS[arguments.checkpoint]
    assert task.checkpoint is not None
    task = replace(
        task,
        checkpoint=arguments.checkpoints / task.checkpoint,
        recipe=replace(
            task.recipe,
            finetune_learning_rate=arguments.learning_rate,
            finetune_schedule=Cosine(last=0.05),
        ),
    )
    whole = task.seen(CIFAR10.load(arguments.data))
    data = whole.subset(train=arguments.train_images, test=arguments.test_images)
    fitted, held_out = data.fit_and_validation()
    print(
        f"{arguments.checkpoint}: fine-tuned on {len(fitted)} training images for "
        f"{arguments.epochs} epochs, {len(held_out)} validate, {len(data.test_labels)} test",
        flush=True,
    )
    state = pretrain(task, data, epochs=0, seed=arguments.seed).state
    accuracy = float_accuracy(task, data, state)
    print(f"fp32: test accuracy {accuracy:.4f}", flush=True)
    return Start(task=task, data=data, state=state, accuracy=accuracy)


def print_epoch(epoch: Epoch) -> None:
    """A line of progress."""
    print(
        f"        epoch {epoch.number} of {epoch.of}: loss {epoch.loss:.4f}, validation "
        f"{epoch.val_accuracy:.4f}, {epoch.seconds:.0f} s",
        flush=True,
    )
