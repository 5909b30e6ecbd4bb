"""Settings of the swarm outside their range."""

from __future__ import annotations

import pytest

from dse.errors import SpecError
from dse.samplers.pso import pso
from dse.samplers.swarm_settings import SwarmSettings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"particles": 1}, r"sampler\.particles: a number from 2, got 1"),
        ({"particles": True}, r"sampler\.particles: a number from 2, got True"),
        ({"archive": 0}, r"sampler\.archive: a number from 1, got 0"),
        ({"neighbours": 0}, r"sampler\.neighbours: a number from 1, got 0"),
        ({"inertia": 1.5}, r"sampler\.inertia: a number from 0 to 1, got 1\.5"),
        ({"mutation": -0.1}, r"sampler\.mutation: a number from 0 to 1, got -0\.1"),
        ({"local": 1.01}, r"sampler\.local: a number from 0 to 1, got 1\.01"),
        ({"c1": [2.5, 1.5]}, r"sampler\.c1: .*the smaller one first, got \[2\.5, 1\.5\]"),
        ({"c2": "high"}, r"sampler\.c2: a number from 0 to 4, or two .* got 'high'"),
        ({"topology": "pyramid"}, r"sampler\.topology: one of star, ring, got 'pyramid'"),
        ({"clamp": 0}, r"sampler\.clamp: a speed above 0.*got 0; null sets no limit"),
        ({"rebound": 1}, r"sampler\.rebound: true or false, got 1"),
    ],
)
def test_a_setting_outside_its_range_says_what_should_hold(
    settings: dict[str, object], message: str
) -> None:
    with pytest.raises(SpecError, match=message):
        pso(0, **settings)  # type: ignore[arg-type]


def test_limits_between_knobs_are_names() -> None:
    with pytest.raises(SpecError, match=r"sampler\.at_most: last parts of knob names.*got \{'a'"):
        SwarmSettings(at_most={"a": 1})  # type: ignore[dict-item]
