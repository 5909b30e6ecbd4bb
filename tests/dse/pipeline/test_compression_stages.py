"""The stages between the trained network and the final codes, and how they hang together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dse.evaluation import Evaluation
from dse.pipeline.codes import codes_from_tensors, codes_to_tensors
from dse.pipeline.evaluate import Evaluator
from dse.pipeline.settings import EvaluationSettings
from dse.spec_sections import TaskSpec, TrainingSpec
from tests.dse.pipeline.test_evaluate import point


def evaluator(store: Path, **changes: Any) -> Evaluator:
    settings: dict[str, Any] = {
        "task": TaskSpec(name="mlp_mnist", train_images=600, test_images=200),
        "epochs": 2,
        "training": TrainingSpec(seed=0, pretrain_epochs=3),
        "threads": 1,
        "store": store,
    }
    return Evaluator(EvaluationSettings(**{**settings, **changes}))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


def evaluated(some: Evaluator, **fixed: Any) -> Evaluation:
    outcome = some.outcome(point(**fixed))
    assert isinstance(outcome, Evaluation), outcome
    return outcome


PATCHES = {"patches": "pq_pim", "patches__patch": 8, "quantizer__bits": 7}
ENGINE = {"engine": "ou_patch", "adc__bits": 4}


def test_patches_reach_the_engine_that_reads_them(store: Path) -> None:
    some = evaluator(store)
    dense = evaluated(some, engine="ou_patch", adc__bits=4, quantizer__bits=7)
    patched = evaluated(some, **PATCHES, **ENGINE)
    assert patched.report["cr32"] > 2
    assert patched.report["cr32i"] < patched.report["cr32"]
    assert patched.metrics["adc_conversions"] < dense.metrics["adc_conversions"] / 2
    assert patched.metrics["accuracy"] == patched.metrics["accuracy_ideal"], "4 bits hold 8 rows"
    layers, observed, cached = some.network(point(**PATCHES, **ENGINE))
    assert cached
    assert observed is not None
    for layer, seen in zip(layers, observed, strict=True):
        assert layer.patches is not None
        assert seen.input_codes is not None
        removed = layer.patches.by_row(layer.shape.wordlines) == 0
        assert not layer.magnitudes[removed].any()


def test_single_layers_may_have_thresholds_of_their_own(store: Path) -> None:
    some = evaluator(store)
    network = point(**PATCHES, **ENGINE, **{"patches__layer__fc2__tsv": 0.1})
    base, _, _ = some.network(point(**PATCHES, **ENGINE))
    own, _, _ = some.network(network)
    kept = [np.count_nonzero(layers[1].patches.bits) for layers in (base, own)]  # type: ignore[union-attr]
    assert kept[1] > kept[0]


def test_stored_codes_are_the_codes_patches_included(store: Path) -> None:
    layers, _, _ = evaluator(store).network(point(**PATCHES, patches__weak_inputs=True))
    for before, after in zip(layers, codes_from_tensors(codes_to_tensors(layers)), strict=True):
        assert np.array_equal(before.magnitudes, after.magnitudes)
        assert np.array_equal(before.signs, after.signs)
        assert before.patches is not None
        assert after.patches is not None
        assert np.array_equal(before.patches.bits, after.patches.bits)
        assert before.patches.weak_shift == after.patches.weak_shift
        assert before.patches.weak_input_share == after.patches.weak_input_share


def test_bit_flips_empty_columns_of_the_same_trained_network(store: Path) -> None:
    some = evaluator(store)
    plain = evaluated(some, engine="bit_plane", adc__bits=8)
    flipped = evaluated(
        some, engine="bit_plane", adc__bits=8, bit_flips="bit_transformer", bit_flips__tau=0.2
    )
    assert flipped.stages["compress"]["cached"]
    assert flipped.metrics["adc_conversions"] < 0.7 * plain.metrics["adc_conversions"]
    assert flipped.metrics["nonzero_slice_ratio"] < plain.metrics["nonzero_slice_ratio"]
    assert flipped.metrics["accuracy_ideal"] != plain.metrics["accuracy_ideal"]


def test_bit_flips_leave_patches_what_they_are(store: Path) -> None:
    some = evaluator(store)
    layers, _, _ = some.network(
        point(**PATCHES, **ENGINE, bit_flips="bit_transformer", bit_flips__tau=0.1)
    )
    base, _, _ = some.network(point(**PATCHES, **ENGINE))
    for before, after in zip(base, layers, strict=True):
        assert after.patches is not None
        assert before.patches is not None
        assert np.array_equal(after.patches.bits, before.patches.bits)
        assert not np.array_equal(after.magnitudes, before.magnitudes)


def test_calibrated_converters_round_where_full_ones_clip(store: Path) -> None:
    some = evaluator(store)
    full = evaluated(some, adc__bits=3)
    calibrated = evaluated(some, adc__bits=3, adc__range="calibrated")
    steps = calibrated.report["adc_steps"]
    assert set(steps) == {"fc1", "fc2"}
    assert max(max(each) for each in steps.values()) > 0
    assert calibrated.metrics["accuracy"] != full.metrics["accuracy"]
    assert calibrated.metrics["energy_j"] == full.metrics["energy_j"]
    assert full.report["adc_steps"] == {}
    flipped = evaluated(some, adc__bits=3, adc__range="calibrated", bit_flips="bit_transformer")
    assert set(flipped.report["adc_steps"]) == {"fc1", "fc2"}


def test_tuning_in_the_loop_gives_a_network_for_its_converters(store: Path) -> None:
    some = evaluator(store)
    open_loop = evaluated(some, adc__bits=2)
    tuned = evaluated(some, adc__bits=2, adc__tune_epochs=2)
    assert tuned.stages["compress"]["cached"]
    assert "adc_tuning" in tuned.stages
    assert "adc_tuning" not in open_loop.stages
    assert tuned.metrics["accuracy"] > open_loop.metrics["accuracy"]


def test_without_training_after_pretraining_nothing_is_tuned(store: Path) -> None:
    some = evaluator(store, epochs=0, fidelity="post_training")
    found = evaluated(some, adc__bits=2, adc__tune_epochs=2, **PATCHES)
    assert "adc_tuning" not in found.stages


def test_every_quantiser_and_input_width_is_evaluated(store: Path) -> None:
    some = evaluator(store, epochs=1)
    for quantizer in ("fixed_point", "pot", "apot", "bits_net", "level_set", "exponent"):
        found = evaluated(some, quantizer=quantizer, adc__bits=9)
        assert found.metrics["accuracy"] > 0.3, quantizer
        assert found.metrics["accuracy"] == found.metrics["accuracy_ideal"]
    narrow = evaluated(some, inputs__bits=4)
    wide = evaluated(some, inputs__bits=8)
    assert narrow.metrics["adc_conversions"] == wide.metrics["adc_conversions"] / 2
    assert evaluated(some, inputs__clip="trained").metrics["accuracy"] > 0.3


def test_folded_batch_norm_computes_what_the_network_computed(tmp_path: Path) -> None:
    from dse.pipeline.accuracy import network_with
    from dse.pipeline.folding import folded_state, folded_task
    from tests.dse.tiny import STRIPES, stripes

    data = stripes()
    network = STRIPES.build(seed=3)
    network.bn1.running_mean.uniform_(-1, 1, generator=torch.Generator().manual_seed(1))  # type: ignore[union-attr,operator]
    network.bn1.running_var.uniform_(0.5, 2, generator=torch.Generator().manual_seed(2))  # type: ignore[union-attr,operator]
    state = network.state_dict()
    task = folded_task(STRIPES, data)
    folded = network_with(task, folded_state(STRIPES, data, state))
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    images = data.normalised(data.test_images[:20])
    with torch.no_grad():
        assert torch.allclose(folded(images), network.eval()(images), atol=1e-5)
