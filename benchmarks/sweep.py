"""Pricing of hardware designs of a ResNet-18 in arrays, against one design after the other.

The network has the layer shapes of ResNet-18 for 224 x 224 images with random 8-bit codes. Free
are the wordlines, bitlines, cell bits, ADCs per array, ADC model, and the ADC resolution of every
slice group (4 or 2 of them). Designs are drawn uniformly; both ways price the same ones with all
components, and alternate. Times are CPU seconds of one thread. The last line is JSON:

    designs_per_second       arrays of designs, median of the runs
    ratio_vs_scalar          against estimate() for one design at a time
    scalar_ms                one estimate(), with the statistics of the codes known
    max_relative_difference  between both, over energy, latency, area and the ADCs' energy
    sweep_designs_per_second an exhaustive sweep with its exact front, statistics included

    python benchmarks/sweep.py [--designs 200000] [--runs 5]
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import argparse  # noqa: E402
import json  # noqa: E402
import statistics  # noqa: E402
import time  # noqa: E402
from dataclasses import replace  # noqa: E402

import numpy as np  # noqa: E402

from dse.plugins import installed, load  # noqa: E402
from hw_models.encodings.column_sums import network_statistics  # noqa: E402
from hw_models.estimation.estimate import estimate  # noqa: E402
from hw_models.layer import CodedLayer, LayerShape  # noqa: E402
from hw_models.sweep.space import HardwareSpace  # noqa: E402
from hw_models.sweep.sweep import cost_designs, sweep  # noqa: E402

STAGES = ((64, 64, 56), (64, 128, 28), (128, 256, 14), (256, 512, 7))
"""Input channels, output channels and size of the four stages, two blocks each."""

SCALAR_DESIGNS = 200
"""Designs that are priced one after the other; all would take minutes."""


def resnet18(seed: int) -> list[CodedLayer]:
    """The 21 layers, six in ten weights zero."""
    shapes = [("conv1", 3 * 49, 64, 112**2)]
    for number, (inputs, outputs, size) in enumerate(STAGES, start=1):
        for name, channels in (("0.conv1", inputs), ("0.conv2", outputs)):
            shapes.append((f"layer{number}.{name}", channels * 9, outputs, size**2))
        if inputs != outputs:
            shapes.append((f"layer{number}.0.downsample", inputs, outputs, size**2))
        for name in ("1.conv1", "1.conv2"):
            shapes.append((f"layer{number}.{name}", outputs * 9, outputs, size**2))
    shapes.append(("fc", 512, 1000, 1))
    rng = np.random.default_rng(seed)
    layers = []
    for name, k, n, v in shapes:
        magnitudes = rng.integers(0, 256, (1, k, n))
        magnitudes[rng.random(magnitudes.shape) < 0.6] = 0
        signs = rng.choice([-1, 1], magnitudes.shape) * (magnitudes > 0)
        layers.append(
            CodedLayer(
                shape=LayerShape(name=name, wordlines=k, outputs=n, positions=v),
                magnitudes=magnitudes.astype(np.uint8),
                signs=signs.astype(np.int8),
                weight_step=2.0**-8,
                input_step=2.0**-8,
            )
        )
    return layers


def main() -> None:
    """Alternate both, print medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--designs", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    layers = resnet18(seed=0)
    adcs = tuple(
        load("hw_models.converters", name)
        for name in ("saberi", "survey", "exponential")
        if name in installed("hw_models.converters")
    )
    space = HardwareSpace(bits_per_cell=(2, 4), adcs_per_array=(1, 2, 4, 8), adcs=adcs)
    chips = tuple(space.chips(weight_bits=8))
    rng = np.random.default_rng(1)
    which = rng.integers(0, len(chips), arguments.designs)
    bits = rng.integers(1, 13, (arguments.designs, 4))
    picked = [
        replace(chips[which[i]], adc_bits=tuple(bits[i][4 - len(chips[which[i]].adc_bits) :]))
        for i in range(SCALAR_DESIGNS)
    ]
    known = {d.crossbar: network_statistics(layers, d) for d in picked}

    arrays_s, scalar_s = [], []
    for _ in range(arguments.runs):
        start = time.process_time()
        costs = cost_designs(layers, chips, which, bits)
        arrays_s.append(time.process_time() - start)
        start = time.process_time()
        alone = [estimate(layers, design, known[design.crossbar]) for design in picked]
        scalar_s.append((time.process_time() - start) / len(picked))
    per_second = arguments.designs / statistics.median(arrays_s)
    difference = max(
        abs(float(getattr(costs, name)[i]) / getattr(one, name) - 1)
        for i, one in enumerate(alone)
        for name in ("energy_j", "latency_s", "area_m2", "adc_energy_j")
    )
    start = time.process_time()
    swept = sweep(layers, replace(space, bits_per_cell=(2,), adcs_per_array=(1, 2)))
    sweep_s = time.process_time() - start
    print(
        f"{arguments.designs} designs on {len(chips)} chips of {len(adcs)} ADC models: "
        f"{statistics.median(arrays_s):.2f} s; sweep of {swept.n_designs}: {sweep_s:.2f} s, "
        f"front of {len(swept.front)}"
    )
    report = {
        "designs_per_second": round(per_second),
        "ratio_vs_scalar": round(per_second * statistics.median(scalar_s), 1),
        "scalar_ms": round(1e3 * statistics.median(scalar_s), 4),
        "max_relative_difference": difference,
        "sweep_designs_per_second": round(swept.n_designs / sweep_s),
        "adc_models": [model.name for model in adcs],
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
