"""What is learned in blocks is what would have been learned one by one; in any space and order."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import FrozenTrial, TrialState

from dse.samplers.knob_codec import KnobCodec
from dse.samplers.leaders import INFEASIBLE, Archive, Score
from dse.samplers.nsga2 import NSGA2Sampler
from dse.samplers.pso import PSOSampler
from dse.samplers.study_backed import StudyBackedSampler
from dse.samplers.swarm_settings import SwarmSettings
from dse.trials import LOST
from tests.dse.samplers.problems import mixed, study_with

MAKERS: list[Callable[[], StudyBackedSampler]] = [  # type: ignore[type-arg]
    lambda: NSGA2Sampler(4, seed=2),
    lambda: NSGA2Sampler(9, seed=2),
    lambda: PSOSampler(SwarmSettings(particles=5, archive=3), seed=2),
    lambda: PSOSampler(SwarmSettings(particles=4, topology="ring"), seed=2),
]

levels = st.integers(0, 6).map(float)
scores = st.builds(
    Score,
    violation=st.sampled_from([0.0, 0.0, 0.0, 0.0, 0.5, 2.0, INFEASIBLE]),
    losses=st.tuples(levels, levels, levels),
)


@given(st.lists(scores, max_size=150), st.integers(1, 9), st.data())
def test_an_archive_takes_blocks_as_it_takes_one_after_the_other(
    offered: list[Score], size: int, data: st.DataObject
) -> None:
    single, blocks = Archive(size), Archive(size)
    for archive in (single, blocks):
        archive.widen(1)
    for i, score in enumerate(offered):
        single.offer(score, np.array([float(i)]))
    begin = 0
    while begin < len(offered):
        end = begin + data.draw(st.integers(1, 80), label="block")
        blocks.offer_many(offered[begin:end], lambda i, first=begin: np.array([float(first + i)]))
        begin = end
    assert blocks.violation == single.violation
    np.testing.assert_array_equal(blocks.losses, single.losses)
    np.testing.assert_array_equal(blocks.positions, single.positions)


def test_an_archive_asks_for_the_positions_of_its_members_only() -> None:
    rng = np.random.default_rng(0)
    offered = [Score(0.0, tuple(row)) for row in rng.random((500, 3)).tolist()]
    archive, asked = Archive(20), []
    archive.widen(1)
    archive.offer_many(offered, lambda i: asked.append(i) or np.array([float(i)]))  # type: ignore[func-returns-value]
    assert sorted(archive.positions[:, 0].tolist()) == sorted(asked)
    assert len(asked) == len(archive) <= 20


def history(make: Callable[[], StudyBackedSampler], seed: int) -> optuna.Study:  # type: ignore[type-arg]
    """A study of several workers, of batches, failures, pruned, lost and given designs."""
    rng, study = np.random.default_rng(seed), study_with(make())
    sampler = study.sampler
    assert isinstance(sampler, StudyBackedSampler)
    running: list[tuple[optuna.Trial, tuple[float, float]]] = []
    for step in range(60):
        if step % 17 == 5:
            study.enqueue_trial({"bits": 3, "share": 0.5})
        trial = study.ask()
        running.append((trial, mixed(trial)))
        if len(running) > 3:
            ended, values = running.pop(int(rng.integers(len(running))))
            fate = rng.random()
            if fate < 0.1:
                ended.set_user_attr(LOST, True)
                study.tell(ended, state=TrialState.FAIL)
            elif fate < 0.2:
                study.tell(ended, state=TrialState.FAIL if fate < 0.15 else TrialState.PRUNED)
            else:
                study.tell(ended, values)
        if step % 20 == 19:
            store(study, sampler, 7)
    return study


def store(study: optuna.Study, sampler: StudyBackedSampler, count: int) -> None:  # type: ignore[type-arg]
    """A batch, its trials stored when they are finished."""
    for proposal in sampler.ask_batch(study, count):
        trial = optuna.trial.FixedTrial(proposal.params)
        values = mixed(trial)  # type: ignore[arg-type]
        study.add_trial(
            optuna.create_trial(
                params=trial.params,
                distributions=trial.distributions,
                values=values,
                system_attrs=proposal.system_attrs,
            )
        )


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("seed", range(2))
def test_a_new_object_catches_up_with_one_that_saw_everything_happen(
    make: Callable[[], StudyBackedSampler],  # type: ignore[type-arg]
    seed: int,
) -> None:
    study = history(make, seed)
    old, new = study.sampler, make()
    assert isinstance(old, StudyBackedSampler)
    for count in (1, 9, 30):
        assert old.ask_batch(study, count) == new.ask_batch(study, count)


@pytest.mark.parametrize("make", MAKERS)
@settings(max_examples=6, deadline=None)
@given(cuts=st.lists(st.integers(0, 90), max_size=5))
def test_however_often_one_looks_the_state_is_the_same(
    make: Callable[[], StudyBackedSampler],  # type: ignore[type-arg]
    cuts: list[int],
) -> None:
    trials = finished(make)
    at_once, in_pieces = make(), make()
    shown = _Shown(trials)
    for cut in [*sorted(cuts), len(trials)]:
        shown.count = min(cut, len(trials))
        in_pieces._catch_up(shown)  # type: ignore[arg-type]
    at_once._catch_up(shown)  # type: ignore[arg-type]
    assert at_once.ask_batch(shown, 9) == in_pieces.ask_batch(shown, 9)  # type: ignore[arg-type]


def finished(make: Callable[[], StudyBackedSampler]) -> list[FrozenTrial]:  # type: ignore[type-arg]
    """Trials of one worker, cached by what makes the sampler."""
    if make not in _FINISHED:
        study = study_with(make())
        study.optimize(mixed, n_trials=40)
        sampler = study.sampler
        assert isinstance(sampler, StudyBackedSampler)
        for _ in range(3):
            store(study, sampler, 16)
        _FINISHED[make] = study.get_trials(deepcopy=False)
    return _FINISHED[make]


_FINISHED: dict[object, list[FrozenTrial]] = {}


class _Shown:
    """A study that shows its first trials only."""

    def __init__(self, trials: list[FrozenTrial]) -> None:
        self._trials, self.count = trials, 0
        self._storage, self._study_id = self, 0
        self.directions = [optuna.study.StudyDirection.MINIMIZE] * 2

    def _get_trials(self, deepcopy: bool, use_cache: bool) -> list[FrozenTrial]:
        return self._trials[: self.count]


def test_the_same_ranges_again_teach_the_codec_nothing() -> None:
    codec, x = KnobCodec(), optuna.distributions.FloatDistribution
    codec.learn({"x": x(0, 1)})
    version = codec.version
    codec.learn({"x": x(0, 1)})
    assert codec.version == version
    codec.learn({"x": x(0, 2)})
    codec.learn({"x": x(0, 1)})
    assert codec.version == version + 2
    assert codec.knobs["x"].decode([1.0]) == 1.0
