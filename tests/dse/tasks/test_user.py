from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from dse.errors import TaskError
from dse.tasks.user import task_from_model
from tests.dse.tiny import small_net

NETWORK = nn.Linear(2, 2)
NUMBER = 3


def needs_width(width: int) -> nn.Module:
    return nn.Linear(width, width)


def broken() -> nn.Module:
    raise RuntimeError("no such layer")


def test_a_factory_makes_a_task() -> None:
    task = task_from_model("tests.dse.tiny:small_net", data="mnist")
    assert task.name == "tests.dse.tiny:small_net"
    assert task.network is small_net
    assert task.identity()["network"] == "tests.dse.tiny:small_net"


def test_a_class_is_a_factory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_nets.py").write_text(
        "from torch import nn\n\n\n"
        "class Net(nn.Sequential):\n"
        "    def __init__(self):\n"
        "        super().__init__(nn.Flatten(), nn.Linear(784, 10))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    task = task_from_model("my_nets:Net", data="mnist")
    assert task.build(0)(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
    assert task.identity()["source_sha256"] is not None


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("tests.dse.tiny.small_net", "expected 'package.module:attribute', got"),
        ("tests.dse.nowhere:net", r"cannot import 'tests\.dse\.nowhere'"),
        ("tests.dse.tiny:absent", "has no 'absent'"),
        ("tests.dse.tasks.test_user:NUMBER", "is a function or class .* got int"),
        ("tests.dse.tasks.test_user:NETWORK", "is a function or class .* got Linear"),
        ("tests.dse.tasks.test_user:needs_width", "without arguments .* missing 1 required"),
        ("tests.dse.tasks.test_user:broken", "got RuntimeError: no such layer"),
        ("builtins:dict", "gives an nn.Module, got dict"),
    ],
)
def test_a_model_that_cannot_be_used_is_refused(model: str, message: str) -> None:
    with pytest.raises(TaskError, match=message):
        task_from_model(model, data="mnist")


def test_a_module_that_fails_on_import_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fails_on_import.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(TaskError, match="importing its module succeeds, got ZeroDivisionError"):
        task_from_model("fails_on_import:net", data="mnist")


def test_a_checkpoint_is_checked_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"fc.weight": torch.zeros(1)}, path)
    with pytest.raises(TaskError, match="has exactly the tensors of the network"):
        task_from_model("tests.dse.tiny:small_net", data="mnist", checkpoint=path)
