"""The surrogate's parts: processes that interpolate, volumes that sampling confirms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from optuna._hypervolume import compute_hypervolume
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from scipy.optimize import check_grad

from dse.samplers.activity import Activity
from dse.samplers.gaussian_process import MAX_FITTED, GaussianProcess, _Likelihood
from dse.samplers.improvement import HypervolumeImprovement
from dse.samplers.knob_codec import KnobCodec
from dse.samplers.neighbours import neighbours, snapped
from dse.samplers.surrogate import compress

RNG = np.random.default_rng


def codec() -> KnobCodec:
    found = KnobCodec()
    found.learn(
        {
            "bits": IntDistribution(1, 4),
            "kind": CategoricalDistribution(["a", "b", "c"]),
            "rate": FloatDistribution(0.0, 1.0),
        }
    )
    return found


def test_a_process_goes_through_smooth_data_and_is_unsure_away_from_them() -> None:
    x = RNG(0).random((40, 2))
    process = GaussianProcess(x, np.sin(4 * x[:, 0]), np.array([0, 1]), RNG(0))
    fresh = RNG(1).random((50, 2))
    mean, deviation = process.predict(fresh)
    assert np.abs(mean - np.sin(4 * fresh[:, 0])).max() < 0.05
    _, far = process.predict(np.full((1, 2), 3.0))
    assert far[0] > 5 * deviation.mean()


def test_a_process_of_many_designs_fits_its_scales_to_some_of_them() -> None:
    x = RNG(0).random((MAX_FITTED + 60, 1))
    process = GaussianProcess(x, 3 * x[:, 0] + 7, np.array([0]), RNG(0))
    assert process.predict(np.array([[0.4]]))[0][0] == pytest.approx(8.2, abs=0.01)


def test_equal_targets_are_no_obstacle() -> None:
    process = GaussianProcess(RNG(0).random((6, 2)), np.full(6, 2.5), np.array([0, 1]), RNG(0))
    mean, deviation = process.predict(RNG(1).random((3, 2)))
    assert mean == pytest.approx(np.full(3, 2.5))
    assert np.isfinite(deviation).all()


def test_what_is_believed_leaves_guesses_and_takes_doubt() -> None:
    x = RNG(0).random((15, 1))
    process = GaussianProcess(x, np.sin(9 * x[:, 0]), np.array([0]), RNG(0))
    place = np.array([[0.05]])
    before, doubt = process.predict(place)
    process.believe(place)
    after, less = process.predict(place)
    assert after == pytest.approx(before, abs=1e-3)
    assert less[0] < doubt[0]


@pytest.mark.parametrize("seed", range(3))
def test_the_gradient_of_the_likelihood_is_that_of_its_value(seed: int) -> None:
    rng = RNG(seed)
    knob_of = np.array([0, 1, 1, 2])
    likelihood = _Likelihood(rng.random((12, 4)), rng.normal(size=12), knob_of)
    at = np.concatenate([rng.uniform(-2, 2, 3), [0.3, -3.0]])
    error = check_grad(lambda t: likelihood(t)[0], lambda t: likelihood(t)[1], at)
    assert error < 1e-4 * np.linalg.norm(likelihood(at)[1])


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_the_expected_improvement_is_the_mean_of_sampled_ones(objectives: int) -> None:
    rng = RNG(objectives)
    losses, reference = rng.random((6, objectives)), np.full(objectives, 1.1)
    gain = HypervolumeImprovement(losses, reference)
    mean, deviation = np.full((1, objectives), 0.3), np.full((1, objectives), 0.2)
    before = compute_hypervolume(losses, reference)
    drawn = rng.normal(mean, deviation, (3000, objectives))
    drawn = np.minimum(drawn, reference)
    sampled = [compute_hypervolume(np.vstack([losses, each]), reference) for each in drawn]
    assert gain.expected(mean, deviation)[0] == pytest.approx(np.mean(sampled) - before, rel=0.08)


def test_before_anything_lies_inside_the_whole_box_can_be_gained() -> None:
    gain = HypervolumeImprovement(np.array([[2.0, 2.0]]), np.ones(2))
    sure = np.full((1, 2), 1e-6)
    assert gain.expected(np.zeros((1, 2)), sure)[0] == pytest.approx(1.0, abs=1e-4)


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30))
@example([0.0, 1.0, 5e-324])
def test_compression_keeps_the_order_and_the_better_half(numbers: list[float]) -> None:
    raw = np.array(numbers)
    found, again = compress(raw, raw)
    assert (found == again).all()
    order = np.argsort(raw, kind="stable")
    assert (np.diff(found[order]) >= 0).all()
    lower = raw <= np.median(raw)
    assert (found[lower] == raw[lower]).all()


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=50)
def test_neighbours_are_positions_near_their_parents(seed: int) -> None:
    rng, knobs = RNG(seed), codec()
    first, second = snapped(knobs, rng.random((2, 20, knobs.width)).reshape(40, -1)).reshape(
        2, 20, -1
    )
    found = neighbours(knobs, first, second, rng)
    assert ((found >= 0) & (found <= 1)).all()
    at = snapped(knobs, found)
    assert (snapped(knobs, at) == at).all()
    assert (at[:, knobs.columns["kind"]].sum(axis=1) == 1).all()
    assert (found != first).any(axis=1).mean() > 0.7


def test_a_snapped_position_stands_for_the_same_values() -> None:
    knobs = codec()
    rows = RNG(0).random((50, knobs.width))
    for row, at in zip(rows.tolist(), snapped(knobs, rows).tolist(), strict=True):
        assert knobs.decode(row) == knobs.decode(at)


def test_a_knob_that_hangs_on_a_name_is_left_in_the_middle_without_it() -> None:
    knobs = codec()
    rows = snapped(knobs, RNG(0).random((60, knobs.width)))
    kind = rows[:, knobs.columns["kind"]].argmax(axis=1)
    told = rows.copy()
    told[kind != 1, knobs.columns["rate"].start] = np.nan
    settled = Activity(knobs, told).settled(rows)
    rate = knobs.columns["rate"].start
    assert (settled[kind != 1, rate] == 0.5).all()
    assert (settled[kind == 1] == rows[kind == 1]).all()


def test_a_knob_whose_absence_nothing_explains_is_left_alone() -> None:
    knobs = codec()
    rows = snapped(knobs, RNG(0).random((60, knobs.width)))
    told = rows.copy()
    told[RNG(1).random(60) < 0.5, knobs.columns["rate"].start] = np.nan
    assert (Activity(knobs, told).settled(rows) == rows).all()
