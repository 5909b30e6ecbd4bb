"""What the bit-slice paper's Table 1 says of MNIST, on a tenth of it and a tenth of the epochs.

`benchmarks/reproduce_bit_slice.py` has the whole of it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dse.datasets.mnist import MNIST
from dse.pipeline.compress import CompressedNetwork, compress
from dse.pipeline.pretrain import pretrain
from dse.quantizers.fixed_point import FIXED_POINT
from dse.regularizers.bit_slice_l1 import BIT_SLICE_L1
from dse.regularizers.l1 import L1
from dse.regularizers.none import NONE
from dse.tasks.mlp_mnist import MLP_MNIST
from dse.training.schedule import Cosine
from search_spaces.quantizer import FixedPointKnobs
from search_spaces.regularizer import BitSliceL1Knobs, L1Knobs, NoRegularizerKnobs

DATA = MNIST.load().subset(train=6000, test=100)
TASK = replace(MLP_MNIST, recipe=replace(MLP_MNIST.recipe, finetune_schedule=Cosine()))


@pytest.fixture(scope="module")
def rows() -> dict[str, CompressedNetwork]:
    start = pretrain(TASK, DATA, epochs=6, seed=0).state

    def row(regularizer: Any, knobs: Any, *, threshold: float, epochs: int) -> CompressedNetwork:
        return compress(
            TASK,
            DATA,
            start,
            quantizer=FIXED_POINT,
            quantizer_knobs=FixedPointKnobs(),
            regularizer=regularizer,
            regularizer_knobs=knobs,
            threshold=threshold,
            slice_bits=2,
            epochs=epochs,
            seed=0,
        )

    return {
        "pruned": row(NONE, NoRegularizerKnobs(), threshold=0.0, epochs=0),
        "l1": row(L1, L1Knobs(strength=10.0), threshold=0.01, epochs=4),
        "bit_slice_l1": row(
            BIT_SLICE_L1, BitSliceL1Knobs(strength=0.25), threshold=0.01, epochs=4
        ),
    }


def test_bit_slice_l1_is_sparser_than_l1_and_l1_than_no_fine_tuning(
    rows: dict[str, CompressedNetwork],
) -> None:
    ratios = [
        np.array(rows[name].nonzero_slice_ratios) for name in ("bit_slice_l1", "l1", "pruned")
    ]
    means, deviations = ([float(f(each)) for each in ratios] for f in (np.mean, np.std))
    assert means == sorted(means)
    assert means[0] < 0.9 * means[1] < 0.81 * means[2]
    assert deviations == sorted(deviations)


def test_accuracy_stays_within_a_point(rows: dict[str, CompressedNetwork]) -> None:
    found = [rows[name].metrics["val_accuracy"] for name in ("pruned", "l1", "bit_slice_l1")]
    assert min(found) > max(found) - 0.015
    assert min(found) > 0.9
