"""Table 1 of the bit-slice paper: shares of non-zero slices on MNIST, three seeds.

[Zhang2019] trains 100 epochs, fine-tunes 50, selects on the test set and reports one run. Here the
schedule is shorter with a falling learning rate, a tenth of the training images selects, and every
network meets the test images once. The paper's row "pruned" is the network pre-trained with L1,
quantised but not thresholded; the other two are fine-tuned after a threshold of 0.01. The counts
include the biases, as the paper's. Seeds run in parallel processes. The last line is JSON:
accuracies are fractions, ratios and their population deviation over the four slices are percent,
means over the seeds.

[Zhang2019] J. Zhang et al., "Exploring Bit-Slice Sparsity in Deep Neural Networks for Efficient
    ReRAM-Based Deployment", EMC2 workshop, 2019.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from statistics import fmean, pstdev
from typing import Any

import torch

from dse.datasets.mnist import MNIST
from dse.pipeline.accuracy import simulated_accuracy
from dse.pipeline.compress import compress
from dse.pipeline.pretrain import pretrain
from dse.quantizers.fixed_point import FIXED_POINT
from dse.regularizers.bit_slice_l1 import BIT_SLICE_L1
from dse.regularizers.l1 import L1
from dse.regularizers.none import NONE
from dse.tasks.mlp_mnist import MLP_MNIST
from dse.training.schedule import Cosine
from hw_models.published.bit_slice_2019 import sparsity
from search_spaces.quantizer import FixedPointKnobs
from search_spaces.regularizer import BitSliceL1Knobs, L1Knobs, NoRegularizerKnobs

METHODS = ("pruned", "l1", "bl1")
PUBLISHED = {
    method: sparsity("MLP", name)
    for method, name in zip(METHODS, ("pruned", "l1", "bit_slice_l1"), strict=True)
}
THRESHOLD = 0.01


def of_seed(
    seed: int, pretrain_epochs: int, epochs: int, alpha_l1: float, alpha_bl1: float
) -> dict[str, dict[str, float]]:
    """Accuracy, ratios and deviation of the three rows for one seed."""
    torch.set_num_threads(1)
    data = MNIST.load()
    task = replace(
        MLP_MNIST,
        recipe=replace(MLP_MNIST.recipe, schedule=Cosine(), finetune_schedule=Cosine()),
    )
    start = pretrain(task, data, epochs=pretrain_epochs, seed=seed).state

    def row(regularizer: Any, knobs: Any, *, threshold: float, epochs: int) -> dict[str, float]:
        found = compress(
            task,
            data,
            start,
            quantizer=FIXED_POINT,
            quantizer_knobs=FixedPointKnobs(),
            regularizer=regularizer,
            regularizer_knobs=knobs,
            threshold=threshold,
            slice_bits=2,
            epochs=epochs,
            seed=seed,
        )
        percent = [100 * ratio for ratio in found.nonzero_slice_ratios]
        return {
            "accuracy": simulated_accuracy(task, data, found.state, found.layers, chip=None),
            "mean": fmean(percent),
            "std": pstdev(percent),
            "epoch": found.metrics["epoch"],
            **{f"slice{3 - group}": ratio for group, ratio in enumerate(percent)},
        }

    return {
        "pruned": row(NONE, NoRegularizerKnobs(), threshold=0.0, epochs=0),
        "l1": row(L1, L1Knobs(strength=alpha_l1), threshold=THRESHOLD, epochs=epochs),
        "bl1": row(
            BIT_SLICE_L1, BitSliceL1Knobs(strength=alpha_bl1), threshold=THRESHOLD, epochs=epochs
        ),
    }


def main() -> None:
    """Print one line per seed and row, then the means."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--pretrain-epochs", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=15, help="of each fine-tuning")
    parser.add_argument("--alpha-l1", type=float, default=10.0)
    parser.add_argument("--alpha-bl1", type=float, default=0.25)
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    began = time.perf_counter()
    settings = (
        arguments.pretrain_epochs,
        arguments.epochs,
        arguments.alpha_l1,
        arguments.alpha_bl1,
    )
    found = []
    with ProcessPoolExecutor(arguments.processes, mp_context=get_context("spawn")) as pool:
        running = [pool.submit(of_seed, seed, *settings) for seed in arguments.seeds]
        for seed, each in zip(arguments.seeds, running, strict=True):
            rows = each.result()
            found.append(rows)
            for method in METHODS:
                print(f"seed {seed} {method:>6}: {_line(rows[method])}", flush=True)
    means = {
        method: {key: fmean(rows[method][key] for rows in found) for key in found[0][method]}
        for method in METHODS
    }
    for method in METHODS:
        print(f"  mean {method:>6}: {_line(means[method])}, published {_published(method)}")
    report: dict[str, object] = {}
    for method in METHODS:
        row, published = means[method], PUBLISHED[method]
        report[f"accuracy_{method}"] = round(row["accuracy"], 5)
        report[f"accuracy_{method}_minus_published"] = round(
            row["accuracy"] - published.accuracy_percent / 100, 5
        )
        report[f"mean_nonzero_pct_{method}"] = round(row["mean"], 4)
        report[f"std_nonzero_pct_{method}"] = round(row["std"], 4)
    report["ordering_holds"] = _ordered(means, "mean") and _ordered(means, "std")
    report["ordering_holds_every_seed"] = all(
        _ordered(rows, key) for rows in found for key in ("mean", "std")
    )
    report["seconds"] = round(time.perf_counter() - began, 1)
    print(json.dumps(report))


def _ordered(rows: Mapping[str, Mapping[str, float]], key: str) -> bool:
    return rows["bl1"][key] < rows["l1"][key] < rows["pruned"][key]


def _line(row: Mapping[str, float]) -> str:
    slices = " / ".join(f"{row[f'slice{number}']:.2f}" for number in (3, 2, 1, 0))
    return (
        f"accuracy {row['accuracy']:.4f}, slices {slices} %, {row['mean']:.2f} +- {row['std']:.2f}"
    )


def _published(method: str) -> str:
    row = PUBLISHED[method]
    return f"{row.accuracy_percent} %, {row.average_percent} +- {row.std_percent}"


if __name__ == "__main__":
    main()
