"""Record a table: evaluate every design of a full grid by the project's own pipeline.

Each network is trained once; all its hardware variations are priced by the estimate and simulated
with their converters in the loop. Nothing is interpolated. Designs of one network that read the
same rows at once, and whose resolutions differ only beyond the largest sum that the codes can
reach, compute the same integers and share one simulation. Takes the grid from `tables/NAME.json`
and writes `tables/NAME.npz`: counts of right test images (int16), and energy, area and latency
(float32). Stages are kept in the store, so an interrupted recording does not train again.

    python benchmarks/record_table.py NAME [--processes 2] [--store FOLDER]

The last line is JSON: designs, networks, simulations, seconds, bytes.
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import argparse  # noqa: E402
import itertools  # noqa: E402
import json  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from concurrent.futures import ProcessPoolExecutor, as_completed  # noqa: E402
from dataclasses import dataclass, replace  # noqa: E402
from functools import lru_cache  # noqa: E402
from multiprocessing import get_context  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402
import torch  # noqa: E402
from numpy.typing import NDArray  # noqa: E402
from recorded_table import FOLDER, METRICS, TableSpec  # noqa: E402

from dse.pipeline.accuracy import float_accuracy, simulated_accuracy  # noqa: E402
from dse.pipeline.compression_stages import codes_of, state_of  # noqa: E402
from dse.pipeline.evaluate import Evaluator  # noqa: E402
from dse.pipeline.hardware import chip_of, counts_inputs  # noqa: E402
from dse.pipeline.stages import Stages  # noqa: E402
from hw_models.chip import Chip  # noqa: E402
from hw_models.encodings.bit_slices import row_blocks  # noqa: E402
from hw_models.encodings.column_sums import network_lossless_bits, rows_per_read  # noqa: E402
from hw_models.estimation.estimate import estimate_designs  # noqa: E402
from hw_models.layer import CodedLayer  # noqa: E402

HARDWARE = ("crossbar.", "dac.bits", "encoding", "engine.")
"""Knobs of arrays, which leave the codes of a network as they are where `adc.range` is full."""

RESOLUTIONS = ("adc.bits.",)


@dataclass(frozen=True, kw_only=True)
class NetworkRows:
    """All hardware variations of one network.

    Attributes:
        outer: Levels of the axes that change the network.
        metrics: By name, in the shape of the hardware axes.
        accuracy_float: Of the network before compression.
        simulations: How many were run.
    """

    outer: tuple[int, ...]
    metrics: dict[str, NDArray[np.float64]]
    accuracy_float: float
    simulations: int


def split(spec: TableSpec) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Levels of the axes of the network, of its arrays, and of its converters' resolutions."""
    kinds = [
        2
        if all(path.startswith(RESOLUTIONS) for path in knob.paths)
        else int(all(path.startswith(HARDWARE) for path in knob.paths))
        for knob in spec.knobs
    ]
    if kinds != sorted(kinds):
        raise SystemExit(
            f"{spec.name}: knobs of the network come first, those of arrays next, resolutions of "
            f"converters last, got {', '.join(knob.name for knob in spec.knobs)}"
        )
    network, arrays, resolutions = (
        tuple(n for n, kind in zip(spec.shape, kinds, strict=True) if kind == which)
        for which in range(3)
    )
    return network, arrays, resolutions


