"""Counts of the engines against walks that visit every cell, patch, row and input bit."""

from __future__ import annotations

from collections import Counter
from math import ceil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hw_models.chip import Chip
from hw_models.converters.bits_net import BITS_NET as BITS_NET_ADC
from hw_models.converters.saberi import SABERI
from hw_models.crossbar import Crossbar
from hw_models.encodings.differential import DIFFERENTIAL
from hw_models.encodings.encoding import Encoding
from hw_models.encodings.offset import ISAAC_FLIP
from hw_models.encodings.twos_complement import TWOS_COMPLEMENT
from hw_models.engines.bit_plane import BitPlaneEngine
from hw_models.engines.bits_net import BITS_NET
from hw_models.engines.crmp import CrmpEngine
from hw_models.engines.engine import Engine
from hw_models.engines.isaac import ISAAC
from hw_models.engines.observed import Observed
from hw_models.engines.ou_patch import OuPatchEngine
from hw_models.engines.sre import SreEngine
from hw_models.estimation.estimate import Estimate, estimate
from hw_models.layer import CodedLayer
from hw_models.published import bits_net
from tests.hw_models.coded_layers import coded_layer

SEEDS = st.integers(0, 2**32 - 1)


def design(
    engine: Engine,
    *,
    bits_per_cell: int = 1,
    encoding: Encoding = DIFFERENTIAL,
    rows: int = 8,
    columns: int = 8,
    ou_rows: int | None = None,
    dac_bits: int = 1,
) -> Chip:
    return Chip(
        crossbar=Crossbar(
            wordlines=rows, bitlines=columns, bits_per_cell=bits_per_cell, ou_wordlines=ou_rows
        ),
        adc=SABERI,
        adc_bits=(6,) * 9,
        engine=engine,
        encoding=encoding,
        dac_bits=dac_bits,
    )


def small_layer(seed: int, *, weight_bits: int = 4, input_bits: int = 3) -> CodedLayer:
    rng = np.random.default_rng(seed)
    return coded_layer(
        seed,
        wordlines=int(rng.integers(1, 20)),
        outputs=int(rng.integers(1, 7)),
        groups=int(rng.integers(1, 3)),
        positions=int(rng.integers(1, 4)),
        weight_bits=weight_bits,
        input_bits=input_bits,
        zero_share=0.75,
    )


def every_input(seed: int, layer: CodedLayer) -> np.ndarray:
    """Input codes at all positions of one image, half of them zero."""
    rng = np.random.default_rng(seed + 1)
    size = (layer.shape.groups, layer.shape.positions, layer.shape.wordlines)
    return rng.integers(0, 1 << layer.input_bits, size) * rng.integers(0, 2, size)


def blocks_energy(result: Estimate, chip: Chip) -> tuple[float, float]:
    """Driven rows and read cells behind the energies of DACs and array."""
    dac, array = (result.components[name][0] for name in ("dac", "array"))
    blocks = chip.array
    return (
        dac / (blocks.dac_power_w * blocks.read_time_s * 2 ** (chip.dac_bits - 1)),
        array / (blocks.cell_power_w * blocks.read_time_s),
    )


