"""dse.load: what a notebook sees is what the commands print."""

from __future__ import annotations

import json
import subprocess
import sys
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

import dse
from dse.cli.app import make_app
from dse.errors import SpecError, StorageError, StudyError
from dse.launching.driver import drive
from dse.notebook import LoadedStudy
from dse.resuming import driving
from tests.dse.fakes import FakeExecutor, database_in, small_spec


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("notebook")
    spec = small_spec(constraints=["accuracy_loss <= 0.3"])
    with driving(database_in(folder), spec) as study:
        drive(study, FakeExecutor(), trials=12, timeout_s=None, progress=lambda *_: None)
    with driving(database_in(folder), small_spec(name="empty")):
        pass
    return f"sqlite:///{folder / 'dse.db'}"


@pytest.fixture
def study(url: str) -> LoadedStudy:
    return dse.load("small", storage=url)


def test_the_front_is_that_of_the_command(study: LoadedStudy, url: str) -> None:
    told = CliRunner().invoke(
        make_app(["pareto"]), ["pareto", "small", "--format", "json", "--storage", url]
    )
    printed = json.loads(told.stdout)
    front = study.front()
    assert front.index.tolist() == [design["trial"] for design in printed["front"]]
    assert study.hypervolume() == printed["hypervolume"]
    for (_, row), design in zip(front.iterrows(), printed["front"], strict=True):
        for section in ("values", "metrics", "params"):
            for name, value in design[section].items():
                assert row[name] == value
        assert row["seconds"] == design["seconds"]


def test_results_hold_every_design_and_whether_it_is_feasible(study: LoadedStudy) -> None:
    results = study.results()
    assert len(results) == 12
    assert list(results)[:3] == ["accuracy", "energy_uj", "feasible"]
    assert (results["feasible"] == (results["accuracy_loss"] <= 0.3)).all()
    assert 0 < results["feasible"].sum() < 12
    assert results["regularizer.l1.strength"].isna().any()  # not every design has one


def test_a_given_reference_point_changes_the_hypervolume(study: LoadedStudy) -> None:
    front = study.front()
    corner = [front["accuracy"].max() - 0.01, front["energy_uj"].max() + 0.01]
    assert 0 < study.hypervolume(corner) < study.hypervolume([0.0, 10.0])
    with pytest.raises(StudyError, match="a number for each of accuracy, energy_uj, got 1"):
        study.hypervolume([0.5])


def test_a_plot_has_the_objectives_on_its_axes(study: LoadedStudy, tmp_path: Path) -> None:
    figure = study.plot()
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("energy (µJ)", "accuracy (fraction)")
    drawn = sum(len(np.asarray(points.get_offsets())) for points in axes.collections)
    assert drawn == 12
    figure.savefig(tmp_path / "front.png")
    assert (tmp_path / "front.png").stat().st_size > 5000
    assert study.plot("area_mm2", "adc.bits.slice3").axes[0].get_xlabel() == "area (mm²)"
    with pytest.raises(SpecError, match=r"numbers on its axes, such as accuracy,"):
        study.plot("regularizer")


def test_what_a_person_sees_says_where_the_study_stands(study: LoadedStudy) -> None:
    assert repr(study) == "<study small: maximize accuracy, minimize energy_uj; 12 complete, " + (
        f"{study.counts()['infeasible']} infeasible>"
    )
    assert "<table" in study._repr_html_()
    assert "&lt;" not in study._repr_html_()
    printed = StringIO()
    Console(file=printed, width=160).print(study)
    assert "Pareto front of small" in printed.getvalue()
    number = int(study.front().index[0])
    assert study.explain(number)["trial"] == number


def test_names_are_no_markup(study: LoadedStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    front = study.front().rename(columns={"accuracy": "<script>1</script>"})
    monkeypatch.setattr(LoadedStudy, "__repr__", lambda self: "<study <b>x</b>>")
    monkeypatch.setattr(study, "front", lambda: front)
    page = study._repr_html_()
    assert "<script>" not in page
    assert "&lt;script&gt;1&lt;/script&gt;" in page
    assert "study &lt;b&gt;x&lt;/b&gt;" in page


def test_a_study_without_results_has_an_empty_front(url: str) -> None:
    empty = dse.load("empty", storage=url)
    assert list(empty.front()) == ["accuracy", "energy_uj"]
    assert len(empty.results()) == 0
    assert repr(empty).endswith("; no trials yet>")
    with pytest.raises(StudyError, match="'empty' has no results to plot yet"):
        empty.plot()


def test_the_database_comes_from_the_environment(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DSE_STORAGE", url)
    assert dse.load("small").counts()["complete"] == 12
    with pytest.raises(StudyError, match=r"there is no study 'smal' in .*studies: empty, small"):
        dse.load("smal")
    monkeypatch.delenv("DSE_STORAGE")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StorageError, match="there is no such database"):
        dse.load("small")


def test_loading_imports_neither_torch_nor_ray(url: str) -> None:
    code = (
        "import sys, dse; dse.load('small', storage=sys.argv[1]).counts(); "
        "print(sorted({'torch', 'ray', 'optuna'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, url], capture_output=True, check=True)
    assert done.stdout.decode().strip() == "[]"
