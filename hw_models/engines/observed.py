"""What an engine may need to know about a layer beside its codes: inputs and patch precisions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hw_models.errors import HardwareError, MappingError
from hw_models.patches import rounded_inputs, weak_inputs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from hw_models.layer import CodedLayer

_CHUNK = 2048
"""Sampled positions that are expanded into digits at once; a matter of memory."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Observed:
    """Facts about one layer that only data or the compression can tell.

    Attributes:
        input_codes: (groups, S, K) integer input codes at S positions of real images, drawn
            evenly; a count is the mean over them times the positions of an image. They are the
            codes before weak input patches are rounded (`CodedLayer.patches`).
        patch_bits: (groups, ceil(K / n), N) precision of every patch: 8 full, 4 weak, 0 removed;
            None takes those of `CodedLayer.patches`.
    """

    input_codes: NDArray[np.integer] | None = None
    patch_bits: NDArray[np.integer] | None = None


def observed_of(
    observed: Sequence[Observed] | None, layers: Sequence[CodedLayer]
) -> list[Observed]:
    """One entry per layer, empty where nothing was given."""
    if observed is None:
        return [Observed() for _ in layers]
    if len(observed) != len(layers):
        raise MappingError(
            f"observed must have one entry per layer, got {len(observed)} for {len(layers)} "
            "layers. Give Observed() for a layer of which nothing is known."
        )
    return list(observed)


def input_codes(engine: str, layer: CodedLayer, observed: Observed) -> NDArray[np.integer]:
    """The sampled input codes, checked; a HardwareError if there are none."""
    codes, shape = observed.input_codes, layer.shape
    if codes is None:
        raise HardwareError(
            f"{shape.name}: the {engine} engine counts real input bits and needs input codes, got "
            "none. Pass observed=[Observed(input_codes=...)] with codes of sampled positions."
        )
    if codes.ndim != 3 or codes.shape[::2] != (shape.groups, shape.wordlines) or not codes.size:
        raise MappingError(
            f"{shape.name}: input codes must be (groups, positions, K) = ({shape.groups}, "
            f"S, {shape.wordlines}) with S at least 1, got shape {codes.shape}. Unfold the inputs "
            "of the layer."
        )
    if int(codes.min()) < 0 or int(codes.max()) >= 1 << layer.input_bits:
        raise MappingError(
            f"{shape.name}: input codes must be 0 to {(1 << layer.input_bits) - 1}, got "
            f"{int(codes.min())} to {int(codes.max())}. Pass integer codes, not activations."
        )
    return codes


def driven_codes(engine: str, layer: CodedLayer, observed: Observed) -> NDArray[np.integer]:
    """The sampled input codes as the wordlines get them: those of weak input patches rounded."""
    codes, patches = input_codes(engine, layer, observed), layer.patches
    if patches is None or patches.weak_input_share is None:
        return codes
    weak = weak_inputs(codes, patches.size, patches.weak_input_share, patches.small_input)
    by_row = np.repeat(weak, patches.size, axis=2)[:, :, : layer.shape.wordlines]
    return np.where(by_row, rounded_inputs(codes, layer.input_bits), codes)


def active_digits(
    codes: NDArray[np.integer], input_bits: int, dac_bits: int
) -> Iterator[NDArray[np.float32]]:
    """Whether each wordline is driven, in every input cycle of every sampled position.

    Args:
        codes: (S, K) input codes.
        input_bits: Bits of a code.
        dac_bits: Bits of a digit; a wordline with digit 0 is not driven.

    Yields:
        (chunk, K) zeros and ones.
    """
    for start in range(0, len(codes), _CHUNK):
        chunk = codes[start : start + _CHUNK].astype(np.int32)
        for shift in range(0, input_bits, dac_bits):
            digits = (chunk >> shift) & ((1 << dac_bits) - 1)
            yield (digits > 0).astype(np.float32)
