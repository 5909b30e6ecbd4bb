"""Patches of a plan on integer codes, and their form in the stage store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from dse.errors import StageError
from dse.pruning.patches import PatchPlan
from hw_models.layer import CodedLayer
from hw_models.patches import WEAK, WEAK_MAGNITUDE_BITS, Patches

_BITS, _RULE = "patch_bits", "patch_rule"


def with_patches(layer: CodedLayer, plan: PatchPlan) -> CodedLayer:
    """A lowered layer that knows its patches.

    The shift of the weak weights is the smallest that covers the largest of them. The largest
    small input, a code of 8 bits in the plan, becomes one of the layer's bits.

    Args:
        layer: Trained with the plan's mask and the refinement of its weak weights.
        plan: Of this layer.

    Raises:
        MappingError: The codes are not those of such training.
    """
    shape = layer.shape
    bits = plan.bits.reshape(shape.groups, shape.outputs, -1).transpose(1, 2)
    patches = Patches(
        size=plan.size,
        bits=bits.contiguous().numpy(),
        weak_input_share=plan.weak_input_share,
        small_input=_scaled(plan.small_input, 8, layer.input_bits),
    )
    weak = layer.magnitudes[patches.by_row(shape.wordlines) == WEAK]
    largest, shift = int(weak.max(initial=0)), 0
    while largest >> shift >= 1 << WEAK_MAGNITUDE_BITS:
        shift += 1
    return replace(layer, patches=replace(patches, weak_shift=shift))


def plan_of(layer: CodedLayer, weight_shape: Sequence[int]) -> PatchPlan | None:
    """The plan of a layer that knows its patches, so that training can go on; None without."""
    patches = layer.patches
    if patches is None:
        return None
    bits = torch.from_numpy(patches.bits).transpose(1, 2)  # (groups, N, patches)
    return PatchPlan(
        name=layer.shape.name,
        shape=tuple(weight_shape),
        size=patches.size,
        bits=bits.reshape(-1, bits.shape[2]),
        weak_input_share=patches.weak_input_share,
        small_input=_scaled(patches.small_input, layer.input_bits, 8),
    )


def patches_to_tensors(layers: Iterable[CodedLayer]) -> dict[str, Tensor]:
    """Patches as a flat dictionary of tensors, keys `layer/field`; nothing without patches."""
    tensors: dict[str, Tensor] = {}
    for layer in layers:
        patches, name = layer.patches, layer.shape.name
        if patches is None:
            continue
        share = patches.weak_input_share
        rule = [
            float(patches.size),
            float(patches.weak_shift),
            -1.0 if share is None else share,
            float(patches.small_input),
        ]
        tensors[f"{name}/{_BITS}"] = torch.tensor(patches.bits)
        tensors[f"{name}/{_RULE}"] = torch.tensor(rule, dtype=torch.float64)
    return tensors


def patches_from_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Patches]:
    """What `patches_to_tensors` wrote, by layer; other tensors are left alone.

    Raises:
        StageError: A tensor is missing.
    """
    found: dict[str, Patches] = {}
    for key in tensors:
        name, _, field = key.rpartition("/")
        if field != _BITS:
            continue
        if f"{name}/{_RULE}" not in tensors:
            raise StageError(
                f"stored patches of layer {name!r} have bits and a rule, got no rule. "
                "Remove the stored stage; it is computed again"
            )
        size, shift, share, small_input = tensors[f"{name}/{_RULE}"].tolist()
        found[name] = Patches(
            size=int(size),
            bits=tensors[key].numpy(),
            weak_shift=int(shift),
            weak_input_share=None if share < 0 else share,
            small_input=int(small_input),
        )
    return found


def with_stored_patches(
    layers: Iterable[CodedLayer], tensors: Mapping[str, Tensor]
) -> tuple[CodedLayer, ...]:
    """Layers with the patches that were stored beside their codes, bit for bit."""
    found = patches_from_tensors(tensors)
    return tuple(replace(layer, patches=found.get(layer.shape.name)) for layer in layers)


def _scaled(code: int, bits: int, wanted: int) -> int:
    """The last code of a range `0 .. code` of `bits` bits, in `wanted` bits; at least 0."""
    return max(0, ((code + 1) << wanted >> bits) - 1)
