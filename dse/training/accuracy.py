"""Top-1 accuracy of a network on labelled images."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dse.datasets.dataset import ImageDataset


@torch.no_grad()
def accuracy(
    network: nn.Module,
    data: ImageDataset,
    images: Tensor,
    labels: Tensor,
    *,
    batch_size: int = 1000,
    device: str | torch.device = "cpu",
) -> float:
    """Share of the images whose largest score is that of their class, 0 to 1.

    Args:
        network: Runs in evaluation mode, on `device`; left in the mode that it was in.
        data: Gives the normalisation.
        images: `(N, C, H, W)`, uint8.
        labels: `(N,)`, int64.
        batch_size: Images at once.
        device: Where to compute.
    """
    was_training = network.training
    network.eval()
    correct = 0
    for start in range(0, len(images), batch_size):
        batch = data.normalised(images[start : start + batch_size].to(device))
        predicted = network(batch).argmax(dim=1)
        correct += int((predicted == labels[start : start + batch_size].to(device)).sum())
    network.train(was_training)
    return correct / len(images)
