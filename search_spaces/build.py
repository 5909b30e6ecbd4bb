"""build_chip(): the accelerator of a design point."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hw_models.chip import Chip
from hw_models.crossbar import Crossbar

if TYPE_CHECKING:
    from hw_models.converters.converter import AdcModel
    from hw_models.engines.engine import Engine
    from search_spaces.design_point import DesignPoint


def build_chip(point: DesignPoint, *, engine: Engine, adc: AdcModel) -> Chip:
    """The accelerator of a design point.

    Args:
        point: The design.
        engine: What `point.engine` stands for.
        adc: What `point.adc.model` stands for.
    """
    return Chip(
        crossbar=Crossbar(
            wordlines=point.crossbar.wordlines,
            bitlines=point.crossbar.bitlines,
            bits_per_cell=point.cell.bits,
        ),
        adc=adc,
        adc_bits=point.adc.bits,
        engine=engine,
    )
