"""No engine charges for zeros: what an empty network costs is a bound for every network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dse.pipeline.hardware import counts_inputs, empty_layer
from dse.plugins import installed, load
from hw_models.chip import Chip
from hw_models.crossbar import Crossbar
from hw_models.engines.observed import Observed
from hw_models.errors import HardwareError
from hw_models.estimation.estimate import Estimate, estimate
from hw_models.estimation.schedule import schedule_for
from hw_models.layer import CodedLayer, LayerShape
from hw_models.sweep.adcs_per_array import AdcsPerArray

SHAPES = (
    LayerShape(name="a", wordlines=150, outputs=40, positions=9),
    LayerShape(name="b", wordlines=70, outputs=10, positions=1),
)
COSTS = (
    "energy_j",
    "adc_energy_j",
    "latency_s",
    "interval_s",
    "area_m2",
    "crossbars",
    "adc_conversions",
)
CELLS = (1, 2)


def filled(shape: LayerShape, density: float, rng: np.random.Generator) -> CodedLayer:
    matrix = (1, shape.wordlines, shape.outputs)
    magnitudes = rng.integers(0, 256, matrix) * (rng.random(matrix) < density)
    return replace(
        empty_layer(shape, weight_bits=8),
        magnitudes=magnitudes.astype(np.uint8),
        signs=np.where(magnitudes > 0, rng.choice([-1, 1], matrix), 0).astype(np.int8),
    )


def cost(layers: tuple[CodedLayer, ...], chip: Chip, inputs: int, crossbars: int) -> Estimate:
    rng = np.random.default_rng(1)
    seen = tuple(
        Observed(input_codes=rng.integers(0, inputs, (1, 16, s.wordlines)).astype(np.uint8))
        for s in SHAPES
    )
    observed = seen if counts_inputs(chip.engine) else None
    schedule = schedule_for(layers, chip, pipelined=True, crossbars=crossbars, observed=observed)
    return estimate(layers, chip, observed=observed, schedule=schedule)


@pytest.mark.parametrize("encoding", installed("hw_models.encodings"))
@pytest.mark.parametrize("engine", installed("hw_models.engines"))
def test_an_empty_network_costs_least(engine: str, encoding: str) -> None:
    rng = np.random.default_rng(0)
    compared = 0
    for cell in CELLS:
        for converters in (1, 4):
            coded = load("hw_models.encodings", encoding)
            walk = load("hw_models.engines", engine)
            chip = Chip(
                crossbar=Crossbar(wordlines=64, bitlines=64, bits_per_cell=cell),
                adc=load("hw_models.converters", "saberi"),
                adc_bits=(5,) * coded.slice_groups(8, cell),
                engine=walk if converters == 1 else AdcsPerArray(engine=walk, count=converters),
                encoding=coded,
                dac_bits=1,
            )
            empty = tuple(empty_layer(shape, weight_bits=8) for shape in SHAPES)
            for crossbars in (0, 400):
                try:
                    least = cost(empty, chip, 1, crossbars)
                except HardwareError:
                    continue  # the engine takes other cells or encodings
                for density in (0.02, 0.5, 1.0):
                    layers = tuple(filled(shape, density, rng) for shape in SHAPES)
                    real = cost(layers, chip, 256, crossbars)
                    for name in COSTS:
                        assert getattr(least, name) <= getattr(real, name) * (1 + 1e-12), name
                    compared += 1
    takes = {
        "bit_plane": {"differential"},
        "bits_net": {"differential"},
        "ou_patch": {"twos_complement"},
        "sre": {"differential", "twos_complement"},
    }
    assert (compared > 0) == (encoding in takes.get(engine, {encoding}))
