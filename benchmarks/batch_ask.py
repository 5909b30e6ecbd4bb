"""Asking for batches of designs in studies of 1 000 to 100 000 finished trials.

Three objectives, one constraint, 10 knobs (4 integers, 2 choices, 4 floats); a study is filled by
its own sampler in batches. Every measured ask first learns from the batch before it, which is as
large and finished. Sizes, samplers and batches alternate; medians; CPU milliseconds of one thread
for each trial that is asked for. `known`: the caller hands over the new trials; `read`: the
sampler reads them from the study, which is in memory, or in SQLite written in bulk. The last line
is JSON:

    pso_ms, nsga2_ms  largest median of the batches at the largest size, trials handed over
    flat_ratio        largest median at the largest size / at the smallest, trials handed over
    ms                all medians: sampler, size, batch, known or read
    first_ask_s       a new object at the largest size, in memory: what a resumed study waits for
    sqlite_*          the same in SQLite at --sqlite-trials, where Optuna's reading dominates
    tpe_ms            one ask of `tpe` (window 1000) by size, which its window bounds

    python benchmarks/batch_ask.py [--sizes 1000 10000 100000] [--rounds 7]
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import argparse  # noqa: E402
import datetime  # noqa: E402
import json  # noqa: E402
import statistics  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable, Sequence  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402
import optuna  # noqa: E402
import sqlalchemy  # noqa: E402
from optuna.distributions import (  # noqa: E402
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)
from optuna.storages import RDBStorage  # noqa: E402
from optuna.trial import FrozenTrial, TrialState  # noqa: E402

from dse.database import open_database  # noqa: E402
from dse.samplers.nsga2 import NSGA2Sampler, nsga2  # noqa: E402
from dse.samplers.pso import PSOSampler, pso  # noqa: E402
from dse.samplers.study_backed import Proposal  # noqa: E402
from dse.samplers.tpe import tpe  # noqa: E402

SPACE: dict[str, BaseDistribution] = {
    **{f"bits{i}": IntDistribution(1, 8) for i in range(4)},
    "schedule": CategoricalDistribution(("step", "cosine", "linear")),
    "patch": CategoricalDistribution((4, 8, 16, 32)),
    **{f"ratio{i}": FloatDistribution(0.0, 1.0) for i in range(3)},
    "strength": FloatDistribution(1e-4, 1.0, log=True),
}
SAMPLERS: dict[str, Callable[[], PSOSampler | NSGA2Sampler]] = {
    "pso": lambda: pso(1),  # type: ignore[return-value,dict-item]
    "nsga2": lambda: nsga2(1),  # type: ignore[return-value,dict-item]
}
BATCHES = (64, 256)
NOW = datetime.datetime(2026, 1, 1)
DIRECTIONS = ("minimize",) * 3


class Finished(FrozenTrial):
    """A trial that a storage in memory keeps without copying it."""

    def __deepcopy__(self, memo: dict[int, Any]) -> FrozenTrial:
        return self


def evaluated(number: int, params: dict[str, Any], attrs: dict[str, Any]) -> Finished:
    """A trial with made-up objectives that contradict one another."""
    bits = sum(params[f"bits{i}"] for i in range(4)) / 32
    ratios = [params[f"ratio{i}"] for i in range(3)]
    loss = 1 + sum((r - 0.4) ** 2 for r in ratios[1:]) + 0.1 * (params["schedule"] != "cosine")
    loss += 0.1 * abs(float(np.log10(params["strength"])) + 2)
    values = [
        loss * (1 - bits) + 0.1 * ratios[0],
        loss * bits * params["patch"] / 32,
        loss * (1.2 - ratios[0]),
    ]
    return Finished(
        number=number,
        trial_id=number,
        state=TrialState.COMPLETE,
        value=None,
        values=values,
        datetime_start=NOW,
        datetime_complete=NOW,
        params=params,
        distributions=SPACE,
        user_attrs={},
        system_attrs={**attrs, "constraints:area": params["bits0"] * params["patch"] - 200.0},
        intermediate_values={},
    )


def finish(study: optuna.Study, first: int, proposals: Sequence[Proposal]) -> list[Finished]:
    """Trials of a batch, stored."""
    trials = [evaluated(first + i, p.params, p.system_attrs) for i, p in enumerate(proposals)]
    if isinstance(study._storage, optuna.storages.InMemoryStorage):
        for trial in trials:
            study._storage.create_new_trial(study._study_id, trial)
    else:
        write(study, trials)
    return trials


def write(study: optuna.Study, trials: Sequence[FrozenTrial]) -> None:
    """Store trials in Optuna's tables in one transaction."""
    backend = getattr(study._storage, "_backend", study._storage)
    assert isinstance(backend, RDBStorage)
    ranges = {name: distribution_to_json(d) for name, d in SPACE.items()}
    with backend.engine.begin() as connection:

        def many(statement: str, rows: list[dict[str, Any]]) -> None:
            connection.execute(sqlalchemy.text(statement), rows)

        last = connection.execute(sqlalchemy.text("SELECT max(trial_id) FROM trials")).scalar()
        ids = {t.number: (last or 0) + 1 + i for i, t in enumerate(trials)}
        many(
            "INSERT INTO trials (trial_id, number, study_id, state, datetime_start,"
            " datetime_complete) VALUES (:id, :number, :study, 'COMPLETE', :now, :now)",
            [
                {"id": i, "number": n, "study": study._study_id, "now": str(NOW)}
                for n, i in ids.items()
            ],
        )
        many(
            "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json)"
            " VALUES (:id, :name, :value, :range)",
            [
                {
                    "id": ids[t.number],
                    "name": name,
                    "value": SPACE[name].to_internal_repr(value),
                    "range": ranges[name],
                }
                for t in trials
                for name, value in t.params.items()
            ],
        )
        many(
            "INSERT INTO trial_values (trial_id, objective, value, value_type)"
            " VALUES (:id, :objective, :value, 'FINITE')",
            [
                {"id": ids[t.number], "objective": i, "value": value}
                for t in trials
                for i, value in enumerate(t.values)
            ],
        )
        many(
            "INSERT INTO trial_system_attributes (trial_id, key, value_json)"
            " VALUES (:id, :key, :value)",
            [
                {"id": ids[t.number], "key": key, "value": json.dumps(value)}
                for t in trials
                for key, value in t.system_attrs.items()
            ],
        )


