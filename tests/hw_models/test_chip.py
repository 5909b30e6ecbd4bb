from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from hw_models.encodings.twos_complement import TWOS_COMPLEMENT
from hw_models.errors import HardwareError, MappingError
from tests.hw_models.coded_layers import chip


def test_slice_groups_take_resolutions_by_significance() -> None:
    design = chip((1, 2, 3, 4))
    assert design.adc_bits_for("fc", 8) == (1, 2, 3, 4)
    assert design.adc_bits_for("fc", 5) == (2, 3, 4)
    assert design.adc_bits_for("fc", 2) == (4,)


def test_a_layer_of_more_groups_than_the_chip_is_refused() -> None:
    message = r"fc has 4 slice groups \(8-bit weights in 2-bit cells\), the chip .* for 2"
    with pytest.raises(MappingError, match=message):
        chip((8, 8)).adc_bits_for("fc", 8)


def test_a_chip_without_converters_is_refused() -> None:
    with pytest.raises(HardwareError, match=r"at least one slice group, got adc_bits=\(\)"):
        chip(())


def test_a_chip_with_an_impossible_converter_is_refused() -> None:
    with pytest.raises(HardwareError, match="an ADC resolves 1 to 14 bits, got 15"):
        chip((8, 15, 8, 8))


def test_the_cost_side_needs_no_torch() -> None:
    code = (
        "import sys, hw_models.estimation.estimate, hw_models.engines.isaac, hw_models.chip, "
        "hw_models.converters.saberi, hw_models.encodings.bit_slices; "
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_an_encoding_with_a_sign_bit_counts_its_cells() -> None:
    design = replace(chip((8, 8, 8, 8)), encoding=TWOS_COMPLEMENT)
    message = r"fc has 5 slice groups \(8-bit weights in 2-bit cells, encoding 'twos_complement'\)"
    with pytest.raises(MappingError, match=message):
        design.adc_bits_for("fc", 8)
    assert design.adc_bits_for("fc", 6) == (8, 8, 8, 8)


@pytest.mark.parametrize("bits", [0, 9])
def test_an_impossible_dac_is_refused(bits: int) -> None:
    with pytest.raises(HardwareError, match=rf"chip.dac_bits must be 1 to 8, got {bits}"):
        replace(chip(), dac_bits=bits)
