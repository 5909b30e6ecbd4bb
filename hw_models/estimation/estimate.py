"""estimate(): what a network costs on a chip; the same formulas for one design and for many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hw_models.encodings.column_sums import network_statistics
from hw_models.errors import MappingError
from hw_models.estimation.digital import not_charged, with_additions
from hw_models.estimation.schedule import (
    SEQUENTIAL,
    Schedule,
    latency_and_interval,
    with_copies,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from hw_models.chip import Chip
    from hw_models.encodings.bit_slices import SliceStatistics
    from hw_models.engines.engine import CostTerms
    from hw_models.engines.observed import Observed
    from hw_models.layer import CodedLayer


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DesignCosts:
    """Costs of D designs that differ in their ADC resolutions, per image.

    Attributes:
        components: Names along the C axis.
        energy_j: (D,) whole network.
        latency_s: (D,) one image, by the schedule: layers one after the other by default.
        interval_s: (D,) between two images; the latency where layers are not pipelined.
        area_m2: (D,) whole chip.
        adc_energy_j: (D,) the ADCs' part of `energy_j`.
        component_energy_j: (D, C), sums to `energy_j`.
        component_area_m2: (D, C), sums to `area_m2`.
        crossbars: Arrays, the same for all designs.
        adc_conversions: Conversions, the same for all designs.
    """

    components: tuple[str, ...]
    energy_j: NDArray[np.float64]
    latency_s: NDArray[np.float64]
    interval_s: NDArray[np.float64]
    area_m2: NDArray[np.float64]
    adc_energy_j: NDArray[np.float64]
    component_energy_j: NDArray[np.float64]
    component_area_m2: NDArray[np.float64]
    crossbars: int
    adc_conversions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerEstimate:
    """One layer's part, per image.

    Attributes:
        name: Layer name.
        k: Wordlines of one matrix.
        n: Outputs of one matrix.
        v: MVMs per image.
        groups: Matrices.
        crossbars: Arrays that hold the layer.
        energy_j: Energy by component.
        latency_s: Time of its reads.
        adc_bits_used: Resolution per slice group, most significant first.
        adc_bits_lossless: Smallest resolution that never clips, likewise, in the chip's encoding
            with its input digits and the rows that its engine reads together.
        nonzero_slice_ratio: Share of weights with a non-zero cell, likewise.
    """

    name: str
    k: int
    n: int
    v: int
    groups: int
    crossbars: int
    energy_j: dict[str, float]
    latency_s: float
    adc_bits_used: tuple[int, ...]
    adc_bits_lossless: tuple[int, ...]
    nonzero_slice_ratio: tuple[float, ...]

    def to_json(self) -> dict[str, object]:
        """The `layers` entry of `dse explain`."""
        return {
            "name": self.name,
            "k": self.k,
            "n": self.n,
            "v": self.v,
            "groups": self.groups,
            "crossbars": self.crossbars,
            "energy_j": dict(self.energy_j),
            "latency_s": self.latency_s,
            "adc_bits": {
                "used": list(self.adc_bits_used),
                "lossless": list(self.adc_bits_lossless),
            },
            "nonzero_slice_ratio": list(self.nonzero_slice_ratio),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a network costs on a chip, per image.

    Attributes:
        engine: Name of the engine.
        adc: Name of the ADC model.
        energy_j: Whole network.
        latency_s: One image, by the schedule: layers one after the other by default.
        interval_s: Between two images; the latency where layers are not pipelined.
        area_m2: Whole chip.
        crossbars: Arrays.
        adc_conversions: Conversions.
        adc_energy_j: The ADCs' part of `energy_j`.
        components: (energy in J, area in m2) by component; both sum to the totals.
        layers: By layer, in the order given.
        not_charged: What the costs leave out, in words.
    """

    engine: str
    adc: str
    energy_j: float
    latency_s: float
    interval_s: float
    area_m2: float
    crossbars: int
    adc_conversions: int
    adc_energy_j: float
    components: dict[str, tuple[float, float]]
    layers: tuple[LayerEstimate, ...]
    not_charged: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """`layers` and `components` as `dse explain` prints them, beside the totals."""
        return {
            "engine": self.engine,
            "adc": self.adc,
            "energy_j": self.energy_j,
            "latency_s": self.latency_s,
            "interval_s": self.interval_s,
            "area_m2": self.area_m2,
            "crossbars": self.crossbars,
            "adc_conversions": self.adc_conversions,
            "adc_energy_j": self.adc_energy_j,
            "not_charged": list(self.not_charged),
            "layers": [layer.to_json() for layer in self.layers],
            "components": {
                name: {"energy_j": energy, "area_m2": area}
                for name, (energy, area) in self.components.items()
            },
        }


