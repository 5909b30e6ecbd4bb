"""The one training loop: stochastic gradient descent, with selection on validation data."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dse.datasets.dataset import ImageDataset
from dse.errors import TrainingError
from dse.quantizers.inputs import InputQuantizer
from dse.regularizers.regularizer import Penalty
from dse.training.accuracy import accuracy


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


def fit(
    network: nn.Module,
    data: ImageDataset,
    *,
    epochs: int,
    learning_rate: float,
    momentum: float,
    batch_size: int,
    generator: torch.Generator,
    penalised: Penalised | None = None,
    masked: Sequence[Masked] = (),
    score: Callable[[nn.Module, float], float] | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    device: str | torch.device = "cpu",
) -> Epoch:
    """Train in place and leave the network as it was after its best epoch.

    The best epoch has the highest score, the earliest of equals; the validation split decides,
    never the test set.

    Args:
        network: On `device`.
        data: Its training images are split into those to fit on and those that validate.
        epochs: At least 1.
        learning_rate: Constant.
        momentum: Of the gradient.
        batch_size: Images per step.
        generator: Shuffles the images; on the CPU.
        penalised: Adds its gradient at every step.
        masked: Parameters that keep their zeros.
        score: Of the network and its validation accuracy; the accuracy itself by default.
        on_epoch: Called after every epoch.
        device: Where to compute.

    Returns:
        The best epoch.

    Raises:
        TrainingError: The loss is not a finite number any more.
    """
    assert epochs >= 1
    began = time.perf_counter()
    fit_index, val_index = data.fit_and_validation()
    images, labels = data.train_images.to(device), data.train_labels.to(device)
    val_images, val_labels = images[val_index.to(device)], labels[val_index.to(device)]
    optimizer = torch.optim.SGD(
        [p for p in network.parameters() if p.requires_grad],
        lr=learning_rate,
        momentum=momentum,
        fused=True,
    )
    best: Epoch | None = None
    best_state: dict[str, Tensor] = {}
    for number in range(1, epochs + 1):
        network.train()
        for quantizer in (m for m in network.modules() if isinstance(m, InputQuantizer)):
            quantizer.reset()
        order = fit_index[torch.randperm(len(fit_index), generator=generator)].to(device)
        try:
            loss = _one_epoch(
                network, data, images, labels, order, batch_size, optimizer, penalised, masked
            )
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


def _one_epoch(
    network: nn.Module,
    data: ImageDataset,
    images: Tensor,
    labels: Tensor,
    order: Tensor,
    batch_size: int,
    optimizer: torch.optim.Optimizer,
    penalised: Penalised | None,
    masked: Sequence[Masked],
) -> float:
    """Mean loss over the images of `order`."""
    total = 0.0
    for chosen in torch.split(order, batch_size):
        if len(chosen) == 1 and len(order) > 1:
            continue  # batch norm has no variance of a single image
        inputs = data.normalised(images.index_select(0, chosen))
        loss = F.cross_entropy(network(inputs), labels.index_select(0, chosen))
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
        total += loss_value * len(chosen)
    return total / len(order)
