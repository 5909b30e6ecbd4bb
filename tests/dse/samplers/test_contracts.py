"""Every sampler keeps Optuna's own promises, and ours: nothing is remembered outside the study."""

from __future__ import annotations

from collections.abc import Callable

import optuna
import pytest
from optuna.samplers import BaseSampler
from optuna.testing.pytest_samplers import (
    BasicSamplerTestCase,
    MultiObjectiveSamplerTestCase,
    RelativeSamplerTestCase,
)

from dse.errors import PluginError, SpecError
from dse.samplers.counter_seeded import DESIGN
from dse.samplers.make import make_sampler
from dse.samplers.pso import pso
from dse.spec_sections import SamplerSpec

ALL = ("random", "qmc", "tpe", "nsga2", "nsga3", "gp", "pso", "pq_pim")
FILES = {"pq_pim": "pso"}
SMALL: dict[str, dict[str, int]] = {
    "tpe": {"startup_trials": 4},
    "gp": {"startup_trials": 8},
    "nsga2": {"population": 4},
    "nsga3": {"population": 4},
    "pso": {"particles": 4},
    "pq_pim": {"particles": 4},
}
"""Settings with which 16 trials leave the start behind."""


def path_of(name: str) -> str:
    return f"dse.samplers.{FILES.get(name, name)}:{name}"


def sampler_of(name: str, **settings: object) -> BaseSampler:
    spec = {"name": path_of(name), "seed": 5, **settings}
    return make_sampler(SamplerSpec.model_validate(spec))


class TestRandom(BasicSamplerTestCase, MultiObjectiveSamplerTestCase):
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: sampler_of("random")


@pytest.mark.filterwarnings("ignore")
class TestTpe(BasicSamplerTestCase, RelativeSamplerTestCase, MultiObjectiveSamplerTestCase):
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: sampler_of("tpe", startup_trials=1)


class TestNsga2(BasicSamplerTestCase, MultiObjectiveSamplerTestCase):
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: sampler_of("nsga2", population=2)


class TestNsga3(BasicSamplerTestCase, MultiObjectiveSamplerTestCase):
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: sampler_of("nsga3", population=2)


class TestQmc(BasicSamplerTestCase, RelativeSamplerTestCase, MultiObjectiveSamplerTestCase):
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: sampler_of("qmc")


class TestPso(BasicSamplerTestCase, RelativeSamplerTestCase, MultiObjectiveSamplerTestCase):
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: sampler_of("pso", particles=2)


class TestPsoAlone(TestPso):
    """As a stranger takes it, without our seeding around it."""

    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: pso(5, particles=3, topology="ring")


class TestGp(BasicSamplerTestCase, MultiObjectiveSamplerTestCase):
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: sampler_of("gp", startup_trials=6)


def objective(trial: optuna.Trial) -> tuple[float, float]:
    kind = trial.suggest_categorical("kind", ["a", "b"])
    x = trial.suggest_float("x", 0.0, 1.0)
    depth = trial.suggest_int("depth", 1, 8) if kind == "b" else 0
    trial.set_constraint("depth", depth - 6)
    return x + depth, (1 - x) ** 2


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("name", ALL)
def test_a_study_continued_by_a_new_sampler_equals_one_that_never_stopped(name: str) -> None:
    def study() -> optuna.Study:
        return optuna.create_study(
            directions=["minimize", "minimize"], sampler=sampler_of(name, **SMALL.get(name, {}))
        )

    n_trials = 10 if name == "gp" else 16  # of which two by the processes
    whole, broken = study(), study()
    whole.optimize(objective, n_trials=n_trials)
    for _ in range(n_trials):
        broken.sampler = sampler_of(name, **SMALL.get(name, {}))
        broken.optimize(objective, n_trials=1)
    assert [t.params for t in whole.trials] == [t.params for t in broken.trials]


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize("name", ALL)
def test_a_design_that_is_tried_again_does_not_shift_those_after_it(name: str) -> None:
    def draws(numbers: list[int]) -> list[float]:
        study = optuna.create_study(sampler=sampler_of(name))
        values = []
        for draw in numbers:
            study.enqueue_trial({}, user_attrs={DESIGN: {"draw": draw}})
            values.append(study.ask().suggest_float("x", 0, 1))
        return values

    first, again, after = draws([0, 0, 1])
    assert first == again
    assert after == draws([0, 1])[1]


@pytest.mark.parametrize("name", ALL)
def test_another_seed_gives_other_designs(name: str) -> None:
    drawn = {
        optuna.create_study(
            sampler=make_sampler(SamplerSpec(name=path_of(name), seed=seed))
        ).ask().suggest_float("x", 0, 1)
        for seed in range(5)
    }  # fmt: skip
    assert len(drawn) == 5


def test_a_sampler_that_does_not_exist_lists_those_that_do() -> None:
    with pytest.raises(PluginError, match=r"no 'nsga-2'.*did you mean 'nsga2'\?.*random, tpe"):
        make_sampler(SamplerSpec(name="nsga-2"))


def test_a_setting_that_a_sampler_does_not_take_lists_those_it_takes() -> None:
    with pytest.raises(
        SpecError, match=r"sampler\.populaton: .*nsga2 has no .* takes: population"
    ):
        sampler_of("nsga2", populaton=4)


def test_a_setting_outside_its_range_is_refused_before_a_study_exists() -> None:
    with pytest.raises(SpecError, match=r"sampler\.population: a number from 2, got 1"):
        sampler_of("nsga2", population=1)
    with pytest.raises(SpecError, match=r"sampler\.startup_trials: a number from 1, got 0"):
        sampler_of("tpe", startup_trials=0)
    with pytest.raises(SpecError, match=r"sampler\.window: a number of trials from 10, got 9"):
        sampler_of("tpe", window=9)
    with pytest.raises(SpecError, match=r"sampler\.startup_trials: a number from 1, got 0"):
        sampler_of("gp", startup_trials=0)
    with pytest.raises(SpecError, match=r"sampler\.divisions: a number from 1, got 0"):
        sampler_of("nsga3", divisions=0)
    with pytest.raises(SpecError, match=r"sampler\.sequence: one of sobol, halton, got 'grid'"):
        sampler_of("qmc", sequence="grid")
