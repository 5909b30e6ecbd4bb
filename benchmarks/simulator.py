"""The simulator against plain torch loops, and a whole network against itself in float.

The convolution: 64 -> 64 channels, 3 x 3, 16 x 16 positions, batch 64 (16 384 MVMs of 576
wordlines), 8-bit inputs one bit at a time, 8-bit magnitudes in four 2-bit slices, differential,
128 rows. Inputs are ReLU(N(0, 1)) and weights N(0, 1), both scaled to 255. Results must be equal
bit for bit. The network: ResNet-20, batch 64; without a checkpoint its weights are random.
Runs alternate, medians count, the last line is JSON.

    python benchmarks/simulator.py [--runs 5] [--threads 1] [--checkpoint resnet20.safetensors]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import resnet20
import torch

from hw_models.chip import Chip
from hw_models.converters.saberi import SABERI
from hw_models.crossbar import Crossbar
from hw_models.engines.isaac import ISAAC
from hw_models.layer import CodedLayer, LayerShape
from hw_models.simulation.convert import to_crossbars
from hw_models.simulation.layers import CrossbarConv2d

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

ROWS = 128
IMAGES = 64
SIZE = 16


def task(seed: int) -> tuple[CodedLayer, Tensor]:
    """Codes of the layer and the images (64, 64, 16, 16) of input codes."""
    rng = np.random.default_rng(seed)
    weights = rng.standard_normal((1, 576, 64))
    codes = np.rint(weights / np.abs(weights).max() * 255).astype(np.int64)
    inputs = np.maximum(rng.standard_normal((IMAGES, 64, SIZE, SIZE)), 0)
    images = np.rint(inputs / inputs.max() * 255).astype(np.float32)
    layer = CodedLayer(
        shape=LayerShape(name="conv", wordlines=576, outputs=64, positions=SIZE * SIZE),
        magnitudes=np.abs(codes).astype(np.uint8),
        signs=np.sign(codes).astype(np.int8),
        weight_step=1.0,
        input_step=1.0,
    )
    return layer, torch.from_numpy(images)


def plain_loops(layer: CodedLayer, images: Tensor, limit: int) -> Tensor:
    """The textbook form: one matrix product and one clamp per bit, block, sign and slice."""
    columns = torch.nn.functional.unfold(images, 3, padding=1)
    rows = columns.transpose(1, 2).reshape(-1, 576).to(torch.int32)
    magnitudes = torch.from_numpy(layer.magnitudes[0].astype(np.int32))
    signs = torch.from_numpy(layer.signs[0])
    result = torch.zeros(rows.shape[0], 64)
    for start in range(0, 576, ROWS):
        block = slice(start, start + ROWS)
        cells = {}
        for sign in (1, -1):
            held = magnitudes[block] * (signs[block] == sign)
            for shift in (6, 4, 2, 0):
                cells[sign, shift] = ((held >> shift) & 3).to(torch.float32)
        for bit in range(8):
            plane = ((rows[:, block] >> bit) & 1).to(torch.float32)
            for (sign, shift), column_cells in cells.items():
                sums = (plane @ column_cells).clamp_(max=limit)
                result.add_(sums, alpha=float(sign << (shift + bit)))
    return result.reshape(IMAGES, SIZE * SIZE, 64).transpose(1, 2).reshape(IMAGES, 64, SIZE, SIZE)


def medians(runs: int, *timed: Callable[[], object]) -> list[float]:
    """Seconds of each, taken in turns so that a slow moment hits all."""
    for run in timed:
        run()  # compiles, allocates
    seconds: list[list[float]] = [[] for _ in timed]
    for _ in range(runs):
        for run, taken in zip(timed, seconds, strict=True):
            start = time.perf_counter()
            run()
            taken.append(time.perf_counter() - start)
    return [statistics.median(taken) for taken in seconds]


def convolution(runs: int, report: dict[str, object]) -> bool:
    """The convolution at several resolutions; whether all were bit-exact."""
    layer, images = task(seed=0)
    crossbar = Crossbar(wordlines=ROWS, bitlines=128, bits_per_cell=2)
    module = torch.nn.Conv2d(64, 64, 3, padding=1, bias=False)
    exact = True
    for bits, backend, key in (
        (4, "auto", "ratio_n4"),
        (6, "auto", "ratio_n6"),
        (7, "auto", "ratio_n7"),
        (8, "auto", "ratio_unclipped"),
        (4, "torch", "ratio_n4_torch"),
    ):
        chip = Chip(crossbar=crossbar, adc=SABERI, adc_bits=(bits,) * 4, engine=ISAAC)
        conv = CrossbarConv2d(module, layer, chip, backend=backend)
        limit = (1 << bits) - 1
        exact &= torch.equal(conv(images), plain_loops(layer, images, limit))
        ours, plain = medians(
            runs, partial(conv, images), partial(plain_loops, layer, images, limit)
        )
        if key == "ratio_n4":
            report["backend"] = conv.sliced.backend(images.device)
        report[key] = round(plain / ours, 2)
        print(f"{key}: ours {ours:.4f} s, plain loops {plain:.4f} s, {plain / ours:.1f}x")
    return exact


def network(runs: int, checkpoint: Path | None, report: dict[str, object]) -> bool:
    """ResNet-20 on crossbars against itself in float; whether both backends agree."""
    float_net = resnet20.load(checkpoint)
    images = torch.randn(64, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    layers = resnet20.codes(float_net, images)
    crossbar = Crossbar(wordlines=ROWS, bitlines=128, bits_per_cell=2)
    report["resnet20_weights"] = "random" if checkpoint is None else checkpoint.name
    report["resnet20_images"] = "gaussian noise"
    exact = True
    for bits in (8, 5):
        chip = Chip(crossbar=crossbar, adc=SABERI, adc_bits=(bits,) * 4, engine=ISAAC)
        ours_net = to_crossbars(float_net, layers, chip)
        with torch.no_grad():
            reference = to_crossbars(float_net, layers, chip, backend="torch")
            exact &= torch.equal(ours_net(images[:8]), reference(images[:8]))
            ours, plain = medians(runs, partial(ours_net, images), partial(float_net, images))
        report[f"resnet20_vs_float_n{bits}"] = round(ours / plain, 2)
        per_image = (1e3 * ours / len(images), 1e3 * plain / len(images))
        print(f"ResNet-20, {bits} bits: {per_image[0]:.2f} ms, float {per_image[1]:.2f} ms")
    return exact


def main() -> None:
    """Both tasks, then one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--checkpoint", type=Path, default=None, help="ResNet-20 safetensors")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    report: dict[str, object] = {}
    exact = convolution(arguments.runs, report)
    exact &= network(arguments.runs, arguments.checkpoint, report)
    report["bit_exact"] = exact
    print(json.dumps(report))
    if not exact:
        raise SystemExit("the simulation differs from the plain loops or from its reference")


if __name__ == "__main__":
    main()
