"""The one training loop: stochastic gradient descent, with selection on validation data."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dse.datasets.dataset import ImageDataset
from dse.errors import TrainingError
from dse.quantizers.inputs import InputQuantizer
from dse.regularizers.regularizer import Penalty
from dse.training.accuracy import accuracy
from dse.training.augmentation import Augmentation
from dse.training.schedule import Constant, Schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """What is known after an epoch.

    Attributes:
        number: From 1.
        of: Epochs in all.
        loss: Mean cross-entropy over the training images, without the penalty.
        val_accuracy: On the validation split, a fraction.
        score: What the best epoch is chosen by.
        seconds: Since training began.
    """

    number: int
    of: int
    loss: float
    val_accuracy: float
    score: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Penalised:
    """Parameters under a penalty."""

    penalty: Penalty
    parameters: Sequence[nn.Parameter]


@dataclass(frozen=True, slots=True, kw_only=True)
class Masked:
    """A parameter whose zeros stay: the mask, 0 or 1 in its shape, multiplies its gradient."""

    parameter: nn.Parameter
    mask: Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterGroup:
    """Parameters with a learning rate and a weight decay of their own, such as thresholds.

    The schedule and the momentum are those of all.
    """

    parameters: Sequence[nn.Parameter]
    learning_rate: float
    weight_decay: float = 0.0


def fit(
    network: nn.Module,
    data: ImageDataset,
    *,
    epochs: int,
    learning_rate: float,
    momentum: float,
    batch_size: int,
    generator: torch.Generator,
    weight_decay: float = 0.0,
    nesterov: bool = False,
    schedule: Schedule | None = None,
    augmentation: Augmentation | None = None,
    groups: Sequence[ParameterGroup] = (),
    max_images_per_epoch: int | None = None,
    penalised: Penalised | None = None,
    masked: Sequence[Masked] = (),
    score: Callable[[nn.Module, float], float] | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    device: str | torch.device = "cpu",
) -> Epoch:
    """Train in place and leave the network as it was after its best epoch.

    The best epoch has the highest score, the earliest of equals; the validation split decides,
    never the test set. The same arguments give the same network bit for bit, on a GPU too as far
    as cuDNN can promise it; the layers' own randomness (dropout) is torch's global generator.

    Args:
        network: On `device`.
        data: Its training images are split into those to fit on and those that validate. They
            stay where they are; every batch is moved to `device`.
        epochs: At least 1.
        learning_rate: Of the first epoch.
        momentum: Of the gradient.
        batch_size: Images per step.
        generator: Shuffles and augments the images; on the CPU.
        weight_decay: Strength of `weight_decay / 2 * |w|_2^2`, on all parameters outside `groups`.
        nesterov: Whether the momentum looks ahead.
        schedule: Of the learning rate; constant when left out.
        augmentation: Changes every batch that is trained on; none when left out.
        groups: Parameters with a learning rate and a weight decay of their own.
        max_images_per_epoch: An epoch ends after so many images, the first of its own random
            order; all when left out. Validation always uses its whole split.
        penalised: Adds its gradient at every step.
        masked: Parameters that keep their zeros.
        score: Of the network and its validation accuracy; the accuracy itself by default.
        on_epoch: Called after every epoch.
        device: Where to compute.

    Returns:
        The best epoch.

    Raises:
        TrainingError: The loss is not a finite number any more, or an argument cannot be.
    """
    assert epochs >= 1
    if max_images_per_epoch is not None and max_images_per_epoch < 1:
        raise TrainingError(
            f"an epoch takes at least 1 image, got max_images_per_epoch={max_images_per_epoch}. "
            "Leave it out for all images"
        )
    began = time.perf_counter()
    schedule = schedule or Constant()
    fit_index, val_index = data.fit_and_validation()
    val_images, val_labels = data.train_images[val_index], data.train_labels[val_index]
    optimizer = _optimizer(
        network,
        groups,
        learning_rate=learning_rate,
        momentum=momentum,
        weight_decay=weight_decay,
        nesterov=nesterov,
    )
    initial_rates = [group["lr"] for group in optimizer.param_groups]
    best: Epoch | None = None
    best_state: dict[str, Tensor] = {}
    for number in range(1, epochs + 1):
        factor = schedule.factor(number, epochs)
        for group, rate in zip(optimizer.param_groups, initial_rates, strict=True):
            group["lr"] = rate * factor
        network.train()
        for quantizer in (m for m in network.modules() if isinstance(m, InputQuantizer)):
            quantizer.reset()
        order = fit_index[torch.randperm(len(fit_index), generator=generator)]
        batches = _batches(
            data,
            order[:max_images_per_epoch],
            batch_size,
            augmentation=augmentation,
            generator=generator,
            device=device,
        )
        try:
            with _repeatable(device):
                loss = _one_epoch(network, batches, optimizer, penalised, masked)
        except TrainingError as error:
            raise TrainingError(f"epoch {number} of {epochs}: {error}") from error
        val_accuracy = accuracy(network, data, val_images, val_labels, device=device)
        epoch = Epoch(
            number=number,
            of=epochs,
            loss=loss,
            val_accuracy=val_accuracy,
            score=score(network, val_accuracy) if score else val_accuracy,
            seconds=time.perf_counter() - began,
        )
        if on_epoch:
            on_epoch(epoch)
        if best is None or epoch.score > best.score:
            best = epoch
            best_state = {key: value.clone() for key, value in network.state_dict().items()}
    assert best is not None
    if best.number < epochs:
        network.load_state_dict(best_state)
    return best


def _optimizer(
    network: nn.Module,
    groups: Sequence[ParameterGroup],
    *,
    learning_rate: float,
    momentum: float,
    weight_decay: float,
    nesterov: bool,
) -> torch.optim.Optimizer:
    apart = {id(parameter) for group in groups for parameter in group.parameters}
    rest = [p for p in network.parameters() if p.requires_grad and id(p) not in apart]
    settings: list[dict[str, Any]] = [
        {"params": rest, "lr": learning_rate, "weight_decay": weight_decay},
        *(
            {
                "params": list(group.parameters),
                "lr": group.learning_rate,
                "weight_decay": group.weight_decay,
            }
            for group in groups
        ),
    ]
    return torch.optim.SGD(
        [group for group in settings if group["params"]],
        lr=learning_rate,
        momentum=momentum,
        nesterov=nesterov,
        fused=True,
    )


def _repeatable(device: str | torch.device) -> AbstractContextManager[Any]:
    """On a GPU, convolutions whose gradients repeat."""
    if torch.device(device).type != "cuda":
        return nullcontext()
    flags: AbstractContextManager[Any] = torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )
    return flags


def _batches(
    data: ImageDataset,
    order: Tensor,
    batch_size: int,
    *,
    augmentation: Augmentation | None,
    generator: torch.Generator,
    device: str | torch.device,
) -> Iterable[tuple[Tensor, Tensor]]:
    """Normalised images and their labels, on `device`."""
    for chosen in torch.split(order, batch_size):
        if len(chosen) == 1 and len(order) > 1:
            continue  # batch norm has no variance of a single image
        images = data.train_images.index_select(0, chosen).to(device)
        if augmentation is not None:
            images = augmentation.augmented(images, generator)
        yield data.normalised(images), data.train_labels.index_select(0, chosen).to(device)


def _one_epoch(
    network: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    optimizer: torch.optim.Optimizer,
    penalised: Penalised | None,
    masked: Sequence[Masked],
) -> float:
    """Mean loss over the images."""
    total, count = 0.0, 0
    for inputs, labels in batches:
        loss = F.cross_entropy(network(inputs), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        loss_value = loss.item()
        if not math.isfinite(loss_value):
            raise TrainingError(
                f"the loss is a finite number, got {loss_value}: training diverged. "
                "Lower the learning rate or the strength of the penalty"
            )
        if penalised:
            penalised.penalty.add_gradient_(penalised.parameters)
        for each in masked:
            assert each.parameter.grad is not None
            each.parameter.grad.mul_(each.mask)
        optimizer.step()
        total += loss_value * len(labels)
        count += len(labels)
    return total / max(count, 1)
