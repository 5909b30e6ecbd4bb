from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from dse.errors import StageError
from dse.pipeline.accuracy import simulated_accuracy
from dse.pipeline.lower import coded_from_tensors, coded_to_tensors
from dse.pipeline.patch_codes import (
    patches_from_tensors,
    patches_to_tensors,
    plan_of,
    with_patches,
    with_stored_patches,
)
from dse.pipeline.patching import (
    PatchedNetwork,
    compress_in_rounds,
    plan_masks,
    progress,
    spread_epochs,
)
from dse.pipeline.pretrain import TrainedNetwork, pretrain
from dse.pruning.no_patches import NONE as NO_PATCHES
from dse.pruning.patches import compression_ratios
from dse.pruning.pq_pim import PQ_PIM, PqPim
from dse.quantizers.fixed_point import FIXED_POINT
from dse.regularizers.none import NONE
from hw_models.chip import Chip
from hw_models.converters.saberi import SABERI
from hw_models.crossbar import Crossbar
from hw_models.encodings.column_sums import lossless_bits_of
from hw_models.encodings.twos_complement import TWOS_COMPLEMENT
from hw_models.engines.ou_patch import OU_PATCH
from hw_models.layer import CodedLayer
from hw_models.simulation.mvm import SlicedWeights
from search_spaces.patches import NoPatchKnobs, PatchKnobs
from search_spaces.quantizer import FixedPointKnobs
from search_spaces.regularizer import NoRegularizerKnobs
from tests.dse.tiny import STRIPES, stripes
from tests.hw_models.patched_layers import patched_layer

DATA = stripes()
KNOBS = PatchKnobs(patch=4, tsv=0.8, t_prune=0.6, rounds=2)


@pytest.fixture(scope="module")
def trained() -> TrainedNetwork:
    return pretrain(STRIPES, DATA, epochs=5, seed=0)


def patched(
    trained: TrainedNetwork, knobs: Any = KNOBS, *, pruner: Any = PQ_PIM, **settings: Any
) -> PatchedNetwork:
    arguments = {
        "quantizer": FIXED_POINT,
        "quantizer_knobs": FixedPointKnobs(bits=7),
        "regularizer": NONE,
        "regularizer_knobs": NoRegularizerKnobs(),
        "threshold": 0.0,
        "slice_bits": 1,
        "epochs": 3,
        "seed": 0,
    }
    return compress_in_rounds(
        STRIPES, DATA, trained.state, pruner=pruner, pruner_knobs=knobs, **(arguments | settings)
    )


@pytest.fixture(scope="module")
def pruned(trained: TrainedNetwork) -> PatchedNetwork:
    return patched(trained)


def test_codes_hold_what_the_plans_say(pruned: PatchedNetwork) -> None:
    assert [plan.name for plan in pruned.plans] == ["conv1", "conv2", "fc"]
    for layer, plan in zip(pruned.network.layers, pruned.plans, strict=True):
        patches = layer.patches
        assert patches is not None
        shape = layer.shape
        bits = plan.by_weight().reshape(shape.groups, shape.outputs, shape.wordlines)
        assert np.array_equal(patches.by_row(shape.wordlines), bits.transpose(1, 2).numpy())
        real = pruned.network.state[f"{plan.name}.weight"]
        assert torch.equal(real * plan.mask(), real)
    held = torch.cat([plan.bits.reshape(-1) for plan in pruned.plans])
    assert set(held.tolist()) == {0, 4, 8}
    assert pruned.ratios == compression_ratios(pruned.plans)
    assert pruned.network.metrics["cr32"] == compression_ratios(pruned.plans).cr32 > 8


def test_training_brings_the_pruned_network_back(
    trained: TrainedNetwork, pruned: PatchedNetwork
) -> None:
    untrained = patched(trained, epochs=0)
    ours, theirs = pruned.network.metrics, untrained.network.metrics
    assert ours["val_accuracy"] > theirs["val_accuracy"]
    assert theirs["epoch"] == 0


