"""The fronts of a hardware sweep as JSON and as tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from hw_models.sweep.adcs_per_array import AdcsPerArray
from hw_models.sweep.sweep import MISSING_ADC_BITS, SweepResult, SweptDesign
from hw_models.units import MICRO, MM2
from search_spaces.adc import slice_path

_SHOWN = {
    "energy_j": ("energy_uj", MICRO),
    "latency_s": ("latency_us", MICRO),
    "area_m2": ("area_mm2", MM2),
    "adc_energy_j": ("adc_energy_uj", MICRO),
}


def sweep_json(
    study: str, network: str, results: Mapping[str, SweepResult], seconds: float
) -> dict[str, Any]:
    """What `dse sweep --format json` prints.

    Args:
        study: Name of the study.
        network: Number of the trial whose network was swept, or the file.
        results: By converter model.
        seconds: Spent pricing.
    """
    n_designs = sum(result.n_designs for result in results.values())
    return {
        "study": study,
        "trial": int(network) if network.isdecimal() else None,
        "checkpoint": None if network.isdecimal() else network,
        "n_designs": n_designs,
        "seconds": round(seconds, 4),
        "sweeps": [
            {
                "adc.model": model,
                "n_designs": result.n_designs,
                "n_lossless": result.n_lossless,
                "objectives": list(result.objectives),
                "front": [design_json(design) for design in result.front],
                "lossless_front": [design_json(design) for design in result.lossless_front],
            }
            for model, result in results.items()
        ],
    }


def design_json(design: SweptDesign) -> dict[str, Any]:
    """One design: its knobs as a study file writes them, and its costs."""
    crossbar, engine = design.chip.crossbar, design.chip.engine
    params: dict[str, Any] = {
        "engine": engine.name,
        "crossbar.wordlines": crossbar.wordlines,
        "crossbar.bitlines": crossbar.bitlines,
        "crossbar.ou_wordlines": crossbar.ou_wordlines or 0,
        "cell.bits": crossbar.bits_per_cell,
        "encoding": design.chip.encoding.name,
        "dac.bits": design.chip.dac_bits,
        "adc.model": design.chip.adc.name,
        "adc.per_array": engine.count if isinstance(engine, AdcsPerArray) else 1,
    }
    for significance, bits in enumerate(reversed(design.adc_bits)):
        params[slice_path(significance)] = bits
    costs: dict[str, float] = {}
    for name, value in design.costs.items():
        shown, unit = _SHOWN.get(name, (name, 0.0))
        costs[shown] = value / unit if unit else int(value)
    return {"params": params, "costs": costs, "lossless": design.lossless}


def sweep_table(model: str, result: SweepResult, *, most: int) -> Table:
    """One model's front for a person; the designs that never clip come first.

    Args:
        model: Converter model.
        result: Its sweep.
        most: Rows shown of the designs that clip.
    """
    clipping = [design for design in result.front if not design.lossless]
    shown = clipping[:: -(-len(clipping) // most)] if clipping else []
    left_out = f"; {len(shown)} of {len(clipping)} that clip shown" if clipping != shown else ""
    table = Table(
        title=f"Hardware front, {model} ADCs: {len(result.front)} of {result.n_designs} designs",
        caption=f"{result.n_lossless} designs never clip, {len(result.lossless_front)} of them on "
        f"their front{left_out}. Cell in bits, ADCs per array, missing bits over all slice groups",
    )
    for column in ("array", "cell", "ADCs", "ADC bits", "missing", "uJ", "us", "mm2", "arrays"):
        table.add_column(column, justify="right", overflow="fold")
    for designs in (result.lossless_front, shown):
        for design in designs:
            _add(table, design)
        table.add_section()
    return table


def _add(table: Table, design: SweptDesign) -> None:
    crossbar, engine, costs = design.chip.crossbar, design.chip.engine, design.costs
    missing = int(costs[MISSING_ADC_BITS])
    table.add_row(
        _array(design),
        str(crossbar.bits_per_cell),
        str(engine.count if isinstance(engine, AdcsPerArray) else 1),
        "/".join(map(str, design.adc_bits)),
        str(missing or "none"),
        f"{costs['energy_j'] / MICRO:.4g}",
        f"{costs['latency_s'] / MICRO:.4g}",
        f"{costs['area_m2'] / MM2:.4g}",
        str(int(costs["crossbars"])),
    )


def _array(design: SweptDesign) -> str:
    """Size of an array, and what is unusual about it."""
    chip, crossbar = design.chip, design.chip.crossbar
    words = [f"{crossbar.wordlines}x{crossbar.bitlines}"]
    if crossbar.ou_wordlines is not None:
        words.append(f"{crossbar.ou_wordlines} rows at once")
    if chip.encoding.name != "differential":
        words.append(chip.encoding.name)
    if chip.dac_bits > 1:
        words.append(f"{chip.dac_bits}-bit DAC")
    return ", ".join(words)
