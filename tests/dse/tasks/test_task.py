from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from dse.datasets.mnist import MNIST
from dse.errors import TaskError
from dse.pipeline.tracing import trace_task
from dse.tasks.lenet5_mnist import LENET5_MNIST
from dse.tasks.mlp_mnist import MLP_MNIST
from dse.tasks.task import Task, TrainingRecipe
from tests.dse.tiny import STRIPES


def weights_of(network: nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in network.state_dict().items()}


def test_initial_weights_follow_the_seed_and_leave_the_global_generator() -> None:
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    one, same, other = STRIPES.build(3), STRIPES.build(3), STRIPES.build(4)
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(one.fc.weight, same.fc.weight)
    assert not torch.equal(one.fc.weight, other.fc.weight)


def test_the_tasks_have_the_published_sizes() -> None:
    mlp = [p.numel() for p in MLP_MNIST.build(0).parameters()]
    assert sum(mlp) == 784 * 100 + 100 + 100 * 10 + 10
    assert sum(p.numel() for p in LENET5_MNIST.build(0).parameters()) == 61_706
    traced = trace_task(LENET5_MNIST, MNIST.load())
    found = [(t.name, t.shape.wordlines, t.shape.outputs, t.shape.positions) for t in traced]
    assert found == [
        ("conv1", 25, 6, 784),
        ("conv2", 150, 16, 100),
        ("fc1", 400, 120, 1),
        ("fc2", 120, 84, 1),
        ("fc3", 84, 10, 1),
    ]


def test_the_identity_changes_with_recipe_network_and_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file(weights_of(STRIPES.build(0)), path)
    base = STRIPES.identity()
    others = [
        replace(STRIPES, recipe=TrainingRecipe(learning_rate=0.02)).identity(),
        replace(STRIPES, network=nn.ReLU).identity(),
        replace(STRIPES, checkpoint=path).identity(),
    ]
    assert base == STRIPES.identity()
    assert all(other != base for other in others)
    save_file(weights_of(STRIPES.build(1)), path)
    assert replace(STRIPES, checkpoint=path).identity() != others[2]


@pytest.mark.parametrize(
    "setting",
    [{"learning_rate": 0.0}, {"momentum": 1.0}, {"batch_size": 0}, {"pretrain_epochs": -1}],
)
def test_an_impossible_recipe_is_refused(setting: dict[str, float]) -> None:
    [(name, value)] = setting.items()
    with pytest.raises(TaskError, match=f"got {name}={value}"):
        TrainingRecipe(**setting)  # type: ignore[arg-type]


def test_a_checkpoint_may_leave_out_batch_counters(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    weights = weights_of(STRIPES.build(1))
    del weights["bn1.num_batches_tracked"]
    weights = {key: value.half() for key, value in weights.items()}
    save_file(weights, path)
    network = STRIPES.build(0)
    replace(STRIPES, checkpoint=path).load_checkpoint_(network)
    assert network.fc.weight.dtype == torch.float32
    assert torch.equal(network.fc.weight, weights["fc.weight"].float())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("fc.bias"), r"missing fc\.bias\. Save"),
        (lambda w: w.update(extra=torch.zeros(1)), r"not in the network extra\. Save"),
        (
            lambda w: w.update({"fc.bias": torch.zeros(3)}),
            r"of another shape fc\.bias \(3,\) instead of \(8,\)\. Save",
        ),
    ],
)
def test_a_checkpoint_of_another_network_is_refused(
    tmp_path: Path, change: object, message: str
) -> None:
    path = tmp_path / "a.safetensors"
    weights = weights_of(STRIPES.build(1))
    change(weights)  # type: ignore[operator]
    save_file(weights, path)
    with pytest.raises(TaskError, match=message):
        replace(STRIPES, checkpoint=path).load_checkpoint_(STRIPES.build(0))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.pt", b"", r"is a \.safetensors file, got .*a\.pt\. Convert it"),
        ("gone.safetensors", None, r"is a file, got .*gone.safetensors, which does not exist"),
        ("bad.safetensors", b"no tensors", r"bad\.safetensors is a \.safetensors file, got"),
    ],
)
def test_an_unreadable_checkpoint_is_refused(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    task = replace(STRIPES, checkpoint=tmp_path / name)
    with pytest.raises(TaskError, match=message):
        task.load_checkpoint_(STRIPES.build(0))
    with pytest.raises(TaskError, match=message):
        task.identity()


def test_a_factory_that_gives_no_network_is_refused() -> None:
    task = Task(name="odd", dataset="mnist", network=lambda: "net")  # type: ignore[arg-type,return-value]
    with pytest.raises(TaskError, match=r"odd: the factory gives an nn\.Module, got str"):
        task.build(0)
