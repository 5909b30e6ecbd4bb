"""What an epoch costs: fp32, quantised, and quantised under bit-slice L1.

On `mlp_mnist` and on ResNet-20 with CIFAR-10 (`--data`, or the environment variable DSE_DATA;
without either, random images of that shape, which take the same time). The three variants
alternate in short epochs (a part of the images), so that a busy machine slows all of them alike;
the medians of their CPU times are compared. An epoch ends with validation on a ninth of its
images; tracing and lowering to codes are left out. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch

from dse.datasets.cifar10 import CIFAR10
from dse.datasets.dataset import ImageDataset
from dse.datasets.mnist import MNIST
from dse.pipeline.tracing import trace_task
from dse.quantizers.batch_norm import batch_norms
from dse.quantizers.fixed_point import FIXED_POINT
from dse.quantizers.prepare import parameter_grids, prepare, real_parameters
from dse.regularizers.bit_slice_l1 import BIT_SLICE_L1
from dse.tasks.mlp_mnist import MLP_MNIST
from dse.tasks.resnet20_cifar10 import RESNET20_CIFAR10
from dse.tasks.task import Task
from dse.training.fit import Penalised, fit
from search_spaces.quantizer import FixedPointKnobs
from search_spaces.regularizer import BitSliceL1Knobs

VARIANTS = ("fp32", "quantised", "bl1")


@dataclass(frozen=True)
class Case:
    """A network and the images of one epoch and its validation."""

    task: Task
    data: ImageDataset


def main() -> None:
    """Print one line per network and variant, then the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--data", type=Path, default=os.environ.get("DSE_DATA"))
    parser.add_argument("--mlp-images", type=int, default=20_000)
    parser.add_argument("--resnet-images", type=int, default=480)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cifar = _cifar(arguments.data)
    cases = [
        Case(MLP_MNIST, MNIST.load().subset(train=arguments.mlp_images)),
        Case(RESNET20_CIFAR10, cifar.subset(train=arguments.resnet_images)),
    ]
    report: dict[str, dict[str, float]] = {
        "ratio_bl1_vs_quantised": {},
        "ratio_bl1_vs_fp32": {},
    }
    for case in cases:
        seconds: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
        for variant in VARIANTS:
            _one_epoch(case, variant)  # compiles, fills caches
        for _ in range(arguments.repeats):
            for variant in VARIANTS:
                seconds[variant].append(_one_epoch(case, variant))
        cost = {variant: median(measured) for variant, measured in seconds.items()}
        images = len(case.data.train_images)
        for variant, measured in seconds.items():
            print(
                f"{case.task.name} {variant:>10}: {cost[variant]:.2f} CPU s per epoch of "
                f"{images} images "
                f"({min(measured):.2f} to {max(measured):.2f}, {arguments.repeats} runs)",
                flush=True,
            )
            report.setdefault(f"seconds_{variant}", {})[case.task.name] = round(cost[variant], 3)
        for other in ("quantised", "fp32"):
            report[f"ratio_bl1_vs_{other}"][case.task.name] = round(cost["bl1"] / cost[other], 3)
    print(json.dumps(report))


def _one_epoch(case: Case, variant: str) -> float:
    """CPU seconds of one epoch from the initial weights."""
    task, data = case.task, case.data
    network = task.build(0)
    penalised = None
    if variant != "fp32":
        names = [layer.name for layer in trace_task(task, data)]
        pairs = batch_norms(network, data.normalised(data.train_images[:2]))
        network = prepare(network, names, FIXED_POINT, FixedPointKnobs(), normalised=pairs)
        if variant == "bl1":
            penalty = BIT_SLICE_L1.penalty(
                BitSliceL1Knobs(strength=0.5),
                grids=list(parameter_grids(network, names).values()),
                slice_bits=2,
            )
            parameters = tuple(real_parameters(network, names).values())
            penalised = Penalised(penalty=penalty, parameters=parameters)
    measured: list[float] = []
    began = time.process_time()
    fit(
        network,
        data,
        epochs=1,
        learning_rate=0.01,
        momentum=0.9,
        batch_size=task.recipe.batch_size,
        generator=torch.Generator().manual_seed(0),
        augmentation=task.recipe.augmentation,
        penalised=penalised,
        on_epoch=lambda _: measured.append(time.process_time() - began),
    )
    return measured[0]


def _cifar(folder: Path | None) -> ImageDataset:
    if folder is not None:
        return CIFAR10.load(Path(folder))
    print("no CIFAR-10 folder given: ResNet-20 is timed on random images", flush=True)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2000, 3, 32, 32), generator=generator, dtype=torch.uint8)
    labels = torch.randint(0, 10, (2000,), generator=generator)
    return ImageDataset(
        name="random",
        train_images=images,
        train_labels=labels,
        test_images=images[:10],
        test_labels=labels[:10],
        mean=(0.5, 0.5, 0.5),
        std=(0.25, 0.25, 0.25),
        digest="random",
    )


if __name__ == "__main__":
    main()
