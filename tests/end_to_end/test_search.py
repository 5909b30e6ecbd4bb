"""Rungs and a nested search through the command line, on real images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.end_to_end.commands import dse, printed_json, stored_trials, succeed, write_study

SPACE: dict[str, Any] = {
    "regularizer": ["none", "bit_slice_l1"],
    "regularizer.bit_slice_l1.strength": "log 0.05..2",
    "adc.bits": "3..6",
    "crossbar.wordlines": [64, 128],
}
CONSTRAINTS = ["accuracy_loss <= 0.3", "area_mm2 <= 0.35"]  # 128 wordlines take less, 64 more


def test_designs_climb_and_say_what_that_saved(tmp_path: Path) -> None:
    budget = {
        "trials": 6,
        "epochs": 3,
        "rungs": ["post_training", "short", "full"],
        "reduction": 2,
    }
    file = write_study(
        tmp_path,
        space={**SPACE, "regularizer": ["bit_slice_l1"]},  # a network of its own for every design
        points=None,
        constraints=CONSTRAINTS,
        sampler=None,
        budget=budget,
    )
    output = succeed(tmp_path, "run", str(file))
    assert "s of training." in output
    status = printed_json(tmp_path, "status", "tiny")
    rungs = status["training"]["rungs"]
    assert [rungs[name]["designs"] for name in ("post_training", "short", "full")] == [6, 3, 1]
    assert status["n_trials"]["complete"] == 1
    assert status["sampler"]["asked"] == "auto"
    assert status["ruled_out"], "64 wordlines are too large for the area"
    reason = status["ruled_out"][0]["reason"]
    assert reason.startswith("before training, even an empty network misses area_mm2 <= 0.35 by")
    front = printed_json(tmp_path, "pareto", "tiny")["front"]
    assert len(front) == 1
    trials = {trial["number"]: trial for trial in stored_trials(tmp_path)}
    before = trials[front[0]["trial"]]["user"]["design"]["promoted_from"]
    low = printed_json(tmp_path, "explain", "tiny", str(before))
    assert low["fidelity"] == "short"
    assert low["params"] == front[0]["params"]
    table = succeed(tmp_path, "status", "tiny")
    assert "rungs        post_training 6 designs in" in table
    assert "(auto: 6 designs)" in table
    ruled_out = status["ruled_out"][0]["trial"]
    refused = dse(tmp_path, "explain", "tiny", str(ruled_out))
    assert refused.returncode == 2
    assert f"trial {ruled_out} has no results, it is PRUNED: before training" in refused.stderr


def test_a_nested_search_keeps_the_best_hardware_of_each_network(tmp_path: Path) -> None:
    file = write_study(
        tmp_path,
        space=SPACE,
        points=None,
        sampler={"name": "random", "seed": 4},
        search="nested",
        budget={"trials": 2, "epochs": 1},
    )
    succeed(tmp_path, "run", str(file))
    front = printed_json(tmp_path, "pareto", "tiny")["front"]
    swept = [t for t in stored_trials(tmp_path) if "nested_in" in t["user"]["design"]]
    design = next(d for d in front if d["trial"] in {t["number"] for t in swept})
    explained = printed_json(tmp_path, "explain", "tiny", str(design["trial"]))
    assert explained["nested_in"] < explained["trial"]
    assert explained["values"] == design["values"]
    assert explained["layers"]