def estimate_designs(
    layers: Sequence[CodedLayer],
    chip: Chip,
    adc_bits: ArrayLike,
    *,
    observed: Sequence[Observed] | None = None,
    schedule: Schedule = SEQUENTIAL,
    additions: Sequence[int] | None = None,
) -> DesignCosts:
    """Cost of many designs at once.

    Args:
        layers: The network.
        chip: Everything but the ADC resolutions.
        adc_bits: (D, G) integers, slice groups most significant first.
        observed: Input codes and patches of each layer, for engines that count them.
        schedule: Copies of layers, and whether they work at the same time.
        additions: Element-wise additions after each layer, per image (shortcuts); None leaves
            them out.
    """
    bits = np.asarray(adc_bits)
    groups = len(chip.adc_bits)
    if bits.ndim != 2 or bits.shape[1] != groups:
        raise MappingError(
            f"adc_bits must be (designs, {groups}) like the chip's slice groups, got shape "
            f"{bits.shape}. Wrap a single design in a list."
        )
    terms = _cost_terms(layers, chip, observed, schedule, additions)
    return _design_costs(terms, chip, bits, layers, schedule, _read_times(terms, chip, bits))


def estimate(
    layers: Sequence[CodedLayer],
    chip: Chip,
    statistics: Sequence[SliceStatistics] | None = None,
    *,
    observed: Sequence[Observed] | None = None,
    schedule: Schedule = SEQUENTIAL,
    additions: Sequence[int] | None = None,
) -> Estimate:
    """Cost of one design, by component and by layer.

    Args:
        layers: The network.
        chip: The chip.
        statistics: `network_statistics` of a chip that shares them, if they are known already;
            they take far longer than the estimate.
        observed: Input codes and patches of each layer, for engines that count them.
        schedule: Copies of layers, and whether they work at the same time.
        additions: Element-wise additions after each layer, per image (shortcuts); None leaves
            them out.
    """
    terms = _cost_terms(layers, chip, observed, schedule, additions)
    bits = np.array([chip.adc_bits])
    read_times = _read_times(terms, chip, bits)
    costs = _design_costs(terms, chip, bits, layers, schedule, read_times)
    if statistics is None:
        statistics = network_statistics(layers, chip)
    energies = _layer_energies(terms, chip, bits, read_times)[0].tolist()
    latencies = (read_times * terms.serial_reads)[0].tolist()
    crossbars_of = terms.crossbars.tolist()
    of_width = {layer.weight_bits: layer for layer in layers}
    used_bits = {width: _used_bits(terms, chip, layer) for width, layer in of_width.items()}
    per_layer = zip(layers, statistics, crossbars_of, energies, latencies, strict=True)
    return Estimate(
        engine=chip.engine.name,
        adc=chip.adc.name,
        energy_j=float(costs.energy_j[0]),
        latency_s=float(costs.latency_s[0]),
        interval_s=float(costs.interval_s[0]),
        area_m2=float(costs.area_m2[0]),
        crossbars=costs.crossbars,
        adc_conversions=costs.adc_conversions,
        adc_energy_j=float(costs.adc_energy_j[0]),
        components={
            name: (float(energy), float(area))
            for name, energy, area in zip(
                costs.components,
                costs.component_energy_j[0],
                costs.component_area_m2[0],
                strict=True,
            )
        },
        layers=tuple(
            LayerEstimate(
                name=layer.shape.name,
                k=layer.shape.wordlines,
                n=layer.shape.outputs,
                v=layer.shape.positions,
                groups=layer.shape.groups,
                crossbars=crossbars,
                energy_j=dict(zip(terms.components, energy, strict=True)),
                latency_s=latency,
                adc_bits_used=used_bits[layer.weight_bits],
                adc_bits_lossless=counted.lossless_adc_bits,
                nonzero_slice_ratio=counted.nonzero_ratio,
            )
            for layer, counted, crossbars, energy, latency in per_layer
        ),
        not_charged=not_charged(additions),
    )


