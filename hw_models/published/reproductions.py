"""Analytic published numbers, computed by the models at the moment of the call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hw_models.converters.resolution import mean_bits
from hw_models.converters.saberi import SABERI, adc_area_ratio, adc_power_ratio, adc_time_ratio
from hw_models.crossbar import Crossbar
from hw_models.published import bit_slice_2019 as bit_slice
from hw_models.published import bits_net, pq_pim
from hw_models.published import isaac_2016 as isaac
from hw_models.published.rows import PublishedRow
from hw_models.units import GIGA, MILLI, MM2, PICO

_MEBI = 1 << 20
_LARGEST_PATCH = max(pq_pim.PATCH_SIZES)

Verdict = Literal["exact", "within band", "off"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduction:
    """A row's printed numbers beside ours.

    Attributes:
        published: As printed.
        ours: Computed, in the same units.
        verdict: "exact" within the rounding of the print, "within band" inside a wider stated
            one, "off" outside.
    """

    published: tuple[float, ...]
    ours: tuple[float, ...]
    verdict: Verdict

    @property
    def ratios(self) -> tuple[float, ...]:
        """Ours over the paper's; NaN where the paper has zero."""
        return tuple(
            ours / published if published else float("nan")
            for ours, published in zip(self.ours, self.published, strict=True)
        )


Compute = Callable[[], tuple[float, ...]]


def reproduce(row: PublishedRow) -> Reproduction | None:
    """Our numbers for an analytic row; None where nothing here computes them.

    Args:
        row: Of `hw_models.published.rows.published_rows`.
    """
    if row.id in _SPECIAL:
        return _SPECIAL[row.id](row)
    if row.id not in _COMPUTED:
        return None
    published, ours = row.numbers(), tuple(_COMPUTED[row.id]())
    inside = all(
        abs(o - p) <= tolerance * (1 + 1e-9) + 1e-12 * abs(p)
        for o, p, tolerance in zip(ours, published, row.tolerances(), strict=True)
    )
    verdict: Verdict = "within band" if "%" in row.tolerance else "exact"
    return Reproduction(published=published, ours=ours, verdict=verdict if inside else "off")


def _mean_rule_bits() -> tuple[float, ...]:
    """Bits of XB3 and the most of XB2 .. XB0, over the MLP and VGG-11."""
    found = {
        (bits[0], max(bits[1:]))
        for model in ("MLP", "VGG-11")
        for bits in [mean_bits(_ratios(model, "bit_slice_l1"), wordlines=isaac.WORDLINES)]
    }
    return tuple(float(max(bits)) for bits in zip(*found, strict=True))


def _ratios(model: str, method: str) -> list[float]:
    return [percent / 100 for percent in bit_slice.sparsity(model, method).nonzero_percent]


def _table_3(ratio: Callable[[list[int]], NDArray[np.float64]]) -> Compute:
    return lambda: tuple(ratio([row.adc_bits for row in bit_slice.ADC]).tolist())


def _twice_the_sparsity() -> tuple[float, ...]:
    l1, ours = (np.mean(_ratios("VGG-11", method)) for method in ("l1", "bit_slice_l1"))
    return (float(l1 / ours),)


def _isaac_crossbar() -> Crossbar:
    return Crossbar(
        wordlines=isaac.WORDLINES, bitlines=isaac.BITLINES, bits_per_cell=isaac.BITS_PER_CELL
    )


def _isaac_totals() -> tuple[float, ...]:
    return (
        isaac.ima_power_w() / MILLI,
        isaac.tile_power_w() / MILLI,
        isaac.chip_power_w(),
        isaac.chip_area_m2() / MM2,
    )


def _isaac_efficiency() -> tuple[float, ...]:
    area_mm2 = isaac.chip_area_m2() / MM2
    return (
        isaac.operations_per_s() / GIGA / area_mm2,
        isaac.storage_bytes() / _MEBI / area_mm2,
    )


