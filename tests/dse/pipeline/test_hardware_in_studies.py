"""Every engine, encoding and hardware knob in an evaluation, on a network of seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dse.errors import SpecError
from dse.evaluation import Evaluation, Failure
from dse.pipeline.evaluate import Evaluator
from dse.pipeline.settings import EvaluationSettings
from dse.spec_sections import TaskSpec, TrainingSpec
from tests.dse.pipeline.test_evaluate import point


@pytest.fixture(scope="module")
def some(tmp_path_factory: pytest.TempPathFactory) -> Evaluator:
    return Evaluator(
        EvaluationSettings(
            task=TaskSpec(name="mlp_mnist", train_images=600, test_images=200),
            epochs=0,
            training=TrainingSpec(seed=0, pretrain_epochs=2),
            threads=1,
            store=tmp_path_factory.mktemp("store"),
        )
    )


def evaluated(some: Evaluator, **fixed: Any) -> Evaluation:
    outcome = some.outcome(point(**fixed))
    assert isinstance(outcome, Evaluation), outcome
    return outcome


@pytest.mark.parametrize("engine", ["isaac", "crmp", "sre", "ou_patch", "bits_net", "bit_plane"])
def test_every_engine_scores_a_network_from_a_study(some: Evaluator, engine: str) -> None:
    found = evaluated(some, engine=engine, quantizer__bits=7, adc__bits=9)
    assert found.report["engine"] == engine
    assert found.metrics["energy_j"] > 0
    assert found.metrics["accuracy"] == found.metrics["accuracy_ideal"], "9 bits hold any sum"
    assert ("observe" in found.stages) == (engine in ("sre", "ou_patch"))


@pytest.mark.parametrize("encoding", ["differential", "offset", "isaac_flip", "twos_complement"])
def test_every_encoding_computes_the_same_with_enough_bits(some: Evaluator, encoding: str) -> None:
    wide = evaluated(some, encoding=encoding, adc__bits=10)
    assert wide.metrics["accuracy"] == wide.metrics["accuracy_ideal"]
    narrow = evaluated(some, encoding=encoding, adc__bits=3)
    assert narrow.metrics["accuracy"] < wide.metrics["accuracy"]


def test_fewer_rows_at_once_clip_less_and_take_longer(some: Evaluator) -> None:
    whole = evaluated(some, adc__bits=3)
    units = evaluated(some, adc__bits=3, crossbar__ou_wordlines=8)
    assert units.metrics["accuracy"] > whole.metrics["accuracy"]
    assert units.metrics["latency_s"] > whole.metrics["latency_s"]
    assert units.metrics["adc_conversions"] > 10 * whole.metrics["adc_conversions"]


def test_wider_digits_take_fewer_conversions(some: Evaluator) -> None:
    serial, wide = evaluated(some, adc__bits=12), evaluated(some, adc__bits=12, dac__bits=2)
    assert wide.metrics["adc_conversions"] == serial.metrics["adc_conversions"] / 2
    assert wide.metrics["accuracy"] == serial.metrics["accuracy"]


def test_more_converters_per_array_shorten_a_read_and_take_area(some: Evaluator) -> None:
    one, four = evaluated(some), evaluated(some, adc__per_array=4)
    assert four.metrics["latency_s"] <= one.metrics["latency_s"]
    assert four.metrics["area_m2"] > one.metrics["area_m2"]
    assert four.metrics["accuracy"] == one.metrics["accuracy"]
    assert "accuracy" in {name for name, trace in four.stages.items() if trace["cached"]}


def test_a_pipeline_lets_images_follow_sooner_and_copies_shorten_an_image(
    some: Evaluator,
) -> None:
    plain = evaluated(some)
    assert plain.metrics["interval_s"] == plain.metrics["latency_s"]
    piped = evaluated(some, schedule__pipelined=True)
    assert piped.metrics["interval_s"] < plain.metrics["interval_s"]
    arrays = int(plain.metrics["crossbars"])
    copied = evaluated(some, schedule__crossbars=2 * arrays)
    assert copied.metrics["latency_s"] < plain.metrics["latency_s"]
    assert arrays < copied.metrics["crossbars"] <= 2 * arrays
    assert copied.metrics["energy_j"] == pytest.approx(plain.metrics["energy_j"])


def test_device_effects_cost_accuracy_and_repeat_with_the_seed(some: Evaluator) -> None:
    ideal = evaluated(some)
    noisy = evaluated(some, nonidealities__stuck_on_share=0.2)
    assert noisy.metrics["accuracy"] < ideal.metrics["accuracy"] - 0.1
    assert noisy.metrics["energy_j"] == ideal.metrics["energy_j"]
    assert evaluated(some, nonidealities__stuck_on_share=0.2).metrics == noisy.metrics


@pytest.mark.parametrize(
    ("fixed", "reason"),
    [
        ({"crossbar__wordlines": 32, "crossbar__ou_wordlines": 33}, "1 to the 32 wordlines"),
        ({"engine": "sre", "encoding": "offset"}, "an offset leaves none"),
        ({"adc__model": "mnsim", "adc__bits": 3}, "mnsim"),
        ({"schedule__crossbars": 3}, "the network takes .* crossbars, the chip has 3"),
        ({"engine": "sre", "engine__ou_bitlines": 512}, "ou_bitlines must be 1 to the 128"),
    ],
)
def test_hardware_that_cannot_be_fails_before_anything_is_trained(
    tmp_path: Path, fixed: dict[str, Any], reason: str
) -> None:
    import re

    untouched = Evaluator(
        EvaluationSettings(
            task=TaskSpec(name="mlp_mnist", train_images=600, test_images=200),
            epochs=0,
            training=TrainingSpec(seed=0, pretrain_epochs=2),
            threads=1,
            store=tmp_path / "none",
        )
    )
    outcome = untouched.outcome(point(**fixed))
    assert isinstance(outcome, Failure)
    assert re.search(reason, outcome.reason), outcome.reason
    assert not (tmp_path / "none").exists(), "a stage ran"


def test_layers_that_the_network_does_not_have_are_named(some: Evaluator) -> None:
    with pytest.raises(
        SpecError, match="name layers of mlp_mnist, got conv1; its layers: fc1, fc2"
    ):
        some.check(["fc1", "conv1"])
