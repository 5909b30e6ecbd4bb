"""From a study file to a Pareto front, as a user types it."""

from __future__ import annotations

import csv
import io
import json
import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.commands import (
    HANGS_AFTER_S,
    SCRIPTS,
    dse,
    printed_json,
    stored_trials,
    succeed,
    write_study,
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    output = succeed(folder, "run", str(write_study(folder)))
    (folder / "output.txt").write_text(output)
    return folder


def test_a_run_reports_progress_in_plain_lines_and_prints_the_front(finished: Path) -> None:
    output = (finished / "output.txt").read_text()
    assert "tiny: started, 0/8 designs" in output
    assert "tiny: finished, 8/8 designs" in output
    assert "best accuracy" in output
    assert "Pareto front of tiny" in output
    assert "\x1b[" not in output, "no terminal codes in a log"


def test_the_front_as_json_follows_the_contract(finished: Path) -> None:
    front = printed_json(finished, "pareto", "tiny")
    assert list(front) == [
        "study",
        "objectives",
        "n_trials",
        "hypervolume",
        "reference_point",
        "knee",
        "extremes",
        "given",
        "front",
    ]
    (given,) = front["given"]
    assert (given["name"], given["trial"]) == ("given 0", 0)
    assert front["study"] == "tiny"
    assert front["objectives"] == [
        {"name": "accuracy", "direction": "maximize"},
        {"name": "energy_uj", "direction": "minimize"},
    ]
    assert set(front["n_trials"]) == {
        "complete",
        "failed",
        "running",
        "waiting",
        "pruned",
        "infeasible",
    }
    assert front["n_trials"]["complete"] >= 8
    assert len(front["reference_point"]) == 2
    assert front["hypervolume"] > 0
    assert front["front"]
    for design in front["front"]:
        assert set(design) == {"trial", "values", "params", "metrics", "seconds"}
        assert set(design["values"]) == {"accuracy", "energy_uj"}
        assert 0 <= design["values"]["accuracy"] <= 1
        assert {"accuracy_ideal", "latency_us", "area_mm2", "crossbars"} <= set(design["metrics"])
        assert {f"adc.bits.slice{s}" for s in range(4)} <= set(design["params"])
    energies = [design["values"]["energy_uj"] for design in front["front"]]
    assert energies == sorted(energies, reverse=True), "best accuracy first, then ever cheaper"


def test_the_front_as_csv_holds_the_same_designs(finished: Path) -> None:
    rows = list(
        csv.DictReader(io.StringIO(succeed(finished, "pareto", "tiny", "--format", "csv")))
    )
    front = printed_json(finished, "pareto", "tiny")["front"]
    assert [int(row["trial"]) for row in rows] == [design["trial"] for design in front]
    for row, design in zip(rows, front, strict=True):
        assert float(row["accuracy"]) == design["values"]["accuracy"]
        assert int(row["adc.bits.slice3"]) == design["params"]["adc.bits.slice3"]


def test_a_design_explained_follows_the_contract_and_adds_up(finished: Path) -> None:
    number = printed_json(finished, "pareto", "tiny")["front"][0]["trial"]
    explained = printed_json(finished, "explain", "tiny", str(number))
    assert {"trial", "params", "values", "metrics", "layers", "components", "stages"} <= set(
        explained
    )
    for layer in explained["layers"]:
        assert {
            "name",
            "k",
            "n",
            "v",
            "crossbars",
            "energy_j",
            "latency_s",
            "adc_bits",
            "nonzero_slice_ratio",
        } <= set(layer)
        assert len(layer["adc_bits"]["used"]) == len(layer["adc_bits"]["lossless"]) == 4
    by_layer = sum(sum(layer["energy_j"].values()) for layer in explained["layers"])
    by_component = sum(c["energy_j"] for c in explained["components"].values())
    assert by_layer == pytest.approx(by_component, rel=1e-9)
    assert by_component * 1e6 == pytest.approx(explained["values"]["energy_uj"], rel=1e-9)
    area = sum(c["area_m2"] for c in explained["components"].values())
    assert area * 1e6 == pytest.approx(explained["metrics"]["area_mm2"], rel=1e-9)
    assert sum(layer["latency_s"] for layer in explained["layers"]) * 1e6 == pytest.approx(
        explained["metrics"]["latency_us"], rel=1e-9
    )
    assert set(explained["stages"]) == {
        "pretrain",
        "compress",
        "estimate",
        "accuracy_float",
        "accuracy_ideal",
        "accuracy",
    }
    for trace in explained["stages"].values():
        assert set(trace) == {"key", "cached", "seconds"}
    table = succeed(finished, "explain", "tiny", str(number))
    assert "784x100" in table
    assert "lossless" in table
    assert "…" not in table, "nothing is cut off"


def test_optunas_own_command_lists_the_same_trials(finished: Path) -> None:
    done = subprocess.run(
        [
            str(SCRIPTS / "optuna"),
            "trials",
            "--storage",
            f"sqlite:///{finished / 'dse.db'}",
            "--study-name",
            "tiny",
            "--format",
            "json",
        ],
        capture_output=True,
        text=True,
        timeout=HANGS_AFTER_S,
        check=True,
    )
    listed = json.loads(done.stdout)
    ours = stored_trials(finished)
    assert [t["number"] for t in listed] == [t["number"] for t in ours]
    assert [t["state"] for t in listed] == [t["state"] for t in ours]
    front = printed_json(finished, "pareto", "tiny")["front"]
    by_number = {t["number"]: t for t in ours}
    for design in front:
        assert list(design["values"].values()) == by_number[design["trial"]]["values"]
        assert design["params"] == by_number[design["trial"]]["params"]


def test_status_and_list_show_where_a_study_stands(finished: Path) -> None:
    status = printed_json(finished, "status", "tiny")
    assert status["running_now"] is False
    assert status["n_trials"]["complete"] >= 8
    assert status["budget"] == 8
    assert status["best"]["accuracy"] > 0.5
    assert status["errors"] == []
    assert "tiny: not running" in succeed(finished, "status", "tiny", "--follow")
    (listed,) = printed_json(finished, "list")
    assert listed["study"] == "tiny"
    assert listed["objectives"] == ["accuracy", "energy_uj"]
    assert "tiny" in succeed(finished, "list")


def test_an_exported_design_scores_the_same_without_its_study(finished: Path) -> None:
    succeed(finished, "export", "tiny", "0", "--out", "taken")
    alone = finished / "alone"
    alone.mkdir()
    (finished / "taken").rename(alone / "taken")
    found = printed_json(alone, "score", "taken", "--format", "json")
    assert found["differing"] == []
    assert found["now"] == found["exported"]
    assert "evaluated again" in succeed(alone, "score", "taken")
    design = alone / "taken" / "design.yaml"
    design.write_text(design.read_text().replace("crossbars: 64.0", "crossbars: 63.0"))
    told = dse(alone, "score", "taken")
    assert told.returncode == 1
    assert "DIFFERS" in told.stdout


def test_a_report_is_one_file_without_network(finished: Path) -> None:
    output = succeed(finished, "report", "tiny", "--out", "tiny.html")
    assert output.strip() == f"Report: {(finished / 'tiny.html').resolve()}"
    page = (finished / "tiny.html").read_text()
    assert page.startswith("<!DOCTYPE html>") or page.startswith("<!doctype html>")
    assert 'src="http' not in page
    refused = dse(finished, "report", "tiny", "--out", "nowhere/tiny.html")
    assert refused.returncode == 2
    assert "the folder does not exist; create it" in refused.stderr


def test_a_dry_run_shows_the_space_and_touches_nothing(tmp_path: Path) -> None:
    output = succeed(tmp_path, "run", str(write_study(tmp_path)), "--dry-run")
    assert "[none, l1, bit_slice_l1]" in output
    assert "fixed at 128" in output
    assert sorted(f.name for f in tmp_path.iterdir()) == ["tiny.yaml"]


def test_a_larger_budget_continues_by_name_from_another_folder(finished: Path) -> None:
    elsewhere = finished / "elsewhere"
    elsewhere.mkdir()
    storage = f"sqlite:///{finished / 'dse.db'}"
    before = stored_trials(finished)
    succeed(elsewhere, "resume", "tiny", "--trials", "10", "--storage", storage)
    after = stored_trials(finished)
    assert after[: len(before)] == before
    assert len(after) >= len(before) + 2
    assert list(elsewhere.iterdir()) == []


def test_a_users_own_network_and_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "own_net.py").write_text(
        "import torch\n"
        "from torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.stem = nn.Conv2d(1, 4, 5, stride=3, padding=1)\n"
        "        self.norm = nn.BatchNorm2d(4)\n"
        "        self.head = nn.Linear(4 * 9 * 9, 10)\n"
        "    def forward(self, x):\n"
        "        return self.head(torch.tanh(self.norm(self.stem(x))).flatten(1))\n"
        "def make():\n"
        "    return Net()\n"
    )
    code = (
        "import torch, own_net; from safetensors.torch import save_file; torch.manual_seed(0);"
        "save_file(own_net.make().state_dict(), 'own.safetensors')"
    )
    python = str(SCRIPTS / "python")
    subprocess.run([python, "-c", code], cwd=tmp_path, check=True, timeout=HANGS_AFTER_S)
    task = {
        "model": "own_net:make",
        "data": "mnist",
        "checkpoint": "own.safetensors",
        "train_images": 600,
        "test_images": 100,
    }
    study = write_study(tmp_path, task=task, budget={"trials": 2, "epochs": 1}, constraints=None)
    succeed(tmp_path, "run", str(study))
    layers = printed_json(tmp_path, "explain", "tiny", "0")["layers"]
    assert [(layer["name"], layer["k"], layer["n"], layer["v"]) for layer in layers] == [
        ("stem", 25, 4, 81),
        ("head", 324, 10, 1),
    ]
