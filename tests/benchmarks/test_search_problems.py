"""The problems that samplers are compared on are what their descriptions say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, IntDistribution
from recorded_table import FOLDER, METRICS, RecordedTable, TableSpec
from search_problems import (
    LAYERS,
    Result,
    Volume,
    analytic_metrics,
    analytic_space,
    problem,
    table_arrays,
    table_volume,
)

TABLES = sorted(file.stem for file in FOLDER.glob("*.npz"))


def middle() -> dict[str, Any]:
    return {
        **{f"adc{i}": 6 for i in range(LAYERS)},
        **{f"prune{i}": 0.3 for i in range(4)},
        "patch": 2,
        "cell": 1,
        "strength": 3e-3,
        "schedule": "cosine",
    }


def test_there_are_two_tables_of_thousands_of_designs() -> None:
    assert len(TABLES) >= 2
    for name in TABLES:
        assert np.prod(TableSpec.read(name).shape) >= 5000
        assert (FOLDER / f"{name}.npz").stat().st_size < 500_000


@pytest.mark.parametrize("name", TABLES)
def test_a_table_has_a_number_for_every_design(name: str) -> None:
    table = RecordedTable(name)
    for metric in METRICS:
        assert table.metrics[metric].shape == table.spec.shape
        assert np.isfinite(table.metrics[metric]).all()
    accuracy = table.metrics["accuracy"]
    assert 0 <= accuracy.min() < accuracy.max() <= 1
    assert (table.metrics["energy_j"] > 0).all()


@pytest.mark.parametrize("name", TABLES)
def test_more_bits_never_save_energy(name: str) -> None:
    table = RecordedTable(name)
    for axis, knob in enumerate(table.spec.knobs):
        if all(path.startswith("adc.bits.") for path in knob.paths):
            assert (np.diff(table.metrics["energy_j"], axis=axis) >= 0).all()


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("form", ["", ":constrained"])
def test_a_tabulated_problem_gives_what_the_table_holds(name: str, form: str) -> None:
    found = problem(name + form)
    spec = RecordedTable(name).spec
    rng = np.random.default_rng(0)
    for _ in range(5):
        levels = [int(rng.integers(n)) for n in spec.shape]
        params = {
            knob.name: level if knob.ordered else knob.values[level]
            for knob, level in zip(spec.knobs, levels, strict=True)
        }
        metrics = RecordedTable(name).at(levels)
        result = found.evaluate(params)
        assert result.values[0] == metrics["accuracy"]
        assert result.values[1] == pytest.approx(metrics["energy_j"] * 1e6)
        if form:
            assert result.violation is not None
            limit = float(spec.constraints[0].split("<=")[1])
            assert result.violation == pytest.approx(metrics["accuracy_loss"] - limit)


@pytest.mark.parametrize("name", TABLES)
def test_the_box_ends_at_the_best_and_the_worst_designs(name: str) -> None:
    for constrained in (False, True):
        _, losses, violation = table_arrays(RecordedTable(name), constrained=constrained)
        inside = losses[violation <= 0]
        assert inside.min(axis=0) == pytest.approx(0)
        assert inside.max(axis=0) == pytest.approx(1)
        assert 0 < table_volume(RecordedTable(name), constrained=constrained) < 1


@pytest.mark.parametrize("name", TABLES)
def test_ordered_knobs_are_integers_and_others_names(name: str) -> None:
    found = problem(name)
    for knob in RecordedTable(name).spec.knobs:
        kind = IntDistribution if knob.ordered else CategoricalDistribution
        assert isinstance(found.space[knob.name], kind)


def test_volume_grows_by_what_a_result_adds() -> None:
    volume = Volume(2)
    assert volume.add(Result(values=(), losses=(0.5, 0.5))) == pytest.approx(0.25)
    assert volume.add(Result(values=(), losses=(0.6, 0.6))) == pytest.approx(0.25)
    assert volume.add(Result(values=(), losses=(0.25, 0.75))) == pytest.approx(0.3125)
    assert volume.add(Result(values=(), losses=(-0.1, 1.0))) == pytest.approx(0.3125)
    assert volume.add(Result(values=(), losses=(0.0, 0.0), violation=0.1)) == pytest.approx(0.3125)
    assert volume.add(Result(values=(), losses=(0.0, 0.0), violation=0.0)) == pytest.approx(1.0)


def test_the_analytic_space_is_the_one_described() -> None:
    space = analytic_space()
    assert len(space) == 16
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    found = problem("analytic")
    losses = np.array([found.evaluate(study.ask(space).params).losses for _ in range(400)])
    assert ((losses > 0) & (losses < 1)).all()


def test_clipping_pruning_and_their_product_cost_accuracy() -> None:
    base = middle()
    clipped = base | {"adc4": 3}
    pruned = base | {"prune2": 0.8}
    both = clipped | pruned
    loss = {
        name: analytic_metrics(base)[0] - analytic_metrics(each)[0]
        for name, each in (("clipped", clipped), ("pruned", pruned))
    }
    assert loss["clipped"] > 0.005
    assert loss["pruned"] > 0.01
    assert analytic_metrics(both)[0] < analytic_metrics(base)[0]


def test_bits_cost_energy_and_area_and_pruning_saves_both() -> None:
    _, energy, area = analytic_metrics(middle())
    _, dearer, larger = analytic_metrics(middle() | {"adc0": 9})
    _, cheaper, smaller = analytic_metrics(middle() | {"prune0": 0.7})
    assert cheaper < energy < dearer
    assert smaller < area < larger


def test_accuracy_is_uneven_along_the_strength_of_the_penalty() -> None:
    accuracies = [
        analytic_metrics(middle() | {"strength": s})[0] for s in np.geomspace(1e-3, 1e-2, 60)
    ]
    turns = np.sum(np.diff(np.sign(np.diff(accuracies))) != 0)
    assert turns >= 4


def test_a_form_that_does_not_exist() -> None:
    with pytest.raises(SystemExit, match="a problem is NAME or NAME:constrained, got analytic:x"):
        problem("analytic:x")


def test_a_grid_that_leaves_a_knob_free_says_which(tmp_path: Path) -> None:
    text = (FOLDER / "mlp_adc.json").read_text()
    (tmp_path / "mlp_adc.json").write_text(text.replace('"regularizer": "bit_slice_l1", ', ""))
    spec = TableSpec.read("mlp_adc", tmp_path)
    assert spec.settings([0] * 8)["crossbar.wordlines"] == 64
    assert spec.point([0] * 8).regularizer.name == "none"
