"""Exports say in another simulator's terms what the design is."""

from __future__ import annotations

import configparser
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from dse.errors import SpecError
from dse.exporting.accelforge import accelforge
from dse.exporting.mnsim import cell_resistances_ohm, mnsim
from dse.exporting.neurosim import neurosim
from dse.exporting.peer import README, PeerExport
from hw_models.crossbar import Crossbar
from hw_models.encodings.twos_complement import TWOS_COMPLEMENT
from hw_models.engines.isaac import ISAAC, IsaacEngine
from hw_models.estimation.estimate import estimate
from hw_models.sweep.adcs_per_array import AdcsPerArray
from tests.hw_models.coded_layers import chip, coded_layer

LAYERS = [
    coded_layer(1, wordlines=150, outputs=200, positions=36, name="block.conv"),
    coded_layer(2, wordlines=9, outputs=1, groups=4, positions=10, name="depthwise"),
    coded_layer(3, wordlines=300, outputs=10, input_bits=6, name="fc"),
]
DESIGN = replace(chip((3, 5, 5, 6)), engine=AdcsPerArray(engine=ISAAC, count=2))
WRITERS = [accelforge, mnsim, neurosim]


def ini(exported: PeerExport) -> configparser.ConfigParser:
    config = configparser.ConfigParser()
    config.read_string(exported.files["SimConfig.ini"])
    return config


def test_a_conversion_in_mnsim_takes_our_time_and_our_energy() -> None:
    level = ini(mnsim(DESIGN, LAYERS))["Interface level"]
    bits, rate = int(level["ADC_Precision"]), float(level["ADC_Sample_Rate"])
    latency_ns = 1 / rate * (bits + 2)  # MNSIM, ADC.calculate_ADC_latency
    energy_nj = latency_ns * float(level["ADC_Power"])
    assert bits == 6
    ours = DESIGN.adc
    assert latency_ns * 1e-9 == pytest.approx(float(ours.conversion_time_s(np.array(6))))
    assert energy_nj * 1e-9 == pytest.approx(float(ours.energy_per_conversion_j(np.array(6))))
    assert float(level["ADC_Area"]) == pytest.approx(600)
    dac_nj = 1 / float(level["DAC_Sample_Rate"]) * float(level["DAC_Power"])
    assert dac_nj * 1e-9 == pytest.approx(DESIGN.array.dac_power_w * DESIGN.array.read_time_s)


def test_mnsim_has_as_many_columns_per_converter_and_tiles_for_every_layer() -> None:
    config = ini(mnsim(DESIGN, LAYERS))
    element = config["Process element level"]
    columns = int(config["Crossbar level"]["Xbar_Size"].split(",")[1])
    assert columns / int(element["ADC_Num"]) == 64
    assert int(element["Group_Num"]) == 4
    tiles = np.prod([int(n) for n in config["Architecture level"]["Tile_Num"].split(",")])
    elements = np.prod([int(n) for n in config["Tile level"]["PE_Num"].split(",")])
    arrays = tiles * elements * int(element["Group_Num"]) * int(element["Xbar_Polarity"])
    assert arrays >= estimate(LAYERS, DESIGN).crossbars


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_cells_have_one_resistance_per_value_in_equal_steps_of_conductance(bits: int) -> None:
    found = cell_resistances_ohm(Crossbar(wordlines=64, bitlines=64, bits_per_cell=bits))
    assert len(found) == 2**bits
    assert found[0] == pytest.approx(20_000)
    assert found[-1] == pytest.approx(1_333)
    steps = np.diff(1 / np.array(found))
    assert steps == pytest.approx(np.full(len(steps), steps[0]))


def test_neurosim_gets_one_line_per_matrix_with_all_positions() -> None:
    exported = neurosim(DESIGN, LAYERS)
    rows = [line.split(",") for line in exported.files["NetWork.csv"].splitlines()]
    table = [[int(value) for value in row] for row in rows]
    assert table == [
        [6, 6, 150, 1, 1, 200, 0, 1],
        *[[5, 2, 9, 1, 1, 1, 0, 1]] * 4,
        [1, 1, 300, 1, 1, 10, 0, 1],
    ]
    values = exported.files["Param_values.txt"]
    for line in (
        "numColMuxed = 64;",
        "levelOutput = 64;",
        "cellBit = 2;",
        "numRowSubArray = 128;",
    ):
        assert line in values.splitlines()
    assert any("depthwise" in lost for lost in exported.cannot_hold)


def test_accelforge_gets_every_multiplication_of_the_network() -> None:
    exported = accelforge(DESIGN, LAYERS)
    workload = yaml.safe_load(exported.files["workload.yaml"])["workload"]
    ranks = workload["rank_sizes"]
    products = []
    for einsum in workload["einsums"]:
        used = {r.upper() for t in einsum["tensor_accesses"] for r in t["projection"]}
        products.append(np.prod([ranks[rank] for rank in used]))
        assert [bool(t.get("output")) for t in einsum["tensor_accesses"]] == [False, False, True]
        assert set(einsum["renames"]) == {"input", "weight", "output"}
        assert einsum["name"].isidentifier()
    assert sum(products) == sum(x.signed_codes().size * x.shape.positions for x in LAYERS)
    assert len({einsum["name"] for einsum in workload["einsums"]}) == 6
    values = yaml.safe_load(exported.files["arch_values.yaml"])
    assert values["arch.variables"]["adc_resolution"] == 6
    assert values["arch.nodes spatial fanout"]["rows_ARRAY_ROWS"] == 128


@pytest.mark.parametrize("writer", WRITERS)
def test_an_export_says_what_the_format_cannot_hold(writer, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    exported = writer(DESIGN, LAYERS)
    assert any("3/5/5/6" in lost for lost in exported.cannot_hold)
    assert not any("8/8/8/8" in lost for lost in writer(chip(), LAYERS).cannot_hold)
    written = exported.write(tmp_path / "new" / "folder")
    assert {file.name for file in written} == {*exported.files, README}
    readme = (tmp_path / "new" / "folder" / README).read_text()
    assert all(lost in readme for lost in exported.cannot_hold)


@pytest.mark.parametrize("writer", WRITERS)
def test_a_design_without_a_counterpart_is_refused(writer) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SpecError, match="this design has engine 'other'"):
        writer(replace(DESIGN, engine=IsaacEngine(name="other")), LAYERS)
    with pytest.raises(SpecError, match="this design has encoding 'twos_complement'"):
        writer(replace(DESIGN, encoding=TWOS_COMPLEMENT), LAYERS)
    with pytest.raises(SpecError, match="at least one layer, got none"):
        writer(DESIGN, [])


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SpecError, match="cannot be written"):
        mnsim(DESIGN, LAYERS).write(tmp_path / "file")