@settings(max_examples=30, deadline=None)
@given(
    seed=SEEDS,
    ou_rows=st.sampled_from([None, 1, 3, 8]),
    dac_bits=st.integers(1, 3),
    bits_per_cell=st.sampled_from([1, 2]),
    encoding=st.sampled_from([DIFFERENTIAL, TWOS_COMPLEMENT, ISAAC_FLIP]),
)
def test_isaac_counts_operation_units_digits_and_the_columns_of_its_encoding(
    seed: int, ou_rows: int | None, dac_bits: int, bits_per_cell: int, encoding: Encoding
) -> None:
    layer = small_layer(seed)
    chip = design(
        ISAAC,
        ou_rows=ou_rows,
        dac_bits=dac_bits,
        bits_per_cell=bits_per_cell,
        encoding=encoding,
    )
    digits = len(range(0, layer.input_bits, dac_bits))
    planes = {
        "differential": 2 * -(-4 // bits_per_cell),
        "twos_complement": 1 + -(-4 // bits_per_cell),
        "isaac_flip": -(-5 // bits_per_cell),
    }[encoding.name]
    count: Counter[str] = Counter()
    k, n = layer.shape.wordlines, layer.shape.outputs
    longest = 0
    for _ in range(layer.shape.groups * planes):
        for first_row in range(0, k, 8):
            rows = range(first_row, min(first_row + 8, k))
            for first_column in range(0, n, 8):
                columns = len(range(first_column, min(first_column + 8, n)))
                columns += encoding is ISAAC_FLIP  # the unit column
                count["crossbars"] += 1
                reads = 0
                for _ in range(layer.shape.positions * digits):
                    for start in range(0, len(rows), ou_rows or 8):
                        driven = len(rows[start : start + (ou_rows or 8)])
                        reads += 1
                        count["conversions"] += columns
                        count["driven rows"] += driven
                        count["read cells"] += driven * columns
                longest = max(longest, reads)
    result = estimate([layer], chip)
    assert result.crossbars == count["crossbars"]
    assert result.adc_conversions == count["conversions"]
    assert blocks_energy(result, chip) == pytest.approx(
        (count["driven rows"], count["read cells"]), rel=1e-9
    )
    assert ISAAC.cost_terms([layer], chip).serial_reads.tolist() == [longest]


@settings(max_examples=30, deadline=None)
@given(
    seed=SEEDS,
    ou=st.sampled_from([(None, None), (4, 4), (3, 5)]),
    dac_bits=st.integers(1, 2),
    encoding=st.sampled_from([DIFFERENTIAL, ISAAC_FLIP]),
)
def test_crmp_reads_every_cell_of_whole_arrays(
    seed: int, ou: tuple[int | None, int | None], dac_bits: int, encoding: Encoding
) -> None:
    layer = small_layer(seed)
    engine = CrmpEngine(ou_bitlines=ou[1])
    chip = design(engine, ou_rows=ou[0], dac_bits=dac_bits, encoding=encoding)
    height, width = ou[0] or 8, ou[1] or 8
    count: Counter[str] = Counter()
    planes = 2 * layer.weight_bits if encoding is DIFFERENTIAL else layer.weight_bits + 1
    for _ in range(layer.shape.groups * planes):
        for _ in range(0, layer.shape.wordlines, 8):
            for _ in range(0, layer.shape.outputs, 8):
                count["crossbars"] += 1
                count["reads of an array"] = 0
                for _ in range(layer.shape.positions * len(range(0, layer.input_bits, dac_bits))):
                    for row in range(0, 8, height):
                        for column in range(0, 8, width):
                            rows, columns = min(height, 8 - row), min(width, 8 - column)
                            last = column + width >= 8
                            columns += last and encoding is ISAAC_FLIP  # the unit column
                            count["reads of an array"] += 1
                            count["conversions"] += columns
                            count["driven rows"] += rows
                            count["read cells"] += rows * columns
    result = estimate([layer], chip)
    terms = engine.cost_terms([layer], chip)
    assert result.crossbars == count["crossbars"]
    assert result.adc_conversions == count["conversions"]
    assert terms.serial_reads.tolist() == [count["reads of an array"]]
    assert blocks_energy(result, chip) == pytest.approx(
        (count["driven rows"], count["read cells"]), rel=1e-9
    )


@settings(max_examples=30, deadline=None)
@given(
    seed=SEEDS,
    height=st.integers(1, 8),
    width=st.sampled_from([3, 4, 8]),
    encoding=st.sampled_from([DIFFERENTIAL, TWOS_COMPLEMENT]),
)
def test_sre_drives_kept_rows_of_active_inputs_only(
    seed: int, height: int, width: int, encoding: Encoding
) -> None:
    layer = small_layer(seed)
    inputs = every_input(seed, layer)
    engine = SreEngine(ou_wordlines=height, ou_bitlines=width)
    chip = design(engine, encoding=encoding)
    shape, bits = layer.shape, layer.weight_bits
    count: Counter[str] = Counter()
    for matrix in range(shape.groups):
        for copy in (0, 1) if encoding is DIFFERENTIAL else (0,):
            cells = np.zeros((shape.wordlines, shape.outputs * (bits + 1)), dtype=int)
            used = bits if encoding is DIFFERENTIAL else bits + 1
            for k in range(shape.wordlines):
                for n in range(shape.outputs):
                    code = int(layer.signed_codes()[matrix, k, n])
                    if encoding is DIFFERENTIAL:
                        code = max(code, 0) if copy == 0 else max(-code, 0)
                    for bit in range(used):
                        cells[k, n * used + used - 1 - bit] = (code >> bit) & 1
            cells = cells[:, : shape.outputs * used]
            for top in range(0, shape.wordlines, 8):
                for left in range(0, cells.shape[1], 8):
                    array = cells[top : top + 8, left : left + 8]
                    for start in range(0, array.shape[1], width):
                        group = array[:, start : start + width]
                        kept = [row for row in range(len(group)) if group[row].any()]
                        count["cells"] += len(kept) * group.shape[1]
                        for codes in inputs[matrix]:
                            for bit in range(layer.input_bits):
                                active = sum((int(codes[top + row]) >> bit) & 1 for row in kept)
                                reads = ceil(active / height)
                                count["reads"] += reads
                                count["conversions"] += reads * group.shape[1]
                                count["driven rows"] += active
                                count["read cells"] += active * group.shape[1]
    result = estimate([layer], chip, observed=[Observed(input_codes=inputs)])
    assert result.crossbars == ceil(count["cells"] / 64)
    assert result.adc_conversions == count["conversions"]
    assert blocks_energy(result, chip) == pytest.approx(
        (count["driven rows"], count["read cells"]), rel=1e-9
    )
    terms = engine.cost_terms([layer], chip, [Observed(input_codes=inputs)])
    arrays = max(1, result.crossbars)
    assert terms.serial_reads.tolist() == [ceil(count["reads"] / arrays)]


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, packed=st.booleans(), ou_rows=st.sampled_from([None, 3]))
def test_bit_planes_convert_the_columns_that_hold_a_one(
    seed: int, packed: bool, ou_rows: int | None
) -> None:
    layer = small_layer(seed)
    chip = design(BitPlaneEngine(packed=packed), columns=3, ou_rows=ou_rows)
    shape = layer.shape
    count: Counter[str] = Counter()
    for matrix in range(shape.groups):
        for sign in (1, -1):
            for top in range(0, shape.wordlines, 8):
                rows = range(top, min(top + 8, shape.wordlines))
                per_plane = []
                for plane in range(layer.weight_bits):
                    columns = 0
                    for n in range(shape.outputs):
                        ones = [
                            k
                            for k in rows
                            if layer.signs[matrix, k, n] == sign
                            and (int(layer.magnitudes[matrix, k, n]) >> plane) & 1
                        ]
                        columns += bool(ones)
                    per_plane.append(columns)
                    steps = len(range(0, len(rows), ou_rows or 8))
                    count["conversions"] += shape.positions * layer.input_bits * steps * columns
                    count["read cells"] += shape.positions * layer.input_bits * len(rows) * columns
                shared = [sum(per_plane)] if packed else per_plane
                count["crossbars"] += sum(ceil(columns / 3) for columns in shared)
    result = estimate([layer], chip)
    assert result.crossbars == count["crossbars"]
    assert result.adc_conversions == count["conversions"]
    assert blocks_energy(result, chip)[1] == pytest.approx(count["read cells"], rel=1e-9)


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, bits_per_row=st.sampled_from([4, 8]))
def test_bits_net_pays_every_cell_by_its_state(seed: int, bits_per_row: int) -> None:
    layer = small_layer(seed, weight_bits=8)
    chip = Chip(
        crossbar=Crossbar(wordlines=8, bitlines=bits_per_row, bits_per_cell=2),
        adc=BITS_NET_ADC,
        adc_bits=(2,) * 4,
        engine=BITS_NET,
    )
    energy, reads = 0.0, 0
    for _ in range(layer.shape.positions):
        for code in layer.magnitudes.ravel():
            for digit in np.base_repr(int(code), 4).zfill(4):
                energy += {"0": 0.079, "1": 0.36, "2": 0.73, "3": 1.46}[digit] * 1e-12
                reads += 1
    result = estimate([layer], chip)
    assert result.adc_conversions == reads
    assert result.components["array"][0] == pytest.approx(energy, rel=1e-9)
    assert result.adc_energy_j == pytest.approx(reads * 0.208e-12, rel=1e-9)
    assert result.components["array"][0] + result.adc_energy_j == pytest.approx(
        layer.shape.positions * float(bits_net.weight_energy_j(layer.magnitudes).sum()), rel=1e-9
    )


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, dynamic=st.booleans(), patch=st.sampled_from([2, 4]))
def test_a_patch_is_read_by_its_precision_and_that_of_its_inputs(
    seed: int, dynamic: bool, patch: int
) -> None:
    layer = small_layer(seed, weight_bits=7, input_bits=8)
    inputs = every_input(seed, layer) // 20 * 20  # many exactly at the threshold
    engine = OuPatchEngine(patch=patch, weak_input_share=0.5 if dynamic else None, small_input=20)
    chip = design(engine, encoding=TWOS_COMPLEMENT, rows=8, columns=16)
    shape = layer.shape
    patches = -(-shape.wordlines // patch)
    rng = np.random.default_rng(seed + 2)
    precision = rng.choice([8, 4], (shape.groups, patches, shape.outputs)).astype(np.int8)
    for index in np.ndindex(precision.shape):
        rows = slice(index[1] * patch, (index[1] + 1) * patch)
        if not layer.magnitudes[index[0], rows, index[2]].any():
            precision[index] = 0

    count: Counter[str] = Counter()
    for (matrix, j, _), bits in np.ndenumerate(precision):
        for position in range(shape.positions):
            count["index bits"] += 1
            if bits == 0:
                continue
            count["index bits"] += (patches - 1).bit_length() + 1
            window = inputs[matrix, position, j * patch : (j + 1) * patch]
            weak = dynamic and sum(window <= 20) >= 0.5 * len(window)
            cycles = 4 if weak else 8
            count["reads"] += cycles
            count["conversions"] += cycles * int(bits)
            count["read cells"] += cycles * int(bits) * patch
    slots = {8: (8 // patch) * 2, 4: (8 // patch) * 4}
    crossbars = sum(ceil(int((precision == bits).sum()) / slots[bits]) for bits in (8, 4))

    observed = [Observed(input_codes=inputs, patch_bits=precision)]
    result = estimate([layer], chip, observed=observed)
    assert result.crossbars == crossbars
    assert result.adc_conversions == count["conversions"]
    assert blocks_energy(result, chip) == pytest.approx(
        (count["reads"] * patch, count["read cells"]), rel=1e-9
    )
    per_bit = chip.tile.edram_energy_j_per_bit + chip.tile.bus_energy_j_per_bit
    assert result.components["index"][0] == pytest.approx(count["index bits"] * per_bit, rel=1e-9)
