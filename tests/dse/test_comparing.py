"""Studies are compared under one reference point, and only under the same objectives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from dse.cli.app import make_app
from dse.comparing import Comparison, compare
from dse.dominance import non_dominated
from dse.errors import SpecError, StudyError
from dse.launching.driver import drive
from dse.reading.columns import TrialColumns
from dse.reading.source import open_source
from dse.reading.studies import read_study
from dse.resuming import driving
from tests.dse.fakes import FakeExecutor, database_in, small_spec


def run(folder: Path, name: str, **changes: Any) -> None:
    spec = small_spec(name=name, **changes)
    with driving(database_in(folder), spec) as study:
        drive(
            study,
            FakeExecutor(),
            trials=spec.budget.trials,
            timeout_s=None,
            progress=lambda job, outcome: None,
        )


def compared(folder: Path, *names: str) -> Comparison:
    with open_source(f"sqlite:///{folder / 'dse.db'}") as source:
        studies = [read_study(source, name) for name in names]
        return compare([(TrialColumns(source, s), s.objectives(source)) for s in studies])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("compared")
    for seed, name in enumerate(("one", "two", "three")):
        run(made, name, sampler={"name": "random", "seed": seed})
    return made


def values_of(folder: Path, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Losses of all feasible results."""
    with open_source(f"sqlite:///{folder / 'dse.db'}") as source:
        columns = TrialColumns(source, read_study(source, name))
        rows = columns.results()
        return columns.values()[rows[~columns.broken()[rows]]] * np.array([-1.0, 1.0])


def test_one_reference_point_serves_all(folder: Path) -> None:
    found = compared(folder, "one", "two", "three")
    everything = np.concatenate([values_of(folder, n) for n in ("one", "two", "three")])
    assert {each.front.reference_point for each in found.studies} == {found.reference_point}
    assert found.hypervolume >= max(each.front.hypervolume for each in found.studies) > 0
    assert sum(each.kept for each in found.studies) == len(non_dominated(everything))
    for name, each in zip(("one", "two", "three"), found.studies, strict=True):
        own = values_of(folder, name)
        assert each.best == (-own[:, 0].min(), own[:, 1].min())
        assert len(each.front.trials) == len(non_dominated(own))


def test_a_study_beside_itself_is_not_beaten(folder: Path) -> None:
    found = compared(folder, "one", "one")
    assert [each.beaten for each in found.studies] == [0.0, 0.0]
    assert found.studies[0].front.hypervolume == found.hypervolume
    assert found.studies[0].kept == len(found.studies[0].front.trials)


def test_beaten_counts_the_others_designs(folder: Path) -> None:
    own, other = values_of(folder, "one"), values_of(folder, "two")
    own, other = own[non_dominated(own)], other[non_dominated(other)]
    share = np.mean([((own <= p).all(1) & (own < p).any(1)).any() for p in other])
    assert compared(folder, "one", "two").studies[0].beaten == pytest.approx(share)


def test_a_study_without_results_has_no_front(folder: Path) -> None:
    run(folder, "none", constraints=["accuracy_loss <= -1"])
    found = compared(folder, "one", "none").studies[1]
    assert (found.front.trials, found.best, found.kept, found.beaten) == ((), (), 0, 0.0)


def test_other_objectives_are_refused(folder: Path) -> None:
    run(folder, "other", objectives=["maximize accuracy", "minimize area_mm2"])
    with pytest.raises(StudyError, match="'one' has maximize accuracy, minimize energy_uj, 'othe"):
        compared(folder, "one", "other")


def test_the_command_prints_a_table_or_json(folder: Path) -> None:
    storage = ["--storage", f"sqlite:///{folder / 'dse.db'}"]
    runner, app = CliRunner(env={"COLUMNS": "200"}), make_app(["compare"])
    printed = runner.invoke(app, ["compare", "one", "two", *storage]).stdout
    assert "one" in printed
    assert "hypervolume to the common reference point" in printed
    found = json.loads(
        runner.invoke(app, ["compare", "one", "two", "--format", "json", *storage]).stdout
    )
    assert [each["study"] for each in found["studies"]] == ["one", "two"]
    assert set(found["studies"][0]["best"]) == {"accuracy", "energy_uj"}
    alone = runner.invoke(app, ["compare", "one", *storage])
    assert isinstance(alone.exception, SpecError)
    assert "two or more different studies, got one" in str(alone.exception)