def _averages_and_deviations(row: PublishedRow) -> Reproduction:
    published, ours = [], []
    for line in bit_slice.SPARSITY:
        ratios = np.array(line.nonzero_percent)
        published += [line.average_percent, line.std_percent]
        ours += [float(ratios.mean()), float(ratios.std(ddof=0))]
    tolerance = float(row.tolerance)
    inside = all(abs(o - p) <= tolerance for o, p in zip(ours, published, strict=True))
    return Reproduction(
        published=tuple(published), ours=tuple(ours), verdict="exact" if inside else "off"
    )


def _adc_shares(row: PublishedRow) -> Reproduction:
    ours = (
        100 * isaac.ADC.power_w / isaac.ima_power_w(),
        100 * isaac.IMAS_PER_TILE * isaac.ADC.area_m2 / isaac.tile_area_m2(),
    )
    more = all(o > p for o, p in zip(ours, row.numbers(), strict=True))
    return Reproduction(
        published=row.numbers(), ours=ours, verdict="within band" if more else "off"
    )


def _no_cell_in_state_11(row: PublishedRow) -> Reproduction:
    """Q2.6 has none in either set; Q1.7 and saturated Q0.8 have some."""

    def any_11(fraction_bits: int) -> bool:
        levels = np.array(bits_net.SET_1 + bits_net.SET_2)
        cells = bits_net.cells(bits_net.code(levels, fraction_bits=fraction_bits))
        return bool((cells == 3).any())

    holds = not any_11(6) and any_11(7) and any_11(8)
    return Reproduction(
        published=(1.0,), ours=(float(holds),), verdict="exact" if holds else "off"
    )


def _flags_mibit(values: int) -> tuple[float, ...]:
    return (pq_pim.flag_bits(values, _LARGEST_PATCH) / _MEBI,)


_COMPUTED: Mapping[str, Compute] = {
    "bs_t3_bits": _mean_rule_bits,
    "bs_t3_power": _table_3(adc_power_ratio),
    "bs_t3_time": _table_3(adc_time_ratio),
    "bs_t3_area": _table_3(adc_area_ratio),
    "bs_full_bits": lambda: (float(_isaac_crossbar().encoded_adc_bits()),),
    "bs_2x": _twice_the_sparsity,
    "bn_energy_cells": lambda: tuple(e / PICO for e in reversed(bits_net.CELL_ENERGY_J)),
    "bn_energy_adc": lambda: (bits_net.ADC_ENERGY_J / PICO,),
    "bn_set1": lambda: bits_net.SET_1,
    "bn_set2": lambda: tuple(32 * level for level in bits_net.SET_2),
    "pq_fig2_ous": lambda: (
        float(pq_pim.FIGURE_2_PATCHES),
        float(sum(columns > 0 for columns in pq_pim.FIGURE_2_BITS)),
    ),
    "pq_fig2_cells": lambda: tuple(
        float(pq_pim.figure_2_cells(columns))
        for columns in (
            [pq_pim.FIGURE_2_FULL_BITS] * pq_pim.FIGURE_2_PATCHES,
            pq_pim.FIGURE_2_BITS,
        )
    ),
    "pq_wpit": lambda: _flags_mibit(pq_pim.VGG16_CIFAR10_WEIGHTS),
    "pq_apit": lambda: _flags_mibit(pq_pim.VGG16_CIFAR10_INPUTS),
    "pq_adc_mw": lambda: (float(SABERI.power_w(pq_pim.ADC_BITS)) * isaac.ADC.count / MILLI,),
    "pq_cu_pe": lambda: (
        pq_pim.cu_power_w() / MILLI,
        pq_pim.pe_power_w() / MILLI,
        pq_pim.chip_power_w(),
    ),
    "pq_adc_bits": lambda: (float(pq_pim.adc_bits(_LARGEST_PATCH)),),
    "isaac_totals": _isaac_totals,
    "isaac_eff": _isaac_efficiency,
}

_SPECIAL: Mapping[str, Callable[[PublishedRow], Reproduction]] = {
    "bs_rows_avg_std": _averages_and_deviations,
    "bs_isaac_share": _adc_shares,
    "bn_no11": _no_cell_in_state_11,
}
