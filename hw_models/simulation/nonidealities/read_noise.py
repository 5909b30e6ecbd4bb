"""Currents that differ from read to read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from hw_models.errors import HardwareError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadNoise:
    """Normal noise on each cell's current, proportional to it, new in every read.

    The proportional cycle-to-cycle read noise of [Xiao2022]. The noises of a column add up to one
    normal of variance sigma**2 * sum((digit * G)**2), which is what is drawn.

    Attributes:
        sigma: Standard deviation of a cell's current relative to it.

    [Xiao2022] T. P. Xiao et al., "On the Accuracy of Analog Neural Network Inference
        Accelerators", IEEE Circuits and Systems Magazine 22(4), 2022.
    """

    sigma: float

    def __post_init__(self) -> None:
        if not self.sigma >= 0.0:
            raise HardwareError(
                f"read noise: sigma must be at least 0, got {self.sigma}. It is a fraction."
            )

    def noise(self, conductances: Tensor, digits: Tensor, generator: torch.Generator) -> Tensor:
        """(N, M) noise of the column sums of (K, N) conductances and (K, M) digits."""
        deviation = self.sigma * (conductances.square().t() @ digits.square()).sqrt()
        drawn = torch.randn(deviation.shape, generator=generator, dtype=deviation.dtype)
        return deviation * drawn.to(deviation.device)
