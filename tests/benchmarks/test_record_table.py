"""Recorded tables hold what the pipeline gives today."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from record_table import record_network, split
from recorded_table import FOLDER, RecordedTable, TableSpec

SMALL = """{
  "name": "small",
  "about": "a test",
  "task": {"name": "mlp_mnist", "train_images": 500, "test_images": 50},
  "training": {"seed": 0, "pretrain_epochs": 1},
  "epochs": 1,
  "fixed": {"engine": "isaac", "regularizer": "none"},
  "knobs": [
    {"name": "threshold", "paths": ["pruning.threshold"], "values": [0.0, 0.02]},
    {"name": "wordlines", "paths": ["crossbar.wordlines"], "values": [64, 128]},
    {"name": "high", "paths": ["adc.bits.slice3", "adc.bits.slice2"], "values": [3, 10]},
    {"name": "low", "paths": ["adc.bits.slice1", "adc.bits.slice0"], "values": [4, 11]}
  ],
  "objectives": ["maximize accuracy", "minimize energy_uj"],
  "constraints": ["accuracy_loss <= 0.1"]
}"""


def test_every_entry_of_a_small_grid_is_what_a_study_would_get(tmp_path: Path) -> None:
    (tmp_path / "small.json").write_text(SMALL)
    spec = TableSpec.read("small", tmp_path)
    row = record_network("small", tmp_path, tmp_path / "store", (1,))
    assert row.simulations <= 8
    evaluator = spec.evaluator(tmp_path / "store")
    for place in np.ndindex(2, 2, 2):
        measured = evaluator.evaluate(spec.point((1, *place))).metrics
        for name, values in row.metrics.items():
            assert values[place] == pytest.approx(measured[name], rel=1e-9), (name, place)
        assert row.accuracy_float == measured["accuracy_float"]


def test_entries_of_a_table_evaluate_to_what_was_recorded(tmp_path: Path) -> None:
    """One network of `mlp_adc`, trained again: costs exactly, accuracies within a few images."""
    table = RecordedTable("mlp_adc")
    evaluator = table.spec.evaluator(tmp_path)
    rng = np.random.default_rng(1)
    for _ in range(3):
        levels = (2, 1, 0, *(int(rng.integers(n)) for n in table.spec.shape[3:]))
        measured = evaluator.evaluate(table.spec.point(levels)).metrics
        recorded = table.at(levels)
        for name in ("energy_j", "area_m2", "latency_s"):
            assert recorded[name] == pytest.approx(measured[name], rel=1e-6)
        assert recorded["accuracy"] == pytest.approx(measured["accuracy"], abs=0.03)


def test_axes_stand_in_the_order_of_what_they_change() -> None:
    for file in FOLDER.glob("*.json"):
        network, arrays, resolutions = split(TableSpec.read(file.stem))
        assert np.prod(network) * np.prod(arrays) * np.prod(resolutions) >= 5000


def test_axes_in_another_order_are_refused(tmp_path: Path) -> None:
    text = SMALL.replace("pruning.threshold", "crossbar.bitlines").replace("[0.0, 0.02]", "[64]")
    text = text.replace(
        '"crossbar.wordlines"], "values": [64, 128]', '"pruning.threshold"], "values": [0]'
    )
    (tmp_path / "small.json").write_text(text)
    with pytest.raises(SystemExit, match="small: knobs of the network come first"):
        split(TableSpec.read("small", tmp_path))
