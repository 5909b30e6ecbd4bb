"""What optimising the four systems together is worth, at the same number of trained networks.

Runs studies/gain_*.yaml: each published system alone on its arrays, and all of them together with
as many networks as the four have in all, under the same seeds. Every number is of a network that
was really trained and simulated with its ADCs. The databases stay in the folder, so a run that was
stopped goes on.

The joint study also chooses how many bitlines share a converter. What of the gain is due to that
alone `--bitlines` tells: `none` keeps 128 there too, `all` lets the four systems choose as well.

The hypervolume is taken in accuracy (a fraction), log10 of the energy and log10 of the area,
against the network with 8-bit codes and 8-bit ADCs on the same arrays and nothing compressed, its
accuracy less the allowed loss. `joint_gain` is the joint front's volume over that of the union of
the four fronts, the median over the seeds.

The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna._hypervolume import compute_hypervolume

from dse.database import open_database
from dse.dominance import non_dominated
from dse.launching.launch import evaluation_settings, launch
from dse.pipeline.evaluate import Evaluator
from dse.resuming import driving
from dse.spec import StudySpec
from dse.trials import METRICS, SWEEP, design_of, is_feasible, is_result
from search_spaces.draw import draw_design

STUDIES = Path(__file__).parents[1] / "studies"
SYSTEMS = ("bit_slice", "bits_net", "pq_pim", "bit_transformer")
LOSS = 0.03

Array = NDArray[np.float64]


def main() -> None:
    """Run all studies of every seed, print what their fronts come to, and the gain."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("joint_gain"), help="databases")
    parser.add_argument("--networks", type=int, default=12, help="trained networks per system")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--bitlines", choices=("joint", "none", "all"), default="joint", help="whose arrays vary"
    )
    parser.add_argument("--sampler", default=None, help="instead of the studies' own")
    parser.add_argument("--plot", type=Path, default=None, help="PNG of the fronts of one seed")
    args = parser.parse_args()
    began = time.perf_counter()
    args.folder.mkdir(parents=True, exist_ok=True)
    reference = baseline(args.folder)
    print(
        f"reference: accuracy {-reference[0]:.4f}, {10 ** reference[1]:.4g} uJ, "
        f"{10 ** reference[2]:.4g} mm2",
        flush=True,
    )
    gains: list[float] = []
    volumes: list[dict[str, float]] = []
    dominated: dict[str, list[bool]] = {system: [] for system in SYSTEMS}
    fronts: dict[str, Array] = {}
    for seed in args.seeds:
        fronts = {
            name: front(
                args.folder,
                name,
                seed,
                args.networks * (len(SYSTEMS) if name == "joint" else 1),
                args.sampler,
                args.bitlines,
            )
            for name in (*SYSTEMS, "joint")
        }
        union = np.concatenate([fronts[system] for system in SYSTEMS])
        found = {name: volume(each, reference) for name, each in fronts.items()}
        found["union"] = volume(union, reference)
        volumes.append(found)
        gains.append(found["joint"] / found["union"])
        for system in SYSTEMS:
            dominated[system].append(beaten(fronts[system], fronts["joint"], reference))
        print(f"seed {seed}: " + ", ".join(f"{k} {v:.4f}" for k, v in found.items()), flush=True)
    if args.plot is not None:
        plot(fronts, reference, args.plot, seed=args.seeds[-1])
    print(
        json.dumps(
            {
                "joint_gain": round(statistics.median(gains), 4),
                "per_seed": [round(gain, 4) for gain in gains],
                "dominates": {s: all(each) for s, each in dominated.items()},
                "dominates_per_seed": dominated,
                "hypervolumes": volumes,
                "networks_per_system": args.networks,
                "bitlines": args.bitlines,
                "seconds": round(time.perf_counter() - began),
            }
        )
    )


