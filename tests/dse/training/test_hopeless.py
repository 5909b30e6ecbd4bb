"""Fine-tuning ends early only where even an optimist sees no way."""

from __future__ import annotations

from pathlib import Path

import pytest

from dse.evaluation import RuledOut
from dse.objectives import Constraint
from dse.training.fit import Epoch
from dse.training.hopeless import MARGIN, HopelessError, HopelessRule, needed_accuracies
from tests.dse.pipeline.test_evaluate import evaluator, point


def epoch(number: int, accuracy: float) -> Epoch:
    return Epoch(number=number, of=5, loss=1.0, val_accuracy=accuracy, score=0, seconds=1)


def told(rule: HopelessRule, *accuracies: float) -> None:
    for number, accuracy in enumerate(accuracies, start=1):
        rule(epoch(number, accuracy))


def test_slow_gains_far_below_are_hopeless() -> None:
    with pytest.raises(HopelessError) as caught:
        told(HopelessRule({"accuracy >= 0.95": 0.95}, epochs=5), 0.3, 0.32)
    assert str(caught.value) == (
        "fine-tuning ended with 3 epochs left: at 0.3200 on validation images and a gain of "
        "0.0200 per epoch it misses accuracy >= 0.95 by 0.5700"
    )
    assert caught.value.violations == pytest.approx({"accuracy >= 0.95": 0.57})


def test_gains_that_may_still_reach_it_go_on() -> None:
    told(HopelessRule({"x": 0.9}, epochs=5), 0.3, 0.5, 0.7)
    told(HopelessRule({"x": 0.9}, epochs=2), 0.85, 0.901 - MARGIN)


def test_the_best_epoch_counts_not_the_last() -> None:
    told(HopelessRule({"x": 0.9}, epochs=3), 0.5, 0.88, 0.4)


def test_a_round_of_pruning_starts_anew() -> None:
    rule = HopelessRule({"x": 0.9}, epochs=4)
    rule(epoch(1, 0.2))
    rule(epoch(1, 0.1))
    with pytest.raises(HopelessError):
        rule(epoch(2, 0.11))


def test_what_each_constraint_asks_for() -> None:
    constraints = map(
        Constraint.parse, ["accuracy_loss <= 0.03", "accuracy >= 0.9", "energy_uj <= 3"]
    )
    assert needed_accuracies(constraints, of_float=0.98) == pytest.approx(
        {"accuracy_loss <= 0.03": 0.95, "accuracy >= 0.9": 0.9}
    )


def test_an_evaluation_ends_early_and_says_so(tmp_path: Path) -> None:
    some = evaluator(
        tmp_path,
        epochs=6,
        stop_hopeless=True,
        constraints=(Constraint.parse("accuracy >= 1"),),
    )
    outcome = some.outcome(point())
    assert isinstance(outcome, RuledOut)
    assert outcome.trained
    assert outcome.violations["accuracy >= 1"] > MARGIN
    assert outcome.reason.startswith("fine-tuning ended with ")
    assert "on validation images" in outcome.reason
    assert not (tmp_path / "accuracy").exists(), "nothing was simulated"


def test_a_design_that_breaks_a_bound_whatever_its_weights_is_not_trained(tmp_path: Path) -> None:
    some = evaluator(tmp_path, constraints=(Constraint.parse("area_mm2 <= 0.001"),))
    outcome = some.outcome(point())
    assert isinstance(outcome, RuledOut)
    assert not outcome.trained
    assert outcome.reason.startswith(
        "before training, even an empty network misses area_mm2 <= 0.001 by 0."
    )
    assert not list(tmp_path.iterdir()), "no stage was computed"
