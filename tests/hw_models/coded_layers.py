"""Random coded layers and chips for the tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hw_models.chip import Chip
from hw_models.converters.saberi import SABERI
from hw_models.crossbar import Crossbar
from hw_models.engines.isaac import ISAAC
from hw_models.layer import CodedLayer, LayerShape

if TYPE_CHECKING:
    from numpy.typing import NDArray


def coded_layer(
    seed: int = 0,
    *,
    wordlines: int = 150,
    outputs: int = 10,
    groups: int = 1,
    positions: int = 1,
    weight_bits: int = 8,
    input_bits: int = 8,
    input_offset: float = 0.0,
    zero_share: float = 0.3,
    bias: bool = True,
    name: str = "layer",
) -> CodedLayer:
    """A layer of uniform magnitudes, some of them zero, with random signs."""
    rng = np.random.default_rng(seed)
    size = (groups, wordlines, outputs)
    magnitudes = rng.integers(0, 1 << weight_bits, size)
    magnitudes[rng.random(size) < zero_share] = 0
    signs = rng.choice([-1, 1], size) * (magnitudes > 0)
    return CodedLayer(
        shape=LayerShape(
            name=name, wordlines=wordlines, outputs=outputs, groups=groups, positions=positions
        ),
        magnitudes=magnitudes.astype(np.uint8),
        signs=signs.astype(np.int8),
        weight_bits=weight_bits,
        weight_step=2.0**-9,
        input_bits=input_bits,
        input_step=2.0**-7,
        input_offset=input_offset,
        bias=rng.standard_normal(groups * outputs) if bias else None,
    )


def chip(
    adc_bits: tuple[int, ...] = (8, 8, 8, 8),
    *,
    wordlines: int = 128,
    bitlines: int = 128,
    bits_per_cell: int = 2,
) -> Chip:
    """An ISAAC-style chip."""
    return Chip(
        crossbar=Crossbar(wordlines=wordlines, bitlines=bitlines, bits_per_cell=bits_per_cell),
        adc=SABERI,
        adc_bits=adc_bits,
        engine=ISAAC,
    )


def real_weights(layer: CodedLayer) -> NDArray[np.float64]:
    """(groups * N, K) weights in real units."""
    matrices = layer.signed_codes().astype(np.float64).transpose(0, 2, 1)
    return matrices.reshape(-1, layer.shape.wordlines) * layer.weight_step
