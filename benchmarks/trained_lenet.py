"""The trained LeNet 20-50-500-10 on MNIST that several benchmarks start from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from dse.datasets.dataset import ImageDataset
from dse.pipeline.compress import CompressedNetwork, compress
from dse.pipeline.pretrain import pretrain
from dse.quantizers.fixed_point import FIXED_POINT
from dse.regularizers.none import NONE
from dse.tasks.lenet_mnist import LENET_MNIST
from dse.training.fit import Epoch
from search_spaces.inputs import InputKnobs
from search_spaces.quantizer import FixedPointKnobs
from search_spaces.regularizer import NoRegularizerKnobs

TASK = LENET_MNIST


def trained_state(
    data: ImageDataset, *, epochs: int, seed: int, checkpoint: Path | None
) -> dict[str, Tensor]:
    """The fp32 network: from the checkpoint if there is one, else trained and saved there."""
    task = TASK
    if checkpoint is not None and checkpoint.is_file():
        task = replace(TASK, checkpoint=checkpoint)

    def tell(epoch: Epoch) -> None:
        print(f"  epoch {epoch.number}/{epoch.of}: validation {epoch.val_accuracy:.4f}")

    state = pretrain(task, data, epochs=epochs, seed=seed, on_epoch=tell).state
    if checkpoint is not None and task.checkpoint is None:
        save_file(state, checkpoint)
    return state


def coded(
    data: ImageDataset,
    state: dict[str, Tensor],
    *,
    weight_bits: int = 8,
    input_knobs: InputKnobs | None = None,
) -> CompressedNetwork:
    """Codes without fine-tuning: magnitudes in dynamic fixed point, inputs in 8 bits."""
    return compress(
        TASK,
        data,
        state,
        quantizer=FIXED_POINT,
        quantizer_knobs=FixedPointKnobs(bits=weight_bits),
        regularizer=NONE,
        regularizer_knobs=NoRegularizerKnobs(),
        threshold=0.0,
        slice_bits=1,
        epochs=0,
        seed=0,
        input_knobs=input_knobs,
    )
