"""Prune patches in rounds, with training between them, down to codes that know their patches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from dse.datasets.dataset import ImageDataset
from dse.pipeline.compress import CompressedNetwork, compress
from dse.pipeline.patch_codes import with_patches
from dse.pipeline.pretrain import check_epochs
from dse.pipeline.tracing import trace_task
from dse.pruning.patch_pruner import PatchPruner
from dse.pruning.patches import (
    CompressionRatios,
    PatchGrid,
    PatchPlan,
    compression_ratios,
)
from dse.quantizers.quantizer import Place, Quantizer, Refinement
from dse.tasks.task import Task

FIRST_PROGRESS = 0.6
"""Part of the final TSV from which the rounds start to climb. Our decision: on LeNet, 0.6 of the
TSV that compresses 100-fold compresses about 10-fold at no loss, even without training."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PatchedNetwork:
    """A compressed network and what became of its patches.

    Attributes:
        network: Its layers know their patches.
        plans: The last round's, in the order of execution; none without patches.
        ratios: Compression of the planned layers; None without patches.
    """

    network: CompressedNetwork
    plans: tuple[PatchPlan, ...]
    ratios: CompressionRatios | None


def compress_in_rounds(
    task: Task,
    data: ImageDataset,
    pretrained: Mapping[str, Tensor],
    *,
    pruner: PatchPruner,
    pruner_knobs: Any,
    layer_knobs: Mapping[str, Mapping[str, Any]] | None = None,
    quantizer: Quantizer,
    quantizer_knobs: Any,
    epochs: int,
    extra_masks: Mapping[str, Tensor] | None = None,
    **options: Any,
) -> PatchedNetwork:
    """`compress`, with patches planned from the real weights before each of several rounds.

    Round r of R has the TSV (0.6 + 0.4 r / R) times the final one, so masks only grow: a removed
    patch is all zero and is removed again. The epochs are spread over the rounds, the last ones
    get the rest; there are never more rounds than epochs, and one without epochs.

    Args:
        task: Whose network it is.
        data: Its training images only.
        pretrained: State from `pretrain`.
        pruner: Plans the patches.
        pruner_knobs: Its knobs.
        layer_knobs: Knobs that some layers have of their own.
        quantizer: Grid of weights and biases.
        quantizer_knobs: Its knobs.
        epochs: Of all rounds together.
        extra_masks: Weights that stay 0 besides, by parameter name.
        **options: What else `compress` takes.

    Raises:
        StageError: An argument cannot be, or every patch of the network would be removed.
        TrainingError: Training diverged.
    """
    check_epochs(epochs)
    given = {"quantizer": quantizer, "quantizer_knobs": quantizer_knobs, **options}
    rounds = min(pruner.rounds(pruner_knobs), max(1, epochs))
    if rounds == 0:
        return PatchedNetwork(
            network=compress(
                task, data, pretrained, epochs=epochs, extra_masks=extra_masks, **given
            ),
            plans=(),
            ratios=None,
        )
    names = [layer.name for layer in trace_task(task, data)]
    weights = _weights(pretrained, names)
    deviations = {name: float(weight.std(correction=0)) for name, weight in weights.items()}
    bits = _magnitude_bits(quantizer, quantizer_knobs, names)
    network: CompressedNetwork | None = None
    plans: dict[str, PatchPlan] = {}
    for number, part in enumerate(spread_epochs(epochs, rounds), start=1):
        state = pretrained if network is None else network.state
        plans = pruner.plans(
            _weights(state, names),
            pruner_knobs,
            deviations=deviations,
            layers=layer_knobs or {},
            progress=progress(number, rounds),
        )
        network = compress(
            task,
            data,
            state,
            epochs=part,
            extra_masks=plan_masks(plans.values(), besides=extra_masks),
            refine=plan_refinements(plans.values(), bits),
            **given,
        )
    assert network is not None
    ratios = compression_ratios(plans.values())
    return PatchedNetwork(
        network=replace(
            network,
            layers=tuple(with_patches(each, plans[each.shape.name]) for each in network.layers),
            metrics={
                **network.metrics,
                "cr32": ratios.cr32,
                "cr32i": ratios.cr32i,
                "cr32_apib": ratios.cr32_apib,
                "cr8": ratios.cr8,
            },
        ),
        plans=tuple(plans[name] for name in names),
        ratios=ratios,
    )


def progress(number: int, rounds: int) -> float:
    """Part of the final TSV in round `number` of `rounds`, counted from 1."""
    return FIRST_PROGRESS + (1 - FIRST_PROGRESS) * number / rounds


def spread_epochs(epochs: int, rounds: int) -> tuple[int, ...]:
    """Epochs of each round; the last ones get what does not divide."""
    each, rest = divmod(epochs, rounds)
    return tuple(each + (number >= rounds - rest) for number in range(rounds))


def plan_masks(
    plans: Iterable[PatchPlan], *, besides: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """Masks by parameter name, 1 where a weight is kept, in its shape.

    Args:
        plans: Of any layers.
        besides: More masks; a weight that has two is kept if both keep it.
    """
    masks = dict(besides or {})
    for plan in plans:
        name = f"{plan.name}.weight"
        mask = plan.mask()
        masks[name] = mask * masks[name].to(mask) if name in masks else mask
    return masks


def plan_refinements(plans: Iterable[PatchPlan], bits: Mapping[str, int]) -> dict[str, Refinement]:
    """What the patches of each layer hold of its levels, by layer.

    Args:
        plans: Of any layers.
        bits: Magnitude bits of a layer's weights, by layer.
    """
    return {plan.name: PatchGrid(plan, bits=bits[plan.name]) for plan in plans}


def _weights(state: Mapping[str, Tensor], names: Sequence[str]) -> dict[str, Tensor]:
    return {name: state[f"{name}.weight"] for name in names}


def _magnitude_bits(quantizer: Quantizer, knobs: Any, names: Sequence[str]) -> dict[str, int]:
    """Bits of each layer's weights: first and last layer may have others."""
    ends = len(names) - 1
    return {
        name: quantizer.grid(knobs, Place(first=number == 0, last=number == ends)).bits
        for number, name in enumerate(names)
    }
