from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dse.errors import TaskError
from dse.training.augmentation import CropAndFlip


def images(count: int = 6, side: int = 5) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(1, 256, (count, 3, side, side), generator=generator).byte()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(st.integers(0, 3), st.booleans(), st.integers(0, 1000))
def test_every_image_is_a_crop_of_itself_or_of_its_mirror(
    padding: int, flip: bool, seed: int
) -> None:
    before = images()
    after = CropAndFlip(padding=padding, flip=flip).augmented(before, generator(seed))
    assert after.shape == before.shape
    assert after.dtype == torch.uint8
    for old, new in zip(before, after, strict=True):
        sources = [F.pad(old, (padding,) * 4)]
        if flip:
            sources.append(F.pad(old.flip(2), (padding,) * 4))
        crops = [
            source[:, down : down + 5, right : right + 5]
            for source in sources
            for down in range(2 * padding + 1)
            for right in range(2 * padding + 1)
        ]
        assert any(torch.equal(new, crop) for crop in crops)


def test_the_images_themselves_stay() -> None:
    before = images()
    CropAndFlip().augmented(before, generator())
    assert torch.equal(before, images())


def test_the_generator_decides() -> None:
    one, same, other = (CropAndFlip().augmented(images(), generator(s)) for s in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_half_of_many_images_are_mirrored_and_every_shift_occurs() -> None:
    marked = torch.zeros(4000, 1, 9, 9, dtype=torch.uint8)
    marked[:, :, 4, 3] = 255
    found = CropAndFlip(padding=1).augmented(marked, generator())
    places = found.flatten(1).float().argmax(1)
    rows, columns = places // 9, places % 9
    assert (found.flatten(1) > 0).sum(1).tolist() == [1] * 4000
    assert sorted(rows.unique().tolist()) == [3, 4, 5]
    # from column 3 straight, from column 5 mirrored, each shifted by -1, 0 or 1
    shares = torch.bincount(columns, minlength=9).double() / 4000
    assert shares[2:7].tolist() == pytest.approx([1 / 6, 1 / 6, 1 / 3, 1 / 6, 1 / 6], abs=0.03)


def test_without_padding_and_flip_nothing_changes() -> None:
    assert torch.equal(
        CropAndFlip(padding=0, flip=False).augmented(images(), generator()), images()
    )


def test_negative_padding_is_refused() -> None:
    with pytest.raises(TaskError, match="0 or more pixels, got padding=-1"):
        CropAndFlip(padding=-1)