class Case:
    """A study of some size with the object that filled it."""

    def __init__(self, name: str, size: int, study: optuna.Study) -> None:
        self.name, self.size, self.study = name, size, study
        self.sampler = SAMPLERS[name]()
        lowest = {n: d.choices[0] if hasattr(d, "choices") else d.low for n, d in SPACE.items()}  # type: ignore[attr-defined]
        self.new: list[Finished] = [evaluated(0, lowest, {})]
        self.stored = 1
        study.add_trial(self.new[0])
        while self.stored < size:
            self.ask(min(256, size - self.stored), known=True)

    def ask(self, count: int, *, known: bool) -> float:
        """CPU milliseconds per trial of one ask; its trials are finished after it."""
        new = self.new if known else None
        begin = time.process_time()
        proposals = self.sampler.ask_batch(self.study, count, new=new)
        spent = time.process_time() - begin
        self.new = finish(self.study, self.stored, proposals)
        self.stored += count
        return 1e3 * spent / count

    def first_ask_s(self) -> float:
        """CPU seconds of the first ask of a new object, which takes the place of the old one."""
        self.sampler = SAMPLERS[self.name]()
        begin = time.process_time()
        self.sampler.ask_batch(self.study, 1)
        self.new = []
        return time.process_time() - begin


def medians(cases: list[Case], rounds: int, ways: tuple[str, ...]) -> dict[str, float]:
    """Milliseconds per trial by case."""
    spent: dict[str, list[float]] = {}
    for _ in range(rounds):
        for case in cases:
            for batch in BATCHES:
                for way in ways:
                    key = f"{case.name} {case.size} {batch} {way}"
                    case.ask(batch, known=way == "known")
                    spent.setdefault(key, []).append(case.ask(batch, known=way == "known"))
    return {key: round(statistics.median(times), 4) for key, times in spent.items()}


