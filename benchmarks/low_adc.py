"""Few ADC bits on MNIST: what calibrated steps and fine-tuning with the ADCs in the loop repair.

The 784-100-10 network of the bit-slice paper, trained with bit-slice L1 (alpha 0.5): 8-bit codes
in 2-bit cells, 128 rows, differential arrays, bit-serial inputs. The paper's ADC resolutions are
1, 3, 3 and 3 bits, most significant slice first. All is chosen on training and validation images;
every network meets the 10,000 test images once. The last line is JSON, accuracies are fractions.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from typing import Literal

import torch

from dse.datasets.mnist import MNIST
from dse.pipeline.accuracy import simulated_accuracy
from dse.pipeline.adc_tuning import TunedNetwork, tune
from dse.pipeline.compress import CompressedNetwork, compress
from dse.pipeline.pretrain import pretrain
from dse.quantizers.fixed_point import FIXED_POINT
from dse.regularizers.bit_slice_l1 import BIT_SLICE_L1
from dse.tasks.mlp_mnist import MLP_MNIST
from hw_models.chip import Chip
from hw_models.converters.saberi import SABERI
from hw_models.crossbar import Crossbar
from hw_models.engines.isaac import ISAAC
from search_spaces.quantizer import FixedPointKnobs
from search_spaces.regularizer import BitSliceL1Knobs

PUBLISHED = (1, 3, 3, 3)
"""[Zhang2019], Table 3: 1 bit for the most significant slice, 3 for the others."""

LOWER = ((1, 2, 2, 2), (1, 1, 2, 2), (1, 1, 1, 1))
"""Resolutions below the published ones, most significant slice first."""


def chip(adc_bits: tuple[int, ...]) -> Chip:
    """ISAAC-style, with these converters."""
    return Chip(
        crossbar=Crossbar(wordlines=128, bitlines=128, bits_per_cell=2),
        adc=SABERI,
        adc_bits=adc_bits,
        engine=ISAAC,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """The network that all measures start from, and how it is measured."""

    start: CompressedNetwork
    alpha: float
    epochs: int
    seed: int

    def tuned(
        self, adc_bits: tuple[int, ...], adc_range: Literal["full", "calibrated"], epochs: int
    ) -> TunedNetwork:
        """The network fitted to its converters."""
        return tune(
            MLP_MNIST,
            MNIST.load(),
            self.start,
            chip=chip(adc_bits),
            quantizer=FIXED_POINT,
            quantizer_knobs=FixedPointKnobs(),
            regularizer=BIT_SLICE_L1,
            regularizer_knobs=BitSliceL1Knobs(strength=self.alpha),
            adc_range=adc_range,
            epochs=epochs,
            seed=self.seed,
        )

    def test(self, found: TunedNetwork, adc_bits: tuple[int, ...] | None) -> float:
        """Test accuracy with these converters; None is unlimited ones."""
        return simulated_accuracy(
            MLP_MNIST,
            MNIST.load(),
            found.network.state,
            found.network.layers,
            chip=None if adc_bits is None else chip(adc_bits),
            adc_steps=found.adc_steps,
        )


def main() -> None:
    """Print one line per measure, then the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--alpha", type=float, default=0.5, help="strength of bit-slice L1")
    parser.add_argument("--epochs", type=int, default=10, help="of fine-tuning without ADCs")
    parser.add_argument("--tune-epochs", type=int, default=6, help="of fine-tuning with ADCs")
    parser.add_argument("--published-only", action="store_true", help="leave lower bits out")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    began = time.perf_counter()
    data = MNIST.load()
    trained = pretrain(
        MLP_MNIST, data, epochs=MLP_MNIST.recipe.pretrain_epochs, seed=arguments.seed
    )
    start = compress(
        MLP_MNIST,
        data,
        trained.state,
        quantizer=FIXED_POINT,
        quantizer_knobs=FixedPointKnobs(),
        regularizer=BIT_SLICE_L1,
        regularizer_knobs=BitSliceL1Knobs(strength=arguments.alpha),
        threshold=0.01,
        slice_bits=2,
        epochs=arguments.epochs,
        seed=arguments.seed,
    )
    bench = Bench(
        start=start, alpha=arguments.alpha, epochs=arguments.tune_epochs, seed=arguments.seed
    )

    def measured(
        what: str,
        adc_bits: tuple[int, ...],
        adc_range: Literal["full", "calibrated"],
        epochs: int,
    ) -> tuple[TunedNetwork, float]:
        found = bench.tuned(adc_bits, adc_range, epochs)
        accuracy = bench.test(found, adc_bits)
        print(
            f"{what:>28} {adc_bits}: validation "
            f"{found.network.metrics['val_accuracy']:.4f}, test {accuracy:.4f}, non-zero "
            f"{100 * found.network.metrics['mean_slice_ratio']:.2f} %, steps {found.adc_steps}, "
            f"{time.perf_counter() - began:.0f} s",
            flush=True,
        )
        return found, accuracy

    _, at_8_bits = measured("8-bit ADCs", (8,) * 4, "full", 0)
    open_loop = measured("open loop", PUBLISHED, "full", 0)
    calibrated = measured("calibrated", PUBLISHED, "calibrated", 0)
    tuned = measured("tuned", PUBLISHED, "full", bench.epochs)
    both = measured("calibrated and tuned", PUBLISHED, "calibrated", bench.epochs)
    best = max(
        (open_loop, calibrated, tuned, both),
        key=lambda each: each[0].network.metrics["val_accuracy"],
    )
    report: dict[str, object] = {
        "accuracy_8bit": at_8_bits,
        "accuracy_1333_open_loop": open_loop[1],
        "accuracy_1333_calibrated": calibrated[1],
        "accuracy_1333_tuned": tuned[1],
        "accuracy_1333_calibrated_and_tuned": both[1],
        "accuracy_1333": best[1],
        "loss_1333": round(at_8_bits - best[1], 4),
        "mean_nonzero_pct": 100 * best[0].network.metrics["mean_slice_ratio"],
        "accuracy_of_tuned_unlimited": bench.test(best[0], None),
    }
    if not arguments.published_only:
        for adc_bits in LOWER:
            name = "accuracy_" + "".join(map(str, adc_bits))
            report[name + "_open_loop"] = measured("open loop", adc_bits, "full", 0)[1]
            report[name] = measured("calibrated and tuned", adc_bits, "calibrated", bench.epochs)[
                1
            ]
    report["seconds"] = round(time.perf_counter() - began, 1)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
