"""Every hardware choice for one network: as good as trying them all, one by one."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dse.catalogue import design_space
from dse.dominance import non_dominated
from dse.evaluation import Evaluation
from dse.objectives import Constraint, Objective
from dse.pipeline import nested
from dse.pipeline.evaluate import Evaluator
from dse.pipeline.hardware_choices import (
    COSTS_ONLY,
    nestable,
    network_digest,
    swept_values,
    with_hardware,
)
from search_spaces.design_point import DesignPoint
from search_spaces.draw import DesignSpace, draw_design
from tests.dse.pipeline.test_evaluate import evaluator, point

OBJECTIVES = ("maximize accuracy", "minimize energy_uj", "minimize area_mm2")
SPACE: dict[str, Any] = {
    "adc.bits.slice3": [1, 3],
    "adc.bits.slice2": [2, 4],
    "adc.bits.slice1": [3, 5, 9],
    "adc.bits.slice0": [5],
    "crossbar.wordlines": [64, 128],
    "adc.per_array": [1, 2],
}
RANGES: dict[str, Any] = {
    "adc.bits.slice3": [2, 9],
    "adc.bits.slice2": [3, 9],
    "adc.bits.slice1": [4, 9],
    "adc.bits.slice0": [9],  # never clips: there is nothing to calibrate
    "adc.range": ["full", "calibrated"],
}


def space(free: dict[str, Any] = SPACE) -> DesignSpace:
    return design_space("test", {}, free)


def sweeping(store: Path, of: DesignSpace, **changes: Any) -> Evaluator:
    return evaluator(
        store,
        swept=swept_values(of),
        objectives=tuple(map(Objective.parse, OBJECTIVES)),
        constraints=(Constraint.parse("accuracy_loss <= 0.4"),),
        **changes,
    )


def some_point(of: DesignSpace, free: dict[str, Any] = SPACE) -> DesignPoint:
    values = {path: values[0] for path, values in free.items()}
    return draw_design(of, lambda path, _domain: values[path])


def brute_force(
    some: Evaluator, base: DesignPoint, free: dict[str, Any]
) -> list[tuple[DesignPoint, Evaluation]]:
    """Every feasible design of the network."""
    found = []
    for values in product(*free.values()):
        changed = with_hardware(base, dict(zip(free, values, strict=True)))
        evaluation = some.evaluate(changed)
        if evaluation.metrics["accuracy_loss"] <= 0.4:
            found.append((changed, evaluation))
    return found


def wins_by_chance(
    design: DesignPoint, accuracy: float, others: list[tuple[DesignPoint, Evaluation]]
) -> bool:
    """Whether a design with more bits everywhere is less accurate."""
    return any(
        (other.crossbar.wordlines, other.adc_loop.range)
        == (design.crossbar.wordlines, design.adc_loop.range)
        and all(a >= b for a, b in zip(other.adc.bits, design.adc.bits, strict=True))
        and evaluation.metrics["accuracy"] < accuracy
        for other, evaluation in others
    )


def losses_of(evaluations: list[Evaluation]) -> np.ndarray[Any, np.dtype[np.float64]]:
    objectives = tuple(map(Objective.parse, OBJECTIVES))
    return np.array(
        [
            [(1 if o.direction == "minimize" else -1) * o.metric.of(e.metrics) for o in objectives]
            for e in evaluations
        ]
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.mark.parametrize("free", [SPACE, RANGES], ids=["arrays", "ranges"])
def test_the_sweep_finds_the_front_of_all_designs(store: Path, free: dict[str, Any]) -> None:
    of = space(free)
    some = sweeping(store, of)
    base = some_point(of, free)
    everything = brute_force(some, base, free)
    losses = losses_of([e for _, e in everything])
    assert len(everything) > 9
    found = some.evaluate(base, sweep=True)
    mine = losses_of([e for _, e in found.nested] + [found])
    got = mine[non_dominated(mine)].tolist()
    assert all(row in losses.tolist() for row in got)
    kept = set()
    for index in non_dominated(losses).tolist():
        design, evaluation = everything[index]
        accuracy = evaluation.metrics["accuracy"]
        kept.add(design.adc_loop.range)
        assert losses[index].tolist() in got or wins_by_chance(design, accuracy, everything)
    assert free.get("adc.range", ["full"])[-1] in kept


def test_every_nested_design_is_what_an_evaluation_of_it_says(store: Path) -> None:
    of = space()
    some = sweeping(store, of)
    for design, evaluation in some.evaluate(some_point(of), sweep=True).nested:
        assert some.evaluate(design).metrics == evaluation.metrics
        assert evaluation.metrics["accuracy_loss"] <= 0.4


def test_few_simulations_still_give_designs_that_were_simulated(
    store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    of = space()
    some = sweeping(store, of, simulations=1)
    assert some.evaluate(some_point(of), sweep=True).nested
    assert "a sweep ended after 1 simulations with" in caplog.text
    assert "search.simulations allows more" in caplog.text


def test_the_network_of_every_nested_design_is_the_same(store: Path) -> None:
    of = space()
    some = sweeping(store, of)
    base = some_point(of)
    keys = {
        evaluation.stages["compress"]["key"]
        for _, evaluation in some.evaluate(base, sweep=True).nested
    }
    assert keys == {some.evaluate(base).stages["compress"]["key"]}


def test_a_network_trained_under_its_converters_keeps_them() -> None:
    tuned = point(adc__tune_epochs=2)
    assert set(nestable(tuned, tuned=True)) <= set(COSTS_ONLY)
    swept = swept_values(space())
    assert network_digest(tuned, swept) != network_digest(
        with_hardware(tuned, {"adc.bits.slice0": 6}), swept
    )
    plain = point()
    assert network_digest(plain, swept) == network_digest(
        with_hardware(plain, {"adc.bits.slice0": 6, "crossbar.wordlines": 64}), swept
    )


def test_flips_by_column_hold_the_wordlines() -> None:
    flipped = point(bit_flips="bit_transformer", engine="bit_plane")
    assert "crossbar.wordlines" not in nestable(flipped, tuned=False)
    assert "encoding" not in nestable(flipped, tuned=False)
    assert "engine.bit_plane.packed" in nestable(flipped, tuned=False)
    assert "crossbar.wordlines" in nestable(point(), tuned=False)
    assert "engine.bit_plane.packed" not in nestable(point(), tuned=False)


def test_a_knob_of_many_values_is_left_to_the_sampler() -> None:
    swept = swept_values(design_space("test", {}, {"adc.per_array": "1..512"}))
    assert "adc.per_array" not in swept
    assert swept["crossbar.wordlines"] == (128,)


def test_many_combinations_are_thinned_to_a_common_headroom() -> None:
    tried = [tuple(range(1, 9))] * 5  # 32 768 combinations
    rows = nested._rows(tried, [3, 8, 5, 5, 6]).tolist()
    assert len(rows) < 200
    assert all(row in rows for row in ([4] * 5, [3, 8, 5, 5, 6], [1, 6, 3, 3, 4], [4, 4, 5, 4, 4]))
    assert [1, 8, 1, 8, 1] not in rows
    few = nested._rows([(1, 2), (4,), (3, 9)], [2, 4, 9]).tolist()
    assert sorted(few) == [[1, 4, 3], [1, 4, 9], [2, 4, 3], [2, 4, 9]]
