"""A real Ray cluster, with token authentication, on the loopback address: faults, chaos, jobs."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from dse.database import open_database
from dse.launching.driver import drive
from dse.resuming import driving
from dse.spec import StudySpec
from dse.trials import ERROR, LOST, design_of, is_result
from tests.chaos.faulty import LIMIT_S
from tests.chaos.havoc import Havoc
from tests.chaos.made_up import MadeUp
from tests.chaos.study import chaos_spec, trials_of
from tests.dse.fakes import FakeExecutor
from tests.end_to_end.commands import SCRIPTS, STUDY
from tests.end_to_end.test_interruptions import check_whole
from tests.ray_cluster import RayCluster

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    with RayCluster(dashboard=True) as running:
        yield running


def test_nothing_of_a_cluster_listens_beyond_loopback(cluster: RayCluster) -> None:
    assert {address.removeprefix("::ffff:") for address in cluster.listening()} == {"127.0.0.1"}


def test_every_fault_of_a_worker_ends_as_it_should(cluster: RayCluster, tmp_path: Path) -> None:
    """One worker: a trial that hangs, a worker that dies, memory that is out, a poison design."""
    spec = chaos_spec(6, attempts=3, trial_timeout_s=LIMIT_S)
    (tmp_path / "seen").mkdir()
    url = f"sqlite:///{tmp_path / 'dse.db'}"
    done = run_driver(cluster, url, spec, "tests.chaos.faulty:Faulty", str(tmp_path / "seen"))
    assert "Summary(completed=4, failed=2, stopped='')" in done.stdout
    trials = trials_of(url)
    died = "worker lost: ActorDiedError: The actor died unexpectedly before finishing this task."
    failed = [(t.user_attrs[ERROR], LOST in t.user_attrs) for t in trials if not is_result(t)]
    assert failed == [
        ("took longer than launch.trial_timeout_s = 4 s; stopped", False),
        (died, True),
        ("out of memory: there is no more", True),
        (died, True),
        (died, True),
        (f"lost 3 times, given up: {died}", False),
    ]
    for trial in trials:
        before = (design_of(trial) or {}).get("retry_of")
        assert before is None or trials[before].params == trial.params
    assert sum(map(is_result, trials)) == 4


def run_driver(
    cluster: RayCluster, url: str, spec: StudySpec, make: str, settings: object
) -> subprocess.CompletedProcess[str]:
    """A driver of ours, to its end."""
    done = subprocess.run(
        [
            *(sys.executable, "-W", "ignore", "-m", "tests.chaos.driver", url, cluster.address),
            *(json.dumps(spec.model_dump(mode="json")), make, json.dumps(settings)),
        ],
        cwd=ROOT,
        # What a busy machine tells of a death only later, Ray calls "unavailable" until then.
        env={**cluster.environment, "RAY_timeout_ms_task_wait_for_death_info": "60000"},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_tune_gives_what_every_launcher_gives_also_after_a_kill(
    cluster: RayCluster, tmp_path: Path
) -> None:
    """A driver under Tune is killed; the next one ends with the designs of an undisturbed run."""
    launch: dict[str, Any] = {"name": "tune", "workers": 1, "address": cluster.address}
    url = f"sqlite:///{tmp_path / 'dse.db'}"
    havoc = Havoc(cluster, url, tmp_path, trials=8, seconds=0.2, seed=4, hold=3, **launch)
    found = havoc.run(["driver"], timeout_s=400)
    assert found == {"kills": 1, "lost": 0, "doubled": 0, "stuck": 0, "wrong": 0}, havoc.log()
    assert not list(tmp_path.rglob("experiment_state*")), "snapshots are not kept"
    whole = f"sqlite:///{tmp_path / 'whole.db'}"
    reference = chaos_spec(8, name="serial")
    with driving(open_database(whole, write=True), reference) as study:
        drive(
            study,
            FakeExecutor(lambda job: MadeUp(0.0).outcome(job.point)),
            trials=8,
            timeout_s=None,
            progress=lambda *_: None,
        )
    assert results_of(url) == results_of(whole)


def results_of(url: str) -> list[Any]:
    results = sorted(filter(is_result, trials_of(url)), key=lambda t: (design_of(t) or {})["draw"])
    return [(t.params, t.values) for t in results]


def dse(
    cluster: RayCluster, folder: Path, *arguments: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(SCRIPTS / "dse"), *arguments],
        cwd=folder,
        env={**cluster.environment, **variables},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


def test_a_submitted_study_whose_driver_is_killed_goes_on_when_submitted_again(
    cluster: RayCluster, tmp_path: Path
) -> None:
    """From a folder with a checkpoint that stays, to exactly the designs that were wanted."""
    home = tmp_path / "home"
    home.mkdir()
    study = {**STUDY, "launch": "ray", "budget": {"trials": 20, "epochs": 2}, "sampler": "random"}
    file = home / "tiny.yaml"
    file.write_text(yaml.safe_dump(study))
    (home / "old.safetensors").write_bytes(b"weights")
    storage = f"sqlite:///{tmp_path / 'dse.db'}"
    submit = ["submit", "tiny.yaml", "--address", cluster.jobs_url, "--storage", storage]

    refused = dse(cluster, home, *submit, RAY_AUTH_TOKEN="0" * 64)
    assert refused.returncode == 2
    assert f"LaunchError: {cluster.jobs_url} wants a token: set RAY_AUTH_MODE" in refused.stderr

    first = dse(cluster, home, *submit)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "Not sent (data, checkpoints): old.safetensors" in first.stdout
    for line in ("Job: dse-tiny-", "Follow: dse status tiny --follow", f"Resume: dse {submit[0]}"):
        assert line in first.stdout
    driver = running_driver(cluster)
    driver.suspend()  # else it might be done before the second one comes
    second = dse(cluster, home, *submit)
    assert second.returncode == 2
    assert "LaunchError: study 'tiny' is being run by job dse-tiny-" in second.stderr
    driver.resume()
    wait_for_results(storage, 2)
    driver.kill()

    again = dse(cluster, home, *submit, "--wait")
    assert again.returncode == 0, again.stdout + again.stderr
    trials = trials_of(storage, "tiny")
    check_whole(
        [{"state": t.state.name, "params": t.params, "user": t.user_attrs} for t in trials],
        designs=20,
    )
    assert {t.user_attrs[ERROR] for t in trials if LOST in t.user_attrs} <= {
        "driver lost",
        "the driver died while proposing it",
    }
    nobody = dse(cluster, home, "cancel", "tiny", "--storage", storage)
    assert nobody.stdout == "Nobody runs study 'tiny': there is nothing to cancel.\n"


def running_driver(cluster: RayCluster) -> psutil.Process:
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline:
        for process in cluster.nodes[0].workers(" -m dse run"):
            with contextlib.suppress(psutil.Error):
                if "-m" in process.cmdline():  # the shell that starts it has it in one word
                    return process
        time.sleep(0.1)
    raise AssertionError("the job started no driver")


def wait_for_results(storage: str, count: int) -> None:
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline:
        try:
            if sum(map(is_result, trials_of(storage, "tiny"))) >= count:
                return
        except Exception:
            pass
        time.sleep(0.05)
    raise AssertionError("no results")


def test_chaos_leaves_a_whole_study(cluster: RayCluster, tmp_path: Path) -> None:
    """Sixty trials on three nodes; three workers, a node and two drivers are killed."""
    for _ in range(2):
        cluster.add_node(wait=False)
        time.sleep(1)  # two at the same moment collide
    url = f"sqlite:///{tmp_path / 'dse.db'}"
    havoc = Havoc(cluster, url, tmp_path, trials=60, seconds=0.25, seed=3, hold=12)
    plan = ["worker", "driver", "worker", "node", "driver", "worker"]
    found: dict[str, Any] = havoc.run(plan, timeout_s=400)
    assert found == {"kills": 6, "lost": 0, "doubled": 0, "stuck": 0, "wrong": 0}, havoc.log()
