"""Copies of a layer's weights, and layers that work at the same time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from hw_models.engines.walk import fixed_areas
from hw_models.errors import HardwareError, MappingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hw_models.chip import Chip
    from hw_models.engines.engine import CostTerms
    from hw_models.layer import CodedLayer


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How layers share time. The default runs them one after the other, each held once.

    A layer held c times does its reads c at a time, on c times the arrays; energy stays. Pipelined
    layers work on different images at once, so images leave every `interval`, the time of the
    slowest layer ([Shafiee2016], inter-layer pipeline). Within an image, a layer starts when the
    layer before has done its `lead_positions` (for a convolution, the rows of its window), and
    ends no earlier than one position of its own after that layer has ended; without
    `lead_positions` it waits for the whole layer before. Branches of a network count as a chain.

    Attributes:
        copies: Times that each layer is held; None is once.
        pipelined: Whether layers work at the same time.
        lead_positions: Positions of each layer that the next one waits for; None is all.

    [Shafiee2016] A. Shafiee et al., "ISAAC", ISCA 2016.
    """

    copies: tuple[int, ...] | None = None
    pipelined: bool = False
    lead_positions: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        for field in ("copies", "lead_positions"):
            values = getattr(self, field)
            if values is not None and min(values, default=1) < 1:
                raise HardwareError(
                    f"schedule.{field} must be at least 1, got {min(values)}. A layer is held "
                    "at least once, and the next one needs at least one of its positions."
                )
        if self.lead_positions is not None and not self.pipelined:
            raise HardwareError(
                "schedule.lead_positions needs pipelined=True: layers that run one after the "
                "other wait for all positions."
            )


SEQUENTIAL = Schedule()


def with_copies(terms: CostTerms, chip: Chip, schedule: Schedule) -> CostTerms:
    """The terms of a network whose layers are held `schedule.copies` times."""
    if schedule.copies is None:
        return terms
    copies = _per_layer("copies", schedule.copies, len(terms.crossbars))
    if terms.layer_adcs is None:
        raise HardwareError(
            f"engine '{chip.engine.name}' does not tell its converters by layer, got copies. "
            "Set CostTerms.layer_adcs in the engine, or leave schedule.copies out."
        )
    crossbars = terms.crossbars * copies
    # What several converters per array multiplied stays multiplied.
    counted, reported = terms.layer_adcs.sum(axis=0), terms.adcs
    per_array = np.where(counted > 0, reported // np.maximum(counted, 1), 1)
    layer_adcs = terms.layer_adcs * copies[:, np.newaxis]
    return replace(
        terms,
        crossbars=crossbars,
        layer_adcs=layer_adcs,
        adcs=layer_adcs.sum(axis=0) * per_array,
        serial_reads=-(-terms.serial_reads // copies),
        fixed_area_m2=fixed_areas(int(crossbars.sum()), chip, terms.components),
    )


def latency_and_interval(
    layer_times: NDArray[np.float64], layers: Sequence[CodedLayer], schedule: Schedule
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Seconds (D,) for one image, and between two images.

    Args:
        layer_times: (D, L) time of all reads of each layer.
        layers: The network.
        schedule: Says that layers are pipelined.
    """
    interval = layer_times.max(axis=1)
    if schedule.lead_positions is None:
        return layer_times.sum(axis=1), interval
    leads = _per_layer("lead_positions", schedule.lead_positions, len(layers))
    begin = np.zeros(len(layer_times))
    end = np.zeros(len(layer_times))
    for index, layer in enumerate(layers):
        positions, time = layer.shape.positions, layer_times[:, index]
        end = np.maximum(begin + time, end + time / positions)
        begin = begin + time * min(int(leads[index]), positions) / positions
    return end, interval


def balanced_copies(terms: CostTerms, crossbars: int) -> tuple[int, ...]:
    """Copies that shorten the longest layer, one at a time, while arrays are left.

    Args:
        terms: The network held once; its layers' reads are taken to last the same time.
        crossbars: Arrays of the chip.
    """
    copies = np.ones(len(terms.crossbars), dtype=np.int64)
    left = crossbars - int(terms.crossbars.sum())
    if left < 0:
        raise MappingError(
            f"the network takes {int(terms.crossbars.sum())} crossbars, the chip has {crossbars}. "
            "Raise the number of crossbars or cell.bits."
        )
    while True:
        longest = int(np.argmax(-(-terms.serial_reads // copies)))
        if terms.crossbars[longest] > left or terms.crossbars[longest] == 0:
            return tuple(copies.tolist())
        if copies[longest] >= terms.serial_reads[longest]:
            return tuple(copies.tolist())
        left -= int(terms.crossbars[longest])
        copies[longest] += 1


def _per_layer(field: str, values: tuple[int, ...], layers: int) -> NDArray[np.int64]:
    if len(values) != layers:
        raise MappingError(
            f"schedule.{field} must have one entry per layer, got {len(values)} for {layers} "
            "layers. List them in the order of the network."
        )
    return np.array(values, dtype=np.int64)
