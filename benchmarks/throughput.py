"""Trials per second of a study whose evaluation does nothing; beside Ray Tune and Optuna alone.

Everybody searches the same 10 knobs (4 integers, 2 choices, 4 floats) for 3 objectives, which are
worked out in a microsecond, with uniform draws, into an empty SQLite file of its own, and must
leave every trial there for Optuna to read:

    ours         drive() with the serial executor: from the 17th design on in batches
    ours in Ray  the same with one Ray actor
    pso          ours with sampler `pso`
    expensive    drive() with `launch.lane: expensive`: told one by one
    tune         tune.Tuner + OptunaSearch(storage=SQLite), reuse_actors
    optimize     study.optimize on SQLite

They alternate. Ours gets many trials, the others a few: both rates are of a study that is running,
from the first trial that counts to the last; starting Ray and making tables do not count. Tune's
start of its first actors does not either (`warm-up`, a run of its own before). The last line is
JSON, medians of the rounds:

    trials_per_second    ours, SQLite
    driver_ms_per_trial  CPU of the driver's process for a trial, what the evaluation itself takes
                         (building its design included) left out
    ratio_vs_tune, ratio_vs_optimize   of trials per second, by round
    expensive_lane_ms    wall milliseconds of a trial that is told alone; `_cpu_ms` of its driver
    pg_*                 the same in PostgreSQL (a server of the tests' own; commits wait for the
                         disk); tune and optimize in PostgreSQL are not run
    spread               lowest and highest of each
    load                 what other programs took of the machine: load average at the end

    python benchmarks/throughput.py [--rounds 5] [--trials 10000] [--peer-trials 100]
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import argparse  # noqa: E402
import json  # noqa: E402
import logging  # noqa: E402
import statistics  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
import warnings  # noqa: E402
from collections.abc import Callable, Iterator, Sequence  # noqa: E402
from contextlib import contextmanager  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import optuna  # noqa: E402
import throughput_peers  # noqa: E402
from throughput_peers import check, optimize, tuned  # noqa: E402

from dse.database import Database, open_database  # noqa: E402
from dse.evaluation import Evaluation, Job, Outcome  # noqa: E402
from dse.launching.batches import outcome_of  # noqa: E402
from dse.launching.driver import drive  # noqa: E402
from dse.launching.ray_environment import prepare_ray  # noqa: E402
from dse.resuming import driving  # noqa: E402
from dse.spec import StudySpec  # noqa: E402
from search_spaces.design_point import DesignPoint  # noqa: E402

sys.path.append(str(Path(__file__).parents[1]))

WARM = 20
"""Designs of ours before the clock starts: those that are measured to choose the lane."""

SPEC: dict[str, Any] = {
    "name": "throughput",
    "task": "mlp_mnist",
    "fixed": {"regularizer": "l1", "patches": "pq_pim"},
    "space": {
        **{f"adc.bits.slice{i}": "1..8" for i in range(4)},
        "crossbar.wordlines": [32, 64, 128, 256],
        "encoding": ["differential", "offset", "twos_complement"],
        "regularizer.l1.strength": "log 0.01..10",
        "pruning.threshold": "0..0.1",
        "patches.pq_pim.t_prune": "0.5..1",
        "patches.pq_pim.t_quant": "0..1",
    },
    "objectives": ["maximize accuracy", "minimize energy_uj", "minimize area_mm2"],
    "sampler": {"name": "random", "seed": 1},
}


class Nothing:
    """Evaluates to something at once."""

    def __init__(self, _settings: Any = None) -> None:
        pass

    def outcome(self, point: DesignPoint, **_: Any) -> Outcome:
        """Three numbers that contradict one another."""
        bits = sum(point.adc.bits)
        metrics = {
            "accuracy": bits / 128,
            "energy_j": 1e-8 * bits * point.crossbar.wordlines,
            "area_m2": 1e-9 * point.crossbar.wordlines,
        }
        return Evaluation(metrics=metrics, stages={}, report={}, seconds=1e-6)


class Here:
    """The serial executor without a network; knows what CPU time evaluating took."""

    takes_batches = True
    workers = 1

    def __init__(self) -> None:
        self._queue: list[Job] = []
        self._nothing = Nothing()
        self.cpu_s = 0.0

    def submit(self, job: Job) -> None:
        """Keep it."""
        self._queue.append(job)

    def wait(self, timeout_s: float) -> Sequence[tuple[Job, Outcome]]:
        """Evaluate it."""
        began = time.process_time()
        job = self._queue.pop(0)
        outcome = outcome_of(self._nothing, job)
        self.cpu_s += time.process_time() - began
        return [(job, outcome)]

    def close(self) -> None:
        """Nothing to do."""


def spec_of(trials: int, **changes: Any) -> StudySpec:
    """The study."""
    return StudySpec.from_mapping(
        {**SPEC, "budget": {"trials": trials}, **changes}, where="benchmark"
    )


def ours(
    database: Database, trials: int, *, executor: Any = None, **changes: Any
) -> dict[str, float]:
    """One study of ours; its first designs do not count."""
    spec = spec_of(trials, launch={"name": "serial"}, **changes)
    executor = executor or Here()

    def go(study: Any, until: int) -> None:
        drive(study, executor, trials=until, timeout_s=None, progress=lambda job, outcome: None)

    with driving(database, spec) as study:
        go(study, min(WARM, trials // 2))
        before = study.n_designs
        cpu_s, own_s, began = time.process_time(), getattr(executor, "cpu_s", 0.0), time.time()
        go(study, trials)
        wall_s = time.time() - began
        cpu_s = time.process_time() - cpu_s - (getattr(executor, "cpu_s", 0.0) - own_s)
    check(database, spec.name, trials)
    count = trials - before
    return {"per_second": count / wall_s, "driver_ms": 1e3 * cpu_s / count}


def one_by_one(database: Database, trials: int) -> tuple[float, float]:
    """Wall and CPU milliseconds of a trial of ours that is told alone."""
    spec = spec_of(trials, launch={"name": "serial", "lane": "expensive"})
    with driving(database, spec) as study:
        times: list[tuple[float, float]] = []

        def note(job: Job | None, _outcome: Outcome | None) -> None:
            if job is not None:
                times.append((time.time(), time.process_time()))

        drive(study, Here(), trials=trials, timeout_s=None, progress=note)
    check(database, spec.name, trials)
    wall_s, cpu_s = (last - first for first, last in zip(times[1], times[-1], strict=True))
    return 1e3 * wall_s / (len(times) - 2), 1e3 * cpu_s / (len(times) - 2)


@contextmanager
def sqlite() -> Iterator[Database]:
    """An empty database in a file."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'dse.db'}"
        yield open_database(url, write=True, home=Path(folder))


