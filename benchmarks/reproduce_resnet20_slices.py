"""Slice sparsity of ResNet-20 on CIFAR-10: pruned, under l1 and under bit-slice l1.

The bit-slice paper's comparison (J. Zhang et al., EMC2 workshop 2019, Table 2, ResNet-20) in
minutes on one core. It differs from the paper in this: public weights stand for 150 epochs of
pre-training under l1, so that all three rows start, and stay, much denser than the paper's; the
fine-tuning is short and sees a part of the training images. Both penalties get the same images,
epochs and rates, and the `pruned` row the same threshold without fine-tuning. Both strengths are
the paper's (20 and 0.5) times 16, because the training is shorter: the order says what the two do
at the paper's ratio of strengths, not at equal accuracy. A stronger l1 gets sparser too, at a
loss of its own.

The factor, the rate and the epochs were chosen on validation images; the first 2 000 test images
were looked at once while several factors were tried. The public weights were trained on the
validation images too, so that validation accuracies are too high, alike for all rows.

Accuracies are those of the integer codes with unlimited ADCs. Ratios count weights and biases of
the mapped layers, as the paper does; batch norm stays digital and is not pruned. The last line is
JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from statistics import mean, pstdev

import torch
from public_resnet20 import parser, print_epoch, start

from dse.datasets.dataset import ImageDataset
from dse.pipeline.accuracy import simulated_accuracy
from dse.pipeline.compress import CompressedNetwork, compress
from dse.quantizers.fixed_point import FIXED_POINT
from dse.quantizers.slices import nonzero_slice_ratios
from dse.regularizers.bit_slice_l1 import BIT_SLICE_L1
from dse.regularizers.l1 import L1
from dse.regularizers.none import NONE
from dse.regularizers.regularizer import Regularizer
from dse.tasks.task import Task
from search_spaces.quantizer import FixedPointKnobs
from search_spaces.regularizer import BitSliceL1Knobs, L1Knobs, NoRegularizerKnobs

THRESHOLD = 0.01
SLICE_BITS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A compressed network and what is reported of it.

    Attributes:
        network: The network.
        mean_pct: Mean of its four non-zero slice ratios, in percent.
        std_pct: Their population standard deviation, in percentage points.
        weights_only_pct: As `mean_pct`, without biases.
        accuracy: On the test images, a fraction.
    """

    network: CompressedNetwork
    mean_pct: float
    std_pct: float
    weights_only_pct: float
    accuracy: float


def main() -> None:
    """Print a line per epoch and row, then the report."""
    arguments = _arguments()
    began = time.perf_counter()
    given = start(arguments)
    task, data = given.task, given.data
    penalties: dict[str, tuple[Regularizer, object, int]] = {
        "pruned": (NONE, NoRegularizerKnobs(), 0),
        "l1": (L1, L1Knobs(strength=arguments.l1), arguments.epochs),
        "bl1": (BIT_SLICE_L1, BitSliceL1Knobs(strength=arguments.bl1), arguments.epochs),
    }
    rows: dict[str, Row] = {}
    for name, (regularizer, knobs, epochs) in penalties.items():
        network = compress(
            task,
            data,
            given.state,
            quantizer=FIXED_POINT,
            quantizer_knobs=FixedPointKnobs(),
            regularizer=regularizer,
            regularizer_knobs=knobs,
            threshold=THRESHOLD,
            slice_bits=SLICE_BITS,
            epochs=epochs,
            seed=arguments.seed,
            on_epoch=print_epoch,
        )
        rows[name] = row = _row(task, data, network)
        ratios = " ".join(f"{100 * ratio:.2f}" for ratio in network.nonzero_slice_ratios)
        print(
            f"{name:>6}: slices 3..0 {ratios} %, mean {row.mean_pct:.2f} std {row.std_pct:.2f}, "
            f"weights only {row.weights_only_pct:.2f}; validation "
            f"{network.metrics['val_accuracy']:.4f}, test {row.accuracy:.4f}",
            flush=True,
        )
    print(json.dumps(_report(rows, given.accuracy, time.perf_counter() - began)))


def _arguments() -> argparse.Namespace:
    options = parser(__doc__, train_images=6000, test_images=None, epochs=3)
    options.add_argument("--l1", type=float, default=320.0, help="strength of l1")
    options.add_argument("--bl1", type=float, default=8.0, help="strength of bit-slice l1")
    return options.parse_args()


def _row(task: Task, data: ImageDataset, network: CompressedNetwork) -> Row:
    percent = [100 * ratio for ratio in network.nonzero_slice_ratios]
    weights = nonzero_slice_ratios(
        [torch.from_numpy(layer.magnitudes) for layer in network.layers],
        bits=8,
        slice_bits=SLICE_BITS,
    )
    return Row(
        network=network,
        mean_pct=mean(percent),
        std_pct=pstdev(percent),
        weights_only_pct=100 * mean(weights),
        accuracy=simulated_accuracy(task, data, network.state, network.layers, chip=None),
    )


def _report(rows: dict[str, Row], accuracy_float: float, seconds: float) -> dict[str, object]:
    bl1, l1, pruned = rows["bl1"], rows["l1"], rows["pruned"]
    return {
        **{f"mean_nonzero_pct_{name}": round(row.mean_pct, 3) for name, row in rows.items()},
        **{f"std_{name}": round(row.std_pct, 3) for name, row in rows.items()},
        **{f"mean_weights_only_pct_{n}": round(r.weights_only_pct, 3) for n, r in rows.items()},
        **{f"accuracy_{name}": round(row.accuracy, 4) for name, row in rows.items()},
        "accuracy_float": round(accuracy_float, 4),
        "ordering_holds": bl1.mean_pct < l1.mean_pct < pruned.mean_pct
        and bl1.std_pct < l1.std_pct < pruned.std_pct,
        "loss_bl1": round(accuracy_float - bl1.accuracy, 4),
        "seconds": round(seconds, 1),
    }


if __name__ == "__main__":
    main()
