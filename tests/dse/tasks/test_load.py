from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from dse.errors import DataError, PluginError, SpecError, TaskError
from dse.spec import StudySpec
from dse.spec_sections import TaskSpec
from dse.tasks.load import load_task
from dse.tasks.mlp_mnist import MLP_MNIST
from dse.tasks.task import Normalisation
from tests.dse.tiny import STRIPES, stripes

NAMED = "tests.dse.tiny:STRIPES"


@pytest.fixture
def checkpoint(tmp_path: Path) -> str:
    path = tmp_path / "w.safetensors"
    save_file(dict(STRIPES.build(1).state_dict()), path)
    return str(path)


def test_a_name_alone_is_the_installed_task() -> None:
    assert load_task(TaskSpec(name="mlp_mnist")) is MLP_MNIST


def test_an_installed_task_takes_a_checkpoint_and_a_normalisation(checkpoint: str) -> None:
    task = load_task(TaskSpec(name=NAMED, checkpoint=checkpoint, mean=(0.25,), std=(0.5,)))
    assert (task.name, task.recipe) == (STRIPES.name, STRIPES.recipe)
    assert task.checkpoint == Path(checkpoint)
    assert task.normalisation == Normalisation(mean=(0.25,), std=(0.5,))
    network = task.build(0)
    task.load_checkpoint_(network)
    assert torch.equal(network.fc.weight, STRIPES.build(1).fc.weight)
    identities = [
        load_task(TaskSpec(name=NAMED, **settings)).identity()  # type: ignore[arg-type]
        for settings in (
            {},
            {"checkpoint": checkpoint},
            {"checkpoint": checkpoint, "mean": (0.25,), "std": (0.5,)},
            {"checkpoint": checkpoint, "mean": (0.25,), "std": (1.0,)},
        )
    ]
    assert all(a != b for a in identities for b in identities if a is not b)


def test_a_users_own_network_takes_a_normalisation() -> None:
    task = load_task(
        TaskSpec(model="tests.dse.tiny:small_net", data="mnist", mean=(0.0,), std=(1.0,))
    )
    assert task.normalisation == Normalisation(mean=(0.0,), std=(1.0,))


def test_a_checkpoint_of_another_network_is_refused_when_the_task_is_loaded(
    checkpoint: str,
) -> None:
    with pytest.raises(TaskError, match=r"mlp_mnist: the checkpoint .* has exactly the tensors"):
        load_task(TaskSpec(name="mlp_mnist", checkpoint=checkpoint))


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(PluginError, match="did you mean 'mlp_mnist'"):
        load_task(TaskSpec(name="mlp_mnis"))


def test_the_network_sees_images_as_its_checkpoint_was_trained() -> None:
    data = stripes()
    assert STRIPES.seen(data) is data
    task = load_task(TaskSpec(name=NAMED, mean=(0.0,), std=(1.0,)))
    seen = task.seen(data).normalised(data.test_images)
    torch.testing.assert_close(seen, data.test_images.float() / 255)
    assert task.seen(data).digest != data.digest


def test_a_normalisation_for_other_channels_is_refused() -> None:
    task = load_task(TaskSpec(name=NAMED, mean=(0.0,) * 3, std=(1.0,) * 3))
    with pytest.raises(DataError, match="one value for each of 1 channels, got 3 and 3"):
        task.seen(stripes())


@pytest.mark.parametrize(("mean", "std"), [((0.1, 0.2), (1.0,)), ((0.1,), (0.0,))])
def test_an_impossible_normalisation_is_refused(
    mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    with pytest.raises(TaskError, match="a mean and a standard deviation above 0 for every"):
        load_task(TaskSpec(name=NAMED, mean=mean, std=std))


STUDY = """
name: from_a_checkpoint
task: {name: mlp_mnist, checkpoint: w.safetensors, mean: [0], std: [1]}
space: {adc.bits: 1..8}
objectives: [maximize accuracy]
"""


def test_a_study_names_checkpoint_and_normalisation_of_an_installed_task(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    task = StudySpec.from_yaml(tmp_path / "study.yaml").task
    assert task.checkpoint == str(tmp_path / "w.safetensors")
    assert (task.mean, task.std) == ((0.0,), (1.0,))


@pytest.mark.parametrize(("left_out", "left"), [("mean: [0], ", "std"), (", std: [1]", "mean")])
def test_half_a_normalisation_is_refused(tmp_path: Path, left_out: str, left: str) -> None:
    (tmp_path / "study.yaml").write_text(STUDY.replace(left_out, ""))
    with pytest.raises(SpecError, match=f"'mean' and 'std' go together, .* got only '{left}'"):
        StudySpec.from_yaml(tmp_path / "study.yaml")
