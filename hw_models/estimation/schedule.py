"""Copies of a layer's weights, and layers that work at the same time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from heapq import heapify, heappop, heappush
from itertools import pairwise
from math import ceil, isqrt
from typing import TYPE_CHECKING

import numpy as np

from hw_models.engines.walk import fixed_areas
from hw_models.errors import HardwareError, MappingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hw_models.chip import Chip
    from hw_models.engines.engine import CostTerms
    from hw_models.engines.observed import Observed
    from hw_models.layer import CodedLayer


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How layers share time. The default runs them one after the other, each held once.

    A layer held c times does its reads c at a time, on c times the arrays; energy stays. Pipelined
    layers work on different images at once, so images leave every `interval`, the time of the
    slowest layer ([Shafiee2016], inter-layer pipeline). Within an image, positions of a layer take
    equal times, one after the other; the first position of a layer waits for `lead_positions` of
    the layer before (for a convolution, the rows of its window), the last for all of them, and
    those between for evenly more of them. Without `lead_positions` a layer waits for the whole
    layer before. Branches of a network count as a chain, in the order of the layers, and buffers
    between layers hold what waits.

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
    # Position q ends at the largest of offset + slope * q: waiting for inputs that end so, and
    # working without a pause from the first position on, keep it that form.
    lines: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
    before = 0
    for index, layer in enumerate(layers):
        positions = layer.shape.positions
        each = layer_times[:, index] / positions
        waits = []
        first = np.zeros_like(each)  # when position 0 has its inputs
        if lines:
            lead = min(int(leads[index - 1]), before)
            step = 0.0 if positions == 1 else (before - lead) / (positions - 1)
            needed = before if positions == 1 else lead
            waits = [(at + slope * (needed - 1), slope * step) for at, slope in lines]
            first = np.max([at for at, _ in waits], axis=0)
        lines = [(first + each, each), *((at + each, slope) for at, slope in waits)]
        before = positions
    end = np.max([at + slope * (before - 1) for at, slope in lines], axis=0)
    return end, interval


def schedule_for(
    layers: Sequence[CodedLayer],
    chip: Chip,
    *,
    pipelined: bool,
    crossbars: int | None = None,
    observed: Sequence[Observed] | None = None,
) -> Schedule:
    """The schedule of a network on a chip that has a number of arrays.

    Args:
        layers: The network.
        chip: The chip.
        pipelined: Whether layers work at the same time, each from `lead_positions_of` on.
        crossbars: Arrays of the chip, which copies of layers fill up; None or 0 is the arrays
            that the network takes, so that every layer is held once.
        observed: Input codes and patches of each layer, for engines that count them.

    Raises:
        MappingError: The network takes more arrays than there are.
    """
    if crossbars is not None and crossbars < 0:
        raise HardwareError(
            f"schedule.crossbars must be at least 0, got {crossbars}. 0 holds every layer once."
        )
    copies = None
    if crossbars:
        given = {} if observed is None else {"observed": observed}
        terms = chip.engine.cost_terms(layers, chip, **given)
        chosen = balanced_copies if pipelined else fastest_copies
        copies = chosen(terms, crossbars)
    leads = lead_positions_of(layers) if pipelined else None
    return Schedule(copies=copies, pipelined=pipelined, lead_positions=leads)


def lead_positions_of(layers: Sequence[CodedLayer]) -> tuple[int, ...]:
    """Positions of each layer after which the next can begin, as far as their shapes tell.

    A convolution needs the rows of its first window: with a square k x k kernel on a map that is
    f times as wide as its own (a stride or a pooling between), (k f - 1) rows and k f pixels of
    the layer before. The kernel follows from the inputs of the layer over the outputs of the one
    before, the widths from square maps; padding, which the shapes do not tell, would need less.
    All positions where this does not hold: a fully connected layer, a branch, a map that is not
    square. The last layer's entry is all of its positions.
    """
    leads = [layer.shape.positions for layer in layers]
    for index, (layer, after) in enumerate(pairwise(layers)):
        shape, following = layer.shape, after.shape
        area, rest = divmod(following.wordlines * following.groups, shape.outputs * shape.groups)
        kernel, width, own = isqrt(area), isqrt(shape.positions), isqrt(following.positions)
        square = kernel**2 == area and width**2 == shape.positions
        if rest or not square or own**2 != following.positions or own == 1:
            continue
        window = kernel * ceil(width / own)
        if window and window <= width:
            leads[index] = min(shape.positions, (window - 1) * width + window)
    return tuple(leads)


def fastest_copies(terms: CostTerms, crossbars: int) -> tuple[int, ...]:
    """Copies for layers that run one after the other: each goes where an array saves most reads.

    Args:
        terms: The network held once; its layers' reads are taken to last the same time.
        crossbars: Arrays of the chip.
    """
    left = _arrays_left(terms, crossbars)
    reads, sizes = terms.serial_reads.tolist(), terms.crossbars.tolist()
    copies = [1] * len(reads)

    def saved(layer: int) -> float:
        """Reads saved per array of one more copy, negative for the heap."""
        held = copies[layer]
        return -float(reads[layer] / (held * (held + 1)) / sizes[layer])

    heap = [(saved(layer), layer) for layer in range(len(reads)) if sizes[layer] and reads[layer]]
    heapify(heap)
    while heap:
        _, layer = heappop(heap)
        if sizes[layer] > left or copies[layer] >= reads[layer]:
            continue  # what is left only shrinks
        left -= sizes[layer]
        copies[layer] += 1
        heappush(heap, (saved(layer), layer))
    return tuple(copies)


def balanced_copies(terms: CostTerms, crossbars: int) -> tuple[int, ...]:
    """Copies that shorten the longest layer, one at a time, while arrays are left.

    Args:
        terms: The network held once; its layers' reads are taken to last the same time.
        crossbars: Arrays of the chip.
    """
    copies = np.ones(len(terms.crossbars), dtype=np.int64)
    left = _arrays_left(terms, crossbars)
    while True:
        longest = int(np.argmax(-(-terms.serial_reads // copies)))
        if terms.crossbars[longest] > left or terms.crossbars[longest] == 0:
            return tuple(copies.tolist())
        if copies[longest] >= terms.serial_reads[longest]:
            return tuple(copies.tolist())
        left -= int(terms.crossbars[longest])
        copies[longest] += 1


def _arrays_left(terms: CostTerms, crossbars: int) -> int:
    needed = int(terms.crossbars.sum())
    if needed > crossbars:
        raise MappingError(
            f"the network takes {needed} crossbars, the chip has {crossbars}. "
            "Raise the number of crossbars or cell.bits."
        )
    return crossbars - needed


def _per_layer(field: str, values: tuple[int, ...], layers: int) -> NDArray[np.int64]:
    if len(values) != layers:
        raise MappingError(
            f"schedule.{field} must have one entry per layer, got {len(values)} for {layers} "
            "layers. List them in the order of the network."
        )
    return np.array(values, dtype=np.int64)
