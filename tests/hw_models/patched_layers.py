"""Random coded layers with patches for the tests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hw_models.layer import CodedLayer
from hw_models.patches import Patches
from tests.hw_models.coded_layers import coded_layer


def patched_layer(
    seed: int,
    *,
    size: int,
    wordlines: int = 21,
    outputs: int = 4,
    groups: int = 1,
    positions: int = 1,
    weight_bits: int = 7,
    input_bits: int = 8,
    weak_shift: int | None = None,
    weak_input_share: float | None = None,
    small_input: int = 15,
) -> CodedLayer:
    """A layer of full, weak and removed patches in equal parts, with weights that fit them."""
    rng = np.random.default_rng(seed)
    layer = coded_layer(
        seed,
        wordlines=wordlines,
        outputs=outputs,
        groups=groups,
        positions=positions,
        weight_bits=weight_bits,
        input_bits=input_bits,
    )
    widest = max(0, weight_bits - 3)
    patches = Patches(
        size=size,
        bits=rng.choice([8, 4, 0], (groups, -(-wordlines // size), outputs)).astype(np.int8),
        weak_shift=int(rng.integers(0, widest + 1)) if weak_shift is None else weak_shift,
        weak_input_share=weak_input_share,
        small_input=small_input,
    )
    by_row = patches.by_row(wordlines)
    top = min(7, (1 << weight_bits) - 1)
    weak = rng.integers(0, top + 1, layer.magnitudes.shape) << patches.weak_shift
    magnitudes = np.where(by_row == 4, weak, np.where(by_row == 8, layer.magnitudes, 0))
    signs = np.where(layer.signs == 0, 1, layer.signs) * (magnitudes > 0)
    return replace(
        layer,
        magnitudes=magnitudes.astype(np.uint8),
        signs=signs.astype(np.int8),
        patches=patches,
    )
