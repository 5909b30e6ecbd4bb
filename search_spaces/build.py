"""build_chip(): the accelerator of a design point."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from hw_models.chip import Chip
from hw_models.crossbar import Crossbar
from hw_models.engines.ou_patch import OuPatchEngine
from hw_models.sweep.adcs_per_array import AdcsPerArray

if TYPE_CHECKING:
    from hw_models.converters.converter import AdcModel
    from hw_models.encodings.encoding import Encoding
    from hw_models.engines.engine import Engine
    from search_spaces.design_point import DesignPoint


def build_chip(point: DesignPoint, *, engine: Engine, encoding: Encoding, adc: AdcModel) -> Chip:
    """The accelerator of a design point.

    Args:
        point: The design.
        engine: What `point.engine.name` stands for; it is set up by the engine's knobs.
        encoding: What `point.encoding` stands for.
        adc: What `point.adc.model` stands for.

    Raises:
        HardwareError: The knobs contradict each other.
    """
    crossbar = point.crossbar
    chip_engine: Engine = configured_engine(point, engine)
    if point.adc.per_array > 1:
        chip_engine = AdcsPerArray(engine=chip_engine, count=point.adc.per_array)
    return Chip(
        crossbar=Crossbar(
            wordlines=crossbar.wordlines,
            bitlines=crossbar.bitlines,
            bits_per_cell=point.cell.bits,
            ou_wordlines=crossbar.ou_wordlines or None,
        ),
        adc=adc,
        adc_bits=point.adc.bits,
        engine=chip_engine,
        encoding=encoding,
        dac_bits=point.dac.bits,
    )


def configured_engine(point: DesignPoint, engine: Engine) -> Engine:
    """The engine with its knobs; patches of a compressed network set those of `ou_patch`."""
    found = cast("Engine", point.engine.knobs.configured(engine))
    if isinstance(found, OuPatchEngine) and hasattr(point.patches.knobs, "patch"):
        return replace(found, patch=point.patches.knobs.patch)
    return found
