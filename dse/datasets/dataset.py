"""ImageDataset: images and labels in memory, with the digest of what was read."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from dse.errors import DataError

PERMUTATION_SEED = 20190607
"""Fixes which images a subset holds and which of them validate; the same for every study."""

VALIDATION_SHARE = 10
"""One in so many training images is held out to choose among epochs and designs."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageDataset:
    """A labelled image data set with its published split.

    Attributes:
        name: Name of the data set, as a study file writes it.
        train_images: `(N, C, H, W)`, uint8.
        train_labels: `(N,)`, int64, classes from 0.
        test_images: `(M, C, H, W)`, uint8.
        test_labels: `(M,)`, int64.
        mean: Mean of `pixel / 255` over the training images, per channel; or what a network was
            trained with.
        std: Standard deviation likewise.
        digest: SHA-256 over the digests of the verified files, the choice of the subset, and a
            normalisation that is not the data set's own.
    """

    name: str
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    mean: tuple[float, ...]
    std: tuple[float, ...]
    digest: str

    def __post_init__(self) -> None:
        for split, images, labels in (
            ("training", self.train_images, self.train_labels),
            ("test", self.test_images, self.test_labels),
        ):
            if images.dtype != torch.uint8 or images.ndim != 4:
                raise DataError(
                    f"{self.name}: {split} images are uint8 of shape (N, C, H, W), "
                    f"got {images.dtype} of shape {tuple(images.shape)}. "
                    "Stack the images to one such tensor"
                )
            if labels.dtype != torch.int64 or labels.shape != images.shape[:1]:
                raise DataError(
                    f"{self.name}: {split} labels are int64, one for each of the {len(images)} "
                    f"images, got {labels.dtype} of shape {tuple(labels.shape)}. "
                    "Give one class number per image"
                )
        channels = self.train_images.shape[1]
        if len(self.mean) != channels or len(self.std) != channels:
            raise DataError(
                f"{self.name}: mean and std have one value for each of {channels} channels, "
                f"got {len(self.mean)} and {len(self.std)}. Give one of each per channel"
            )

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(torch.maximum(self.train_labels.max(), self.test_labels.max())) + 1

    def normalised(self, images: Tensor) -> Tensor:
        """What a network sees: `(pixel / 255 - mean) / std` per channel.

        Shapes:
            images: `(N, C, H, W)`, uint8.
            output: as `images`, float32, on the same device.
        """
        mean, std = _channel_constants(self.mean, self.std, images.device)
        return images.to(torch.float32).div_(255).sub_(mean).div_(std)

    def with_normalisation(self, mean: tuple[float, ...], std: tuple[float, ...]) -> ImageDataset:
        """The same images for a network that was trained with another mean and deviation.

        Args:
            mean: Of `pixel / 255`, per channel.
            std: Likewise, above 0.
        """
        if not all(value > 0 for value in std):
            raise DataError(
                f"{self.name}: standard deviations are above 0, got {std}. "
                "Use 1 for pixels that are not scaled"
            )
        if (tuple(mean), tuple(std)) == (self.mean, self.std):
            return self
        choice = f"{self.digest}:{tuple(mean)}:{tuple(std)}"
        return replace(
            self,
            mean=tuple(mean),
            std=tuple(std),
            digest=hashlib.sha256(choice.encode()).hexdigest(),
        )

    def subset(self, *, train: int | None = None, test: int | None = None) -> ImageDataset:
        """The first images of a fixed random order; neither balanced nor stratified.

        A smaller subset is a part of every larger one. None keeps the whole split.
        """
        if train is None and test is None:
            return self
        train_index = _first_of_permutation(self.name, "training", len(self.train_labels), train)
        test_index = _first_of_permutation(self.name, "test", len(self.test_labels), test)
        choice = f"{self.digest}:{train}:{test}:{PERMUTATION_SEED}"
        return replace(
            self,
            train_images=self.train_images[train_index],
            train_labels=self.train_labels[train_index],
            test_images=self.test_images[test_index],
            test_labels=self.test_labels[test_index],
            digest=hashlib.sha256(choice.encode()).hexdigest(),
        )

    def fit_and_validation(self) -> tuple[Tensor, Tensor]:
        """Indices of the training images to fit on, and of those held out for validation.

        The last tenth of a fixed random order validates. The order does not depend on a study's
        seed, so that no stage ever selects on images that an earlier stage was trained on.
        """
        images = len(self.train_labels)
        if images < 2:
            raise DataError(
                f"{self.name}: at least 2 training images allow a validation split, "
                f"got {images}. Use a larger subset"
            )
        order = _permutation(images)
        held_out = max(1, images // VALIDATION_SHARE)
        return order[:-held_out], order[-held_out:]


class Dataset(Protocol):
    """A data set as the entry points `dse.datasets` name it."""

    @property
    def how_to_get(self) -> str:
        """What a person does to obtain the files."""

    def load(self, folder: Path | None = None) -> ImageDataset:
        """The data set, verified; raises DataError if it is missing or damaged."""


def dataset_digest(digests: dict[str, str]) -> str:
    """One SHA-256 for the file digests of a data set, whatever their order."""
    lines = "\n".join(f"{name} {digests[name]}" for name in sorted(digests))
    return hashlib.sha256(lines.encode()).hexdigest()


@lru_cache(maxsize=16)
def _channel_constants(
    mean: tuple[float, ...], std: tuple[float, ...], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation, each `(C, 1, 1)`, made once: training asks at every step."""
    shape = (len(mean), 1, 1)
    return (
        torch.tensor(mean, dtype=torch.float32, device=device).view(shape),
        torch.tensor(std, dtype=torch.float32, device=device).view(shape),
    )


def _permutation(count: int) -> Tensor:
    order = np.random.Generator(np.random.PCG64(PERMUTATION_SEED)).permutation(count)
    return torch.from_numpy(order)


def _first_of_permutation(name: str, split: str, available: int, wanted: int | None) -> Tensor:
    if wanted is None:
        return torch.arange(available)
    if not 1 <= wanted <= available:
        raise DataError(
            f"{name}: a subset takes 1 to {available} {split} images, got {wanted}. "
            "Ask for a number in this range, or for none to take all"
        )
    return _permutation(available)[:wanted]
