"""Engines that imply hardware, knobs of single layers, texts, and chips from designs."""

from __future__ import annotations

from typing import Any

import pytest

from dse.catalogue import catalogue, design_space
from dse.errors import SpecError
from dse.pipeline.hardware import chip_of, counts_inputs, priced_knobs, simulated_knobs
from hw_models.errors import HardwareError
from hw_models.sweep.adcs_per_array import AdcsPerArray
from search_spaces.design_point import DesignPoint
from search_spaces.domains import Choice, Domain, FloatRange, IntRange, Value
from search_spaces.draw import draw_design
from search_spaces.engine import ENGINE_KNOBS, IMPLIED
from search_spaces.narrowing import place


def drawn(fixed: dict[str, Any], space: dict[str, Any] | None = None) -> DesignPoint:
    asked: dict[str, Domain] = {}
    return drawn_and_asked(fixed, space or {}, asked)


def drawn_and_asked(
    fixed: dict[str, Any], space: dict[str, Any], asked: dict[str, Domain]
) -> DesignPoint:
    def choose(path: str, domain: Domain) -> Value:
        asked[path] = domain
        if isinstance(domain, Choice):
            return domain.values[-1]
        assert isinstance(domain, IntRange | FloatRange)
        return domain.high

    return draw_design(design_space("test", fixed, space), choose)


def test_an_engine_takes_the_cells_and_the_encoding_that_it_works_with() -> None:
    for engine, values in IMPLIED.items():
        flat = drawn({"engine": engine}).to_json()
        assert {path: flat[path] for path in values} == dict(values)


def test_what_an_engine_implies_is_not_asked_for() -> None:
    asked: dict[str, Domain] = {}
    space = {"engine": ["isaac", "bit_plane"], "cell.bits": [1, 2], "adc.bits": "3..5"}
    point = drawn_and_asked({}, space, asked)
    assert point.engine.name == "bit_plane"
    assert "cell.bits" not in asked
    assert point.cell.bits == 1
    assert len(point.adc.bits) == 8


def test_a_study_that_forbids_what_its_engine_needs_is_refused() -> None:
    with pytest.raises(
        SpecError,
        match=r"fixed.cell.bits: engine 'ou_patch' works with 1 only, .*"
        r"leaves \[2\]; add 1, or leave cell.bits out",
    ):
        design_space("s.yaml", {"cell.bits": 2}, {"engine": ["isaac", "ou_patch"]})


def test_signs_in_the_code_take_a_slice_group_more_where_cells_are_narrow() -> None:
    assert len(drawn({"cell.bits": 1, "encoding": "twos_complement"}).adc.bits) == 9
    assert len(drawn({"cell.bits": 1}).adc.bits) == 8


@pytest.mark.parametrize(
    ("knobs", "attribute", "value"),
    [
        ({"engine": "sre", "engine.sre.ou_wordlines": 8}, "ou_wordlines", 8),
        ({"engine": "crmp", "engine.ou_bitlines": 8}, "ou_bitlines", 8),
        ({"engine": "crmp"}, "ou_bitlines", None),
        ({"engine": "bit_plane", "engine.packed": True}, "packed", True),
        ({"engine": "ou_patch", "engine.patch": 16}, "patch", 16),
        ({"engine": "ou_patch", "patches": "pq_pim", "patches.patch": 32}, "patch", 32),
    ],
)
def test_engines_are_set_up_by_their_knobs(
    knobs: dict[str, Any], attribute: str, value: object
) -> None:
    assert getattr(chip_of(drawn(knobs)).engine, attribute) == value


def test_every_engine_with_settings_has_knobs_for_them() -> None:
    assert set(ENGINE_KNOBS) <= set(catalogue().slots["engine"])


