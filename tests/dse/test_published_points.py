"""Published designs by name: what they set, what a study may hold differently, and messages."""

from __future__ import annotations

from typing import Any

import pytest

from dse.errors import SpecError
from dse.published_points import PUBLISHED_DESIGNS
from dse.spec import StudySpec
from dse.warm_start import reading
from search_spaces.design_point import DesignPoint
from search_spaces.draw import draw_design
from tests.dse.fakes import small_spec

WIDE: dict[str, Any] = {
    "quantizer": ["fixed_point", "bits_net"],
    "quantizer.fixed_point.bits": "4..8",
    "quantizer.bits_net.set": [1, 2],
    "regularizer": ["none", "bit_slice_l1"],
    "regularizer.bit_slice_l1.strength": "log 0.05..2",
    "pruning.threshold": "0..0.03",
    "patches": ["none", "pq_pim"],
    "patches.pq_pim.tsv": "0.3..1.7",
    "patches.pq_pim.weak_inputs": [False, True],
    "bit_flips": ["none", "bit_transformer"],
    "bit_flips.terms": "1..4",
    "engine": ["isaac", "bit_plane", "ou_patch", "bits_net"],
    "engine.bit_plane.packed": [False, True],
    "encoding": ["differential", "twos_complement"],
    "cell.bits": [1, 2],
    "adc.bits": "1..8",
}


def given(space: dict[str, Any], point: dict[str, Any], **changes: Any) -> DesignPoint:
    spec = small_spec(space=space, points=[point], **changes)
    space_ = spec.design_space()
    (params,) = spec.given_points(space_)
    assert set(params) <= set(space_.free())
    return draw_design(space_, reading(params))


@pytest.mark.parametrize("name", PUBLISHED_DESIGNS)
def test_a_wide_space_holds_every_published_design_as_it_was(name: str) -> None:
    knobs = given(WIDE, {"published": name}).to_json()
    assert {p: knobs[p] for p in PUBLISHED_DESIGNS[name]} == dict(PUBLISHED_DESIGNS[name])


def test_the_designs_are_what_the_papers_say() -> None:
    assert given(WIDE, {"published": "bit_slice_2019"}).adc.bits == (1, 3, 3, 3)
    first, second = (given(WIDE, {"published": f"bits_net_2022_set{n}"}).to_json() for n in (1, 2))
    assert (first["quantizer.bits_net.set"], second["quantizer.bits_net.set"]) == (1, 2)
    assert first["cell.bits"] == 2
    patches = given(WIDE, {"published": "pq_pim_n8"})
    assert patches.encoding == "twos_complement"
    assert patches.adc.bits == (6,) * 8
    assert patches.to_json()["patches.pq_pim.t_act"] == 0.75
    planes = given(WIDE, {"published": "bit_transformer_2021"}).to_json()
    assert planes["cell.bits"] == 1
    assert planes["bit_flips.bit_transformer.tau"] == 0.1
    assert planes["engine.bit_plane.packed"] is True


def test_only_the_free_knobs_of_the_study_are_asked_for() -> None:
    spec = small_spec(points=[{"published": "bit_slice_2019"}])
    (params,) = spec.given_points(spec.design_space())
    assert params == {
        "regularizer": "bit_slice_l1",
        "regularizer.bit_slice_l1.strength": 0.5,
        "adc.bits.slice3": 1,
        "adc.bits.slice2": 3,
        "adc.bits.slice1": 3,
        "adc.bits.slice0": 3,
    }


def test_an_engine_that_implies_its_cells_fits_a_study_with_other_defaults() -> None:
    space = {key: WIDE[key] for key in WIDE if key not in ("encoding", "cell.bits")}
    assert given(space, {"published": "pq_pim_n8"}).encoding == "twos_complement"


def test_knobs_beside_the_name_replace_those_of_the_design() -> None:
    strength = {"regularizer.bit_slice_l1.strength": 0.25}
    point = given(WIDE, {"published": "bit_slice_2019", "adc.bits": 7, **strength})
    assert point.adc.bits == (7, 7, 7, 7)
    assert point.to_json()["regularizer.bit_slice_l1.strength"] == 0.25
    narrow = {**WIDE, "patches.pq_pim.weak_inputs": [False]}
    kept = given(narrow, {"published": "pq_pim_n8", "patches.pq_pim.weak_inputs": False})
    assert kept.to_json()["patches.pq_pim.weak_inputs"] is False


def refused(space: dict[str, Any], point: dict[str, Any]) -> str:
    with pytest.raises(SpecError) as caught:
        small_spec(space=space, points=[point])
    return str(caught.value)


def test_a_knob_that_the_study_holds_otherwise_is_named() -> None:
    assert refused(
        {**WIDE, "patches.pq_pim.weak_inputs": [False]}, {"published": "pq_pim_n8"}
    ) == (
        "test: points.published: pq_pim_n8 needs patches.pq_pim.weak_inputs = True, the study "
        "leaves it [False]; widen the space, or say beside it what to take instead "
        "({published: pq_pim_n8, patches.pq_pim.weak_inputs: ...})"
    )
    assert "bit_transformer_2021 needs adc.bits.slice0 = 8, the study leaves it 1..6" in refused(
        {**WIDE, "adc.bits": "1..6"}, {"published": "bit_transformer_2021"}
    )
    assert "bit_slice_2019 needs crossbar.wordlines = 128, the study leaves it [64]" in refused(
        {**WIDE, "crossbar.wordlines": [64]}, {"published": "bit_slice_2019"}
    )


def test_an_unknown_name_lists_the_known_ones() -> None:
    message = refused(WIDE, {"published": "bit_slice_2018"})
    assert message.startswith(
        "test: points.published: there is no published design 'bit_slice_2018'; "
        "did you mean 'bit_slice_2019'? Designs: bit_slice_2019, bits_net_2022_set1, "
    )
    assert "no published design ['a']" in refused(WIDE, {"published": ["a"]})


def test_a_misspelt_knob_beside_the_name_is_found() -> None:
    assert "points.adc.bit: there is no such knob; did you mean 'adc.bits'?" in refused(
        WIDE, {"published": "bit_slice_2019", "adc.bit": 4}
    )


def test_a_spec_with_published_points_survives_the_database() -> None:
    spec = small_spec(points=[{"published": "bit_slice_2019"}])
    again = StudySpec.from_mapping(spec.model_dump(mode="json"), where="database")
    assert again == spec
