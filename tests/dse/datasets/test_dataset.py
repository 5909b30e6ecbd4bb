from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dse.datasets.dataset import ImageDataset, dataset_digest
from dse.errors import DataError


def make(train: int = 50, test: int = 20) -> ImageDataset:
    generator = torch.Generator().manual_seed(0)
    return ImageDataset(
        name="numbers",
        train_images=torch.arange(train, dtype=torch.uint8).view(-1, 1, 1, 1),
        train_labels=torch.arange(train) % 10,
        test_images=torch.randint(0, 256, (test, 1, 1, 1), generator=generator).byte(),
        test_labels=torch.arange(test) % 10,
        mean=(0.5,),
        std=(0.25,),
        digest="abc",
    )


def test_normalised_images_are_pixels_minus_mean_over_std() -> None:
    data = make()
    images = torch.tensor([0, 255, 51], dtype=torch.uint8).view(3, 1, 1, 1)
    torch.testing.assert_close(
        data.normalised(images).flatten(), torch.tensor([-2.0, 2.0, (0.2 - 0.5) / 0.25])
    )
    assert images.flatten().tolist() == [0, 255, 51]


def test_a_smaller_subset_is_a_part_of_a_larger_one() -> None:
    data = make()
    small, large = data.subset(train=5, test=3), data.subset(train=20, test=3)
    assert torch.equal(small.train_images, large.train_images[:5])
    assert torch.equal(small.test_labels, large.test_labels)
    assert torch.equal(small.train_images.flatten() % 10, small.train_labels)
    assert small.train_images.flatten().tolist() != list(range(5))


def test_every_choice_of_a_subset_has_a_digest_of_its_own() -> None:
    data = make()
    digests = {
        data.digest,
        data.subset(train=5).digest,
        data.subset(train=6).digest,
        data.subset(test=5).digest,
        data.subset(train=5, test=5).digest,
    }
    assert len(digests) == 5
    assert data.subset() is data
    assert data.subset(train=5).digest == make().subset(train=5).digest


def test_another_normalisation_is_another_data_set_of_the_same_images() -> None:
    data = make()
    other = data.with_normalisation((0.0,), (1.0,))
    assert other.train_images is data.train_images
    assert other.normalised(torch.full((1, 1, 1, 1), 51).byte()).item() == pytest.approx(0.2)
    assert other.digest != data.digest
    assert data.with_normalisation((0.0,), (0.5,)).digest != other.digest
    assert data.with_normalisation(data.mean, data.std) is data
    subset, same = other.subset(train=9), data.subset(train=9).with_normalisation((0.0,), (1.0,))
    assert torch.equal(subset.train_images, same.train_images)


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [
        ((0.5,), (0.0,), r"deviations are above 0, got \(0.0,\)"),
        ((0.5, 0.5), (1.0, 1.0), "one value for each of 1 channels, got 2 and 2"),
    ],
)
def test_an_impossible_normalisation_is_refused(
    mean: tuple[float, ...], std: tuple[float, ...], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        make().with_normalisation(mean, std)


@pytest.mark.parametrize("count", [0, -1, 51])
def test_a_subset_larger_than_the_data_is_refused(count: int) -> None:
    with pytest.raises(DataError, match=r"numbers: a subset takes 1 to 50 training images, got"):
        make().subset(train=count)


@given(st.integers(min_value=2, max_value=255))
def test_validation_is_a_tenth_and_disjoint_from_what_is_fitted(train: int) -> None:
    fitted, held_out = make(train=train).fit_and_validation()
    assert len(held_out) == max(1, train // 10)
    assert sorted(torch.cat([fitted, held_out]).tolist()) == list(range(train))


def test_one_training_image_cannot_be_split() -> None:
    with pytest.raises(DataError, match="at least 2 training images"):
        make(train=1).fit_and_validation()


def test_images_of_another_type_are_refused() -> None:
    data = make()
    with pytest.raises(DataError, match="training images are uint8 of shape"):
        replace(data, train_images=data.train_images.float())
    with pytest.raises(DataError, match="test labels are int64, one for each of the 20 images"):
        replace(data, test_labels=data.test_labels[:-1])
    with pytest.raises(DataError, match="one value for each of 1 channels, got 2 and 1"):
        replace(data, mean=(0.5, 0.5))


def test_the_digest_of_files_does_not_depend_on_their_order() -> None:
    assert dataset_digest({"a": "1", "b": "2"}) == dataset_digest({"b": "2", "a": "1"})
    assert dataset_digest({"a": "1", "b": "2"}) != dataset_digest({"a": "2", "b": "1"})
