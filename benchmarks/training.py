"""What an epoch of `mlp_mnist` costs: fp32, quantised, and quantised under bit-slice L1.

The three alternate, so that a busy machine slows all of them alike; the medians of their CPU
times are compared. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from statistics import median

import torch

from dse.datasets.mnist import MNIST
from dse.pipeline.compress import compress
from dse.pipeline.pretrain import pretrain
from dse.quantizers.fixed_point import FIXED_POINT
from dse.regularizers.bit_slice_l1 import BIT_SLICE_L1
from dse.regularizers.none import NONE
from dse.regularizers.regularizer import Regularizer
from dse.tasks.mlp_mnist import MLP_MNIST
from dse.tasks.task import Task, TrainingRecipe
from search_spaces.quantizer import FixedPointKnobs
from search_spaces.regularizer import BitSliceL1Knobs, NoRegularizerKnobs


def main() -> None:
    """Print one line per variant, then the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    data = MNIST.load()
    plain = Task(
        name="mlp_mnist",
        dataset="mnist",
        network=MLP_MNIST.network,
        recipe=TrainingRecipe(pretrain_l1=0.0),
    )
    start = pretrain(plain, data, epochs=1, seed=0).state

    def fine_tune(regularizer: Regularizer, knobs: object) -> None:
        compress(
            plain,
            data,
            start,
            quantizer=FIXED_POINT,
            quantizer_knobs=FixedPointKnobs(),
            regularizer=regularizer,
            regularizer_knobs=knobs,
            threshold=0.01,
            slice_bits=2,
            epochs=1,
            seed=0,
        )

    variants: dict[str, Callable[[], object]] = {
        "fp32": lambda: pretrain(plain, data, epochs=1, seed=0),
        "quantised": lambda: fine_tune(NONE, NoRegularizerKnobs()),
        "bl1": lambda: fine_tune(BIT_SLICE_L1, BitSliceL1Knobs(strength=0.5)),
    }
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(repeats):
        for name, variant in variants.items():
            began = time.process_time()
            variant()
            seconds[name].append(time.process_time() - began)
    cost = {name: median(measured) for name, measured in seconds.items()}
    for name, measured in seconds.items():
        print(
            f"{name:>10}: {cost[name]:.2f} CPU s per epoch "
            f"({min(measured):.2f} to {max(measured):.2f}, {repeats} runs)"
        )
    report = {
        "seconds_fp32": cost["fp32"],
        "seconds_quantised": cost["quantised"],
        "seconds_bl1": cost["bl1"],
        "ratio_bl1_vs_quantised": cost["bl1"] / cost["quantised"],
        "ratio_bl1_vs_fp32": cost["bl1"] / cost["fp32"],
    }
    print(json.dumps({key: round(value, 3) for key, value in report.items()}))


if __name__ == "__main__":
    main()
