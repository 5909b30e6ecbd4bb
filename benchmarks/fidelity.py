"""Seconds of training that rungs of fidelity save at the same hypervolume.

One study evaluates every design in full, another lets them climb from evaluations without
training over short ones to full ones (studies/fidelity_mlp.yaml, with and without `budget.rungs`),
under the same sampler and seeds. Seconds are CPU seconds of the stages that train compressed
networks, as the trials tell; a stage that was found in the store counts with the seconds that it
took when it was made. The fp32 network is trained once and counts for neither. The two studies
take turns.

`seconds_ratio`: training seconds until the climbing study has the hypervolume that the full one
ends with, over all training seconds of the full one; the median over the seeds. A seed in which
it never gets there counts as infinite. `at_half`: hypervolume of the climbing study after half of
those seconds, over that of the full one. With `--nested` both sweep the hardware of every network
that they train in full. The reference point is set beforehand: the network with
8-bit codes and ADCs and nothing compressed, its accuracy less the allowed loss; energy in log10.

The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from numpy.typing import NDArray
from optuna._hypervolume import compute_hypervolume
from optuna.trial import FrozenTrial

from dse.database import open_database
from dse.launching.launch import launch
from dse.pipeline import stage_store
from dse.resuming import driving
from dse.savings import TRAINING_STAGES
from dse.spec import StudySpec
from dse.trials import METRICS, RUNG_RESULT, STAGES, is_feasible, is_result

STUDY = Path(__file__).parents[1] / "studies" / "fidelity_mlp.yaml"
RUNGS = "budget.rungs=[post_training, short, full]"
NESTED = "search={name: nested, simulations: 24}"
PIECES = 8

Array = NDArray[np.float64]


def main() -> None:
    """Run both kinds of study for every seed, print what they came to, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("fidelity"), help="databases")
    parser.add_argument("--trials", type=int, default=40, help="designs of the full study")
    parser.add_argument("--climbing", type=int, default=160, help="designs that start to climb")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--nested", action="store_true", help="sweep the hardware in both")
    args = parser.parse_args()
    search = [NESTED] if args.nested else []
    began = time.perf_counter()
    args.folder.mkdir(parents=True, exist_ok=True)
    # What else the machine does shall not count: stages tell CPU seconds here.
    stage_store.time = SimpleNamespace(perf_counter=time.process_time)
    ratios, halves, rows = [], [], []
    for seed in args.seeds:
        for part in range(1, PIECES + 1):
            trials = math.ceil(args.trials * part / PIECES)
            climbers = math.ceil(args.climbing * part / PIECES)
            full = run(args.folder, seed, f"full-{seed}", trials, search)
            climbing = run(args.folder, seed, f"climbing-{seed}", climbers, [RUNGS, *search])
        reference = reference_of(full)
        wanted, spent = history(full, reference)
        volumes, seconds = history(climbing, reference)
        there = np.flatnonzero(volumes >= wanted[-1])
        ratio = float(seconds[there[0]] / spent[-1]) if len(there) else math.inf
        ratios.append(ratio)
        in_time = volumes[seconds <= spent[-1] / 2]
        halves.append(float(in_time.max(initial=0.0) / wanted[-1]))
        rows.append(
            {
                "seed": seed,
                "full_hypervolume": round(float(wanted[-1]), 4),
                "climbing_hypervolume": round(float(volumes[-1]), 4),
                "full_seconds": round(float(spent[-1]), 1),
                "climbing_seconds": round(float(seconds[-1]), 1),
                "ratio": round(ratio, 4) if there.size else None,
                "at_half": round(halves[-1], 4),
            }
        )
        print(rows[-1], flush=True)
    median = statistics.median(ratios)
    print(
        json.dumps(
            {
                "seconds_ratio": round(median, 4) if math.isfinite(median) else None,
                "at_half": round(statistics.median(halves), 4),
                "per_seed": rows,
                "nested": args.nested,
                "designs": {"full": args.trials, "climbing": args.climbing},
                "seconds": round(time.perf_counter() - began),
            }
        )
    )


def run(folder: Path, seed: int, name: str, trials: int, sets: list[str]) -> list[FrozenTrial]:
    """Trials of one study, which goes on if it was stopped.

    Every kind and seed has a stage store of its own, so that no study profits from another.
    """
    spec = StudySpec.from_yaml(
        STUDY, [f"name={name}", f"sampler.seed={seed}", f"budget.trials={trials}", *sets]
    )
    own = folder / name
    own.mkdir(exist_ok=True)
    with driving(open_database(f"sqlite:///{own / 'dse.db'}", write=True), spec) as study:
        launch(study, timeout_s=None, progress=lambda job, outcome: None)
        return study.trials()


def reference_of(trials: list[FrozenTrial]) -> Array:
    """The first design of the study file, uncompressed, its accuracy less the allowed loss."""
    metrics = trials[0].user_attrs[METRICS]
    return losses_of(metrics) + np.array([0.05, 0.0])


def losses_of(metrics: dict[str, float]) -> Array:
    """Accuracy and the logarithm of the energy, both to be small."""
    return np.array([-metrics["accuracy"], math.log10(metrics["energy_j"])])


def history(trials: list[FrozenTrial], reference: Array) -> tuple[Array, Array]:
    """Hypervolume of the full results, and training seconds of all, after each trial."""
    order = [t for t in trials if is_result(t) or RUNG_RESULT in t.user_attrs]
    order.sort(key=lambda trial: trial.datetime_complete or trial.datetime_start)  # type: ignore[arg-type, return-value]
    made: dict[str, float] = {}
    volumes, seconds, found = [], [], []
    for trial in order:
        for stage, trace in trial.user_attrs[STAGES].items():
            if stage in TRAINING_STAGES and not trace["cached"]:
                made[trace["key"]] = trace["seconds"]
        if is_result(trial) and is_feasible(trial):
            found.append(losses_of(trial.user_attrs[METRICS]))
        inside = np.array([each for each in found if (each < reference).all()]).reshape(-1, 2)
        volumes.append(float(compute_hypervolume(inside, reference)) if len(inside) else 0.0)
        seconds.append(sum(made.values()))
    return np.array(volumes), np.array(seconds)


if __name__ == "__main__":
    main()
