from __future__ import annotations

import gzip
import hashlib
import shutil
import struct
from pathlib import Path

import pytest
import torch

from dse.datasets import mnist
from dse.datasets.mnist import MNIST, Mnist, parse_idx
from dse.errors import DataError

COUNTS = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]


def idx(shape: tuple[int, ...], content: bytes, magic: int | None = None) -> bytes:
    magic = 0x0800 + len(shape) if magic is None else magic
    return gzip.compress(struct.pack(f">{1 + len(shape)}I", magic, *shape) + content, mtime=0)


@pytest.fixture
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DSE_DATA", raising=False)


@pytest.mark.usefixtures("no_environment")
def test_the_shipped_files_are_the_complete_original() -> None:
    data = MNIST.load()
    assert data.train_images.shape == (60000, 1, 28, 28)
    assert data.test_images.shape == (10000, 1, 28, 28)
    assert torch.bincount(data.train_labels).tolist() == COUNTS
    assert data.test_labels[:5].tolist() == [7, 2, 1, 0, 4]
    pixels = data.train_images.double() / 255
    assert round(float(pixels.mean()), 4) == mnist.MEAN[0]
    assert round(float(pixels.std()), 4) == mnist.STD[0]


@pytest.mark.usefixtures("no_environment")
def test_a_process_decodes_the_files_once() -> None:
    assert MNIST.load() is MNIST.load()


def test_the_environment_names_the_folder_or_its_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(mnist.SHIPPED, tmp_path / "mnist")
    for place in (tmp_path, tmp_path / "mnist"):
        monkeypatch.setenv("DSE_DATA", str(place))
        assert len(Mnist(shipped=None).load().test_labels) == 10000


def test_an_environment_folder_of_other_data_leaves_the_shipped_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DSE_DATA", str(tmp_path))
    assert MNIST.load().train_images.shape[0] == 60000


def test_a_missing_environment_folder_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DSE_DATA", str(tmp_path / "typo"))
    with pytest.raises(
        DataError, match=r"mnist: the folder in DSE_DATA is an existing folder, got .*typo"
    ):
        MNIST.load()


def test_a_named_folder_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"the data folder is an existing folder, got .*nowhere"):
        MNIST.load(tmp_path / "nowhere")


def test_a_named_folder_is_never_replaced_by_the_shipped_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"lacks train-images-idx3-ubyte.gz, .*Put the four"):
        MNIST.load(tmp_path)
    shutil.copy(mnist.SHIPPED / mnist.TEST_LABELS, tmp_path)
    with pytest.raises(DataError, match=r"lacks train-images-idx3-ubyte.gz, train-labels") as info:
        MNIST.load(tmp_path)
    assert "lacks" in str(info.value)
    assert "t10k-labels-idx1-ubyte.gz." not in str(info.value).split("Put")[0]


def test_a_damaged_file_is_named_with_both_digests(tmp_path: Path) -> None:
    shutil.copytree(mnist.SHIPPED, tmp_path / "mnist")
    path = tmp_path / "mnist" / mnist.TEST_LABELS
    path.write_bytes(path.read_bytes()[:-1])
    found = hashlib.md5(path.read_bytes()).hexdigest()
    with pytest.raises(
        DataError, match=rf"t10k-labels.* MD5 ec29112dd5afa0611ce80d1b7f02629c, got {found}"
    ):
        MNIST.load(tmp_path)


def test_an_idx_file_is_read_in_row_major_order() -> None:
    array = parse_idx("x", idx((2, 1, 3), bytes(range(6))), dimensions=3)
    assert array.tolist() == [[[0, 1, 2]], [[3, 4, 5]]]
    assert array.flags.writeable


@pytest.mark.parametrize(
    ("packed", "message"),
    [
        (b"not gzip", "x is a gzip-compressed IDX file, got"),
        (idx((2,), b"\1\2")[:-9], "x is a gzip-compressed IDX file, got"),
        (gzip.compress(b"\0\0", mtime=0), "starts with a header of 8 bytes, got 2 bytes"),
        (idx((2,), b"\1\2", magic=0x0D01), "magic number 0x0801, got 0x0d01"),
        (idx((3,), b"\1\2"), "announces 3 bytes, got 2"),
        (idx((1,), b"\1\2"), "announces 1 bytes, got 2"),
    ],
)
def test_a_malformed_idx_file_is_refused(packed: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        parse_idx("x", packed, dimensions=1)


def test_a_file_that_may_not_be_read_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(mnist.SHIPPED, tmp_path / "mnist")

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(DataError, match=r"can be read, got .*Permission denied.*train-images"):
        MNIST.load(tmp_path)
