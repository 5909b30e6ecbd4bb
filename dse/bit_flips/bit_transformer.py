"""Bit-Transformer: few set bits per weight, emptied columns, a cap on the ones of a column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from dse.bit_flips.columns import FlipRule, flip_block
from dse.bit_flips.correction import corrected_bias, least_squares_gain
from dse.bit_flips.inputs import InputMoments
from dse.bit_flips.patch_planes import planes_of_patches
from dse.errors import StageError
from dse.layer_knobs import check_layer_knobs
from hw_models.encodings.bit_slices import SIGNS, row_blocks
from hw_models.layer import CodedLayer
from search_spaces.bit_flips import BitTransformerKnobs

LAYER_KNOBS = ("terms", "tau", "cap")
"""Knobs that a layer may have of its own; corrections are those of the network."""


class BitTransformer:
    """The scheme of [Liu2021], without training, on differential magnitudes.

    Weights become sums of at most S powers of two; whole columns of (tile, sign, bit plane) are
    emptied where that adds little error, the other bits of a weight making up for it; a cap on
    the ones of a column allows a small converter with all wordlines driven. Then the step of
    the layer's weights and its bias take up what can be corrected digitally. Weights of patches
    stay in the columns of their patch.

    [Liu2021] F. Liu et al., "Bit-Transformer: Transforming Bit-level Sparsity into Higher
        Performance in ReRAM-based Accelerator", ICCAD 2021.
    """

    knobs: type[BitTransformerKnobs] = BitTransformerKnobs
    layer_knobs: tuple[str, ...] = LAYER_KNOBS

    def uses_inputs(self, knobs: BitTransformerKnobs) -> bool:
        """For both corrections, and where errors count by the inputs."""
        return knobs.correct_bias or knobs.correct_gain or knobs.weight_by_inputs

    def flip(
        self,
        layers: Sequence[CodedLayer],
        knobs: BitTransformerKnobs,
        *,
        wordlines: int,
        mean_inputs: Mapping[str, InputMoments] | None = None,
        allowed_planes: Mapping[str, NDArray[np.uint8]] | None = None,
        layer_knobs: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> tuple[CodedLayer, ...]:
        """Flip every layer by itself; see `BitFlipper.flip`."""
        if wordlines < 1:
            raise StageError(
                f"a crossbar has at least 1 wordline, got {wordlines}. Pass crossbar.wordlines"
            )
        planes, own = allowed_planes or {}, layer_knobs or {}
        names = [layer.shape.name for layer in layers]
        check_layer_knobs("bit flips", own, layers=names, knobs=LAYER_KNOBS)
        return tuple(
            self._flip(
                layer,
                replace(knobs, **own.get(layer.shape.name, {})),
                wordlines=wordlines,
                inputs=self._moments(layer, knobs, mean_inputs),
                allowed=planes.get(layer.shape.name),
            )
            for layer in layers
        )

    def _moments(
        self,
        layer: CodedLayer,
        knobs: BitTransformerKnobs,
        mean_inputs: Mapping[str, InputMoments] | None,
    ) -> InputMoments | None:
        if not self.uses_inputs(knobs):
            return None
        shape = layer.shape
        moments = (mean_inputs or {}).get(shape.name)
        if moments is None:
            raise StageError(
                f"{shape.name}: corrections and weight_by_inputs need the moments of its inputs, "
                "got none. Measure them with measure_inputs, or switch all of them off"
            )
        if moments.mean.shape != (shape.groups, shape.wordlines):
            raise StageError(
                f"{shape.name}: moments of its inputs have shape (groups, K) = "
                f"{(shape.groups, shape.wordlines)}, got {moments.mean.shape}. Measure them on "
                "this network"
            )
        return moments

    def _flip(
        self,
        layer: CodedLayer,
        knobs: BitTransformerKnobs,
        *,
        wordlines: int,
        inputs: InputMoments | None,
        allowed: NDArray[np.uint8] | None,
    ) -> CodedLayer:
        shape = layer.shape
        rule = FlipRule(
            bits=layer.weight_bits,
            terms=knobs.terms,
            tau=knobs.tau,
            cap=knobs.cap or None,
            rule=cast('Literal["free", "window"]', knobs.rule),
        )
        forbidden = _forbidden(layer, allowed)
        flipped = np.zeros_like(layer.magnitudes)
        for matrix in range(shape.groups):
            for rows in row_blocks(shape.wordlines, wordlines):
                block = (matrix, rows)
                importance = None
                if knobs.weight_by_inputs and inputs is not None:
                    importance = inputs.mean_square[block]
                for sign in SIGNS:
                    held = layer.signs[block] == sign
                    flipped[block] += flip_block(
                        layer.magnitudes[block] * held,
                        rule,
                        forbidden=None if forbidden is None else forbidden[block],
                        importance=importance,
                    )
        result = replace(layer, magnitudes=flipped)
        if knobs.correct_gain and inputs is not None:
            gain = least_squares_gain(layer, result, inputs)
            result = replace(result, weight_step=layer.weight_step * gain)
        if knobs.correct_bias and inputs is not None:
            result = replace(result, bias=corrected_bias(layer, result, inputs.mean))
        return result


def _forbidden(layer: CodedLayer, allowed: NDArray[np.uint8] | None) -> NDArray[np.uint8] | None:
    """Mask per weight of the planes that it must not use, (groups, K, N)."""
    if allowed is not None and (
        allowed.shape != layer.magnitudes.shape or allowed.dtype != np.uint8
    ):
        raise StageError(
            f"{layer.shape.name}: allowed planes are uint8 masks of shape "
            f"{layer.magnitudes.shape}, got {allowed.dtype} of shape {allowed.shape}. Give one "
            "mask per weight"
        )
    of_patches = planes_of_patches(layer)
    masks = [mask for mask in (allowed, of_patches) if mask is not None]
    if not masks:
        return None
    usable: NDArray[np.uint8] = np.bitwise_and.reduce(masks)
    return ~usable & np.uint8((1 << layer.weight_bits) - 1)


BIT_TRANSFORMER = BitTransformer()
