"""The Ray launcher: the same results as serially, workers that die, drivers that die."""

from __future__ import annotations

import ipaddress
import os
import signal
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil

from tests.end_to_end.commands import HANGS_AFTER_S, start, stored_trials, succeed, write_study
from tests.end_to_end.test_interruptions import (
    SLOWER,
    TASK,
    check_whole,
    outcomes,
    wait_for,
)

LOST = """SELECT count(*) FROM trial_user_attributes
    WHERE key = 'error' AND value_json LIKE '"worker lost%'"""


def evaluating(driver: psutil.Process) -> psutil.Process:
    """A process of the run that evaluates a design at this moment; others may be starting."""
    deadline = time.monotonic() + HANGS_AFTER_S
    while time.monotonic() < deadline:
        for process in driver.children(recursive=True):
            if "ray::_Worker.outcome" in title(process):
                return process
        time.sleep(0.01)
    raise AssertionError("no worker found to kill")


def listeners(processes: Iterable[psutil.Process]) -> set[Any]:
    """Addresses on which those listen that still run."""
    found = set()
    for process in processes:
        try:
            connections = process.net_connections("inet")
        except psutil.Error:
            continue
        found |= {c.laddr for c in connections if c.status == psutil.CONN_LISTEN}
    return found


def title(process: psutil.Process) -> str:
    """Command line of a process; nothing once it has ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def is_loopback(address: str) -> bool:
    ip = ipaddress.ip_address(address)
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (mapped or ip).is_loopback


def run_of(folder: Path, **launch: Any) -> list[dict[str, Any]]:
    folder.mkdir()
    succeed(folder, "run", str(write_study(folder, launch=launch)))
    return stored_trials(folder)


def test_one_ray_worker_gives_what_the_serial_launcher_gives(tmp_path: Path) -> None:
    serial = run_of(tmp_path / "serial", name="serial")
    ray = run_of(tmp_path / "ray", name="ray", workers=1)
    assert outcomes(ray) == outcomes(serial)
    assert [t["number"] for t in ray] == [t["number"] for t in serial]
    for ours, theirs in zip(ray, serial, strict=True):
        assert ours["user"].get("metrics") == theirs["user"].get("metrics")


def test_a_killed_worker_costs_one_attempt_and_a_killed_driver_nothing(tmp_path: Path) -> None:
    study = write_study(tmp_path, budget=SLOWER, task=TASK, launch={"name": "ray", "workers": 2})
    driver = start(tmp_path, "run", str(study))
    wait_for(tmp_path, 1)
    family = psutil.Process(driver.pid)
    evaluating(family).kill()
    wait_for(tmp_path, 1, LOST)
    wait_for(tmp_path, 4)
    left_behind = family.children(recursive=True)
    os.killpg(driver.pid, signal.SIGKILL)
    driver.communicate()
    assert not psutil.wait_procs(left_behind, timeout=120)[1], "Ray outlives its driver"

    succeed(tmp_path, "resume", "tiny")
    trials = stored_trials(tmp_path)
    check_whole(trials)
    errors = Counter(t["user"]["error"].split(":")[0] for t in trials if "lost" in t["user"])
    assert errors["worker lost"] >= 1
    again = [t for t in trials if "retry_of" in t["user"].get("design", {})]
    for trial in again:
        assert trial["params"] == trials[trial["user"]["design"]["retry_of"]]["params"]


def test_interrupting_ray_ends_with_130_and_leaves_no_process(tmp_path: Path) -> None:
    study = write_study(tmp_path, budget=SLOWER, task=TASK, launch={"name": "ray", "workers": 2})
    driver = start(tmp_path, "run", str(study))
    wait_for(tmp_path, 1)
    children = psutil.Process(driver.pid).children(recursive=True)
    listening = listeners([psutil.Process(driver.pid), *children])
    os.killpg(driver.pid, signal.SIGINT)  # as a terminal does: to the whole group
    output, _ = driver.communicate(timeout=HANGS_AFTER_S)
    assert driver.returncode == 130, output
    assert "Traceback" not in output
    assert not psutil.wait_procs(children, timeout=120)[1]
    assert "RUNNING" not in {t["state"] for t in stored_trials(tmp_path)}
    assert listening
    assert not [address for address in listening if not is_loopback(address.ip)]
    succeed(tmp_path, "resume", "tiny")
    check_whole(stored_trials(tmp_path))


def test_a_local_ray_that_dies_is_started_again(tmp_path: Path) -> None:
    study = write_study(
        tmp_path,
        budget={"trials": 40, "epochs": 3},
        task=TASK,
        launch={"name": "ray", "workers": 2},
    )
    driver = start(tmp_path, "run", str(study))
    wait_for(tmp_path, 1)
    for process in psutil.Process(driver.pid).children(recursive=True):
        if "ray::RuntimeEnvAgent" in title(process):
            process.kill()  # the node takes this for its own end
    output, _ = driver.communicate(timeout=HANGS_AFTER_S)
    assert driver.returncode == 0, output
    assert "the local Ray has died; starting another" in output
    trials = stored_trials(tmp_path)
    assert {t["state"] for t in trials} == {"COMPLETE", "FAIL"}
    assert {t["user"]["error"].split(":")[0] for t in trials if t["state"] == "FAIL"} == {
        "worker lost"
    }