def baseline(folder: Path) -> Array:
    """Losses of the uncompressed network on 8-bit hardware, its accuracy less the allowed loss."""
    spec = StudySpec.from_yaml(STUDIES / "gain_bit_slice.yaml")
    evaluator = Evaluator(evaluation_settings(spec, store=folder / ".dse" / "stages"))
    values: dict[str, Any] = {"regularizer": "none", "pruning.threshold": 0.0}
    space = StudySpec.from_mapping(
        {
            **spec.model_dump(mode="json"),
            "fixed": {**spec.fixed, **values},
            "space": {"adc.bits.slice0": [8, 9]},
            "points": [],
        },
        where="baseline",
    ).design_space()
    metrics = evaluator.evaluate(draw_design(space, lambda path, domain: 8)).metrics
    return np.array(
        [
            -(metrics["accuracy_float"] - LOSS),
            np.log10(metrics["energy_j"] * 1e6),
            np.log10(metrics["area_m2"] * 1e6),
        ]
    )


def front(
    folder: Path, system: str, seed: int, networks: int, sampler: str | None, bitlines: str
) -> Array:
    """Losses of the feasible non-dominated designs of one study, run or continued here."""
    name, sets = f"{system}-{seed}", [f"sampler.seed={seed}", f"budget.trials={networks}"]
    if sampler is not None:
        sets.append(f"sampler.name={sampler}")
    if system == "joint" and bitlines == "none":
        name, sets = f"{name}-fixed", [*sets, "space.crossbar.bitlines=[128]"]
    if system != "joint" and bitlines == "all":
        name, sets = f"{name}-varied", [*sets, "space.crossbar.bitlines=[64, 128, 256]"]
    spec = StudySpec.from_yaml(STUDIES / f"gain_{system}.yaml", [f"name={name}", *sets])
    database = open_database(f"sqlite:///{folder / 'dse.db'}", write=True)
    with driving(database, spec) as study:
        launch(study, timeout_s=None, progress=lambda job, outcome: _note(system, seed, job))
        trials = study.trials()
    losses = np.array(
        [
            [-m["accuracy"], np.log10(m["energy_j"] * 1e6), np.log10(m["area_m2"] * 1e6)]
            for trial in trials
            if is_result(trial) and is_feasible(trial) and (m := trial.user_attrs[METRICS])
        ]
    ).reshape(-1, 3)
    swept = sum(bool((design_of(trial) or {}).get(SWEEP)) for trial in trials)
    print(
        f"seed {seed} {system}: {swept} networks, {len(losses)} feasible designs, "
        f"{sum(not is_result(t) for t in trials)} trials without a result",
        flush=True,
    )
    return losses[non_dominated(losses)]


def _note(system: str, seed: int, job: Any) -> None:
    if job is not None:
        print(f"seed {seed} {system}: trial {job.number}", flush=True)


def volume(losses: Array, reference: Array) -> float:
    """Hypervolume of what lies within the reference point."""
    inside = losses[(losses < reference).all(axis=1)]
    return float(compute_hypervolume(inside, reference)) if len(inside) else 0.0


def beaten(own: Array, joint: Array, reference: Array) -> bool:
    """Whether a joint design is better in every objective than the best one of a system.

    Its best one has the largest box to the reference point.
    """
    if not len(own):
        return True
    best = own[np.argmax(np.prod(np.maximum(reference - own, 0.0), axis=1))]
    return bool((joint < best).all(axis=1).any())


def plot(fronts: dict[str, Array], reference: Array, path: Path, *, seed: int) -> None:
    """Energy against accuracy, and area against accuracy."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(11, 4.5), sharey=True)
    for axis, column, label in zip(axes, (1, 2), ("energy, uJ", "area, mm2"), strict=True):
        for name, losses in fronts.items():
            axis.scatter(
                10 ** losses[:, column],
                -100 * losses[:, 0],
                s=28 if name == "joint" else 20,
                marker="*" if name == "joint" else "o",
                label=name.replace("_", "-"),
                alpha=0.8,
            )
        axis.axvline(10 ** reference[column], color="grey", lw=0.8, ls=":")
        axis.set_xscale("log")
        axis.set_xlabel(label)
    axes[0].set_ylabel("accuracy, %")
    axes[0].legend()
    figure.suptitle(f"Fronts at the same number of trained networks, seed {seed}")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
