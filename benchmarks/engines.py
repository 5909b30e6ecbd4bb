"""All engines side by side on one LeNet, under one configuration.

LeNet 20-50-500-10 on MNIST as dense codes, pruned, in patches and with flipped bits; every engine
scores each of them. 128 x 128 arrays with ISAAC's blocks, bit-serial inputs, the `saberi`
converter at the smallest resolution that never clips, every layer held once, one after the other;
inputs are those of test images. `--write FILE` puts the tables between the marks of a page. The
last line is JSON; energies in J, times in s, areas in m2, per image.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path

import torch
from torch import Tensor
from trained_lenet import TASK, coded, trained_state

from dse.bit_flips.bit_transformer import BIT_TRANSFORMER
from dse.bit_flips.inputs import measure_inputs
from dse.datasets.dataset import ImageDataset
from dse.datasets.mnist import MNIST
from dse.pipeline.accuracy import network_with, simulated_accuracy
from dse.pipeline.compress import CompressedNetwork, compress
from dse.pipeline.observing import observe
from dse.pipeline.patching import compress_in_rounds
from dse.pruning.pq_pim import PqPim
from dse.quantizers.fixed_point import FIXED_POINT
from dse.regularizers.none import NONE
from hw_models.chip import Chip
from hw_models.converters.saberi import SABERI
from hw_models.crossbar import Crossbar
from hw_models.encodings.column_sums import network_statistics
from hw_models.encodings.differential import DIFFERENTIAL
from hw_models.encodings.encoding import Encoding
from hw_models.encodings.offset import ISAAC_FLIP
from hw_models.encodings.twos_complement import TWOS_COMPLEMENT
from hw_models.engines.bit_plane import BitPlaneEngine
from hw_models.engines.bits_net import BitsNetEngine
from hw_models.engines.crmp import CrmpEngine
from hw_models.engines.engine import Engine
from hw_models.engines.isaac import IsaacEngine
from hw_models.engines.observed import Observed
from hw_models.engines.ou_patch import OuPatchEngine
from hw_models.engines.sre import SreEngine
from hw_models.estimation.estimate import Estimate, estimate
from hw_models.layer import CodedLayer
from search_spaces.bit_flips import BitTransformerKnobs
from search_spaces.inputs import InputKnobs
from search_spaces.patches import PatchKnobs
from search_spaces.quantizer import FixedPointKnobs
from search_spaces.regularizer import NoRegularizerKnobs

ARRAY = 128
IMAGES, POSITIONS = 64, 4096
MAGNITUDE_BITS = 7
"""With the sign, 8-bit weights."""

NONZERO_SHARE = 0.041
PATCHES = PatchKnobs(patch=8, tsv=1.5, t_prune=0.75, t_quant=0.25, weak_inputs=True, t_act=0.75)
FLIPS = BitTransformerKnobs(terms=2, tau=0.08)
BEGIN, END = "<!-- tables: benchmarks/engines.py --write -->", "<!-- end of tables -->"


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """An engine and how weights lie in its cells."""

    label: str
    engine: Engine
    encoding: Encoding = DIFFERENTIAL
    cell_bits: int = 1
    ou_wordlines: int | None = None


DESIGNS = (
    Design(label="isaac", engine=IsaacEngine()),
    Design(label="isaac, flip encoding", engine=IsaacEngine(), encoding=ISAAC_FLIP),
    Design(label="isaac, 2-bit cells", engine=IsaacEngine(), cell_bits=2),
    Design(
        label="isaac, flip encoding, 2-bit cells",
        engine=IsaacEngine(),
        encoding=ISAAC_FLIP,
        cell_bits=2,
    ),
    Design(label="crmp", engine=CrmpEngine()),
    Design(
        label="dense OU 8 x 8",
        engine=IsaacEngine(),
        encoding=TWOS_COMPLEMENT,
        ou_wordlines=8,
    ),
    Design(
        label="sre, OU 8 x 8",
        engine=SreEngine(ou_wordlines=8, ou_bitlines=8),
        encoding=TWOS_COMPLEMENT,
    ),
    Design(label="sre, OU 16 x 16", engine=SreEngine(), encoding=TWOS_COMPLEMENT),
    Design(label="ou_patch, n = 8, inputs 8 b", engine=OuPatchEngine(), encoding=TWOS_COMPLEMENT),
    Design(
        label="ou_patch, n = 8, inputs 8/4 b",
        engine=OuPatchEngine(weak_input_share=PATCHES.t_act),
        encoding=TWOS_COMPLEMENT,
    ),
    Design(label="bits_net, 2-bit cells", engine=BitsNetEngine(), cell_bits=2),
    Design(label="bit_plane, strict", engine=BitPlaneEngine()),
    Design(label="bit_plane, packed", engine=BitPlaneEngine(packed=True)),
)
SIX_BIT_DESIGNS = ("isaac", "crmp", "dense OU 8 x 8")


def chip_of(design: Design, layers: Sequence[CodedLayer]) -> Chip:
    """The chip with the smallest ADC resolution per slice group that never clips."""
    groups = max(
        design.encoding.slice_groups(layer.weight_bits, design.cell_bits) for layer in layers
    )
    chip = Chip(
        crossbar=Crossbar(
            wordlines=ARRAY,
            bitlines=ARRAY,
            bits_per_cell=design.cell_bits,
            ou_wordlines=design.ou_wordlines,
        ),
        adc=SABERI,
        adc_bits=(8,) * groups,
        engine=design.engine,
        encoding=design.encoding,
    )
    needed = [counted.lossless_adc_bits for counted in network_statistics(layers, chip)]
    return replace(chip, adc_bits=tuple(max(group) for group in zip(*needed, strict=True)))


def with_inputs_of(design: Design, layers: Sequence[CodedLayer]) -> list[CodedLayer]:
    """Layers whose patches round weak inputs only where the design says so."""
    if not isinstance(design.engine, OuPatchEngine) or design.engine.weak_input_share is not None:
        return list(layers)
    return [
        layer
        if layer.patches is None
        else replace(layer, patches=replace(layer.patches, weak_input_share=None))
        for layer in layers
    ]


def reads_of(design: Design, layers: Sequence[CodedLayer], chip: Chip, result: Estimate) -> float:
    """Array reads per image; of operation units where the engine has them.

    A read is one array (or unit) driven by one input digit. In units of 8 x 8, eight bitlines of
    a dense array are one.
    """
    engine = design.engine
    if isinstance(engine, OuPatchEngine):  # adds one partial sum per read
        return result.components["tile_shift_add"][0] / chip.tile.shift_add_energy_j
    if isinstance(engine, SreEngine):  # all column groups of this network are full
        return result.adc_conversions / engine.ou_bitlines
    if design.ou_wordlines is not None:
        return float(
            sum(
                layer.shape.positions
                * layer.input_bits
                * ceil(layer.shape.wordlines / design.ou_wordlines)
                * ceil((layer.weight_bits + 1) * layer.shape.outputs / 8)
                for layer in layers
            )
        )
    if isinstance(engine, BitsNetEngine):
        slices = -(-MAGNITUDE_BITS // design.cell_bits)
        return float(
            sum(
                layer.shape.positions
                * layer.shape.wordlines
                * ceil(slices * layer.shape.outputs / ARRAY)
                for layer in layers
            )
        )
    return float(
        sum(
            each.crossbars * layer.shape.positions * layer.input_bits
            for layer, each in zip(layers, result.layers, strict=True)
        )
    )


def score(
    design: Design, layers: Sequence[CodedLayer], observed: Sequence[Observed]
) -> dict[str, object]:
    """One row."""
    layers = with_inputs_of(design, layers)
    chip = chip_of(design, layers)
    result = estimate(layers, chip, observed=observed if _observes(design.engine) else None)
    return {
        "engine": design.label,
        "crossbars": result.crossbars,
        "reads": round(reads_of(design, layers, chip, result)),
        "conversions": result.adc_conversions,
        "adc_bits": chip.adc_bits,
        "energy_j": result.energy_j,
        "adc_energy_j": result.adc_energy_j,
        "latency_s": result.latency_s,
        "area_m2": result.area_m2,
    }


def _observes(engine: Engine) -> bool:
    return isinstance(engine, SreEngine | OuPatchEngine)


def pruned(data: ImageDataset, state: Mapping[str, Tensor], epochs: int) -> CompressedNetwork:
    """One threshold for all layers leaves `NONZERO_SHARE` of the weights; then fine-tuning."""
    weights = torch.cat([t.abs().flatten() for name, t in state.items() if t.ndim > 1])
    threshold = float(weights.sort(descending=True).values[int(NONZERO_SHARE * weights.numel())])
    return compress(
        TASK,
        data,
        state,
        quantizer=FIXED_POINT,
        quantizer_knobs=FixedPointKnobs(bits=MAGNITUDE_BITS),
        regularizer=NONE,
        regularizer_knobs=NoRegularizerKnobs(),
        threshold=threshold,
        slice_bits=1,
        epochs=epochs,
        seed=0,
    )


def patched(data: ImageDataset, state: Mapping[str, Tensor], epochs: int) -> CompressedNetwork:
    """Patches of 8, pruned in rounds with fine-tuning."""
    return compress_in_rounds(
        TASK,
        data,
        state,
        pruner=PqPim(),
        pruner_knobs=PATCHES,
        quantizer=FIXED_POINT,
        quantizer_knobs=FixedPointKnobs(bits=MAGNITUDE_BITS),
        epochs=epochs,
        regularizer=NONE,
        regularizer_knobs=NoRegularizerKnobs(),
        threshold=0.0,
        slice_bits=1,
        seed=0,
    ).network


def flipped(data: ImageDataset, dense: CompressedNetwork) -> CompressedNetwork:
    """Bit flips on the dense codes, without training."""
    fit_index, _ = data.fit_and_validation()
    images = data.normalised(data.train_images[fit_index[:2000]])
    named = {layer.shape.name: layer for layer in dense.layers}
    inputs = measure_inputs(network_with(TASK, dense.state), named, images)
    layers = BIT_TRANSFORMER.flip(dense.layers, FLIPS, wordlines=ARRAY, mean_inputs=inputs)
    return replace(dense, layers=layers)


def table(title: str, accuracy: float, rows: Sequence[Mapping[str, object]]) -> str:
    """A network and its engines as Markdown."""
    lines = [
        f"### {title}",
        "",
        f"Accuracy {100 * accuracy:.2f} % (integer codes, test set).",
        "",
        "| engine | arrays | reads | conversions | ADC bits | energy uJ | ADC part | latency ms "
        "| area mm2 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        energy, area = float(str(row["energy_j"])), float(str(row["area_m2"]))
        share = float(str(row["adc_energy_j"])) / energy
        bits = row["adc_bits"]
        assert isinstance(bits, tuple)
        lines.append(
            f"| {row['engine']} | {row['crossbars']} | {row['reads']:,} | {row['conversions']:,} "
            f"| {' '.join(map(str, bits))} | {1e6 * energy:.3g} | {100 * share:.0f} % "
            f"| {1e3 * float(str(row['latency_s'])):.3g} | {1e6 * area:.3g} |"
        )
    return "\n".join(lines)


def write(page: Path, tables: Sequence[str]) -> None:
    """Replace what stands between the marks."""
    before, mark, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not mark or not end:
        raise SystemExit(f"{page} has the marks {BEGIN!r} and {END!r}, got a page without them")
    page.write_text(before + BEGIN + "\n\n" + "\n\n".join(tables) + "\n\n" + END + after)


def main() -> None:
    """Compress the networks, score every engine on each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--retrain-epochs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--checkpoint", type=Path, help="read the network here, or keep it here")
    parser.add_argument("--write", type=Path, help="page between whose marks the tables go")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data = MNIST.load()
    state = trained_state(
        data, epochs=arguments.epochs, seed=arguments.seed, checkpoint=arguments.checkpoint
    )
    dense = coded(data, state, weight_bits=MAGNITUDE_BITS)
    retrain = arguments.retrain_epochs
    makers: dict[str, Callable[[], CompressedNetwork]] = {
        "Dense, 8-bit weights and inputs": lambda: dense,
        "Dense, 6-bit weights and inputs": lambda: coded(
            data, state, weight_bits=5, input_knobs=InputKnobs(bits=6)
        ),
        f"Pruned to {100 * NONZERO_SHARE:g} % of the weights": lambda: pruned(
            data, state, retrain
        ),
        "Patches of 8 weights": lambda: patched(data, state, retrain),
        f"Bit flips, S = {FLIPS.terms}, tau = {FLIPS.tau:g}": lambda: flipped(data, dense),
    }
    images = data.normalised(data.test_images[:IMAGES])
    tables, report = [], {}
    for title, make in makers.items():
        print(f"{title} ...", flush=True)
        network = make()
        layers = network.layers
        observed = observe(
            network_with(TASK, network.state), layers, images, positions=POSITIONS, seed=0
        )
        reached = simulated_accuracy(TASK, data, network.state, layers, chip=None)
        rows = [
            score(design, layers, observed)
            for design in DESIGNS
            if "6-bit" not in title or design.label in SIX_BIT_DESIGNS
        ]
        tables.append(table(title, reached, rows))
        print(tables[-1] + "\n", flush=True)
        report[title] = {"accuracy": reached, "rows": rows}
    if arguments.write is not None:
        write(arguments.write, tables)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
