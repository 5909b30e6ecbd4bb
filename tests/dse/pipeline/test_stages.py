from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from dse.datasets.mnist import MNIST
from dse.errors import StageError, TaskError
from dse.pipeline.accuracy import float_accuracy, simulated_accuracy
from dse.pipeline.compress import CompressedNetwork, compress
from dse.pipeline.lower import coded_from_tensors, coded_to_tensors
from dse.pipeline.pretrain import TrainedNetwork, pretrain
from dse.quantizers.fixed_point import FIXED_POINT
from dse.regularizers.bit_slice_l1 import BIT_SLICE_L1
from dse.regularizers.none import NONE
from dse.tasks.mlp_mnist import MLP_MNIST
from dse.tasks.task import Task
from search_spaces.quantizer import FixedPointKnobs
from search_spaces.regularizer import BitSliceL1Knobs, NoRegularizerKnobs
from tests.dse.tiny import STRIPES, stripes

DATA = stripes()


def squeeze(
    pretrained: TrainedNetwork, task: Task = STRIPES, **settings: object
) -> CompressedNetwork:
    arguments: dict[str, object] = {
        "quantizer": FIXED_POINT,
        "quantizer_knobs": FixedPointKnobs(),
        "regularizer": NONE,
        "regularizer_knobs": NoRegularizerKnobs(),
        "threshold": 0.01,
        "slice_bits": 2,
        "epochs": 1,
        "seed": 0,
    }
    return compress(task, DATA, pretrained.state, **(arguments | settings))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def trained() -> TrainedNetwork:
    return pretrain(STRIPES, DATA, epochs=6, seed=0)


def test_pretraining_learns_the_task(trained: TrainedNetwork) -> None:
    assert trained.metrics["val_accuracy"] > 0.8
    assert float_accuracy(STRIPES, DATA, trained.state) > 0.8
    assert 1 <= trained.metrics["epoch"] <= 6


def test_pretraining_repeats_and_follows_the_seed() -> None:
    one, same, other = (pretrain(STRIPES, DATA, epochs=1, seed=s) for s in (0, 0, 1))
    assert all(torch.equal(one.state[key], same.state[key]) for key in one.state)
    assert not torch.equal(one.state["fc.weight"], other.state["fc.weight"])


