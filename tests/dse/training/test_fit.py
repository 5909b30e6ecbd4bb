from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dse.datasets.dataset import ImageDataset
from dse.errors import TrainingError
from dse.quantizers.fixed_point import FIXED_POINT
from dse.quantizers.prepare import input_quantizers, prepare
from dse.training.accuracy import accuracy
from dse.training.fit import Epoch, Masked, Penalised, fit
from dse.training.straight_through import replace_straight_through
from search_spaces.quantizer import FixedPointKnobs
from tests.dse.tiny import STRIPES, stripes

DATA = stripes()


class Push:
    """A constant force."""

    def add_gradient_(self, parameters: Sequence[nn.Parameter]) -> None:
        for parameter in parameters:
            assert parameter.grad is not None
            parameter.grad.add_(1.0)

    def value(self, parameters: Sequence[nn.Parameter]) -> float:
        return 0.0


def linear() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 8))


def train(network: nn.Module, data: ImageDataset = DATA, **settings: object) -> Epoch:
    arguments: dict[str, object] = {
        "epochs": 2,
        "learning_rate": 0.05,
        "momentum": 0.9,
        "batch_size": 16,
        "generator": torch.Generator().manual_seed(0),
    }
    torch.manual_seed(0)
    return fit(network, data, **(arguments | settings))  # type: ignore[arg-type]


def test_the_loop_is_momentum_descent_on_the_fitted_images_only() -> None:
    """Against the same written out: v = 0.9 v + g, w -= lr v; the validation tenth unseen."""
    network, reference = linear(), linear()
    train(network, epochs=1, penalised=None)

    fitted, _ = DATA.fit_and_validation()
    order = fitted[torch.randperm(len(fitted), generator=torch.Generator().manual_seed(0))]
    parameters = list(reference.parameters())
    velocity = [torch.zeros_like(p) for p in parameters]
    for start in range(0, len(order), 16):
        chosen = order[start : start + 16]
        inputs = (DATA.train_images[chosen].float() / 255 - 0.35) / 0.3
        loss = F.cross_entropy(reference(inputs), DATA.train_labels[chosen])
        for p, v, g in zip(
            parameters, velocity, torch.autograd.grad(loss, parameters), strict=True
        ):
            v.mul_(0.9).add_(g)
            p.data.sub_(0.05 * v)
    for found, expected in zip(network.parameters(), parameters, strict=True):
        torch.testing.assert_close(found, expected)


def test_training_repeats_bit_for_bit() -> None:
    one, two = STRIPES.build(0), STRIPES.build(0)
    assert train(one).val_accuracy == train(two).val_accuracy
    for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_the_best_epoch_stays_not_the_last() -> None:
    seen: list[Epoch] = []
    states: list[torch.Tensor] = []

    def remember(epoch: Epoch) -> None:
        seen.append(epoch)
        states.append(network[1].weight.detach().clone())  # type: ignore[index]

    network = linear()
    best = train(
        network, epochs=4, score=lambda net, val: -abs(len(states) - 1), on_epoch=remember
    )
    assert [epoch.number for epoch in seen] == [1, 2, 3, 4]
    assert best.number == 2
    assert torch.equal(network[1].weight, states[1])  # type: ignore[index]
    assert not torch.equal(states[1], states[3])


def test_the_score_is_the_validation_accuracy_and_the_earliest_of_equals_wins() -> None:
    assert (e := train(linear(), epochs=3)).score == e.val_accuracy
    assert train(linear(), epochs=3, score=lambda net, val: 1.0).number == 1


def test_the_validation_accuracy_belongs_to_the_held_out_images() -> None:
    network = linear()
    best = train(network, epochs=1)
    _, held_out = DATA.fit_and_validation()
    inputs = (DATA.train_images[held_out].float() / 255 - 0.35) / 0.3
    right = network(inputs).argmax(1) == DATA.train_labels[held_out]
    assert best.val_accuracy == pytest.approx(float(right.double().mean()))


def test_masked_weights_stay_zero_even_under_a_penalty() -> None:
    network = linear()
    weight = network[1].weight  # type: ignore[index]
    mask = (torch.arange(36 * 8).view(8, 36) % 3 > 0).float()
    with torch.no_grad():
        weight.mul_(mask)
    train(
        network,
        penalised=Penalised(penalty=Push(), parameters=[weight]),
        masked=[Masked(parameter=weight, mask=mask)],
    )
    assert bool((weight[mask == 0] == 0).all())
    assert bool((weight[mask == 1] != 0).all())


def test_a_penalty_moves_the_weights_along_its_gradient() -> None:
    free, pushed = linear(), linear()
    train(free, epochs=1)
    train(
        pushed,
        epochs=1,
        penalised=Penalised(penalty=Push(), parameters=list(pushed.parameters())),
    )
    means = [net[1].weight.mean().item() for net in (free, pushed)]  # type: ignore[index]
    assert means[1] < means[0] - 1


def test_every_epoch_forgets_the_input_range_of_the_one_before() -> None:
    network = prepare(linear(), ["1"], FIXED_POINT, FixedPointKnobs())
    [quantizer] = input_quantizers(network)
    quantizer.train()
    quantizer(torch.tensor([-100.0, 100.0]))
    train(network, epochs=1)
    low, high = DATA.normalised(torch.tensor([0, 255]).byte().view(2, 1, 1, 1)).flatten().tolist()
    assert quantizer.seen.tolist() == pytest.approx([low, high])


@pytest.mark.parametrize("quantised", [False, True])
def test_divergence_names_the_epoch(quantised: bool) -> None:
    network = linear()
    if quantised:
        network = prepare(network, ["1"], FIXED_POINT, FixedPointKnobs())
    with pytest.raises(TrainingError, match=r"epoch 1 of 2: .*diverged"):
        train(network, learning_rate=1e38)


def test_a_last_batch_of_one_image_is_left_out() -> None:
    """Batch norm refuses a single value per channel: 19 images fitted in batches of 18."""
    small = DATA.subset(train=21)
    network = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(36), nn.Linear(36, 8))
    assert train(network, small, epochs=1, batch_size=18).number == 1


def test_accuracy_is_the_share_of_right_answers() -> None:
    class Brightest(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            assert not self.training
            rows = images.squeeze(1)[:, 1:5].sum(2)
            return torch.cat([rows, images.squeeze(1)[:, :, 1:5].sum(1)], dim=1)

    network = Brightest().train()
    images, labels = DATA.test_images, DATA.test_labels
    assert accuracy(network, DATA, images, labels, batch_size=7) == 1.0
    wrong = labels.clone()
    wrong[:50] = (wrong[:50] + 1) % 8
    assert accuracy(network, DATA, images, wrong) == 1 - 50 / len(labels)
    assert network.training


def test_the_replacement_is_seen_forward_and_the_original_backward() -> None:
    real = torch.tensor([0.3, 1e8], requires_grad=True)
    shown = replace_straight_through(real, torch.tensor([0.25, 7.0]))
    assert shown.tolist() == [0.25, 7.0]
    (shown * torch.tensor([2.0, 3.0])).sum().backward()
    assert real.grad is not None
    assert real.grad.tolist() == [2.0, 3.0]


def test_a_constant_data_set_still_trains() -> None:
    grey = replace(DATA, train_images=torch.zeros_like(DATA.train_images))
    network = prepare(linear(), ["1"], FIXED_POINT, FixedPointKnobs())
    assert train(network, grey, epochs=1).val_accuracy < 0.5
