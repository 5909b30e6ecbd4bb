"""The hardware of a design point: its chip, and which of its knobs a stage sees."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from dse.plugins import load
from hw_models.chip import Chip
from hw_models.engines.engine import Engine
from hw_models.layer import CodedLayer, LayerShape
from hw_models.simulation.nonidealities.conductance_variation import ConductanceVariation
from hw_models.simulation.nonidealities.drift import Drift
from hw_models.simulation.nonidealities.ir_drop import IrDrop
from hw_models.simulation.nonidealities.nonidealities import Nonidealities
from hw_models.simulation.nonidealities.read_noise import ReadNoise
from hw_models.simulation.nonidealities.stuck_at import StuckAt
from search_spaces.build import build_chip
from search_spaces.design_point import DesignPoint
from search_spaces.nonidealities import NonidealityKnobs

COST_METRICS = (
    "energy_j",
    "adc_energy_j",
    "latency_s",
    "interval_s",
    "area_m2",
    "crossbars",
    "adc_conversions",
)
"""Fields of an estimate that are metrics."""

_HARDWARE = ("engine", "encoding", "crossbar.", "cell.", "dac.", "adc.", "schedule.")
_SEEN_BY_SUMS = ("engine", "encoding", "crossbar.", "cell.", "dac.", "adc.", "nonidealities.")
_COST_ONLY = ("adc.model", "adc.per_array", "crossbar.bitlines", "engine.bit_plane.packed")


def chip_of(point: DesignPoint) -> Chip:
    """The accelerator of a design point, its plugins loaded.

    Raises:
        PluginError: An engine, encoding or converter model is not installed.
        HardwareError: The knobs contradict each other.
    """
    return build_chip(
        point,
        engine=load("hw_models.engines", point.engine.name),
        encoding=load("hw_models.encodings", point.encoding),
        adc=load("hw_models.converters", point.adc.model),
    )


def nonidealities_of(point: DesignPoint) -> Nonidealities | None:
    """The device and wire effects of a design; None where its cells are ideal."""
    knobs = point.nonidealities
    if knobs == NonidealityKnobs():
        return None
    return Nonidealities(
        variation=ConductanceVariation(sigma=knobs.variation_sigma)
        if knobs.variation_sigma
        else None,
        stuck_at=StuckAt(off_share=knobs.stuck_off_share, on_share=knobs.stuck_on_share)
        if knobs.stuck_off_share or knobs.stuck_on_share
        else None,
        drift=Drift(time_s=knobs.drift_time_s, exponent=knobs.drift_exponent)
        if knobs.drift_exponent
        else None,
        read_noise=ReadNoise(sigma=knobs.read_noise_sigma) if knobs.read_noise_sigma else None,
        ir_drop=IrDrop(resistance=knobs.wire_resistance) if knobs.wire_resistance else None,
        on_off_ratio=knobs.on_off_ratio or float("inf"),
    )


def counts_inputs(engine: Engine) -> bool:
    """Whether the costs under an engine depend on what the network sees."""
    inner = getattr(engine, "engine", engine)  # several converters per array wrap an engine
    return "observed" in inspect.signature(inner.cost_terms).parameters


def empty_layer(shape: LayerShape, *, weight_bits: int) -> CodedLayer:
    """A layer whose weights are all zero, to ask whether hardware can hold one of its shape."""
    matrix = (shape.groups, shape.wordlines, shape.outputs)
    return CodedLayer(
        shape=shape,
        magnitudes=np.zeros(matrix, dtype=np.uint8),
        signs=np.zeros(matrix, dtype=np.int8),
        weight_bits=weight_bits,
        weight_step=1.0,
        input_step=1.0,
    )


def priced_knobs(point: DesignPoint) -> dict[str, Any]:
    """Knobs that costs depend on, codes excepted."""
    return {path: v for path, v in point.to_json().items() if path.startswith(_HARDWARE)}


def simulated_knobs(point: DesignPoint) -> dict[str, Any]:
    """Knobs that a sum on a bitline and its conversion see, codes excepted."""
    return {
        path: value
        for path, value in point.to_json().items()
        if path.startswith(_SEEN_BY_SUMS) and path not in _COST_ONLY
    }