def test_a_checkpoint_replaces_pretraining(trained: TrainedNetwork, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file(trained.state, path)
    loaded = pretrain(replace(STRIPES, checkpoint=path), DATA, epochs=3, seed=9)
    assert all(torch.equal(loaded.state[key], trained.state[key]) for key in loaded.state)
    assert loaded.metrics["val_accuracy"] == trained.metrics["val_accuracy"]
    assert loaded.metrics["epoch"] == 0


def test_the_l1_penalty_of_the_recipe_shrinks_the_mapped_weights() -> None:
    plain = replace(STRIPES, recipe=replace(STRIPES.recipe, pretrain_l1=0.0))
    strong = replace(STRIPES, recipe=replace(STRIPES.recipe, pretrain_l1=20.0))
    sizes = [
        float(pretrain(task, DATA, epochs=2, seed=0).state["fc.weight"].abs().sum())
        for task in (plain, strong)
    ]
    assert sizes[1] < 0.8 * sizes[0]


def test_compression_repeats(trained: TrainedNetwork) -> None:
    one, same = squeeze(trained), squeeze(trained)
    for a, b in zip(one.layers, same.layers, strict=True):
        assert np.array_equal(a.signed_codes(), b.signed_codes())
        assert (a.weight_step, a.input_step, a.input_offset) == (
            b.weight_step,
            b.input_step,
            b.input_offset,
        )
    assert one.metrics["val_accuracy"] == same.metrics["val_accuracy"]


def test_the_codes_are_those_of_the_state(trained: TrainedNetwork) -> None:
    found = squeeze(trained)
    assert [layer.shape.name for layer in found.layers] == ["conv1", "conv2", "fc"]
    for layer in found.layers:
        weight = found.state[f"{layer.shape.name}.weight"].double()
        shape = layer.shape
        matrix = weight.reshape(shape.groups, shape.outputs, shape.wordlines).transpose(1, 2)
        error = np.abs(layer.signed_codes() * layer.weight_step - matrix.numpy())
        assert error.max() <= layer.weight_step  # half a step, or one where 255 clamps
        assert np.median(error) <= layer.weight_step / 2
    assert found.layers[0].bias is None
    assert found.layers[0].input_offset == pytest.approx(-0.35 / 0.3)
    assert found.layers[1].input_offset == 0
    assert found.layers[2].bias is not None


def test_pruned_weights_stay_zero_through_fine_tuning(trained: TrainedNetwork) -> None:
    found = squeeze(trained, threshold=0.05)
    for name in ("conv1.weight", "conv2.weight", "conv2.bias", "fc.weight"):
        pruned = trained.state[name].abs() < 0.05
        assert bool((found.state[name][pruned] == 0).all())
    assert bool((trained.state["fc.weight"].abs() < 0.05).any())
    untouched = (trained.state["bn1.bias"].abs() < 0.05) & (trained.state["bn1.bias"] != 0)
    assert bool((found.state["bn1.bias"][untouched] != 0).all())


def test_bit_slice_l1_empties_the_slices(trained: TrainedNetwork) -> None:
    plain = squeeze(trained, epochs=3)
    sparse = squeeze(
        trained,
        epochs=3,
        regularizer=BIT_SLICE_L1,
        regularizer_knobs=BitSliceL1Knobs(strength=0.05),
    )
    assert sparse.metrics["mean_slice_ratio"] < 0.9 * plain.metrics["mean_slice_ratio"]
    assert sparse.metrics["mean_slice_ratio"] == pytest.approx(
        np.mean(sparse.nonzero_slice_ratios)
    )


def test_without_epochs_the_weights_stay_and_inputs_are_calibrated(
    trained: TrainedNetwork,
) -> None:
    found = squeeze(trained, epochs=0, threshold=0.0)
    assert all(torch.equal(found.state[key], trained.state[key]) for key in found.state)
    assert found.metrics["epoch"] == 0
    assert abs(found.metrics["val_accuracy"] - trained.metrics["val_accuracy"]) <= 0.05
    ideal = simulated_accuracy(STRIPES, DATA, found.state, found.layers, chip=None)
    assert abs(ideal - float_accuracy(STRIPES, DATA, trained.state)) <= 0.03


def test_fewer_bits_reach_the_codes(trained: TrainedNetwork) -> None:
    found = squeeze(trained, quantizer_knobs=FixedPointKnobs(bits=3), slice_bits=2)
    assert {layer.weight_bits for layer in found.layers} == {3}
    assert max(int(layer.magnitudes.max()) for layer in found.layers) <= 7
    assert len(found.nonzero_slice_ratios) == 2


def test_codes_survive_a_file_bit_for_bit(trained: TrainedNetwork, tmp_path: Path) -> None:
    layers = squeeze(trained).layers
    save_file(coded_to_tensors(layers), tmp_path / "codes.safetensors")
    back = coded_from_tensors(load_file(tmp_path / "codes.safetensors"))
    assert len(back) == len(layers)
    for found, expected in zip(back, layers, strict=True):
        assert found.shape == expected.shape
        for field in ("magnitudes", "signs", "bias"):
            assert np.array_equal(getattr(found, field), getattr(expected, field))
        for field in ("weight_bits", "weight_step", "input_bits", "input_step", "input_offset"):
            assert getattr(found, field) == getattr(expected, field)


def test_incomplete_stored_codes_are_refused(trained: TrainedNetwork) -> None:
    tensors = coded_to_tensors(squeeze(trained).layers)
    del tensors["conv2/signs"]
    with pytest.raises(StageError, match=r"layer 'conv2' have .* got none for signs"):
        coded_from_tensors(tensors)


def test_negative_epochs_are_refused(trained: TrainedNetwork) -> None:
    with pytest.raises(StageError, match="takes 0 or more epochs, got -1"):
        pretrain(STRIPES, DATA, epochs=-1, seed=0)
    with pytest.raises(StageError, match="takes 0 or more epochs, got -1"):
        squeeze(trained, epochs=-1)


def test_a_network_for_other_images_is_refused() -> None:
    with pytest.raises(TaskError, match="mlp_mnist: the network takes images of shape"):
        pretrain(MLP_MNIST, DATA, epochs=1, seed=0)


def test_mnist_pixels_become_codes_of_the_first_layer() -> None:
    data = MNIST.load().subset(train=1500, test=300)
    first = pretrain(MLP_MNIST, data, epochs=1, seed=0)
    found = compress(
        MLP_MNIST,
        data,
        first.state,
        quantizer=FIXED_POINT,
        quantizer_knobs=FixedPointKnobs(),
        regularizer=NONE,
        regularizer_knobs=NoRegularizerKnobs(),
        threshold=0.0,
        slice_bits=2,
        epochs=1,
        seed=0,
    )
    layer = found.layers[0]
    inputs = data.normalised(data.test_images).double()
    codes = (inputs - layer.input_offset) / layer.input_step
    assert float((codes - data.test_images.double()).abs().max()) < 1e-3
    assert simulated_accuracy(MLP_MNIST, data, found.state, found.layers, chip=None) > 0.75
