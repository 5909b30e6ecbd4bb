from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from dse.errors import StageError
from dse.pruning.no_patches import NONE
from dse.pruning.patch_pruner import PatchPruner
from dse.pruning.patches import PatchPlan, plan_layer
from dse.pruning.pq_pim import PQ_PIM
from search_spaces.patches import NoPatchKnobs, PatchKnobs

PRUNERS: list[tuple[PatchPruner, Any]] = [(NONE, NoPatchKnobs()), (PQ_PIM, PatchKnobs(patch=4))]


def weights() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(3)
    return {
        "conv1": torch.randn(6, 1, 5, 5, generator=generator),
        "conv2": torch.randn(8, 6, 3, 3, generator=generator),
        "fc": torch.randn(10, 30, generator=generator),
    }


def plans(
    knobs: PatchKnobs, *, layers: dict[str, dict[str, float]] | None = None, progress: float = 1.0
) -> dict[str, PatchPlan]:
    held = weights()
    deviations = {name: float(weight.std()) for name, weight in held.items()}
    return PQ_PIM.plans(held, knobs, deviations=deviations, layers=layers or {}, progress=progress)


@pytest.mark.parametrize(("pruner", "knobs"), PRUNERS)
def test_a_pruner_plans_all_layers_or_none_and_leaves_the_weights_alone(
    pruner: PatchPruner, knobs: Any
) -> None:
    held = weights()
    found = pruner.plans(held, knobs, deviations=dict.fromkeys(held, 1.0), layers={}, progress=1.0)
    assert isinstance(knobs, pruner.knobs)
    assert list(found) == (list(held) if pruner.rounds(knobs) else [])
    for name, plan in found.items():
        assert plan.name == name
        assert plan.shape == held[name].shape
    assert all(torch.equal(weight, weights()[name]) for name, weight in held.items())


def test_the_threshold_is_in_deviations_of_the_layer() -> None:
    knobs = PatchKnobs(patch=4, tsv=1.2)
    weight = weights()["fc"]
    small = 1.2 * float(weight.std())
    expected = plan_layer("fc", weight, size=4, small=small, t_prune=0.75, t_quant=0.25)
    assert torch.equal(plans(knobs)["fc"].bits, expected.bits)
    half = plan_layer("fc", weight, size=4, small=small / 2, t_prune=0.75, t_quant=0.25)
    assert torch.equal(plans(knobs, progress=0.5)["fc"].bits, half.bits)


def test_a_first_convolution_keeps_its_patches_and_has_a_smaller_threshold() -> None:
    knobs = PatchKnobs(patch=4, tsv=3.0, first_factor=0.5)
    found = plans(knobs)
    assert not (found["conv2"].bits > 0).any()
    assert set(found["conv1"].bits.unique().tolist()) == {4, 8} or (found["conv1"].bits == 4).all()
    assert (found["conv1"].bits > 0).all()
    pruned = plans(replace(knobs, prune_first=True))["conv1"]
    weight = weights()["conv1"]
    small = 1.5 * float(weight.std())
    expected = plan_layer("conv1", weight, size=4, small=small, t_prune=0.75, t_quant=0.25)
    assert torch.equal(pruned.bits, expected.bits)
    assert (pruned.bits == 0).any()


def test_a_first_linear_layer_is_pruned_like_the_others() -> None:
    weight = weights()["fc"]
    found = PQ_PIM.plans(
        {"fc": weight},
        PatchKnobs(patch=4, tsv=3.0),
        deviations={"fc": 1.0},
        layers={},
        progress=1.0,
    )
    assert not (found["fc"].bits > 0).any()


def test_a_layer_may_have_thresholds_of_its_own() -> None:
    knobs = PatchKnobs(patch=4, tsv=1.0, weak_inputs=True, t_act=0.75)
    layers = {"conv2": {"tsv": 3.0}, "fc": {"t_prune": 1.0, "t_quant": 1.0, "t_act": 0.5}}
    ours, plain = plans(knobs, layers=layers), plans(knobs)
    assert torch.equal(ours["conv1"].bits, plain["conv1"].bits)
    assert not (ours["conv2"].bits > 0).any()
    assert (plain["conv2"].bits > 0).any()
    assert set(ours["fc"].bits.unique().tolist()) == {0, 8}
    assert [plan.weak_input_share for plan in ours.values()] == [0.75, 0.75, 0.5]
    assert plans(replace(knobs, weak_inputs=False))["fc"].weak_input_share is None


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ({"fc9": {"tsv": 1.0}}, "are those of conv1, conv2, fc, got 'fc9'"),
        ({"fc": {"patch": 8}}, "fc: a layer has a tsv, t_prune, t_quant, t_act .* got 'patch'"),
    ],
)
def test_knobs_of_no_layer_are_refused(layers: dict[str, Any], message: str) -> None:
    with pytest.raises(StageError, match=message):
        plans(PatchKnobs(), layers=layers)
