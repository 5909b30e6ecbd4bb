"""Tables 1 to 3 of the bit-slice sparsity paper as data.

[Zhang2019] J. Zhang, H. Yang, F. Chen, Y. Wang, H. Li, "Exploring Bit-Slice Sparsity in Deep
    Neural Networks for Efficient ReRAM-Based Deployment", 2019.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SparsityRow:
    """One line of Table 1 (MNIST) or Table 2 (CIFAR-10); numbers in percent as printed.

    Attributes:
        model: Network.
        dataset: Data set.
        method: "pruned", "l1" or "bit_slice_l1".
        accuracy_percent: Test accuracy.
        nonzero_percent: Non-zero ratio of slices B3, B2, B1, B0 (most significant first).
        average_percent: Printed mean of the four.
        std_percent: Printed standard deviation; it is the population form (ddof 0).
    """

    model: str
    dataset: str
    method: str
    accuracy_percent: float
    nonzero_percent: tuple[float, float, float, float]
    average_percent: float
    std_percent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AdcRow:
    """One line of Table 3: the ADCs of one crossbar group against 8-bit ones.

    Attributes:
        slices: Indices of the slice groups that the line covers (3 is the most significant).
        adc_bits: Resolution.
        power_ratio: Printed as "energy saving"; it is 2^N / (N + 1) against 8 bits, a power.
        time_ratio: Printed as "speedup".
        area_ratio: Printed as "area saving".
    """

    slices: tuple[int, ...]
    adc_bits: int
    power_ratio: float
    time_ratio: float
    area_ratio: float


def _row(
    model: str,
    dataset: str,
    method: str,
    accuracy: float,
    nonzero: tuple[float, float, float, float],
    average: float,
    std: float,
) -> SparsityRow:
    return SparsityRow(
        model=model,
        dataset=dataset,
        method=method,
        accuracy_percent=accuracy,
        nonzero_percent=nonzero,
        average_percent=average,
        std_percent=std,
    )


SPARSITY = (
    _row("MLP", "MNIST", "pruned", 97.99, (1.08, 5.87, 8.42, 17.42), 8.20, 5.94),
    _row("MLP", "MNIST", "l1", 97.99, (1.19, 5.21, 7.01, 11.36), 6.19, 3.65),
    _row("MLP", "MNIST", "bit_slice_l1", 97.67, (0.84, 4.02, 4.27, 9.58), 4.68, 3.14),
    _row("VGG-11", "CIFAR-10", "pruned", 88.93, (0.86, 28.30, 34.14, 33.39), 24.17, 13.65),
    _row("VGG-11", "CIFAR-10", "l1", 89.39, (0.39, 9.37, 18.43, 22.19), 12.59, 8.45),
    _row("VGG-11", "CIFAR-10", "bit_slice_l1", 89.33, (0.21, 3.57, 7.09, 10.71), 5.40, 3.92),
    _row("ResNet-20", "CIFAR-10", "pruned", 89.22, (1.10, 8.07, 21.92, 43.96), 18.76, 16.36),
    _row("ResNet-20", "CIFAR-10", "l1", 90.62, (0.44, 4.71, 14.37, 33.16), 13.17, 12.60),
    _row("ResNet-20", "CIFAR-10", "bit_slice_l1", 89.66, (0.31, 3.34, 11.99, 31.39), 11.76, 12.12),
)
"""Tables 1 and 2, all nine rows."""

ADC = (
    AdcRow(slices=(3,), adc_bits=1, power_ratio=28.4, time_ratio=8.0, area_ratio=2.0),
    AdcRow(slices=(2, 1, 0), adc_bits=3, power_ratio=14.2, time_ratio=2.67, area_ratio=2.0),
)
"""Table 3. The text below it says "XB_0" where it means the most significant group, XB_3."""

FULL_ADC_BITS = 8
"""ADC resolution without sparsity: 9 bits for a full column, one less by ISAAC's encoding."""


def sparsity(model: str, method: str) -> SparsityRow:
    """The row of one network and method."""
    return next(row for row in SPARSITY if row.model == model and row.method == method)