def test_the_chip_that_reads_patches_computes_the_codes(pruned: PatchedNetwork) -> None:
    layers = pruned.network.layers
    chip = Chip(
        crossbar=Crossbar(wordlines=32, bitlines=32, bits_per_cell=1),
        adc=SABERI,
        adc_bits=(3,) * 8,
        engine=OU_PATCH.for_layers(layers),
        encoding=TWOS_COMPLEMENT,
    )
    assert max(max(lossless_bits_of(layer, chip)) for layer in layers) in (2, 3)
    exact = simulated_accuracy(STRIPES, DATA, pruned.network.state, layers, chip=None)
    assert simulated_accuracy(STRIPES, DATA, pruned.network.state, layers, chip=chip) == exact
    one_bit = replace(chip, adc_bits=(1,) * 8)
    codes = torch.full((1, 72, 1), 255)
    clipped, whole = (SlicedWeights(layers[-1], each).product(codes) for each in (one_bit, chip))
    assert not torch.equal(clipped, whole)


def test_the_same_seed_gives_the_same_codes(
    trained: TrainedNetwork, pruned: PatchedNetwork
) -> None:
    before = torch.random.get_rng_state()
    again = patched(trained)
    assert torch.equal(torch.random.get_rng_state(), before)
    for one, other in zip(pruned.network.layers, again.network.layers, strict=True):
        assert np.array_equal(one.signed_codes(), other.signed_codes())
        assert one.bias is None or np.array_equal(one.bias, other.bias)
    other = patched(trained, seed=1)
    assert any(
        not np.array_equal(a.signed_codes(), b.signed_codes())
        for a, b in zip(pruned.network.layers, other.network.layers, strict=True)
    )


def test_masks_only_grow_from_round_to_round(
    trained: TrainedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[float, dict[str, Any]]] = []
    plans = PqPim.plans

    def watched(self: PqPim, *arguments: Any, **named: Any) -> dict[str, Any]:
        found = plans(self, *arguments, **named)
        seen.append((named["progress"], found))
        return found

    monkeypatch.setattr(PqPim, "plans", watched)
    patched(trained, replace(KNOBS, rounds=3))
    assert [part for part, _ in seen] == pytest.approx([0.6 + 0.4 / 3, 0.6 + 0.8 / 3, 1.0])
    for (_, earlier), (_, later) in pairwise(seen):
        for name, plan in earlier.items():
            gone = plan.bits == 0
            assert (later[name].bits[gone] == 0).all()
    assert seen[-1][1]["fc"].kept() < seen[0][1]["fc"].kept()


@pytest.mark.parametrize(
    ("epochs", "rounds", "expected"), [(3, 2, (1, 2)), (5, 3, (1, 2, 2)), (0, 1, (0,))]
)
def test_epochs_are_spread_and_the_last_rounds_get_the_rest(
    epochs: int, rounds: int, expected: tuple[int, ...]
) -> None:
    assert spread_epochs(epochs, rounds) == expected


def test_the_threshold_climbs_to_the_final_one() -> None:
    assert [progress(number, 2) for number in (1, 2)] == [0.8, 1.0]
    assert progress(1, 1) == 1.0


def test_without_patches_the_network_is_compressed_as_before(trained: TrainedNetwork) -> None:
    plain = patched(trained, NoPatchKnobs(), pruner=NO_PATCHES, epochs=0)
    assert plain.plans == ()
    assert plain.ratios is None
    assert all(layer.patches is None for layer in plain.network.layers)
    assert "cr32" not in plain.network.metrics
    mask = torch.zeros(8, 72)
    emptied = patched(
        trained, NoPatchKnobs(), pruner=NO_PATCHES, epochs=0, extra_masks={"fc.weight": mask}
    )
    assert not emptied.network.layers[-1].magnitudes.any()


def test_masks_of_others_add_to_those_of_the_patches(trained: TrainedNetwork) -> None:
    keep_half = (torch.arange(72) % 2).repeat(8, 1).float()
    found = patched(trained, epochs=0, extra_masks={"fc.weight": keep_half})
    layer, plan = found.network.layers[-1], found.plans[-1]
    assert not layer.magnitudes[0, ::2].any()
    assert layer.magnitudes.any()
    masks = plan_masks([plan], besides={"fc.weight": keep_half, "conv1.weight": torch.ones(1)})
    assert torch.equal(masks["fc.weight"], keep_half * plan.mask())
    assert torch.equal(masks["conv1.weight"], torch.ones(1))