@contextmanager
def postgresql(server: Any) -> Iterator[Database]:
    """An empty database on a server."""
    with tempfile.TemporaryDirectory() as folder:
        yield open_database(server.new_database(), write=True, home=Path(folder))


def rounds_of(
    arguments: argparse.Namespace, server: Any, ray_worker: Any
) -> dict[str, list[float]]:
    """Every measurement, round by round."""
    found: dict[str, list[float]] = {}

    def note(name: str, value: float) -> None:
        found.setdefault(name, []).append(value)
        print(f"  {name:24} {value:12.4g}", flush=True)

    for number in range(arguments.rounds):
        print(f"round {number + 1} of {arguments.rounds}", flush=True)
        with sqlite() as database:
            result = ours(database, arguments.trials)
            note("trials_per_second", result["per_second"])
            note("driver_ms_per_trial", result["driver_ms"])
        with sqlite() as database:
            note("optimize_per_second", optimize(database, arguments.peer_trials))
        if ray_worker is not None:
            with sqlite() as database, tempfile.TemporaryDirectory() as folder:
                note("tune_per_second", tuned(database, arguments.peer_trials, Path(folder)))
            with sqlite() as database:
                result = ours(database, arguments.trials, executor=ray_worker)
                note("ray_trials_per_second", result["per_second"])
                note("ray_driver_ms_per_trial", result["driver_ms"])
        with sqlite() as database:
            wall_ms, cpu_ms = one_by_one(database, arguments.peer_trials)
            note("expensive_lane_ms", wall_ms)
            note("expensive_lane_cpu_ms", cpu_ms)
        with sqlite() as database:
            sampler = {"name": "pso", "seed": 1}
            result = ours(database, arguments.trials // 4, sampler=sampler)
            note("pso_trials_per_second", result["per_second"])
            note("pso_driver_ms_per_trial", result["driver_ms"])
        if server is not None:
            with postgresql(server) as database:
                result = ours(database, arguments.trials)
                note("pg_trials_per_second", result["per_second"])
                note("pg_driver_ms_per_trial", result["driver_ms"])
            with postgresql(server) as database:
                wall_ms, cpu_ms = one_by_one(database, arguments.peer_trials)
                note("pg_expensive_lane_ms", wall_ms)
                note("pg_expensive_lane_cpu_ms", cpu_ms)
    return found


@contextmanager
def ray_worker_of(wanted: bool) -> Iterator[Any]:
    """An executor of ours with one Ray actor; Tune runs in the same Ray."""
    if not wanted:
        yield None
        return
    prepare_ray(local=True)
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    from dse.launching import ray_actors

    # One more on paper: while our actor has nothing to do, Tune has all of the machine.
    ray_actors.usable_cpus = lambda: 1 + (os.cpu_count() or 1)
    throughput_peers.Trainable = throughput_peers.make_trainable()
    executor = ray_actors.RayExecutor(
        None, workers=1, cpus_per_trial=1, address=None, make=Nothing
    )
    try:
        yield executor
    finally:
        executor.close()


@contextmanager
def server_of(wanted: bool) -> Iterator[Any]:
    """A PostgreSQL server whose commits wait for the disk."""
    if not wanted:
        yield None
        return
    from tests.postgresql import started

    running = started(durable=True)
    try:
        yield next(running)
    finally:
        running.close()


def report_of(found: dict[str, list[float]], arguments: argparse.Namespace) -> dict[str, Any]:
    """The last line."""

    def ratios(over: str) -> list[float]:
        pairs = zip(found["trials_per_second"], found.get(over, []), strict=False)
        return [ours / theirs for ours, theirs in pairs]

    every = {
        **found,
        "ratio_vs_tune": ratios("tune_per_second"),
        "ratio_vs_optimize": ratios("optimize_per_second"),
    }
    median: Callable[[Sequence[float]], float] = statistics.median
    return {
        **{name: round(median(values), 4) for name, values in every.items() if values},
        "rounds": arguments.rounds,
        "trials": arguments.trials,
        "peer_trials": arguments.peer_trials,
        "spread": {n: [round(min(v), 4), round(max(v), 4)] for n, v in every.items() if v},
        "load": [round(load, 1) for load in os.getloadavg()],
        "cpus": os.cpu_count(),
    }


def main() -> None:
    """Alternate, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=10_000, help="of ours in batches")
    parser.add_argument("--peer-trials", type=int, default=100, help="of everybody else")
    parser.add_argument("--without-ray", action="store_true", help="leave Ray and Tune out")
    parser.add_argument("--without-postgresql", action="store_true")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    with (
        ray_worker_of(not arguments.without_ray) as ray_worker,
        server_of(not arguments.without_postgresql) as server,
    ):
        if ray_worker is not None:
            with sqlite() as database, tempfile.TemporaryDirectory() as folder:
                print("warm-up", flush=True)
                tuned(database, 4, Path(folder))
        found = rounds_of(arguments, server, ray_worker)
    print(json.dumps(report_of(found, arguments)))


if __name__ == "__main__":
    main()
