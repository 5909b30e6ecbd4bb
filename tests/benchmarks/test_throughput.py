"""The throughput benchmark runs, checks what it stored, and reports medians."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys

import pytest
import throughput

from tests.benchmarks.conftest import FOLDER


def test_it_runs_at_a_tiny_size() -> None:
    sizes = ["--rounds", "1", "--trials", "80", "--peer-trials", "4"]
    command = [sys.executable, str(FOLDER / "throughput.py"), *sizes, "--without-ray"]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": "."}
    )
    report = json.loads(done.stdout.splitlines()[-1])
    for name in ("trials_per_second", "pg_trials_per_second", "pso_trials_per_second"):
        assert report[name] > 0
    assert report["driver_ms_per_trial"] > 0
    assert report["expensive_lane_ms"] >= 0.5 * report["expensive_lane_cpu_ms"] > 0
    assert report["ratio_vs_optimize"] == pytest.approx(
        report["trials_per_second"] / report["optimize_per_second"], rel=1e-3
    )


def test_a_study_that_lacks_a_trial_is_no_measurement() -> None:
    with throughput.sqlite() as database:
        throughput.optimize(database, 3)
        with pytest.raises(SystemExit, match="optimize: 4 complete trials were expected, found 3"):
            throughput.check(database, "optimize", 4)


def test_ratios_are_taken_round_by_round() -> None:
    found = {
        "trials_per_second": [100.0, 400.0, 900.0],
        "tune_per_second": [1.0, 2.0, 3.0],
        "optimize_per_second": [10.0, 10.0, 10.0],
    }
    arguments = argparse.Namespace(rounds=3, trials=1, peer_trials=1)
    report = throughput.report_of(found, arguments)
    assert report["ratio_vs_tune"] == 200
    assert report["ratio_vs_optimize"] == 40
    assert report["spread"]["ratio_vs_tune"] == [100, 300]
