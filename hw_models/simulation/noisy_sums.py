"""What converters and device effects change, in real numbers: the slow path.

Every column of every row block is computed, since no bound holds. A converter of N bits and step d
reads min(floor(S / d + 1 / 2), 2**N - 1) * d for S >= 0 and 0 below.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from hw_models.encodings.column_sums import planes_of
from hw_models.simulation.columns import checked_steps

if TYPE_CHECKING:
    from torch import Tensor

    from hw_models.chip import Chip
    from hw_models.layer import CodedLayer
    from hw_models.simulation.nonidealities.nonidealities import Nonidealities


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Plane:
    """One column per output: what was asked for, what the cells hold, how it is converted."""

    matrix: int
    rows: slice
    asked: Tensor
    held: Tensor
    factors: Tensor
    largest_code: int
    step: int


class NoisySums:
    """A layer's columns as real conductances, programmed once.

    Reads draw from one stream of noise: a repeated call sees new noise, a rebuilt layer of the
    same seed the same.

    Attributes:
        name: What results report as the backend.
    """

    name = "float"

    def __init__(
        self,
        layer: CodedLayer,
        chip: Chip,
        effects: Nonidealities,
        *,
        step_bits: tuple[int, ...] | None,
        seed: int,
    ) -> None:
        """Program the arrays.

        Args:
            layer: Codes.
            chip: Geometry, encoding and ADC resolutions.
            effects: What happens to cells and reads.
            step_bits: log2 of the ADC step per slice group, most significant first; None is 1.
            seed: Of the programming and of the reads.
        """
        rng = np.random.default_rng(seed)
        adc_bits = chip.adc_bits_for(layer.shape.name, layer.weight_bits)
        steps = checked_steps(layer.shape.name, step_bits, len(adc_bits))
        largest_level = (1 << chip.crossbar.bits_per_cell) - 1
        self.outputs = layer.shape.outputs
        self.input_bits = layer.input_bits
        self.dac_bits = chip.dac_bits
        self.effects = effects
        self._off = effects.smallest(largest_level)
        self._generator = torch.Generator().manual_seed(int(rng.integers(1 << 63)))
        self._planes = [
            _Plane(
                matrix=matrix,
                rows=rows,
                asked=torch.from_numpy(plane.cells.astype(np.float64)),
                held=torch.from_numpy(effects.programmed(plane.cells, largest_level, rng)),
                factors=torch.from_numpy(plane.factors.astype(np.float64))[:, None],
                largest_code=(1 << adc_bits[plane.group]) - 1,
                step=1 << steps[plane.group],
            )
            for matrix, rows, planes in planes_of(layer, chip)
            for plane in planes
        ]

    def clipped(self, codes: Tensor) -> Tensor:
        """Exact product minus the chip's.

        Shapes:
            codes: (groups, K, M) integers.
            returns: (groups, N, M) float64 real numbers.
        """
        integers = codes.to(torch.int32)
        lost = torch.zeros(
            codes.shape[0], self.outputs, codes.shape[2], dtype=torch.float64, device=codes.device
        )
        mask = (1 << self.dac_bits) - 1
        for plane in self._planes:
            for shift in range(0, self.input_bits, self.dac_bits):
                digits = ((integers[plane.matrix, plane.rows] >> shift) & mask).double()
                asked = plane.asked.to(codes.device).t() @ digits
                change = asked - self._read(plane, digits)
                factors = plane.factors.to(codes.device) * float(1 << shift)
                lost[plane.matrix] += factors * change
        return lost

    def _read(self, plane: _Plane, digits: Tensor) -> Tensor:
        """Converted column sums (N, M)."""
        held = plane.held.to(digits.device)
        sums = held.t() @ digits
        if self.effects.ir_drop is not None:
            sums -= self.effects.ir_drop.lost(held, digits)
        if self.effects.read_noise is not None:
            sums += self.effects.read_noise.noise(held, digits, self._generator)
        sums -= self._off * digits.sum(0)
        return (sums / plane.step + 0.5).floor_().clamp_(0, plane.largest_code) * plane.step
