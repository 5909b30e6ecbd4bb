"""BitS-Net's level sets beside powers of two and uniform grids, on ResNet-20 with CIFAR-10.

For every grid, after training and after a short fine-tuning with trained clipping thresholds from
public weights: accuracy of the integer codes with unlimited ADCs, energy of a weight (cells and
ADC, [BitSNet]), share of weights with a cell at 11, and non-zero cells per slice. The fine-tuning
sees a part of the training images for a few epochs; the papers train for hundreds. Inputs have 8
bits. Energies and shares are those of the inner layers: first and last are uniform in 8 bits under
every level set. The public weights were trained on the validation images too; test images decide
nothing.

The energies that a level set has on these weights are compared with those of normally distributed
weights at clipping thresholds of 3 and 2 standard deviations, and at 2.03 with those of the public
APoT ResNet-20, whose trained thresholds are 2.03 on average (`expected_pj`). Uniform 8 bit is
dynamic fixed point, whose range is a power of two and no such threshold.

[BitSNet] "BitS-Net: Bit-Sparse Deep Neural Network for Energy-Efficient RRAM-Based
    Compute-In-Memory", IEEE TCAS-I 69(5), 2022.

The last line is JSON; accuracies are fractions.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from statistics import NormalDist, mean
from typing import Any

import numpy as np
import torch
from public_resnet20 import parser, print_epoch, start
from torch import nn

from dse.datasets.dataset import ImageDataset
from dse.pipeline.accuracy import simulated_accuracy
from dse.pipeline.compress import CompressedNetwork, compress
from dse.quantizers.apot import APOT
from dse.quantizers.bits_net import BITS_NET
from dse.quantizers.clipped import ClippedGrid
from dse.quantizers.fixed_point import FIXED_POINT
from dse.quantizers.level_set import LEVEL_SET
from dse.quantizers.pot import POT
from dse.quantizers.quantizer import Place, Quantizer
from dse.regularizers.none import NONE
from dse.tasks.task import Task
from hw_models.published.bits_net import FRACTION_BITS, cells, weight_energy_j
from hw_models.units import PICO
from search_spaces.quantizer import (
    ApotKnobs,
    BitsNetKnobs,
    FixedPointKnobs,
    LevelSetKnobs,
    PotKnobs,
)
from search_spaces.regularizer import NoRegularizerKnobs

UNIFORM_4 = "0,9/64,18/64,27/64,37/64,46/64,55/64,1"
"""Sevenths of the threshold, as Q2.6 holds them."""

GRIDS: dict[str, tuple[Quantizer, Any]] = {
    "bits_set_1": (BITS_NET, BitsNetKnobs(set=1)),
    "bits_set_2": (BITS_NET, BitsNetKnobs(set=2)),
    "pot_4": (POT, PotKnobs(bits=4)),
    "apot_4": (APOT, ApotKnobs(bits=4)),
    "uniform_4": (LEVEL_SET, LevelSetKnobs(levels=UNIFORM_4)),
    "uniform_8": (FIXED_POINT, FixedPointKnobs(bits=8)),
}


APOT_THRESHOLD = 2.03
APOT_WEIGHTS_PJ = {
    "bits_set_1": 1.928,
    "bits_set_2": 1.725,
    "pot_4": 1.610,
    "apot_4": 2.497,
    "uniform_4": 2.369,
}
"""Energy of a weight of the public APoT ResNet-20 (4 bit) in each grid, at its own thresholds."""


def main() -> None:
    """Print a line per grid and stage, then the report."""
    arguments = _arguments()
    began = time.perf_counter()
    given = start(arguments)
    task, data = given.task, given.data
    report: dict[str, Any] = {"accuracy_float": round(given.accuracy, 4)}
    for name, (quantizer, knobs) in GRIDS.items():
        report[name] = {}
        for stage, epochs in (("post_training", 0), ("fine_tuned", arguments.epochs)):
            network = compress(
                task,
                data,
                given.state,
                quantizer=quantizer,
                quantizer_knobs=knobs,
                regularizer=NONE,
                regularizer_knobs=NoRegularizerKnobs(),
                threshold=0.0,
                slice_bits=2,
                epochs=epochs,
                seed=arguments.seed,
                on_epoch=print_epoch,
            )
            report[name][stage] = row = _row(task, data, network, quantizer.ends_in_8_bits)
            print(f"{name:>10} {stage:>13}: {json.dumps(row)}", flush=True)
        if quantizer.ends_in_8_bits:
            report[name]["at_threshold"] = _against_expected(
                name, [layer.shape.name for layer in network.layers], given.state
            )
            print(f"{name:>10}: {json.dumps(report[name]['at_threshold'])}", flush=True)
    report["seconds"] = round(time.perf_counter() - began, 1)
    print(json.dumps(report))


def _row(
    task: Task, data: ImageDataset, network: CompressedNetwork, scaled: bool
) -> dict[str, Any]:
    inner = network.layers[1:-1]
    codes = np.concatenate([layer.magnitudes.reshape(-1) for layer in inner])
    row = {
        "accuracy": round(
            simulated_accuracy(task, data, network.state, network.layers, chip=None), 4
        ),
        "pj_per_weight": _picojoules(codes),
        "share_with_11": round(float((cells(codes) == 3).any(axis=-1).mean()), 4),
        "nonzero_cells": [round(float(share), 4) for share in (cells(codes) > 0).mean(axis=0)],
    }
    if scaled:  # a batch norm follows every inner layer, so that a step is threshold / 64
        thresholds = [layer.weight_step * 2**FRACTION_BITS for layer in inner]
        row["mean_threshold"] = round(mean(thresholds), 3)
    return row


def _against_expected(
    name: str, layers: Sequence[str], state: dict[str, torch.Tensor]
) -> dict[str, dict[str, float]]:
    """Energies on the trained weights of the inner layers and on others, by threshold."""
    quantizer, knobs = GRIDS[name]
    normal = NormalDist()
    ideal = torch.tensor([normal.inv_cdf((k + 0.5) / 20_001) for k in range(20_001)])
    weights = [state[f"{layer}.weight"] for layer in layers[1:-1]]

    def held(real: torch.Tensor, threshold: float) -> np.ndarray:
        grid = quantizer.grid(knobs, Place(normalised=True))
        assert isinstance(grid, ClippedGrid)
        nn.init.constant_(grid.threshold, threshold)
        return grid.codes(real).magnitudes.reshape(-1).numpy()

    found: dict[str, dict[str, float]] = {}
    for threshold in (3.0, 2.0, APOT_THRESHOLD):
        trained = _picojoules(np.concatenate([held(weight, threshold) for weight in weights]))
        expected = _picojoules(held(ideal, threshold))
        if threshold == APOT_THRESHOLD:
            expected = APOT_WEIGHTS_PJ[name]
        found[f"{threshold:g}_std"] = {
            "pj": trained,
            "expected_pj": expected,
            "off_pct": round(100 * (trained / expected - 1), 2),
        }
    return found


def _picojoules(codes: np.ndarray) -> float:
    return round(float(weight_energy_j(codes).mean()) / PICO, 4)


def _arguments() -> argparse.Namespace:
    options = parser(__doc__, train_images=3000, test_images=2000, epochs=2)
    return options.parse_args()


if __name__ == "__main__":
    main()
