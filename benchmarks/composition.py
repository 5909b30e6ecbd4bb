"""The four published systems one by one, and all of them in one design, on one network.

The 784-300-100-10 network on MNIST, the same images, epochs and seed for all. Each system has
several settings of its own on its own engine; what is best of it is whatever no other setting of
it beats in accuracy, energy and area. Joint designs combine bit-slice L1, patches, bit flips and
converters with few bits and a calibrated range, on engines that skip rows or columns of zeros, one
with further epochs under its converters. A system is beaten where each of its best settings has a
joint design that is at least as accurate and takes less energy and less area. Accuracies are of
the whole test set, simulated with the converters; costs are those of `hw_models` with the ISAAC
component table and saberi converters, but where a system has its own.

The settings were tried by hand on the same test set: the table shows what the combination can do,
not what a search would find. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dse.catalogue import design_space
from dse.evaluation import Evaluation
from dse.pareto import non_dominated
from dse.pipeline.evaluate import Evaluator
from dse.pipeline.settings import EvaluationSettings
from dse.spec_sections import TaskSpec, TrainingSpec
from search_spaces.design_point import DesignPoint
from search_spaces.draw import draw_design

JOINT = "joint"
Settings = dict[str, Any]


def adc(*bits: int) -> Settings:
    """Resolutions, most significant slice first."""
    return {f"adc.bits.slice{i}": value for i, value in enumerate(reversed(bits))}


def bit_slice(strength: float) -> Settings:
    """Fine-tuning under bit-slice L1."""
    return {"regularizer": "bit_slice_l1", "regularizer.strength": strength}


def patches(tsv: float, size: int = 8) -> Settings:
    """Patches of `size` weights."""
    return {"patches": "pq_pim", "patches.patch": size, "patches.tsv": tsv}


def flips(tau: float, *, terms: int = 2, cap: int = 0) -> Settings:
    """Bit flips after training."""
    knobs = {"tau": tau, "terms": terms, "cap": cap}
    return {
        "bit_flips": "bit_transformer",
        **{f"bit_flips.{name}": value for name, value in knobs.items()},
    }


PATCH_ENGINE = {"engine": "ou_patch", "quantizer.bits": 7}
PLANES = {"engine": "bit_plane", "engine.packed": True}
ROWS = {"engine": "sre", "engine.ou_wordlines": 8, "engine.ou_bitlines": 8}
ENGINES = {"rows": ROWS, "planes": PLANES}
CALIBRATED = {"adc.range": "calibrated"}

DESIGNS: dict[str, dict[str, Settings]] = {
    "bit-slice L1": {
        f"{strength:g}, ADC {'/'.join(map(str, bits))}": {**bit_slice(strength), **adc(*bits)}
        for strength in (0.1, 0.25)
        for bits in ((8, 8, 8, 8), (3, 4, 4, 4))
    },
    "BitS-Net": {
        f"set {number}": {
            "quantizer": "bits_net",
            "quantizer.set": number,
            "engine": "bits_net",
            "adc.model": "bits_net",
        }
        for number in (1, 2)
    },
    "PQ-PIM": {
        f"n = 8, TSV {tsv:g}": {**PATCH_ENGINE, **patches(tsv), "adc.bits": 4}
        for tsv in (0.6, 0.8, 1.0, 1.3)
    },
    "Bit-Transformer": {
        **{
            f"S = 2, tau {tau:g}": {**PLANES, **flips(tau), "adc.bits": 7}
            for tau in (0.03, 0.1, 0.2)
        },
        "S = 2, tau 0.1, P = 15": {**PLANES, **flips(0.1, cap=15), "adc.bits": 4},
    },
    JOINT: {
        f"{engine}, {strength:g}, TSV {tsv:g}, {weight_bits} bits, S = {terms}, tau {tau:g}, "
        f"ADC {bits}" + (f", {epochs} epochs" if epochs else ""): {
            **ENGINES[engine],
            **bit_slice(strength),
            **patches(tsv),
            "quantizer.bits": weight_bits,
            **flips(tau, terms=terms),
            **CALIBRATED,
            "adc.bits": bits,
            "adc.tune_epochs": epochs,
        }
        for engine, strength, tsv, weight_bits, terms, tau, bits, epochs in (
            ("rows", 0.25, 1.5, 8, 2, 0.0, 3, 0),
            ("rows", 0.25, 1.3, 8, 2, 0.0, 3, 0),
            ("rows", 0.25, 1.0, 8, 3, 0.0, 3, 2),
            ("rows", 0.01, 0.6, 7, 5, 0.0, 4, 0),
            ("planes", 0.03, 0.6, 8, 2, 0.1, 5, 0),
            ("planes", 0.01, 0.6, 7, 3, 0.05, 5, 0),
            ("planes", 0.01, 0.6, 7, 8, 0.03, 5, 0),
        )
    },
}
"""Settings of each system; 4 bits hold the sums of 8 single-bit cells."""


def evaluate(
    store: Path, epochs: int, seed: int, train_images: int, settings: Settings
) -> dict[str, float]:
    """Metrics of one design."""
    torch.set_num_threads(1)
    found = Evaluator(
        EvaluationSettings(
            task=TaskSpec(name="mlp_300_100_mnist", train_images=train_images),
            epochs=epochs,
            training=TrainingSpec(seed=seed),
            threads=1,
            store=store,
        )
    ).outcome(_point(settings))
    if not isinstance(found, Evaluation):
        raise SystemExit(f"{settings}: {found.reason}")
    return dict(found.metrics)


def _point(settings: Settings) -> DesignPoint:
    space = design_space("composition", settings, {})
    free = space.free()
    if free:
        raise SystemExit(f"{settings}: {', '.join(free)} are free")
    return draw_design(space, lambda path, domain: None)  # type: ignore[arg-type,return-value]


def beats(one: dict[str, float], other: dict[str, float]) -> bool:
    """At least as accurate, and less energy, and less area."""
    return (
        one["accuracy"] >= other["accuracy"]
        and one["energy_j"] < other["energy_j"]
        and one["area_m2"] < other["area_m2"]
    )


def best_of(designs: dict[str, dict[str, float]]) -> list[str]:
    """Settings that no other of the same system dominates."""
    losses = np.array([[-m["accuracy"], m["energy_j"], m["area_m2"]] for m in designs.values()])
    names = list(designs)
    return [names[index] for index in non_dominated(losses)]


def main() -> None:
    """Evaluate every setting, print the table, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=5, help="of fine-tuning")
    parser.add_argument("--train-images", type=int, default=30_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--store", type=Path, help="keep stage results here")
    arguments = parser.parse_args()
    began = time.perf_counter()
    listed = [(system, name) for system, designs in DESIGNS.items() for name in designs]
    with tempfile.TemporaryDirectory() as folder:
        run = partial(
            evaluate,
            arguments.store or Path(folder),
            arguments.epochs,
            arguments.seed,
            arguments.train_images,
        )
        with ProcessPoolExecutor(arguments.processes, get_context("spawn")) as pool:
            results = pool.map(run, [DESIGNS[system][name] for system, name in listed])
            found: dict[str, dict[str, dict[str, float]]] = {system: {} for system in DESIGNS}
            print("| system | design | accuracy % | energy uJ | area mm2 | latency us | arrays |")
            print("|---|---|---|---|---|---|---|")
            for (system, name), metrics in zip(listed, results, strict=True):
                found[system][name] = metrics
                print(
                    f"| {system} | {name} | {100 * metrics['accuracy']:.2f} | "
                    f"{1e6 * metrics['energy_j']:.4f} | {1e6 * metrics['area_m2']:.4f} | "
                    f"{1e6 * metrics['latency_s']:.1f} | {metrics['crossbars']:.0f} |",
                    flush=True,
                )
    joint = found.pop(JOINT)
    beaten: dict[str, str] = {}
    by: dict[str, dict[str, str | None]] = {}
    for system, designs in found.items():
        by[system] = {
            name: next((j for j, metrics in joint.items() if beats(metrics, designs[name])), None)
            for name in best_of(designs)
        }
        beaten[system] = f"{sum(j is not None for j in by[system].values())} of {len(by[system])}"
    everything = all(j is not None for designs in by.values() for j in designs.values())
    report = {
        "beaten": beaten,
        "every_best_beaten": everything,
        "by": by,
        "seconds": round(time.perf_counter() - began, 1),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
