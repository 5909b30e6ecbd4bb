"""The whole evaluation of a design on a small network: metrics, stages, reuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dse.catalogue import design_space
from dse.evaluation import Evaluation, Failure
from dse.metrics import SI_METRICS
from dse.pipeline.evaluate import Evaluator
from dse.pipeline.settings import EvaluationSettings
from dse.spec_sections import TaskSpec, TrainingSpec
from search_spaces.design_point import DesignPoint
from search_spaces.draw import draw_design


def point(**fixed: Any) -> DesignPoint:
    def choose(path: str, domain: object) -> Any:
        raise AssertionError(f"{path} is free in {domain}")

    named = {name.replace("__", "."): value for name, value in fixed.items()}
    return draw_design(design_space("test", named, {}), choose)


def evaluator(store: Path, **changes: Any) -> Evaluator:
    settings: dict[str, Any] = {
        "task": TaskSpec(name="mlp_mnist", train_images=600, test_images=300),
        "epochs": 1,
        "training": TrainingSpec(seed=0, pretrain_epochs=2),
        "threads": 1,
        "store": store,
    }
    return Evaluator(EvaluationSettings(**{**settings, **changes}))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


def cached(evaluation: Evaluation) -> set[str]:
    return {stage for stage, trace in evaluation.stages.items() if trace["cached"]}


def test_every_metric_is_given_and_hangs_together(store: Path) -> None:
    evaluation = evaluator(store).evaluate(point(adc__bits=9))
    metrics = evaluation.metrics
    assert set(metrics) == set(SI_METRICS)
    assert metrics["accuracy"] == metrics["accuracy_ideal"], "9 bits hold any sum of 128 rows"
    assert metrics["accuracy_loss"] == metrics["accuracy_float"] - metrics["accuracy"]
    assert metrics["accuracy"] > 0.5
    components = evaluation.report["components"].values()
    assert sum(c["energy_j"] for c in components) == pytest.approx(metrics["energy_j"], rel=1e-9)
    assert sum(c["area_m2"] for c in components) == pytest.approx(metrics["area_m2"], rel=1e-9)
    layers = evaluation.report["layers"]
    assert [layer["name"] for layer in layers] == ["fc1", "fc2"]
    assert sum(layer["crossbars"] for layer in layers) == metrics["crossbars"] == 64
    assert evaluation.report["components"]["adc"]["energy_j"] == pytest.approx(
        metrics["adc_energy_j"]
    )


def test_designs_that_differ_in_adc_bits_share_one_trained_network(store: Path) -> None:
    some = evaluator(store)
    wide = some.evaluate(point(adc__bits=8))
    narrow = some.evaluate(point(adc__bits=1))
    assert {"pretrain", "compress", "accuracy_float", "accuracy_ideal"} <= cached(narrow)
    assert "accuracy" not in cached(narrow)
    assert narrow.metrics["accuracy"] < wide.metrics["accuracy"]
    assert narrow.metrics["adc_energy_vs_8bit"] == pytest.approx((2 / 2) / (2**8 / 9))
    assert wide.metrics["adc_energy_vs_8bit"] == 1.0
    assert narrow.metrics["energy_j"] < wide.metrics["energy_j"]


def test_what_shapes_a_network_makes_another_network(store: Path) -> None:
    some = evaluator(store)
    base = some.evaluate(point())
    assert "compress" not in cached(some.evaluate(point(pruning__threshold=0.02)))
    assert "compress" not in cached(some.evaluate(point(regularizer="l1")))
    longer = evaluator(store, epochs=2).evaluate(point())
    assert "pretrain" in cached(longer)
    assert "compress" not in cached(longer)
    other = evaluator(store, training=TrainingSpec(seed=1, pretrain_epochs=2)).evaluate(point())
    assert "pretrain" not in cached(other)
    assert other.metrics["accuracy_float"] != base.metrics["accuracy_float"]


def test_a_design_evaluated_again_elsewhere_has_the_same_results(
    store: Path, tmp_path: Path
) -> None:
    chosen = point(regularizer="bit_slice_l1", adc__bits=3)
    here, there = evaluator(store).evaluate(chosen), evaluator(tmp_path).evaluate(chosen)
    assert here.metrics == there.metrics
    assert here.report == there.report
    assert {s: t["key"] for s, t in here.stages.items()} == {
        s: t["key"] for s, t in there.stages.items()
    }


def test_a_crossbar_of_other_bitlines_is_not_simulated_again(store: Path) -> None:
    some = evaluator(store)
    some.evaluate(point(adc__bits=2))
    wider = some.evaluate(point(adc__bits=2, crossbar__bitlines=256))
    assert "accuracy" in cached(wider)
    taller = some.evaluate(point(adc__bits=2, crossbar__wordlines=256))
    assert "accuracy" not in cached(taller)


@pytest.mark.parametrize("cell_bits", [1, 2, 4])
def test_other_cells_have_other_slice_groups(store: Path, cell_bits: int) -> None:
    evaluation = evaluator(store).evaluate(point(cell__bits=cell_bits, adc__bits=11))
    assert evaluation.metrics["accuracy"] == evaluation.metrics["accuracy_ideal"]
    for layer in evaluation.report["layers"]:
        assert len(layer["adc_bits"]["used"]) == 8 // cell_bits


def test_whatever_goes_wrong_becomes_a_reason(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("no folder")
    outcome = evaluator(tmp_path / "store").outcome(point())
    assert isinstance(outcome, Failure)
    assert outcome.reason.startswith("StageError: pretrain: the stage store at")
    assert not outcome.lost
