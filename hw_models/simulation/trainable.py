"""Crossbars for weights that change with every step of training: the same integers, laid out fast.

`layers.CrossbarLinear` and `CrossbarConv2d` sort and tabulate columns once and then serve many
batches. While training each layout serves one batch, so here column sums are popcounts over bit
planes (`popcount_kernel.py`), which need next to no layout. Both compute the same integers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from hw_models.encodings.bit_slices import row_blocks
from hw_models.encodings.column_sums import rows_per_read
from hw_models.encodings.differential import DIFFERENTIAL
from hw_models.errors import MappingError
from hw_models.simulation.columns import checked_steps
from hw_models.simulation.layers import CrossbarConv2d, CrossbarLinear
from hw_models.simulation.mvm import SlicedWeights

if TYPE_CHECKING:
    from torch import Tensor

    from hw_models.chip import Chip
    from hw_models.layer import CodedLayer
    from hw_models.simulation.mvm import SimulationOptions

MVM_TILE = 1024
"""MVMs whose bit planes of one row block, 16 bytes per MVM and input bit, are in cache at once."""


class CountedWeights(SlicedWeights):
    """`SlicedWeights` for one batch on the CPU, differential encoding: column sums by popcount."""

    def __init__(
        self, layer: CodedLayer, chip: Chip, *, step_bits: tuple[int, ...] | None = None
    ) -> None:
        """Nothing is sliced before the first product.

        Args:
            layer: Codes.
            chip: Geometry and ADC resolutions, encoding differential.
            step_bits: log2 of the ADC step per slice group, most significant first; None is 1.
        """
        super().__init__(layer, None)
        bits = chip.adc_bits_for(layer.shape.name, layer.weight_bits)
        self._limits = np.array([(1 << each) - 1 for each in bits], dtype=np.int64)
        self._steps = np.array(
            checked_steps(layer.shape.name, step_bits, len(bits)), dtype=np.int64
        )
        self._blocks = tuple(
            row_blocks(layer.shape.wordlines, chip.crossbar.wordlines, rows_per_read(chip))
        )
        self._weight_bits = layer.weight_bits
        self._cell_bits = chip.crossbar.bits_per_cell
        self.dac_bits = chip.dac_bits
        self.can_clip = True

    def backend(self, device: torch.device) -> str:
        """Always `popcount`."""
        return "popcount"

    def clipped(self, codes: Tensor) -> Tensor:
        """What the ADCs cut off.

        Shapes:
            codes: (groups, K, M) integers on the CPU.
            returns: (groups, N, M) float64 integers.
        """
        from hw_models.simulation.popcount_kernel import (
            WORD_ROWS,
            add_cut,
            pack_inputs,
            pack_weights,
        )

        matrices, _, mvms = codes.shape
        columns, levels = codes.contiguous().numpy(), self.signed.numpy()
        outputs = levels.shape[1]
        lost = np.zeros((matrices, outputs, mvms), dtype=np.int64)
        for matrix in range(matrices):
            for rows in self._blocks:
                words = -(-(rows.stop - rows.start) // WORD_ROWS)
                planes = np.empty((2, outputs, self._weight_bits, words), dtype=np.uint64)
                pack_weights(levels[matrix], rows.start, rows.stop, planes)
                for first in range(0, mvms, MVM_TILE):
                    tile = slice(first, min(first + MVM_TILE, mvms))
                    size = tile.stop - tile.start
                    inputs = np.empty((self.input_bits, words, size), dtype=np.uint64)
                    pack_inputs(columns[matrix], rows.start, rows.stop, first, inputs)
                    part = np.zeros((outputs, size), dtype=np.int64)
                    add_cut(
                        inputs,
                        planes,
                        self._cell_bits,
                        self._limits,
                        self._steps,
                        self.dac_bits,
                        part,
                    )
                    lost[matrix, :, tile] += part
        return torch.from_numpy(lost).double()


def crossbar_of_a_step(
    module: nn.Module,
    layer: CodedLayer,
    chip: Chip | None,
    device: torch.device,
    *,
    step_bits: tuple[int, ...] | None = None,
) -> CrossbarLinear | CrossbarConv2d:
    """The layer on crossbars, for the codes of one training step.

    What it computes equals `to_crossbars` bit for bit, whatever the path. The fast path is for
    the differential encoding on the CPU with numba; others lay the columns out at every step.

    Args:
        module: Linear or Conv2d.
        layer: Its codes.
        chip: Geometry, encoding and ADC resolutions; None is unlimited ADCs.
        device: Where it will compute.
        step_bits: log2 of the ADC step per slice group, most significant first; None is 1.
    """
    fast = chip is not None and counts_fast(layer, chip, device)
    laid_out = None if fast else chip
    options: SimulationOptions = {} if laid_out is None else {"step_bits": step_bits}
    crossbar: CrossbarLinear | CrossbarConv2d
    if isinstance(module, nn.Linear):
        crossbar = CrossbarLinear(module, layer, laid_out, **options)
    elif isinstance(module, nn.Conv2d):
        crossbar = CrossbarConv2d(module, layer, laid_out, **options)
    else:
        raise MappingError(
            f"{layer.shape.name} is a {type(module).__name__}, crossbars take Linear and Conv2d. "
            "Leave it out to keep it digital."
        )
    if fast and chip is not None:
        crossbar.sliced = CountedWeights(layer, chip, step_bits=step_bits)
    return crossbar


def counts_fast(layer: CodedLayer, chip: Chip, device: torch.device) -> bool:
    """Whether `CountedWeights` computes this layer on this chip and device."""
    if device.type != "cpu" or chip.encoding != DIFFERENTIAL or layer.patches is not None:
        return False
    try:
        import hw_models.simulation.popcount_kernel  # noqa: F401
    except ImportError:
        return False
    return True
