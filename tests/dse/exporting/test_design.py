"""A design that is exported scores, without its study, exactly what the study says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.torch import load_file, save_file

from dse.database import Database
from dse.errors import SpecError, StudyError, TaskError
from dse.exporting.design import export_design, read_design, score
from dse.launching.launch import launch
from dse.resuming import driving
from dse.spec import StudySpec
from tests.dse.fakes import database_in

PLAIN: dict[str, Any] = {
    "quantizer.fixed_point.bits": 8,
    "patches": "none",
    "bit_flips": "none",
    "engine": "isaac",
    "encoding": "differential",
    "adc.range": "full",
    "adc.bits": 4,
}
STUDY: dict[str, Any] = {
    "name": "exported",
    "task": {"name": "mlp_mnist", "train_images": 400, "test_images": 200},
    "space": {
        "quantizer.fixed_point.bits": [7, 8],
        "patches": ["none", "pq_pim"],
        "patches.pq_pim.weak_inputs": [False, True],
        "bit_flips": ["none", "bit_transformer"],
        "engine": ["isaac", "bit_plane", "ou_patch"],
        "encoding": ["differential", "twos_complement"],
        "adc.range": ["full", "calibrated"],
        "adc.bits": "3..8",
    },
    "points": [
        PLAIN,
        {**PLAIN, "adc.range": "calibrated", "adc.bits": 3, "bit_flips": "bit_transformer"},
        {
            **PLAIN,
            "quantizer.fixed_point.bits": 7,
            "patches": "pq_pim",
            "patches.pq_pim.weak_inputs": True,
            "engine": "ou_patch",
            "encoding": "twos_complement",
        },
    ],
    "objectives": ["maximize accuracy", "minimize energy_uj"],
    "budget": {"trials": 3, "epochs": 1},
    "training": {"pretrain_epochs": 1},
    "launch": "serial",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of three designs, and their exports `0`, `1`, `2`."""
    made = tmp_path_factory.mktemp("exported")
    database, spec = database_of(made)
    with driving(database, spec) as study:
        launch(study, timeout_s=None, progress=lambda job, outcome: None)
    for number in range(3):
        export_design(spec, database, number, made / str(number))
    return made


def database_of(folder: Path) -> tuple[Database, StudySpec]:
    return database_in(folder), StudySpec.from_mapping(STUDY, where="test")


@pytest.mark.parametrize("number", range(3))
def test_a_design_scores_what_its_study_says(folder: Path, number: int) -> None:
    database, spec = database_of(folder)
    with driving(database, spec) as study:
        metrics = study.trials()[number].user_attrs["metrics"]
    found = score(folder / str(number))
    assert dict(found.metrics) == metrics == found.design.metrics
    assert found.differing == ()
    mapping = json.loads((folder / str(number) / "mapping.json").read_text())
    assert {layer["name"] for layer in mapping["layers"]} == {"fc1", "fc2"}
    assert bool(mapping["adc_steps"]) == (number == 1)


def copied(folder: Path, to: Path, **entries: Any) -> Path:
    """Another export, with entries of design.yaml changed."""
    to.mkdir()
    for file in folder.iterdir():
        (to / file.name).write_bytes(file.read_bytes())
    design = yaml.safe_load((to / "design.yaml").read_text()) | entries
    (to / "design.yaml").write_text(yaml.safe_dump(design))
    return to


def test_other_codes_score_otherwise(folder: Path, tmp_path: Path) -> None:
    changed = copied(folder / "0", tmp_path / "changed")
    codes = load_file(changed / "codes.safetensors")
    codes["fc2/signs"] = -codes["fc2/signs"]
    save_file(codes, changed / "codes.safetensors")
    found = score(changed)
    assert "accuracy" in found.differing
    assert "accuracy_float" not in found.differing
    assert "crossbars" not in found.differing


def test_a_folder_that_is_no_export_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"a folder that `dse export` wrote, got: design.yaml: No"):
        score(tmp_path)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"format": 9}, "has format 9, this version reads 1; export it again"),
        ({"trial": "x"}, "trial: Input should be a valid integer. Export the design again"),
        ({"images": "0" * 64}, "evaluated on other images: their digest is 000000000000, that"),
        (
            {"knobs": {"engine": "isaac"}},
            "knobs: a design has exactly those that it needs, adc.bits.slice0, adc",
        ),
        ({"knobs": {"engine": "abacus"}}, "abacus"),
    ],
    ids=["format", "type", "images", "knob", "engine"],
)
def test_a_design_file_that_does_not_fit_is_refused(
    folder: Path, tmp_path: Path, entries: dict[str, Any], message: str
) -> None:
    changed = copied(folder / "0", tmp_path / "changed", **entries)
    with pytest.raises(SpecError, match=message):
        score(changed)


def test_a_missing_file_is_named(folder: Path, tmp_path: Path) -> None:
    changed = copied(folder / "0", tmp_path / "changed")
    (changed / "weights.safetensors").unlink()
    with pytest.raises(TaskError, match=r"weights.safetensors, which does not exist"):
        score(changed)
    (changed / "design.yaml").write_text("a: [")
    with pytest.raises(SpecError, match=r"is YAML, got: .* Export the design again"):
        read_design(changed)


def test_a_trial_that_does_not_exist_cannot_be_exported(folder: Path, tmp_path: Path) -> None:
    database, spec = database_of(folder)
    with pytest.raises(StudyError, match="has no trial 7; its trials are 0 to 2"):
        export_design(spec, database, 7, tmp_path / "out")


def test_a_folder_that_cannot_be_written_is_named(folder: Path, tmp_path: Path) -> None:
    database, spec = database_of(folder)
    (tmp_path / "file").write_text("")
    with pytest.raises(SpecError, match=r"cannot be written .*; name a folder that can"):
        export_design(spec, database, 0, tmp_path / "file")
