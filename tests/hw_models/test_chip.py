from __future__ import annotations

import subprocess
import sys

import pytest

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