def test_weak_inputs_reach_the_simulator(trained: TrainedNetwork) -> None:
    knobs = replace(KNOBS, weak_inputs=True, t_act=0.5)
    plain = patched(trained, epochs=1)
    weak = patched(trained, knobs, epochs=1)
    assert [layer.patches.weak_input_share for layer in weak.network.layers] == [0.5] * 3  # type: ignore[union-attr]
    for one, other in zip(plain.network.layers, weak.network.layers, strict=True):
        assert np.array_equal(one.signed_codes(), other.signed_codes())
    accuracies = [
        simulated_accuracy(STRIPES, DATA, each.network.state, each.network.layers, chip=None)
        for each in (plain, weak)
    ]
    assert abs(accuracies[0] - accuracies[1]) < 0.2


def test_pruning_everything_is_one_clear_error(trained: TrainedNetwork) -> None:
    knobs = PatchKnobs(patch=4, tsv=3.0, t_prune=0.5, prune_first=True, first_factor=1.0)
    everything = {name: {"tsv": 99.0} for name in ("conv1", "conv2", "fc")}
    with pytest.raises(StageError, match="needs at least one kept patch"):
        patched(trained, knobs, layer_knobs=everything, epochs=0)


def test_a_stored_network_keeps_its_patches(pruned: PatchedNetwork) -> None:
    layers = pruned.network.layers
    tensors = {**coded_to_tensors(layers), **patches_to_tensors(layers)}
    back = with_stored_patches(coded_from_tensors(tensors), tensors)
    for one, other in zip(layers, back, strict=True):
        assert_same_patches(one, other)
        assert np.array_equal(one.signed_codes(), other.signed_codes())


@pytest.mark.parametrize("share", [None, 0.7])
def test_the_activation_rule_is_stored(share: float | None) -> None:
    layer = patched_layer(1, size=8, groups=2, weak_input_share=share, small_input=9)
    found = patches_from_tensors(patches_to_tensors([layer]))
    assert_same_patches(layer, replace(layer, patches=found["layer"]))
    assert patches_to_tensors([replace(layer, patches=None)]) == {}


def test_a_stored_rule_that_is_missing_is_noticed() -> None:
    tensors = patches_to_tensors([patched_layer(1, size=8)])
    del tensors["layer/patch_rule"]
    with pytest.raises(StageError, match="'layer' have bits and a rule, got no rule"):
        patches_from_tensors(tensors)


def test_a_plan_survives_its_way_through_codes() -> None:
    layer = patched_layer(1, size=8, groups=2, weak_input_share=0.7)
    plan = plan_of(layer, (8, 21))
    assert plan is not None
    assert_same_patches(layer, with_patches(replace(layer, patches=None), plan), shift=False)
    assert plan_of(replace(layer, patches=None), (8, 21)) is None


@pytest.mark.parametrize(("input_bits", "small"), [(8, 15), (6, 3), (4, 0), (3, 0), (10, 63)])
def test_small_inputs_scale_with_the_bits_of_a_layer(input_bits: int, small: int) -> None:
    layer = patched_layer(1, size=8)
    plan = plan_of(layer, (4, 21))
    assert plan is not None
    found = with_patches(replace(layer, patches=None, input_bits=input_bits), plan)
    assert found.patches is not None
    assert found.patches.small_input == small


def assert_same_patches(one: CodedLayer, other: CodedLayer, *, shift: bool = True) -> None:
    ours, theirs = one.patches, other.patches
    assert ours is not None
    assert theirs is not None
    assert np.array_equal(ours.bits, theirs.bits)
    assert (ours.size, ours.weak_input_share, ours.small_input) == (
        theirs.size,
        theirs.weak_input_share,
        theirs.small_input,
    )
    assert not shift or ours.weak_shift == theirs.weak_shift
