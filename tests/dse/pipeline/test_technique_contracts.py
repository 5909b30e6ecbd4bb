"""What every installed technique of a network keeps to, whichever slot it is for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from dse.catalogue import catalogue
from dse.evaluation import Evaluation, Failure
from dse.pipeline.evaluate import Evaluator
from dse.pipeline.settings import EvaluationSettings
from dse.spec_sections import TaskSpec, TrainingSpec
from dse.tasks.task import Task
from hw_models.layer import CodedLayer
from tests.dse.pipeline.test_evaluate import point

SLOTS = ("quantizer", "regularizer", "patches", "bit_flips")
TECHNIQUES = [(slot, name) for slot in SLOTS for name in catalogue().slots[slot]]

every = pytest.mark.parametrize(
    ("slot", "technique"), TECHNIQUES, ids=[f"{slot}-{name}" for slot, name in TECHNIQUES]
)


def unmappable() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Bilinear(1, 1, 1), nn.Linear(784, 10))


UNMAPPABLE = Task(name="unmappable", dataset="mnist", network=unmappable)


def chosen(slot: str, technique: str) -> dict[str, Any]:
    return {slot: technique, "quantizer__bits": 7} if slot == "patches" else {slot: technique}


def evaluated(store: Path, task: str, fixed: dict[str, Any]) -> tuple[Any, Any]:
    settings = EvaluationSettings(
        task=TaskSpec(name=task, train_images=200, test_images=100),
        epochs=1,
        training=TrainingSpec(seed=3, pretrain_epochs=1),
        threads=1,
        store=store,
    )
    some, design = Evaluator(settings), point(**fixed)
    outcome = some.outcome(design)
    layers = some.network(design)[0] if isinstance(outcome, Evaluation) else ()
    return outcome, layers


def same(one: CodedLayer, other: CodedLayer) -> bool:
    return (
        np.array_equal(one.magnitudes, other.magnitudes)
        and np.array_equal(one.signs, other.signs)
        and (one.weight_step, one.input_step) == (other.weight_step, other.input_step)
    )


@every
def test_the_same_seed_gives_the_same_codes_and_they_fit(
    slot: str, technique: str, tmp_path: Path
) -> None:
    fixed = chosen(slot, technique)
    one, layers = evaluated(tmp_path / "one", "mlp_mnist", fixed)
    other, again = evaluated(tmp_path / "other", "mlp_mnist", fixed)
    assert isinstance(one, Evaluation), one
    assert not any(stage["cached"] for stage in other.stages.values())
    assert one.metrics == other.metrics
    assert all(same(*pair) for pair in zip(layers, again, strict=True))
    for layer in layers:
        assert layer.magnitudes.max() < 1 << layer.weight_bits
        assert np.isin(layer.signs, (-1, 0, 1)).all()
        assert layer.magnitudes.any()


@every
def test_a_network_that_cannot_be_mapped_is_one_clear_error(
    slot: str, technique: str, tmp_path: Path
) -> None:
    outcome, _ = evaluated(tmp_path, f"{__name__}:UNMAPPABLE", chosen(slot, technique))
    assert isinstance(outcome, Failure)
    assert "Bilinear" in outcome.reason
    assert "nn.Linear" in outcome.reason