def record_network(name: str, folder: Path, store: Path, outer: tuple[int, ...]) -> NetworkRows:
    """Train one network, price and simulate all its hardware variations.

    Args:
        name: Of the table.
        folder: Where its description is.
        store: Of stage results.
        outer: Levels of the axes that change the network.
    """
    torch.set_num_threads(1)
    spec = TableSpec.read(name, folder)
    evaluator = _evaluator(name, folder, store)
    settings, task, data = spec.evaluation_settings(store), evaluator.task, evaluator.data
    chips, resolutions = split(spec)[1:]
    found = {metric: np.zeros((*chips, *resolutions)) for metric in METRICS}
    simulations = 0
    correct: dict[tuple[Any, ...], float] = {}
    for chip_levels in itertools.product(*map(range, chips)):
        places = [
            (*chip_levels, *levels) for levels in itertools.product(*map(range, resolutions))
        ]
        points = [spec.point((*outer, *place)) for place in places]
        stages = Stages(points[0], settings, task, data)  # the codes of all of them are the same
        trained = stages.pretrained()
        final = stages.flipped(stages.tuned(stages.compressed(trained)))
        layers, state = codes_of(final), state_of(final)
        chip = chip_of(points[0])
        observed = stages.observed(final) if counts_inputs(chip.engine) else None
        costs = estimate_designs(
            layers, chip, [point.adc.bits for point in points], observed=observed
        )
        reads, enough = _reads(layers, chip), network_lossless_bits(layers, chip)
        for number, (place, point) in enumerate(zip(places, points, strict=True)):
            same = (reads, tuple(np.minimum(point.adc.bits, enough).tolist()))
            if same not in correct:
                correct[same] = simulated_accuracy(
                    task,
                    data,
                    state,
                    layers,
                    chip=replace(chip, adc_bits=point.adc.bits),
                    seed=settings.training.seed,
                )
                simulations += 1
            found["accuracy"][place] = correct[same]
            for metric in METRICS[1:]:
                found[metric][place] = getattr(costs, metric)[number]
    return NetworkRows(
        outer=outer,
        metrics=found,
        accuracy_float=float_accuracy(task, data, trained.tensors),
        simulations=simulations,
    )


def _reads(layers: tuple[CodedLayer, ...], chip: Chip) -> tuple[Any, ...]:
    """What a simulation of ideal cells sees of a chip, resolutions excepted."""
    blocks = tuple(
        (rows.start, rows.stop)
        for layer in layers
        for rows in row_blocks(layer.shape.wordlines, chip.crossbar.wordlines, rows_per_read(chip))
    )
    return blocks, chip.encoding.name, chip.crossbar.bits_per_cell, chip.dac_bits


@lru_cache(maxsize=1)
def _evaluator(name: str, folder: Path, store: Path) -> Evaluator:
    return TableSpec.read(name, folder).evaluator(store)


def main() -> None:
    """Spread the networks over processes, write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="of descriptions and tables")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--store", type=Path, help="keep stage results here")
    arguments = parser.parse_args()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as temporary:
        rows = record(
            arguments.name,
            arguments.folder,
            arguments.store or Path(temporary),
            processes=arguments.processes,
        )
    spec = TableSpec.read(arguments.name, arguments.folder)
    file = arguments.folder / f"{spec.name}.npz"
    designs = write(spec, rows, file)
    report = {
        "designs": designs,
        "networks": len(rows),
        "simulations": sum(each.simulations for each in rows),
        "seconds": round(time.perf_counter() - began, 1),
        "bytes": file.stat().st_size,
    }
    print(json.dumps(report))


def record(name: str, folder: Path, store: Path, *, processes: int) -> list[NetworkRows]:
    """All networks of a table, in order."""
    outer = split(TableSpec.read(name, folder))[0]
    first, *others = itertools.product(*map(range, outer))
    began = time.perf_counter()
    rows = []
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        rows.append(pool.submit(record_network, name, folder, store, first).result())
        futures = [pool.submit(record_network, name, folder, store, each) for each in others]
        for future in as_completed(futures):
            rows.append(future.result())
            row = rows[-1]
            print(
                f"{time.perf_counter() - began:6.0f} s: {len(rows)} of {1 + len(others)}: "
                f"{row.outer}, accuracy {row.metrics['accuracy'].min():.3f} to "
                f"{row.metrics['accuracy'].max():.3f}, {row.simulations} simulations",
                flush=True,
            )
    return sorted(rows, key=lambda row: row.outer)


def write(spec: TableSpec, rows: list[NetworkRows], file: Path) -> int:
    """Store the rows of all networks; returns the number of designs."""
    grids = {
        metric: np.stack([row.metrics[metric] for row in rows]).reshape(spec.shape)
        for metric in METRICS
    }
    (accuracy_float,) = {row.accuracy_float for row in rows}
    images = int(spec.task["test_images"])
    np.savez_compressed(
        file,
        correct=np.rint(grids["accuracy"] * images).astype(np.int16),
        images=np.int64(images),
        accuracy_float=np.float64(accuracy_float),
        **{metric: grids[metric].astype(np.float32) for metric in METRICS[1:]},
    )
    return grids["accuracy"].size


if __name__ == "__main__":
    main()
