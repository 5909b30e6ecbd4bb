from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from hw_models.errors import HardwareError, MappingError
from hw_models.layer import CodedLayer, LayerShape
from tests.hw_models.coded_layers import coded_layer


def replaced(**changes: Any) -> CodedLayer:
    return dataclasses.replace(coded_layer(wordlines=4, outputs=3), **changes)


def test_signed_codes_are_sign_times_magnitude() -> None:
    layer = coded_layer(wordlines=300, outputs=4)
    codes = layer.signed_codes()
    assert codes.min() < -200
    assert codes.max() > 200
    assert np.array_equal(np.abs(codes), layer.magnitudes)
    assert np.array_equal(np.sign(codes), layer.signs)


@pytest.mark.parametrize("field", ["wordlines", "outputs", "groups", "positions"])
def test_a_layer_of_size_zero_is_refused(field: str) -> None:
    sizes = {"wordlines": 4, "outputs": 3, "groups": 1, "positions": 1, field: 0}
    with pytest.raises(MappingError, match=f"conv: {field} must be at least 1, got 0"):
        LayerShape(name="conv", **sizes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weight_bits": 9}, "layer: weight_bits must be 1 to 8, got 9"),
        ({"weight_bits": 0}, "layer: weight_bits must be 1 to 8, got 0"),
        ({"input_bits": 17}, "layer: input_bits must be 1 to 16, got 17"),
        ({"weight_step": 0.0}, "layer: weight_step must be a positive finite number, got 0.0"),
        ({"input_step": float("nan")}, "layer: input_step must be a positive finite number"),
        ({"input_offset": float("inf")}, "layer: input_offset must be finite, got inf"),
        ({"bias": np.zeros(2)}, r"bias must be float64 of shape \(3,\), got float64 of .*\(2,\)"),
        ({"bias": np.full(3, np.nan)}, "layer: bias must be finite"),
        ({"signs": np.full((1, 4, 3), 2, np.int8)}, r"signs must be -1, 0 or 1, got 2 \.\. 2"),
        ({"signs": np.zeros((1, 4, 3), np.int8)}, "a magnitude above zero needs a sign"),
        ({"signs": np.ones((1, 3, 4), np.int8)}, r"signs must be int8 of shape \(1, 4, 3\)"),
        ({"magnitudes": np.ones((1, 4, 3), np.int64)}, "magnitudes must be uint8 .* got int64"),
    ],
)
def test_codes_that_no_cell_could_hold_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(MappingError, match=message):
        replaced(**changes)


def test_a_fifth_level_of_two_bit_weights_is_refused() -> None:
    four = np.full((1, 4, 3), 4, np.uint8)
    message = r"magnitudes must be at most 2\*\*weight_bits - 1 = 3, got 4\. Clamp"
    with pytest.raises(MappingError, match=message):
        replaced(weight_bits=2, magnitudes=four, signs=np.ones((1, 4, 3), np.int8))


def test_mapping_errors_are_hardware_errors() -> None:
    assert issubclass(MappingError, HardwareError)