def _cost_terms(
    layers: Sequence[CodedLayer],
    chip: Chip,
    observed: Sequence[Observed] | None,
    schedule: Schedule,
    additions: Sequence[int] | None,
) -> CostTerms:
    """What was observed goes to the engine as a keyword, so engines may do without it."""
    given = {} if observed is None else {"observed": observed}
    terms = chip.engine.cost_terms(layers, chip, **given)
    # Copies count areas anew, for the components that an engine has.
    return with_additions(with_copies(terms, chip, schedule), layers, chip, additions)


def _used_bits(terms: CostTerms, chip: Chip, layer: CodedLayer) -> tuple[int, ...]:
    bits = chip.adc_bits_for(layer.shape.name, layer.weight_bits)
    return (max(chip.adc_bits),) * len(bits) if terms.shared_adc else bits


def _converters(terms: CostTerms, bits: NDArray[np.int64]) -> NDArray[np.int64]:
    """(D, G): resolutions that are paid; a shared converter has the largest of them."""
    if not terms.shared_adc:
        return bits
    return np.broadcast_to(bits.max(axis=1, keepdims=True), bits.shape)


def _read_times(terms: CostTerms, chip: Chip, bits: NDArray[np.int64]) -> NDArray[np.float64]:
    """(D, L): the slowest slice group of a layer sets the time of its reads."""
    times = chip.adc.conversion_time_s(_converters(terms, bits))
    slowest = np.empty((len(bits), len(terms.uses_group)))
    alike: dict[bytes, list[int]] = {}
    for index, used in enumerate(terms.uses_group):
        alike.setdefault(used.tobytes(), []).append(index)
    for layers in alike.values():
        used_times = times[:, terms.uses_group[layers[0]]]
        slowest[:, layers] = used_times.max(axis=1)[:, np.newaxis]
    return np.asarray(np.maximum(terms.read_time_s, terms.columns_per_adc * slowest))


def _layer_energies(
    terms: CostTerms, chip: Chip, bits: NDArray[np.int64], read_times: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(D, L, C)."""
    energies = terms.fixed_energy_j + read_times[:, :, np.newaxis] * terms.held_power_w_reads
    per_conversion = chip.adc.energy_per_conversion_j(_converters(terms, bits))
    energies[:, :, terms.components.index("adc")] += per_conversion @ terms.conversions.T
    return energies


def _design_costs(
    terms: CostTerms,
    chip: Chip,
    bits: NDArray[np.int64],
    layers: Sequence[CodedLayer],
    schedule: Schedule,
    read_times: NDArray[np.float64],
) -> DesignCosts:
    """The sums over layers, without a (D, L, C) array in between."""
    adc = terms.components.index("adc")
    energies = terms.fixed_energy_j.sum(axis=0) + read_times @ terms.held_power_w_reads
    paid = _converters(terms, bits)
    energies[:, adc] += chip.adc.energy_per_conversion_j(paid) @ terms.conversions.sum(axis=0)
    areas = np.tile(terms.fixed_area_m2, (len(bits), 1))
    areas[:, adc] += chip.adc.area_m2(paid) @ terms.adcs
    latency = interval = read_times @ terms.serial_reads
    if schedule.pipelined:
        latency, interval = latency_and_interval(read_times * terms.serial_reads, layers, schedule)
    return DesignCosts(
        components=terms.components,
        energy_j=energies.sum(axis=1),
        latency_s=latency,
        interval_s=interval,
        area_m2=areas.sum(axis=1),
        adc_energy_j=energies[:, adc].copy(),
        component_energy_j=energies,
        component_area_m2=areas,
        crossbars=int(terms.crossbars.sum()),
        adc_conversions=int(terms.conversions.sum()),
    )
