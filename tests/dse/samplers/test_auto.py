"""auto: a choice by rule, written into the study, that stays when the study goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dse.errors import ResumeError, SpecError
from dse.resuming import SAMPLER, driving, load_optuna, load_spec
from dse.samplers.auto import choose_sampler
from dse.samplers.make import make_sampler
from tests.dse.fakes import database_in, small_spec

PLAIN = {"regularizer.l1.strength": "log 1..30", "adc.bits": "1..8"}


def chosen(trials: int, *, epochs: int = 3, space: dict[str, Any] | None = None) -> Any:
    spec = small_spec(
        sampler="auto",
        space=space or PLAIN,
        fixed={"regularizer": "l1"} if space is None else {},
        budget={"trials": trials, "epochs": epochs},
    )
    return choose_sampler(spec)


def test_every_choice_is_a_sampler_that_can_be_made() -> None:
    for trials in (5, 60, 250, 500, 5000):
        for epochs in (0, 3):
            made = chosen(trials, epochs=epochs)
            assert made.spec.name != "auto"
            assert made.why
            make_sampler(made.spec)


def test_the_seed_is_the_study_s() -> None:
    spec = small_spec(sampler={"name": "auto", "seed": 77})
    assert choose_sampler(spec).spec.seed == 77


def test_a_named_sampler_stays() -> None:
    spec = small_spec(sampler={"name": "tpe", "seed": 3, "startup_trials": 4})
    assert choose_sampler(spec).spec == spec.sampler


def test_a_study_that_names_none_gets_auto() -> None:
    data = small_spec().model_dump(mode="json", exclude={"sampler"})
    assert type(small_spec()).from_mapping(data, where="t").sampler.name == "auto"


def test_auto_takes_no_settings() -> None:
    with pytest.raises(SpecError) as caught:
        choose_sampler(small_spec(sampler={"name": "auto", "particles": 3}))
    assert str(caught.value) == (
        "sampler.particles: auto chooses the settings itself and takes none but seed; name the "
        "sampler to set it up"
    )


def test_the_choice_is_written_into_the_study_and_stays(tmp_path: Path) -> None:
    database = database_in(tmp_path)
    spec = small_spec(sampler={"name": "auto", "seed": 5}, budget={"trials": 20, "epochs": 1})
    first = choose_sampler(spec)
    with driving(database, spec) as study:
        assert study.spec.sampler == first.spec
    stored = load_optuna(database, spec.name).user_attrs
    assert stored[SAMPLER] == {"asked": "auto", "why": first.why}
    assert load_spec(database, spec.name).sampler == first.spec
    larger = small_spec(sampler={"name": "auto", "seed": 5}, budget={"trials": 5000, "epochs": 1})
    assert choose_sampler(larger).spec != first.spec
    with driving(database, larger) as study:  # the file with another budget: the same search
        assert study.spec.sampler == first.spec
    with driving(database, load_spec(database, spec.name)) as study:  # dse resume
        assert study.spec.sampler == first.spec
    assert load_optuna(database, spec.name).user_attrs[SAMPLER]["asked"] == "auto"


def test_another_seed_is_another_search(tmp_path: Path) -> None:
    database = database_in(tmp_path)
    with driving(database, small_spec(sampler={"name": "auto", "seed": 5})):
        pass
    other = small_spec(sampler={"name": "auto", "seed": 6})
    with pytest.raises(ResumeError, match=r"sampler\.seed was 5, is 6"), driving(database, other):
        pass
