from __future__ import annotations

import json

import pytest

from dse.errors import TaskError
from dse.training.augmentation import CropAndFlip
from dse.training.recipe import TrainingRecipe
from dse.training.schedule import Constant, Cosine, Steps


def test_fine_tuning_follows_pre_training_unless_said_otherwise() -> None:
    recipe = TrainingRecipe()
    assert recipe.fine_tuning() == recipe.pretraining()
    assert recipe.pretraining() == {
        "learning_rate": 0.01,
        "momentum": 0.9,
        "batch_size": 64,
        "weight_decay": 0.0,
        "nesterov": False,
        "schedule": Constant(),
        "augmentation": None,
        "max_images_per_epoch": None,
    }


def test_fine_tuning_has_settings_of_its_own() -> None:
    recipe = TrainingRecipe(
        learning_rate=0.1,
        weight_decay=5e-4,
        schedule=Cosine(),
        finetune_learning_rate=0.02,
        finetune_weight_decay=1e-5,
        finetune_schedule=Steps(milestones=(0.5,), by=0.5),
    )
    before, after = recipe.pretraining(), recipe.fine_tuning()
    assert (before["learning_rate"], before["weight_decay"]) == (0.1, 5e-4)
    assert before["schedule"] == Cosine()
    assert (after["learning_rate"], after["weight_decay"]) == (0.02, 1e-5)
    assert after["schedule"] == Steps(milestones=(0.5,), by=0.5)
    assert before["augmentation"] is after["augmentation"] is None


@pytest.mark.parametrize(
    "change",
    [
        {"weight_decay": 1e-4},
        {"nesterov": True},
        {"schedule": Cosine()},
        {"schedule": Cosine(last=0.1)},
        {"schedule": Steps(milestones=(0.5,))},
        {"augmentation": CropAndFlip()},
        {"augmentation": CropAndFlip(padding=2)},
        {"finetune_learning_rate": 0.01},
        {"finetune_schedule": Cosine()},
    ],
)
def test_the_identity_changes_with_every_setting_and_is_json(change: dict[str, object]) -> None:
    changed = TrainingRecipe(**change)  # type: ignore[arg-type]
    assert changed.identity() != TrainingRecipe().identity()
    again = TrainingRecipe(**change)  # type: ignore[arg-type]
    assert json.dumps(changed.identity()) == json.dumps(again.identity())


@pytest.mark.parametrize(
    "setting",
    [{"weight_decay": -1e-4}, {"finetune_learning_rate": 0.0}, {"finetune_weight_decay": -1.0}],
)
def test_an_impossible_setting_is_refused(setting: dict[str, float]) -> None:
    [(name, value)] = setting.items()
    with pytest.raises(TaskError, match=f"got {name}={value}"):
        TrainingRecipe(**setting)  # type: ignore[arg-type]


def test_looking_ahead_takes_a_momentum() -> None:
    with pytest.raises(TaskError, match="looks ahead is above 0, got nesterov=True and momentum"):
        TrainingRecipe(nesterov=True, momentum=0.0)