def in_sqlite(trials: int, rounds: int) -> dict[str, Any]:
    """A study in SQLite: the first ask of a new process, and the later ones."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    found: dict[str, Any] = {"sqlite_trials": trials, "sqlite_first_ask_s": {}, "sqlite_ms": {}}
    for name in SAMPLERS:
        with tempfile.TemporaryDirectory() as folder:
            url = f"sqlite:///{Path(folder) / 'study.db'}"
            storage = open_database(url, write=True).storage
            study = optuna.create_study(storage=storage, study_name="s", directions=DIRECTIONS)
            case = Case(name, trials, study)
            fresh = open_database(url, write=True).storage
            case.study = optuna.load_study(storage=fresh, study_name="s")
            found["sqlite_first_ask_s"][name] = round(case.first_ask_s(), 2)
            found["sqlite_ms"].update(medians([case], rounds, ("known", "read")))
    return found


def tpe_ms(sizes: Sequence[int], rounds: int) -> dict[str, float]:
    """One ask of `tpe`, all knobs, at studies of random designs."""
    found = {}
    for size in sizes:
        rng = np.random.default_rng(0)
        study = optuna.create_study(directions=DIRECTIONS, sampler=tpe(1))
        for number in range(size):
            params = {
                name: d.to_external_repr(
                    rng.integers(len(d.choices))
                    if isinstance(d, CategoricalDistribution)
                    else rng.integers(1, 9)
                    if isinstance(d, IntDistribution)
                    else rng.uniform(1e-4, 1.0)
                )
                for name, d in SPACE.items()
            }
            study._storage.create_new_trial(study._study_id, evaluated(number, params, {}))
        times = []
        for _ in range(rounds):
            begin = time.process_time()
            trial = study.ask(SPACE)
            times.append(1e3 * (time.process_time() - begin))
            study.tell(trial, [1.0, 1.0, 1.0])
        found[str(size)] = round(statistics.median(times), 1)
    return found


def main() -> None:
    """Fill the studies, alternate, print medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--sqlite-trials", type=int, default=10_000)
    parser.add_argument("--tpe-sizes", type=int, nargs="*", default=[1_000, 10_000])
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sizes = sorted(arguments.sizes)
    cases = []
    for name in SAMPLERS:
        for size in sizes:
            begin = time.process_time()
            cases.append(Case(name, size, optuna.create_study(directions=DIRECTIONS)))
            print(f"{name}: {size} trials in {time.process_time() - begin:.1f} s", flush=True)
    found = medians(cases, arguments.rounds, ("known", "read"))
    for key, value in found.items():
        print(f"{key:28} {value:8.4f} ms per trial", flush=True)

    def worst(name: str, size: int) -> float:
        return max(found[f"{name} {size} {batch} known"] for batch in BATCHES)

    ratios = [
        found[f"{name} {sizes[-1]} {batch} known"] / found[f"{name} {sizes[0]} {batch} known"]
        for name in SAMPLERS
        for batch in BATCHES
    ]
    report: dict[str, Any] = {
        "pso_ms": worst("pso", sizes[-1]),
        "nsga2_ms": worst("nsga2", sizes[-1]),
        "flat_ratio": round(max(ratios), 2),
        "sizes": sizes,
        "first_ask_s": {
            case.name: round(case.first_ask_s(), 2) for case in cases if case.size == sizes[-1]
        },
        "ms": found,
    }
    if arguments.tpe_sizes:
        report["tpe_ms"] = tpe_ms(arguments.tpe_sizes, arguments.rounds)
    if arguments.sqlite_trials:
        report |= in_sqlite(arguments.sqlite_trials, arguments.rounds)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
