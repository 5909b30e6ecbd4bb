"""PQ-PIM's compression of LeNet on MNIST: 91x at 3 points of loss, and a mean of 76.4x.

The published ratios (Figure 7 of the paper) are over patches of 4, 8, 16 and 32 weights, against
32-bit weights and without indices. Which LeNet the paper used is not stated; the large one
(20-50-500-10) gets there, LeNet-5 stands beside it.

A network is trained in fp32, then pruned in three rounds with one epoch of training each. The
thresholds are constants, found by hand on the validation images: in each network and patch size
the TSV of the largest layer was raised until validation accuracy fell by about 2 points, with
smaller TSVs for the small layers, which hold few bits. The test images are used once, for the
accuracy of the integer codes that is printed. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from dse.datasets.dataset import ImageDataset
from dse.datasets.mnist import MNIST
from dse.pipeline.accuracy import float_accuracy, network_with, simulated_accuracy
from dse.pipeline.compress import CompressedNetwork
from dse.pipeline.observing import observe
from dse.pipeline.patching import compress_in_rounds
from dse.pipeline.pretrain import pretrain
from dse.pruning.patches import CompressionRatios
from dse.pruning.pq_pim import PQ_PIM
from dse.quantizers.fixed_point import FIXED_POINT
from dse.regularizers.none import NONE
from dse.tasks.lenet5_mnist import LENET5_MNIST
from dse.tasks.lenet_mnist import LENET_MNIST
from dse.tasks.task import Task
from hw_models.chip import Chip
from hw_models.crossbar import Crossbar
from hw_models.encodings.twos_complement import TWOS_COMPLEMENT
from hw_models.engines.ou_patch import OU_PATCH
from hw_models.estimation.estimate import estimate
from hw_models.periphery.pq_pim import PQ_PIM_ADC, PQ_PIM_ARRAY, PQ_PIM_CU, PQ_PIM_PE
from search_spaces.patches import PatchKnobs
from search_spaces.quantizer import FixedPointKnobs
from search_spaces.regularizer import NoRegularizerKnobs

SIZES = (4, 8, 16, 32)
WEAK_INPUT_SHARE = 0.75
"""T_act of the paper's Figure 2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """TSVs of one network and patch size, in standard deviations of a layer.

    Attributes:
        tsv: Of layers that are not named.
        layers: Of single layers.
    """

    tsv: float
    layers: Mapping[str, float]


LENET: Mapping[int, Thresholds] = {
    4: Thresholds(tsv=1.5, layers={"fc1": 1.7, "fc2": 1.3}),
    8: Thresholds(tsv=1.5, layers={"fc1": 1.65, "fc2": 1.3}),
    16: Thresholds(tsv=1.3, layers={"fc1": 1.55, "fc2": 1.2}),
    32: Thresholds(tsv=1.25, layers={"fc1": 1.5, "fc2": 1.1}),
}
LENET5: Mapping[int, Thresholds] = {
    4: Thresholds(tsv=1.4, layers={"fc1": 1.7}),
    8: Thresholds(tsv=1.3, layers={"fc1": 1.65}),
    16: Thresholds(tsv=1.25, layers={"fc1": 1.55}),
    32: Thresholds(tsv=1.2, layers={"fc1": 1.5}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One compressed network.

    Attributes:
        ratios: Its compression.
        accuracy: Of its integer codes on the test images, unlimited converters.
        loss: Test accuracy of the fp32 network less that.
        network: Itself.
    """

    ratios: CompressionRatios
    accuracy: float
    loss: float
    network: CompressedNetwork