def test_the_chip_is_the_one_that_the_knobs_describe() -> None:
    chip = chip_of(
        drawn(
            {
                "encoding": "isaac_flip",
                "crossbar.ou_wordlines": 16,
                "dac.bits": 2,
                "adc.per_array": 4,
            }
        )
    )
    assert chip.encoding.name == "isaac_flip"
    assert chip.crossbar.ou_wordlines == 16
    assert chip.dac_bits == 2
    assert isinstance(chip.engine, AdcsPerArray)
    assert chip.engine.count == 4
    assert chip_of(drawn({})).crossbar.ou_wordlines is None


def test_an_operation_unit_taller_than_its_array_is_an_error() -> None:
    point = drawn({"crossbar.wordlines": 32, "crossbar.ou_wordlines": 64})
    with pytest.raises(HardwareError, match="1 to the 32 wordlines of the array, got 64"):
        chip_of(point)


def test_only_engines_that_count_inputs_are_given_them() -> None:
    names = catalogue().slots["engine"]
    assert {name for name in names if counts_inputs(chip_of(drawn({"engine": name})).engine)} == {
        "ou_patch",
        "sre",
    }
    several = chip_of(drawn({"engine": "sre", "adc.per_array": 2})).engine
    assert counts_inputs(several)


def test_accuracy_does_not_hang_on_what_only_costs() -> None:
    one = drawn({"adc.model": "saberi", "crossbar.bitlines": 64, "schedule.pipelined": True})
    other = drawn({"adc.model": "survey", "crossbar.bitlines": 128, "adc.per_array": 2})
    assert simulated_knobs(one) == simulated_knobs(other)
    assert priced_knobs(one) != priced_knobs(other)
    noisy = drawn({"nonidealities.read_noise_sigma": 0.1})
    assert simulated_knobs(noisy) != simulated_knobs(drawn({}))
    assert priced_knobs(noisy) == priced_knobs(drawn({}))


def test_single_layers_have_knobs_of_their_own_where_a_study_names_them() -> None:
    space = design_space(
        "test",
        {"patches": "pq_pim", "patches.layer.layer1.0.conv1.tsv": 0.5},
        {"patches.pq_pim.layer.fc.t_prune": "0.6..0.8"},
        [{"patches.layer.fc.t_prune": 0.7}],
    )
    assert space.layers() == ("layer1.0.conv1", "fc")
    assert set(space.free()) == {"patches.pq_pim.layer.fc.t_prune"}
    point = draw_design(space, lambda _path, _domain: 0.65)
    assert point.patches.layers == {"layer1.0.conv1": {"tsv": 0.5}, "fc": {"t_prune": 0.65}}
    assert point.to_json()["patches.pq_pim.layer.fc.t_prune"] == 0.65
    assert point.digest() != draw_design(space, lambda _path, _domain: 0.66).digest()
    assert place(space, {"patches.layer.fc.t_prune": 0.7}) == {
        "patches.pq_pim.layer.fc.t_prune": 0.7
    }


def test_bit_flips_of_single_layers() -> None:
    space = design_space(
        "test", {"bit_flips": "bit_transformer"}, {"bit_flips.layer.fc.tau": "0.05..0.2"}
    )
    assert set(space.free()) == {"bit_flips.bit_transformer.layer.fc.tau"}
    point = draw_design(space, lambda _path, _domain: 0.15)
    assert point.bit_flips.layers == {"fc": {"tau": 0.15}}


def test_a_knob_of_the_whole_network_is_not_one_of_a_layer() -> None:
    with pytest.raises(SpecError, match=r"patches.layer.fc.patch: there is no such knob"):
        design_space("test", {}, {"patches": ["pq_pim"], "patches.layer.fc.patch": [4, 8]})


def test_a_short_path_means_the_network_not_its_layers() -> None:
    space = design_space(
        "test",
        {"patches": "pq_pim", "patches.tsv": 1.25, "patches.layer.fc.tsv": 0.5},
        {"adc.bits": "1..8"},
    )
    point = draw_design(space, lambda _path, _domain: 4)
    assert point.patches.knobs.tsv == 1.25
    assert point.patches.layers == {"fc": {"tsv": 0.5}}
