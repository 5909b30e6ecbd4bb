"""Study files: what is read, and what every mistake says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from dse.catalogue import catalogue
from dse.errors import DseError, SpecError
from dse.metrics import SI_METRICS, metric_name, shown, spellings
from dse.objectives import Constraint, Objective
from dse.spec import StudySpec
from tests.dse.fakes import SPEC, small_spec

STUDIES = sorted((Path(__file__).parents[2] / "studies").glob("*.yaml"))


def read(tmp_path: Path, text: str, *overrides: str) -> StudySpec:
    file = tmp_path / "study.yaml"
    file.write_text(text)
    return StudySpec.from_yaml(file, overrides)


@pytest.mark.parametrize("file", STUDIES, ids=lambda file: file.stem)
def test_every_study_that_we_ship_is_valid(file: Path) -> None:
    spec = StudySpec.from_yaml(file)
    assert spec.name == file.stem
    assert spec.design_space().free()


def test_the_documentation_names_every_knob_and_metric() -> None:
    text = (Path(__file__).parents[2] / "docs" / "study_file.md").read_text()
    knobs = [p for p in catalogue().domains() if not re.match(r"adc\.bits\.slice[1-6]", p)]
    assert [p for p in knobs if f"`{p}`" not in text] == []
    assert [m for m in SI_METRICS if f"`{m}`" not in text] == []


def test_a_spec_survives_the_database(tmp_path: Path) -> None:
    spec = read(tmp_path, yaml.safe_dump({**SPEC, "points": [{"adc.bits": 3}]}))
    again = StudySpec.from_mapping(spec.model_dump(mode="json"), where="stored")
    assert again == spec
    assert again.digest() == spec.digest()


def test_budget_and_launch_may_change_and_the_rest_may_not() -> None:
    base = small_spec().digest()
    assert small_spec(launch={"name": "ray", "workers": 2}).digest() == base
    assert small_spec(budget={"trials": 99, "epochs": 1}).digest() == base
    assert small_spec(budget={"trials": 12, "epochs": 2}).digest() != base
    assert small_spec(training={"seed": 1}).digest() != base
    assert small_spec(task={"name": "mlp_mnist", "train_images": 500}).digest() != base
    assert small_spec(task={"name": "mlp_mnist", "data_folder": "/somewhere"}).digest() == base


def test_overrides_change_entries_and_sections(tmp_path: Path) -> None:
    text = yaml.safe_dump(SPEC)
    spec = read(
        tmp_path,
        text,
        "budget.trials=3",
        "space.adc.bits=1..4",
        "task.train_images=200",
        "launch.workers=2",
    )
    assert spec.budget.trials == 3
    assert spec.space["adc.bits"] == "1..4"
    assert (spec.task.name, spec.task.train_images) == ("mlp_mnist", 200)
    assert (spec.launch.name, spec.launch.workers) == ("serial", 2)
    for bad, message in (
        ("budget", r"--set takes path=value"),
        ("budget.trials=[", r"the value is not YAML"),
        ("name.inner.x=1", r"'inner' is no section|no such entry|should be a valid"),
    ):
        with pytest.raises(SpecError, match=message):
            read(tmp_path, text, bad)


def test_paths_hold_wherever_the_study_continues(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    task = {
        "model": "net:make",
        "data": "mnist",
        "checkpoint": "w.safetensors",
        "data_folder": "data",
    }
    spec = read(tmp_path, yaml.safe_dump({**SPEC, "task": task}))
    assert spec.task.checkpoint == str(tmp_path / "w.safetensors")
    assert spec.task.data_folder == str(tmp_path / "data")
    assert str(tmp_path) in spec.folders


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "../evil"}, r"name: letters, digits.*got '\.\./evil'"),
        ({"name": None}, r"name: "),
        ({"sampl": "tpe"}, r"sampl: there is no such entry; did you mean 'sampler'\?"),
        ({"budget": {"trial": 3}}, r"budget\.trial: .*did you mean 'trials'\?"),
        ({"budget": {"trials": 0}}, r"budget\.trials: .*greater than or equal to 1, got 0"),
        ({"budget": {"trials": "many"}}, r"budget\.trials: .*integer, got 'many'"),
        ({"budget": {"trials": 1.5}}, r"budget\.trials: .*integer"),
        ({"launch": {"workers": "all"}}, r"launch\.workers"),
        ({"launch": "slurm"}, r"launch\.name: .*'ray', 'serial' or 'tune', got 'slurm'"),
        ({"task": {"model": "a:b"}}, r"task\.data: a network of your own needs"),
        ({"task": {"name": "mlp_mnist", "model": "a:b"}}, r"task: give the name of a task, or"),
        ({"task": {"name": "mlp_mnist", "data": "mnist"}}, r"brings its own data"),
        ({"task": {"train_images": 500}}, r"task: give the name of a task, or"),
        ({"objectives": []}, r"objectives: at least one"),
        ({"objectives": ["maximise accuracy"]}, r"reads 'maximize METRIC' or 'minimize METRIC'"),
        ({"objectives": ["maximize acuracy"]}, r"no metric 'acuracy'; did you mean 'accuracy'\?"),
        ({"objectives": ["minimize energy"]}, r"no metric 'energy'; did you mean 'energy_"),
        ({"objectives": ["maximize accuracy", "maximize accuracy"]}, r"every metric once"),
        ({"constraints": ["accuracy_loss < 0.1"]}, r"a constraint reads 'METRIC <= NUMBER'"),
        ({"constraints": ["accuracy_loss <= nan"]}, r"a constraint reads 'METRIC <= NUMBER'"),
        ({"constraints": ["area <= 3"]}, r"no metric 'area'"),
        ({"space": {}}, r"space: leaves nothing to choose"),
        ({"space": {"adc.bit": "1..8"}}, r"no such knob; did you mean 'adc\.bits'\?"),
        ({"space": {"adc.bits": "1..80"}}, r"leaves the domain 1\.\.14"),
        ({"points": [{"adc.bits": 9}]}, r"points\.adc\.bits: 9 is outside 1\.\.8"),
        ({"points": [{"adc.bit": 9}]}, r"points\.adc\.bit: there is no such knob"),
    ],
)  # fmt: skip
def test_a_mistake_names_its_place_and_what_should_hold(
    change: dict[str, Any], message: str
) -> None:
    with pytest.raises(DseError, match=rf"test: .*{message}|test: {message}"):
        small_spec(**change)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: [a", r"study\.yaml:1:\d+: is not valid YAML"),
        ("- a\n- b\n", r"study\.yaml: a study file is a mapping.*got list"),
        ("", r"a study file is a mapping.*got NoneType"),
        ("name: a\nname: b\n", r"study\.yaml:2:1: is not valid YAML: 'name' stands twice"),
        ("1: a\n", r"a key is text, got 1"),
        ("name: !!python/object/apply:os.system [echo]\n", r"is not valid YAML"),
        ("name: a\nwhen: 2026-99-99\n", r"is not valid YAML: month must be"),
    ],
)
def test_broken_yaml_says_where(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        read(tmp_path, text)


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"absent\.yaml: there is no such study file"):
        StudySpec.from_yaml(tmp_path / "absent.yaml")


def test_metrics_are_read_in_every_prefix_and_shown_in_the_usual_one() -> None:
    metrics = {"energy_j": 2e-6, "area_m2": 3e-6, "latency_s": 4e-6, "accuracy": 0.9}
    assert metric_name("energy_pj").of(metrics) == pytest.approx(2e6)
    assert metric_name("area_mm2").of(metrics) == pytest.approx(3.0)
    assert metric_name("area_um2").of(metrics) == pytest.approx(3e6)
    assert metric_name("latency_ns").of(metrics) == pytest.approx(4000)
    assert shown(metrics) == pytest.approx(
        {"energy_uj": 2.0, "area_mm2": 3.0, "latency_us": 4.0, "accuracy": 0.9}
    )
    assert "accuracy_loss" in spellings()
    assert "adc_energy_vs_8bit" in spellings()


def test_a_constraint_is_met_at_or_below_zero() -> None:
    at_most = Constraint.parse("area_mm2 <= 0.5")
    at_least = Constraint.parse("accuracy>=0.95")
    assert at_most.violation({"area_m2": 0.5e-6}) == pytest.approx(0)
    assert at_most.violation({"area_m2": 0.7e-6}) == pytest.approx(0.2)
    assert at_least.violation({"accuracy": 0.96}) == pytest.approx(-0.01)
    assert str(at_least) == "accuracy >= 0.95"
    assert str(Objective.parse("minimize area_mm2")) == "minimize area_mm2"
