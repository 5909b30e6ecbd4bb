"""MNIST from its four original IDX files."""

from __future__ import annotations

import gzip
import hashlib
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dse.datasets.dataset import ImageDataset, dataset_digest
from dse.datasets.folders import find_folder, read_bytes
from dse.errors import DataError

TRAIN_IMAGES = "train-images-idx3-ubyte.gz"
TRAIN_LABELS = "train-labels-idx1-ubyte.gz"
TEST_IMAGES = "t10k-images-idx3-ubyte.gz"
TEST_LABELS = "t10k-labels-idx1-ubyte.gz"

PUBLISHED_MD5: Mapping[str, str] = MappingProxyType(
    {
        TRAIN_IMAGES: "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        TRAIN_LABELS: "d53e105ee54ea40749a09fcbcd1e9432",
        TEST_IMAGES: "9fb629c4189551a2d022fa330f9573f3",
        TEST_LABELS: "ec29112dd5afa0611ce80d1b7f02629c",
    }
)
"""MD5 of the files as the authors published them."""

MEAN = (0.1307,)
STD = (0.3081,)
"""Mean and standard deviation of `pixel / 255` over the 60,000 training images."""

SHIPPED = Path(__file__).parent / "files" / "mnist"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mnist:
    """MNIST [LeCun1998]: 60,000 training and 10,000 test images, 28 x 28, ten digits.

    Attributes:
        md5: What the four files have to hash to.
        shipped: Folder of the files that come with the package.

    [LeCun1998] Y. LeCun et al., "Gradient-Based Learning Applied to Document Recognition",
        Proc. IEEE 86(11), 1998.
    """

    md5: Mapping[str, str] = field(default_factory=lambda: PUBLISHED_MD5)
    shipped: Path | None = SHIPPED

    @property
    def how_to_get(self) -> str:
        """What a person does to obtain the files."""
        return (
            f"Put the four original files ({', '.join(self.md5)}) into the folder, or name no "
            "folder: the package ships the complete data set"
        )

    def load(self, folder: Path | None = None) -> ImageDataset:
        """The whole data set, verified; decoded once per process and folder."""
        found = find_folder(
            "mnist",
            folder=folder,
            holds_a_part=lambda place: any((place / name).is_file() for name in self.md5),
            shipped=self.shipped,
            how_to_get=self.how_to_get,
        )
        return _load(found, tuple(self.md5.items()), self.how_to_get)


@lru_cache(maxsize=4)
def _load(folder: Path, md5: tuple[tuple[str, str], ...], how_to_get: str) -> ImageDataset:
    missing = [name for name, _ in md5 if not (folder / name).is_file()]
    if missing:
        raise DataError(f"mnist: {folder} lacks {', '.join(missing)}. {how_to_get}")
    contents: dict[str, bytes] = {}
    for name, expected in md5:
        contents[name] = read_bytes("mnist", folder / name, how_to_get)
        found = hashlib.md5(contents[name], usedforsecurity=False).hexdigest()
        if found != expected:
            raise DataError(
                f"mnist: {folder / name} has the published MD5 {expected}, got {found}: the file "
                f"is damaged or another. {how_to_get}"
            )
    train_images = _images(TRAIN_IMAGES, contents[TRAIN_IMAGES])
    test_images = _images(TEST_IMAGES, contents[TEST_IMAGES])
    return ImageDataset(
        name="mnist",
        train_images=train_images,
        train_labels=_labels(TRAIN_LABELS, contents[TRAIN_LABELS]),
        test_images=test_images,
        test_labels=_labels(TEST_LABELS, contents[TEST_LABELS]),
        mean=MEAN,
        std=STD,
        digest=dataset_digest(dict(md5)),
    )


def _images(name: str, packed: bytes) -> Tensor:
    return torch.from_numpy(parse_idx(name, packed, dimensions=3)).unsqueeze(1)


def _labels(name: str, packed: bytes) -> Tensor:
    labels = parse_idx(name, packed, dimensions=1)
    if labels.size and labels.max() > 9:
        raise DataError(
            f"mnist: labels in {name} are 0 to 9, got {labels.max()}. Use the original"
        )
    return torch.from_numpy(labels.astype(np.int64))


def parse_idx(name: str, packed: bytes, *, dimensions: int) -> NDArray[np.uint8]:
    """Array of bytes in a gzip-compressed IDX file.

    The header is big-endian: two zero bytes, the type (8 = unsigned byte), the number of
    dimensions, then each dimension as a 32-bit integer.
    """
    try:
        raw = gzip.decompress(packed)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"mnist: {name} is a gzip-compressed IDX file, got: {error}. Use the original"
        ) from error
    header = 4 + 4 * dimensions
    if len(raw) < header:
        raise DataError(
            f"mnist: {name} starts with a header of {header} bytes, "
            f"got {len(raw)} bytes in all. Use the original"
        )
    magic, *shape = struct.unpack(f">{1 + dimensions}I", raw[:header])
    expected_magic = 0x0800 + dimensions
    if magic != expected_magic:
        raise DataError(
            f"mnist: {name} starts with the magic number {expected_magic:#06x}, "
            f"got {magic:#06x}. Use the original"
        )
    if len(raw) - header != int(np.prod(shape)):
        raise DataError(
            f"mnist: {name} announces {'x'.join(map(str, shape))} bytes, "
            f"got {len(raw) - header}. Use the original"
        )
    return np.frombuffer(raw, dtype=np.uint8, offset=header).reshape(shape).copy()


MNIST = Mnist()
