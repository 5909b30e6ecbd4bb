"""Clipping simulation of one convolution against plain torch loops, side by side, bit-exact.

The task: 64 -> 64 channels, 3 x 3, 16 x 16 positions, batch 64 (16 384 MVMs of 576 wordlines),
8-bit inputs one bit at a time, 8-bit magnitudes in four 2-bit slices, differential, 128 rows.
Inputs are ReLU(N(0, 1)) and weights N(0, 1), both scaled to 255. The last line is JSON.

    python benchmarks/simulation.py [--runs 5] [--threads 1]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from typing import TYPE_CHECKING

import numpy as np
import torch

from hw_models.chip import Chip
from hw_models.converters.saberi import SABERI
from hw_models.crossbar import Crossbar
from hw_models.engines.isaac import ISAAC
from hw_models.layer import CodedLayer, LayerShape
from hw_models.simulation.layers import CrossbarConv2d

if TYPE_CHECKING:
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


def main() -> None:
    """Alternate both, print medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    layer, images = task(seed=0)
    crossbar = Crossbar(wordlines=ROWS, bitlines=128, bits_per_cell=2)
    module = torch.nn.Conv2d(64, 64, 3, padding=1, bias=False)
    report: dict[str, float] = {}
    for bits in (4, 6, 7, 8):
        chip = Chip(crossbar=crossbar, adc=SABERI, adc_bits=(bits,) * 4, engine=ISAAC)
        conv = CrossbarConv2d(module, layer, chip)
        ours_s, plain_s = [], []
        for _ in range(arguments.runs):
            start = time.perf_counter()
            ours = conv(images)
            ours_s.append(time.perf_counter() - start)
            start = time.perf_counter()
            plain = plain_loops(layer, images, (1 << bits) - 1)
            plain_s.append(time.perf_counter() - start)
            if not torch.equal(ours, plain):
                raise SystemExit(f"{bits} bits: the two simulations differ")
        mine, other = statistics.median(ours_s), statistics.median(plain_s)
        report[f"ratio_{bits}_bits"] = round(other / mine, 2)
        print(f"{bits} bits: ours {mine:.4f} s, plain loops {other:.4f} s, {other / mine:.1f}x")
    print(json.dumps(report))


if __name__ == "__main__":
    main()
