"""Codes of a network as flat tensors, patches included; what is stored and exported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from dse.pipeline.lower import coded_from_tensors, coded_to_tensors
from dse.pipeline.patch_codes import patches_to_tensors, with_stored_patches
from hw_models.layer import CodedLayer


def codes_to_tensors(layers: Sequence[CodedLayer]) -> dict[str, Tensor]:
    """A flat dictionary of tensors, such as safetensors stores; keys `layer/field`."""
    return {**coded_to_tensors(layers), **patches_to_tensors(layers)}


def codes_from_tensors(tensors: Mapping[str, Tensor]) -> tuple[CodedLayer, ...]:
    """What `codes_to_tensors` wrote, bit for bit.

    Raises:
        StageError: A tensor is missing.
    """
    return with_stored_patches(coded_from_tensors(tensors), tensors)
