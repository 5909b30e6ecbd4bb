from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dse.errors import TrainingError
from dse.training.augmentation import CropAndFlip
from dse.training.fit import Epoch, ParameterGroup, fit
from dse.training.schedule import Constant, Steps
from tests.dse.tiny import STRIPES, stripes

DATA = stripes()


@dataclass(frozen=True)
class Black:
    """Nothing is left of an image."""

    def augmented(self, images: Tensor, generator: torch.Generator) -> Tensor:
        return torch.zeros_like(images)


def linear() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 8))


def train(network: nn.Module, **settings: object) -> Epoch:
    arguments: dict[str, object] = {
        "epochs": 2,
        "learning_rate": 0.05,
        "momentum": 0.9,
        "batch_size": 16,
        "generator": torch.Generator().manual_seed(0),
        "score": lambda network, val_accuracy: next(count),
    }
    count = iter(range(100))  # the last epoch is the best one
    return fit(network, DATA, **(arguments | settings))  # type: ignore[arg-type]


def by_hand(
    network: nn.Module, optimizer: torch.optim.Optimizer, rates: tuple[float, ...]
) -> None:
    """One epoch per rate."""
    fitted, _ = DATA.fit_and_validation()
    generator = torch.Generator().manual_seed(0)
    for rate in rates:
        for group in optimizer.param_groups:
            group["lr"] = rate
        for chosen in fitted[torch.randperm(len(fitted), generator=generator)].split(16):
            loss = F.cross_entropy(
                network(DATA.normalised(DATA.train_images[chosen])), DATA.train_labels[chosen]
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def same(one: nn.Module, two: nn.Module) -> bool:
    return all(
        torch.equal(a, b)
        for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True)
    )


def test_without_the_new_settings_the_steps_are_those_of_plain_momentum_bit_for_bit() -> None:
    found, expected = linear(), linear()
    train(found)
    by_hand(
        expected,
        torch.optim.SGD(expected.parameters(), lr=0.05, momentum=0.9, fused=True),
        (0.05, 0.05),
    )
    assert same(found, expected)


def test_decay_schedule_and_looking_ahead_are_those_of_torch() -> None:
    found, expected = linear(), linear()
    train(
        found,
        epochs=3,
        weight_decay=0.01,
        nesterov=True,
        schedule=Steps(milestones=(0.5,), by=0.5),
    )
    optimizer = torch.optim.SGD(
        expected.parameters(), lr=0.05, momentum=0.9, weight_decay=0.01, nesterov=True, fused=True
    )
    by_hand(expected, optimizer, (0.05, 0.05, 0.025))
    assert same(found, expected)
    other = linear()
    train(other, epochs=3, weight_decay=0.01, nesterov=True)
    assert not same(found, other)


def test_a_group_has_its_own_rate_and_decay_and_follows_the_schedule() -> None:
    """The bias on its own, against an optimiser with two groups."""
    found, expected = linear(), linear()
    train(
        found,
        groups=[ParameterGroup(parameters=[found[1].bias], learning_rate=0.5, weight_decay=0.1)],  # type: ignore[index,list-item]
        weight_decay=0.02,
        schedule=Constant(),
    )
    optimizer = torch.optim.SGD(
        [
            {"params": [expected[1].weight], "lr": 0.05, "weight_decay": 0.02},  # type: ignore[index]
            {"params": [expected[1].bias], "lr": 0.5, "weight_decay": 0.1},  # type: ignore[index]
        ],
        lr=0.05,
        momentum=0.9,
        fused=True,
    )
    fitted, _ = DATA.fit_and_validation()
    generator = torch.Generator().manual_seed(0)
    for _ in range(2):
        for chosen in fitted[torch.randperm(len(fitted), generator=generator)].split(16):
            loss = F.cross_entropy(
                expected(DATA.normalised(DATA.train_images[chosen])), DATA.train_labels[chosen]
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert same(found, expected)


def test_all_parameters_may_be_in_groups() -> None:
    network = linear()
    before = network[1].bias.detach().clone()  # type: ignore[index]
    train(
        network,
        groups=[ParameterGroup(parameters=list(network.parameters()), learning_rate=0.05)],
        learning_rate=1e9,
    )
    assert not torch.equal(network[1].bias, before)  # type: ignore[index]
    assert bool(network[1].weight.isfinite().all())  # type: ignore[index]


def test_an_epoch_ends_after_the_images_that_it_may_take() -> None:
    seen: list[Tensor] = []
    validated: list[int] = []

    class Watched(nn.Linear):
        def forward(self, inputs: Tensor) -> Tensor:
            seen.append(inputs) if self.training else validated.append(len(inputs))
            return super().forward(inputs)

    network = nn.Sequential(nn.Flatten(), Watched(36, 8))
    train(network, max_images_per_epoch=40)
    assert [len(batch) for batch in seen] == [16, 16, 8] * 2
    assert validated == [40, 40]  # the whole validation tenth of 400
    first, second = torch.cat(seen[:3]), torch.cat(seen[3:])
    assert not torch.equal(first, second)


def test_an_epoch_without_images_is_refused() -> None:
    with pytest.raises(TrainingError, match="at least 1 image, got max_images_per_epoch=0"):
        train(linear(), max_images_per_epoch=0)


def test_augmentation_touches_training_images_only() -> None:
    """Of black images only the shares of the classes can be learned: the weights stay a row."""
    network = linear()
    best = train(network, augmentation=Black(), score=None)
    assert best.val_accuracy < 0.4
    plain = linear()
    assert train(plain, score=None).val_accuracy > 0.9

    perfect = linear()
    train(perfect)
    _, held_out = DATA.fit_and_validation()
    inputs = DATA.normalised(DATA.train_images[held_out])
    right = (perfect(inputs).argmax(1) == DATA.train_labels[held_out]).double().mean()
    frozen = train(perfect, augmentation=Black(), learning_rate=1e-30, epochs=1)
    assert frozen.val_accuracy == pytest.approx(float(right))


def test_augmented_training_repeats_bit_for_bit() -> None:
    def trained(seed: int) -> nn.Module:
        network = STRIPES.build(0)
        torch.manual_seed(0)
        train(
            network,
            augmentation=CropAndFlip(padding=1),
            generator=torch.Generator().manual_seed(seed),
        )
        return network

    assert same(trained(4), trained(4))
    assert not same(trained(4), trained(5))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_training_on_a_gpu_learns_and_repeats() -> None:
    def trained() -> tuple[nn.Module, Epoch]:
        network = replace(STRIPES).build(0).cuda()
        torch.manual_seed(0)
        best = train(
            network,
            epochs=6,
            device="cuda",
            augmentation=CropAndFlip(padding=0, flip=False),
            score=None,
        )
        return network, best

    (one, best), (two, _) = trained(), trained()
    assert next(one.parameters()).is_cuda
    assert best.val_accuracy > 0.9
    assert same(one, two)
