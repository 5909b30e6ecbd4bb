from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize

from dse.errors import TaskError
from dse.quantizers.batch_norm import batch_norms, fold_batch_norm


class Residual(nn.Module):
    """Conv, batch norm and a shortcut with a projection; names that tell nothing."""

    def __init__(self, *, affine: bool = True) -> None:
        super().__init__()
        self.a = nn.Conv2d(4, 6, 3, padding=1, stride=2, bias=False)
        self.b = nn.BatchNorm2d(6, affine=affine)
        self.c = nn.Conv2d(6, 6, 3, padding=1, groups=2)
        self.d = nn.BatchNorm2d(6)
        self.e = nn.Sequential(nn.Conv2d(4, 6, 1, stride=2, bias=False), nn.BatchNorm2d(6))

    def forward(self, images: Tensor) -> Tensor:
        inner = F.relu(self.b(self.a(images)), inplace=True)
        return F.relu(self.d(self.c(inner)) + self.e(images))


def network(*, affine: bool = True) -> nn.Module:
    torch.manual_seed(0)
    made = nn.Sequential(
        Residual(affine=affine),
        nn.Flatten(),
        nn.Linear(6 * 9, 7),
        nn.BatchNorm1d(7),
        nn.Linear(7, 3),
    )
    for _ in range(5):
        made.train()(torch.randn(16, 4, 6, 6) * 3 + 1)
    return made


EXAMPLE = torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(9))


def test_batch_norms_are_found_by_running() -> None:
    found = batch_norms(network(), EXAMPLE)
    assert found == {"0.a": "0.b", "0.c": "0.d", "0.e.0": "0.e.1", "2": "3"}


@pytest.mark.parametrize("affine", [True, False])
def test_a_folded_residual_network_gives_the_same_scores(affine: bool) -> None:
    plain = network(affine=affine)
    before = copy.deepcopy(plain.state_dict())
    folded = fold_batch_norm(plain, EXAMPLE)
    images = torch.randn(10, 4, 6, 6, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = plain.double().eval()(images.double())
        torch.testing.assert_close(
            folded.double().eval()(images.double()), expected, rtol=1e-4, atol=1e-5
        )
    assert not any(isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d) for m in folded.modules())
    assert isinstance(folded.get_submodule("0.e.1"), nn.Identity)
    assert folded.get_submodule("0.a").bias is not None
    assert all(
        torch.equal(value.to(before[key].dtype), before[key])
        for key, value in plain.state_dict().items()
    )


class Branching(nn.Module):
    """The output of the convolution has a second user besides the batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)

    def forward(self, images: Tensor) -> Tensor:
        raw = self.conv(images)
        return (self.norm(raw) + raw).flatten(1)


class Between(Branching):
    def forward(self, images: Tensor) -> Tensor:
        return self.norm(self.conv(images).relu_()).flatten(1)


class Twice(Branching):
    def forward(self, images: Tensor) -> Tensor:
        return (self.norm(self.conv(images)) + self.norm(self.conv(images * 2))).flatten(1)


@pytest.mark.parametrize("kind", [Branching, Between, Twice])
def test_other_batch_norms_stay(kind: type[nn.Module]) -> None:
    made, example = kind(), torch.randn(2, 1, 3, 3)
    assert batch_norms(made, example) == {}
    folded = fold_batch_norm(made, example)
    assert isinstance(folded.norm, nn.BatchNorm2d)
    with torch.no_grad():
        assert torch.equal(folded.eval()(example), made.eval()(example))


def test_a_batch_norm_without_statistics_stays() -> None:
    made = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2, track_running_stats=False))
    assert batch_norms(made, torch.randn(2, 1, 3, 3)) == {}


def test_looking_leaves_the_network_as_it_is() -> None:
    made = network().train()
    before = copy.deepcopy(made.state_dict())
    batch_norms(made, EXAMPLE)
    assert made.training
    assert all(torch.equal(value, before[key]) for key, value in made.state_dict().items())
    assert all(parameter.grad is None for parameter in made.parameters())


def test_frozen_networks_and_disabled_gradients_do_not_matter() -> None:
    made = network().requires_grad_(False)
    with torch.no_grad():
        assert len(batch_norms(made, EXAMPLE)) == 4


def test_a_parametrised_layer_does_not_fold() -> None:
    made = network()
    parametrize.register_parametrization(made.get_submodule("2"), "weight", nn.Identity())
    with pytest.raises(
        TaskError, match=r"plain weights, got a parametrisation on 2\. Fold before"
    ):
        fold_batch_norm(made, EXAMPLE)