def main() -> None:
    """Print one line per network and patch size, then the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pretrain-epochs", type=int, default=6)
    parser.add_argument("--epochs", type=int, default=3, help="of all rounds together")
    parser.add_argument("--train-images", type=int, default=40000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, choices=SIZES)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    began = time.process_time()
    data = MNIST.load().subset(train=arguments.train_images, test=None)
    found = {
        task.name: reproduce(task, thresholds, data, arguments)
        for task, thresholds in ((LENET_MNIST, LENET), (LENET5_MNIST, LENET5))
    }
    large = found[LENET_MNIST.name]
    report: dict[str, object] = {}
    if 8 in large:
        report |= {
            "cr32_n8": round(large[8].ratios.cr32, 2),
            "loss_n8": round(large[8].loss, 4),
            "cr32i_n8": round(large[8].ratios.cr32i, 2),
        }
        report["engine_n8"] = engine_figures(LENET_MNIST, data, large[8])
    report["cr32_mean"] = round(mean(large), 2)
    for name, results in found.items():
        report[name] = summary(results)
    report["seconds"] = round(time.process_time() - began, 1)
    print(json.dumps(report))


def reproduce(
    task: Task,
    thresholds: Mapping[int, Thresholds],
    data: ImageDataset,
    arguments: argparse.Namespace,
) -> dict[int, Result]:
    """Results by patch size, one line each."""
    seed = arguments.seed
    trained = pretrain(task, data, epochs=arguments.pretrain_epochs, seed=seed)
    baseline = float_accuracy(task, data, trained.state)
    print(f"{task.name}: fp32 accuracy {100 * baseline:.2f} %", flush=True)
    results = {}
    for size in arguments.sizes:
        chosen = thresholds[size]
        pruned = compress_in_rounds(
            task,
            data,
            trained.state,
            pruner=PQ_PIM,
            pruner_knobs=PatchKnobs(patch=size, tsv=chosen.tsv, rounds=3),
            layer_knobs={layer: {"tsv": tsv} for layer, tsv in chosen.layers.items()},
            quantizer=FIXED_POINT,
            quantizer_knobs=FixedPointKnobs(bits=7),
            regularizer=NONE,
            regularizer_knobs=NoRegularizerKnobs(),
            threshold=0.0,
            slice_bits=1,
            epochs=arguments.epochs,
            seed=seed,
        )
        assert pruned.ratios is not None
        network = pruned.network
        reached = simulated_accuracy(task, data, network.state, network.layers, chip=None)
        results[size] = Result(
            ratios=pruned.ratios, accuracy=reached, loss=baseline - reached, network=network
        )
        print(
            f"{task.name}: n = {size:2}: CR32 {pruned.ratios.cr32:6.1f}, with flags "
            f"{pruned.ratios.cr32i:5.1f}, with flags and indices {pruned.ratios.cr32_apib:5.1f}; "
            f"validation {100 * network.metrics['val_accuracy']:.2f} %, "
            f"test {100 * reached:.2f} %, loss {100 * results[size].loss:.2f} points",
            flush=True,
        )
    return results


def engine_figures(task: Task, data: ImageDataset, result: Result) -> dict[str, float]:
    """What PQ-PIM's engine does for one image, with inputs of 8 bits and of 8 or 4 bits.

    Inputs are counted on 64 training images; with weak inputs the accuracy is that of inputs
    that are rounded patch by patch.
    """
    network = result.network
    figures: dict[str, float] = {}
    for name, share in (("8", None), ("8_4", WEAK_INPUT_SHARE)):
        layers = [
            replace(layer, patches=replace(layer.patches, weak_input_share=share))
            for layer in network.layers
            if layer.patches is not None
        ]
        chip = Chip(
            crossbar=Crossbar(wordlines=128, bitlines=128, bits_per_cell=1),
            adc=PQ_PIM_ADC,
            adc_bits=(6,) * 8,
            engine=OU_PATCH.for_layers(layers),
            array=PQ_PIM_ARRAY,
            ima=PQ_PIM_CU,
            tile=PQ_PIM_PE,
            encoding=TWOS_COMPLEMENT,
        )
        plain = network_with(task, network.state)
        images = data.normalised(data.train_images[:64])
        seen = observe(plain, layers, images, positions=2048, seed=0)
        costs = estimate(layers, chip, observed=seen)
        reached = simulated_accuracy(task, data, network.state, layers, chip=None)
        print(
            f"n =  8, inputs of {name.replace('_', ' or ')} bits: {costs.adc_conversions:.3g} "
            f"conversions, {1e6 * costs.energy_j:.2f} uJ, {costs.crossbars} crossbars, "
            f"test {100 * reached:.2f} %",
            flush=True,
        )
        figures |= {
            f"conversions_{name}": float(costs.adc_conversions),
            f"energy_uj_{name}": round(1e6 * costs.energy_j, 3),
            f"accuracy_{name}": round(reached, 4),
        }
    return {**figures, "crossbars": float(costs.crossbars)}


def mean(results: Mapping[int, Result]) -> float:
    """Mean CR32 over the patch sizes."""
    return sum(result.ratios.cr32 for result in results.values()) / len(results)


def summary(results: Mapping[int, Result]) -> dict[str, object]:
    """Figures by patch size, in one list per quantity."""
    every = results.values()
    return {
        "patch": list(results),
        "cr32": [round(result.ratios.cr32, 2) for result in every],
        "cr32i": [round(result.ratios.cr32i, 2) for result in every],
        "cr32_apib": [round(result.ratios.cr32_apib, 2) for result in every],
        "cr8": [round(result.ratios.cr8, 2) for result in every],
        "accuracy": [round(result.accuracy, 4) for result in every],
        "loss": [round(result.loss, 4) for result in every],
        "cr32_mean": round(mean(results), 2),
    }


if __name__ == "__main__":
    main()
