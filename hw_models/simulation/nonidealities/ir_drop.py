"""Voltage lost along the bitline, to first order in the wire's resistance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from hw_models.errors import HardwareError

if TYPE_CHECKING:
    from torch import Tensor

CHUNK = 1 << 22
"""Cells times MVMs held at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IrDrop:
    """Cells far from the converter see less voltage, the more current the column carries.

    The circuit is that of [Xiao2022]: wire segments of resistance r between the cells of a bitline
    that ends in a virtual ground at its last row; cells of undriven rows are switched off (1T1R);
    the wordlines' own drop is not modelled. Kirchhoff's laws are solved by one fixed-point step
    from the ideal currents I, i.e. to first order in r: the current of driven cell i falls by
    G_i * r * sum over k of (segments shared by i and k on their way to the end) * I_k.

    Attributes:
        resistance: r times the conductance of one cell level, a pure number: 2.82 ohm per cell
            (MNSIM 2.0, Crossbar.py) at levels of 1 / (300 kilo-ohm) is 9.4e-6.

    [Xiao2022] T. P. Xiao et al., "On the Accuracy of Analog Neural Network Inference
        Accelerators", IEEE Circuits and Systems Magazine 22(4), 2022.
    """

    resistance: float

    def __post_init__(self) -> None:
        if not self.resistance >= 0.0:
            raise HardwareError(
                f"IR drop: resistance must be at least 0, got {self.resistance}. "
                "It is ohms per wire segment times siemens per cell level."
            )

    def lost(self, conductances: Tensor, digits: Tensor) -> Tensor:
        """(N, M) fall of the column sums of (K, N) conductances and (K, M) digits.

        Sharing a segment is lying on its far side: with C(s) the sum over rows 0 .. s, the fall
        is r * sum over s of C_G(s) * C_I(s).
        """
        rows, columns = conductances.shape
        lost = torch.empty(columns, digits.shape[1], dtype=conductances.dtype)
        lost = lost.to(conductances.device)
        width = max(1, CHUNK // (rows * columns))
        for start in range(0, digits.shape[1], width):
            part = digits[:, None, start : start + width]
            on = conductances[:, :, None] * (part > 0)
            currents = (conductances[:, :, None] * part).cumsum(0)
            lost[:, start : start + width] = (on.cumsum(0) * currents).sum(0)
        return lost * self.resistance
